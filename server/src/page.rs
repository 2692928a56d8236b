//! The page inside the program, so that a deployment is one file.

use grpc_edge::EmbeddedPage;
use rust_embed::Embed;

/// The files that `cargo xtask` has bundled. They are in the binary crate, so that the library compiles while the page
/// is being built.
#[derive(Embed)]
#[folder = "../target/bundle"]
struct Files;

/// The function that looks up a file of the page.
pub(crate) const PAGE: EmbeddedPage = |path| Files::get(path).map(|file| file.data);
