//! Compressed files beside the plain ones. The server does not compress while it serves.

use std::{
    ffi::OsStr,
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

/// The extensions of files that are compressed. Pictures and fonts are compressed already.
const COMPRESSIBLE: [&str; 6] = ["wasm", "js", "css", "html", "svg", "webmanifest"];

/// Writes `NAME.gz` and `NAME.br` beside every compressible file in `dir`.
///
/// # Errors
/// When a file cannot be read or written.
pub(crate) fn all(dir: &Path) -> Result<()> {
    for entry in fs::read_dir(dir).with_context(|| format!("cannot list {}", dir.display()))? {
        let path = entry?.path();
        if path.extension().and_then(OsStr::to_str).is_some_and(|extension| COMPRESSIBLE.contains(&extension))
        {
            compress(&path).with_context(|| format!("cannot write beside {}", path.display()))?;
        }
    }
    Ok(())
}

fn compress(path: &Path) -> io::Result<()> {
    let bytes = fs::read(path)?;
    fs::write(beside(path, "gz"), gzip(&bytes)?)?;
    fs::write(beside(path, "br"), brotli(&bytes)?)
}

/// Appends an extension to a path: `a/b.js` → `a/b.js.br`.
fn beside(path: &Path, extension: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(extension);
    name.into()
}

fn brotli(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = brotli::CompressorWriter::new(Vec::new(), 64 << 10, 11, 22);
    encoder.write_all(bytes)?;
    Ok(encoder.into_inner())
}

fn gzip(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes)?;
    encoder.finish()
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn every_file_is_compressed_beside_itself_and_back_to_what_it_was() {
        let dist = tempfile::tempdir().unwrap();
        for name in ["index.html", "app.js", "icon.png"] {
            fs::write(dist.path().join(name), name.repeat(100)).unwrap();
        }
        all(dist.path()).unwrap();

        for name in ["index.html", "app.js"] {
            let path = dist.path().join(name);
            let mut text = String::new();
            let file = fs::File::open(beside(&path, "gz")).unwrap();
            flate2::read::GzDecoder::new(file).read_to_string(&mut text).unwrap();
            assert_eq!(text, name.repeat(100));
            let mut text = String::new();
            let file = fs::File::open(beside(&path, "br")).unwrap();
            brotli::Decompressor::new(file, 4096).read_to_string(&mut text).unwrap();
            assert_eq!(text, name.repeat(100));
        }
        assert!(!dist.path().join("icon.png.br").exists());
    }
}
