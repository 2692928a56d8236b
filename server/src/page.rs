//! The page inside the program, so that one file is the whole product.

use rides_server::edge::EmbeddedPage;
use rust_embed::Embed;

/// The files that `cargo xtask` has bundled. They belong to the program and not to its library, so that the library
/// compiles while the page is being built.
#[derive(Embed)]
#[folder = "../target/bundle"]
struct Files;

/// Looks up a file of the page.
pub(crate) const PAGE: EmbeddedPage = |path| Files::get(path).map(|file| file.data);
