//! The build of the health service: compiles `grpc/health/v1/health.proto` with protox. `tonic-health` lacks its
//! `List`.

use std::{env, error::Error, fs, path::PathBuf};

use prost::Message as _;

fn main() -> Result<(), Box<dyn Error>> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("proto");
    let file = root.join("grpc/health/v1/health.proto");
    println!("cargo::rerun-if-changed={}", file.display());

    let descriptors = protox::compile([&file], [&root])?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("health.bin"), descriptors.encode_to_vec())?;
    tonic_prost_build::configure().build_client(false).build_transport(false).compile_fds(descriptors)?;
    Ok(())
}
