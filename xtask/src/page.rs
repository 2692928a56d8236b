//! The page's release build: Trunk makes `dist/`, each file of it gets a `.br` and a `.gz` beside it.

use std::{
    ffi::OsStr,
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    time::SystemTime,
};

use anyhow::{Context, Result};
use console::style;

use crate::{imports::ShortNames, index, progress, script, setup, shell};

/// What the page is made of.
const SOURCES: [&str; 5] = ["Cargo.lock", "Cargo.toml", "Trunk.toml", "proto", "web"];

/// What shrinks. Pictures and fonts are compressed already.
const COMPRESSIBLE: [&str; 6] = ["wasm", "js", "css", "html", "svg", "webmanifest"];

/// What a first load has to fetch.
const FIRST_LOAD: [&str; 4] = ["wasm", "js", "css", "html"];

/// The built page.
pub(crate) fn dist() -> PathBuf {
    shell::root().join("dist")
}

/// Builds the page unless it is as new as its sources. The tools must be there ([`setup::PAGE`]).
///
/// # Errors
/// When Trunk fails, or `dist/` cannot be written.
pub(crate) fn build() -> Result<()> {
    if is_fresh() {
        return Ok(());
    }
    let optimised = trunk(&["build", "--release"]);
    if setup::has_wasm_opt() {
        optimised?;
    } else if optimised.is_err() {
        // Only Trunk's release mode calls wasm-opt.
        let warning = style("warning:").yellow();
        eprintln!(
            "{warning} trying without wasm-opt, which is not here and could not be fetched: a larger page"
        );
        trunk(&["build", "--cargo-profile", "page", "--minify"])?;
    }
    index::finish(&dist())?;
    bare_scripts(&dist())?;
    shorten_imports(&dist())?;
    compress(&dist())
}

fn trunk(arguments: &[&str]) -> Result<()> {
    let toolchain = setup::for_page().context("no toolchain builds the page")?;
    let mut trunk = toolchain.command("trunk");
    trunk.args(arguments);
    progress::spin("Building the page", "about 2 minutes the first time", trunk)
}

/// Trunk empties `dist/`, and compressing is what follows: when the compressed index is there and newer than every
/// source, all of this build is.
fn is_fresh() -> bool {
    let built = modified(&beside(&dist().join("index.html"), "br"));
    let newest = SOURCES.iter().filter_map(|source| newest_in(&shell::root().join(source))).max();
    built.is_some_and(|built| Some(built) > newest)
}

fn newest_in(path: &Path) -> Option<SystemTime> {
    let inside =
        fs::read_dir(path).into_iter().flatten().flatten().filter_map(|entry| newest_in(&entry.path()));
    modified(path).into_iter().chain(inside).max()
}

fn modified(path: &Path) -> Option<SystemTime> {
    path.metadata().ok()?.modified().ok()
}

/// Leaves out of the page's scripts what only people read.
fn bare_scripts(dir: &Path) -> Result<()> {
    let scripts = assets_in(dir)?.into_iter().filter(|path| has_extension(path, &["js"]));
    for path in scripts {
        let script = fs::read_to_string(&path)?;
        fs::write(&path, script::bare(&script))?;
    }
    Ok(())
}

/// Gives the page's imports short names.
fn shorten_imports(dir: &Path) -> Result<()> {
    let assets = assets_in(dir)?;
    let of_type =
        |extension: &'static str| assets.iter().filter(move |path| has_extension(path, &[extension]));
    for path in of_type("js") {
        let script = fs::read_to_string(path)?;
        let names = ShortNames::of(&script);
        for module in of_type("wasm") {
            fs::write(module, names.in_wasm(&fs::read(module)?)?)?;
        }
        fs::write(path, names.in_script(&script))?;
    }
    Ok(())
}

/// Writes the compressed files, the index's last.
fn compress(dir: &Path) -> Result<()> {
    let mut assets = assets_in(dir)?;
    assets.sort_by_key(|path| path.file_name() == Some(OsStr::new("index.html")));
    for asset in assets {
        let bytes = fs::read(&asset)?;
        let written = fs::write(beside(&asset, "gz"), gzip(&bytes)?)
            .and_then(|()| fs::write(beside(&asset, "br"), brotli(&bytes)?));
        written.with_context(|| format!("cannot write beside {}", asset.display()))?;
    }
    Ok(())
}

fn assets_in(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut assets = Vec::new();
    for entry in fs::read_dir(dir).with_context(|| format!("cannot list {}", dir.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            assets.extend(assets_in(&path)?);
        } else if has_extension(&path, &COMPRESSIBLE) {
            assets.push(path);
        }
    }
    Ok(assets)
}

fn has_extension(path: &Path, extensions: &[&str]) -> bool {
    path.extension().and_then(OsStr::to_str).is_some_and(|extension| extensions.contains(&extension))
}

/// `a/b.js` → `a/b.js.br`.
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

/// One file of the first load.
pub(crate) struct Weight {
    /// Its name in `dist/`.
    pub(crate) name: String,
    /// Bytes as they are.
    pub(crate) plain: u64,
    /// Bytes as a browser gets them.
    pub(crate) brotli: u64,
}

/// The files of the first load, heaviest first.
///
/// # Errors
/// When the page is not built.
pub(crate) fn first_load() -> Result<Vec<Weight>> {
    let size = |path: &Path| Ok::<u64, io::Error>(File::open(path)?.metadata()?.len());
    let mut weights = Vec::new();
    for asset in assets_in(&dist())?.into_iter().filter(|path| has_extension(path, &FIRST_LOAD)) {
        let name = asset.strip_prefix(dist()).unwrap_or(&asset).display().to_string();
        weights.push(Weight { name, plain: size(&asset)?, brotli: size(&beside(&asset, "br"))? });
    }
    weights.sort_by_key(|weight| std::cmp::Reverse(weight.brotli));
    Ok(weights)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn every_asset_is_compressed_beside_itself_and_back_to_what_it_was() {
        let dist = tempfile::tempdir().unwrap();
        fs::create_dir(dist.path().join("fonts")).unwrap();
        for name in ["index.html", "app.js", "fonts/list.css", "icon.png"] {
            fs::write(dist.path().join(name), name.repeat(100)).unwrap();
        }
        compress(dist.path()).unwrap();

        for name in ["index.html", "app.js", "fonts/list.css"] {
            let path = dist.path().join(name);
            let mut text = String::new();
            let file = File::open(beside(&path, "gz")).unwrap();
            flate2::read::GzDecoder::new(file).read_to_string(&mut text).unwrap();
            assert_eq!(text, name.repeat(100));
            let mut text = String::new();
            let file = File::open(beside(&path, "br")).unwrap();
            brotli::Decompressor::new(file, 4096).read_to_string(&mut text).unwrap();
            assert_eq!(text, name.repeat(100));
        }
        assert!(!dist.path().join("icon.png.br").exists());
    }

    #[test]
    fn the_newest_file_anywhere_below_counts() {
        let dir = tempfile::tempdir().unwrap();
        let deep = dir.path().join("a/b");
        fs::create_dir_all(&deep).unwrap();
        let later = SystemTime::now() + std::time::Duration::from_secs(60);
        File::create(deep.join("c")).unwrap().set_modified(later).unwrap();
        assert_eq!(newest_in(dir.path()), Some(later));
        assert_eq!(newest_in(&dir.path().join("none")), None);
    }
}
