//! Compiles the protocol of the peers with protox, and sets variables with the versions of tonic and hyper.

use std::{env, error::Error, fs, path::PathBuf};

use prost::Message as _;

fn main() -> Result<(), Box<dyn Error>> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?);
    let include = root.join("proto");
    println!("cargo::rerun-if-changed={}", include.display());
    let descriptors = protox::compile(["bench/v1/board.proto"], [&include])?;
    fs::write(PathBuf::from(env::var("OUT_DIR")?).join("board.bin"), descriptors.encode_to_vec())?;
    tonic_prost_build::configure().build_client(false).build_transport(false).compile_fds(descriptors)?;

    let lock = root.join("../Cargo.lock");
    println!("cargo::rerun-if-changed={}", lock.display());
    let lock = fs::read_to_string(lock)?;
    for package in ["tonic", "hyper"] {
        let version = version_of(package, &lock).ok_or(format!("{package} is not in Cargo.lock"))?;
        println!("cargo::rustc-env=BENCH_{}={package} {version}", package.to_uppercase());
    }
    Ok(())
}

fn version_of<'a>(package: &str, lock: &'a str) -> Option<&'a str> {
    let (_, entry) = lock.split_once(&format!("name = \"{package}\"\nversion = \""))?;
    Some(entry.split_once('"')?.0)
}
