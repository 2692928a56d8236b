//! The build of the contract: compiles `rides/v1/*.proto` with protox, so that the build needs no protoc.

use std::{env, error::Error, fs, path::PathBuf};

use prost::Message as _;

fn main() -> Result<(), Box<dyn Error>> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?);
    let package = root.join("rides/v1");
    println!("cargo::rerun-if-changed={}", package.display());

    let mut files =
        fs::read_dir(&package)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>, std::io::Error>>()?;
    files.retain(|path| path.extension().is_some_and(|ext| ext == "proto"));
    files.sort();

    let descriptors = protox::compile(&files, [&root])?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("rides.bin"), descriptors.encode_to_vec())?;

    tonic_prost_build::configure()
        // Cargo unifies features across the workspace. With a transport, the code of the page would need one too.
        .build_transport(false)
        .compile_fds(descriptors)?;
    Ok(())
}
