//! Strips comments and indentation from the shaders, which become part of the page.

use std::{env, error::Error, fs, path::PathBuf};

fn main() -> Result<(), Box<dyn Error>> {
    let shaders = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("src/map/shaders");
    println!("cargo::rerun-if-changed={}", shaders.display());
    let out = PathBuf::from(env::var("OUT_DIR")?);
    for entry in fs::read_dir(shaders)? {
        let entry = entry?;
        fs::write(out.join(entry.file_name()), bare(&fs::read_to_string(entry.path())?))?;
    }
    Ok(())
}

fn bare(shader: &str) -> String {
    let code = |line| str::split_once(line, "//").map_or(line, |(code, _)| code).trim();
    shader.lines().map(code).filter(|line| !line.is_empty()).flat_map(|line| [line, "\n"]).collect()
}
