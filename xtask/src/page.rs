//! The release build of the page: Cargo compiles it to WebAssembly, and the bundler makes the files that are served.

use std::{
    ffi::OsStr,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    time::SystemTime,
};

use anyhow::{Context, Result};

use crate::{progress, setup, shell};

/// The sources of the page.
const SOURCES: [&str; 6] =
    ["Cargo.lock", "Cargo.toml", "crates/grpc-web-fetch", "proto", "web", "xtask/bundler"];

/// The extensions of the files that a first load fetches.
const FIRST_LOAD: [&str; 4] = ["wasm", "js", "css", "html"];

/// Returns the folder of the built page. It is not the folder of `trunk serve`, so that neither build replaces a page
/// that the other one serves.
pub(crate) fn dir() -> PathBuf {
    shell::root().join("target/bundle")
}

/// Builds the page, unless it is newer than its sources. The tools ([`setup::PAGE`]) must be installed.
///
/// # Errors
/// When a build fails, or the folder cannot be written.
pub(crate) fn build() -> Result<()> {
    if is_fresh() {
        return Ok(());
    }
    let toolchain = setup::for_page().context("no toolchain builds the page")?;
    let compile =
        ["build", "--locked", "--package", "rides-web", "--profile", "page", "--target", setup::WASM];
    progress::spin("Building the page", "about 2 minutes the first time", toolchain.cargo(&compile))?;

    let mut bundler = shell::cargo(&["run", "--locked", "--package", "page-bundler", "--"]);
    let wasm = shell::target_dir()?.join(setup::WASM).join("page/rides-web.wasm");
    bundler.arg("--wasm").arg(wasm);
    bundler.arg("--html").arg(shell::root().join("web/index.html"));
    bundler.arg("--out").arg(dir());
    match setup::wasm_opt() {
        Some(program) => _ = bundler.arg("--wasm-opt").arg(program),
        None => progress::warn("wasm-opt is not installed, so the page is larger: npm can install it"),
    }
    progress::spin("Bundling the page", "about 1 minute the first time", bundler)
}

/// Returns `true` if the built page is newer than all its sources. The bundler puts its folder in place only when it is
/// complete, so one file tells the age of all.
fn is_fresh() -> bool {
    let built = modified(&dir().join("index.html"));
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

/// One file of the first load.
pub(crate) struct FileSize {
    /// The name of the file.
    pub(crate) name: String,
    /// The size in bytes.
    pub(crate) plain: u64,
    /// The size in bytes on the wire, compressed with brotli.
    pub(crate) brotli: u64,
}

/// Returns the files of the first load, the largest first.
///
/// # Errors
/// When the page is not built.
pub(crate) fn first_load() -> Result<Vec<FileSize>> {
    let size = |path: &Path| Ok::<u64, io::Error>(File::open(path)?.metadata()?.len());
    let mut weights = Vec::new();
    for entry in fs::read_dir(dir()).with_context(|| format!("cannot list {}", dir().display()))? {
        let path = entry?.path();
        let extension = path.extension().and_then(OsStr::to_str).unwrap_or_default();
        if FIRST_LOAD.contains(&extension) {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let brotli = path.with_extension(format!("{extension}.br"));
            weights.push(FileSize { name, plain: size(&path)?, brotli: size(&brotli)? });
        }
    }
    weights.sort_by_key(|weight| std::cmp::Reverse(weight.brotli));
    Ok(weights)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// START-5
    #[test]
    fn trunk_builds_into_another_folder_than_the_release_build() {
        let trunk = fs::read_to_string(shell::root().join("Trunk.toml")).unwrap();
        let trunk: toml::Table = trunk.parse().unwrap();
        let dist = shell::root().join(trunk["build"]["dist"].as_str().unwrap());
        assert!(
            !dir().starts_with(&dist) && !dist.starts_with(dir()),
            "{} and {}",
            dist.display(),
            dir().display()
        );
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
