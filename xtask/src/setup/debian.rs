//! Debian's packages, where the Rust download site cannot be reached: a compiler, its source to build the wasm32
//! standard library from, Chromium.

use std::{
    fs,
    io::IsTerminal,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};

use super::toolchain::WASM;
use crate::{progress, shell};

/// What rustup calls Debian's toolchain.
pub(super) const TOOLCHAIN: &str = "debian";

/// Where Debian keeps it.
const PREFIX: &str = "/usr";

const RUST: [&str; 4] = ["rustc-web", "cargo-web", "rust-web-src", "rust-web-clippy"];

/// Whether this is Debian, and we may install packages (asking for the password if there is someone to ask).
pub(super) fn is_here() -> bool {
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    release.lines().any(|line| line == "ID=debian") && shell::find("apt-get").is_some() && may_be_root()
}

/// Installs packages with apt-get.
pub(super) fn install_packages(packages: &[&str], about: &str) -> Result<()> {
    update()?;
    let mut install = as_root("env");
    install.args([
        "DEBIAN_FRONTEND=noninteractive",
        "apt-get",
        "install",
        "--yes",
        "--no-install-recommends",
    ]);
    install.args(packages);
    progress::spin(&format!("Installing {}", packages.join(", ")), about, install)
}

fn update() -> Result<()> {
    let mut update = as_root("apt-get");
    update.args(["update", "--quiet"]);
    progress::spin("Reading Debian's package lists", "seconds", update)
}

/// Unpacks packages into `root`, with those that they need and that are not installed. Nothing is installed, and no service
/// is started.
pub(super) fn unpack_packages(packages: &[&str], root: &Path, about: &str) -> Result<()> {
    let archives = root.join("archives");
    fs::create_dir_all(archives.join("partial"))
        .with_context(|| format!("cannot make {}", archives.display()))?;
    let cache = format!("Dir::Cache::archives={}", archives.display());
    let download = || {
        let mut download = shell::command("apt-get");
        download.args(["install", "--download-only", "--yes", "--no-install-recommends"]);
        // Nothing is written but the archives.
        download.args(["-o", "Debug::NoLocking=1", "-o", &cache]).args(packages);
        progress::spin(&format!("Downloading {}", packages.join(", ")), about, download)
    };
    if download().is_err() {
        update()?;
        download()?;
    }
    let entries = fs::read_dir(&archives).with_context(|| format!("cannot list {}", archives.display()))?;
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.extension().is_some_and(|extension| extension == "deb") {
            let mut unpack = shell::command("dpkg-deb");
            unpack.arg("--extract").arg(&path).arg(root);
            shell::run(unpack)?;
        }
    }
    Ok(())
}

/// Debian's compiler with a standard library for wasm32, which Debian does not package, as a rustup toolchain.
pub(super) fn install_toolchain() -> Result<()> {
    install_packages(&RUST, "about 1 minute")?;
    link_linker()?;
    install_std(&build_std()?)?;
    let mut link = shell::command("rustup");
    link.args(["toolchain", "link", TOOLCHAIN, PREFIX]);
    progress::spin("Telling rustup", "seconds", link)
}

/// rustc calls `rust-lld` for wasm, which Debian's packages do not bring. rustup's toolchain has one.
fn link_linker() -> Result<()> {
    let host = rustc_says(&["--print", "host-tuple"])?;
    let linker = |sysroot: &Path| sysroot.join("lib/rustlib").join(&host).join("bin/rust-lld");
    let theirs = linker(Path::new(PREFIX));
    if theirs.exists() {
        return Ok(());
    }
    let ours = linker(Path::new(&rustc_says(&["--print", "sysroot"])?));
    ensure!(ours.exists(), "there is no {}", ours.display());
    let mut directory = as_root("install");
    directory.arg("-d").args(theirs.parent());
    shell::run(directory)?;
    let mut link = as_root("ln");
    link.arg("-sfn").arg(ours).arg(theirs);
    shell::run(link)
}

fn rustc_says(arguments: &[&str]) -> Result<String> {
    let mut rustc = shell::command("rustc");
    rustc.args(arguments);
    Ok(shell::output(rustc).context("rustc does not answer")?.trim().to_owned())
}

/// Builds the standard library from `rust-web-src` as a dependency of an empty crate, and returns where it is.
fn build_std() -> Result<PathBuf> {
    let empty = shell::tools_dir().join("wasm-std");
    fs::create_dir_all(empty.join("src"))?;
    fs::write(empty.join("Cargo.toml"), "[package]\nname = \"empty\"\nedition = \"2024\"\n[workspace]\n")?;
    fs::write(empty.join("src/lib.rs"), "#![no_std]\n")?;

    let target = empty.join("target");
    if target.exists() {
        fs::remove_dir_all(&target)?; // A library of an older compiler may be in it.
    }
    let bin = Path::new(PREFIX).join("bin");
    let mut build = shell::command(bin.join("cargo"));
    build.args(["build", "--release", "--target", WASM, "-Zbuild-std=std,panic_abort,proc_macro,test"]);
    build.arg("--target-dir").arg(&target).current_dir(&empty);
    // Without the bitcode, link-time optimisation fails later: "failed to get bitcode".
    build.env("RUSTC", bin.join("rustc")).env("RUSTC_BOOTSTRAP", "1").env("RUSTFLAGS", "-Cembed-bitcode=yes");
    progress::spin("Building the wasm32 standard library", "about 1 minute", build)?;
    Ok(target.join(WASM).join("release/deps"))
}

/// Puts the libraries where Debian's compiler looks, in the place of what an older compiler left there.
fn install_std(built: &Path) -> Result<()> {
    let libraries = rlibs(built)?.filter(|path| !name(path).starts_with("libempty-"));
    let place = Path::new(PREFIX).join("lib/rustlib").join(WASM).join("lib");
    let mut directory = as_root("install");
    directory.arg("-d").arg(&place);
    shell::run(directory)?;
    let old: Vec<PathBuf> = rlibs(&place)?.collect();
    if !old.is_empty() {
        let mut remove = as_root("rm");
        remove.args(old);
        shell::run(remove)?;
    }
    let mut install = as_root("install");
    install.args(["-m", "644", "-t"]).arg(&place).args(libraries);
    shell::run(install)
}

fn rlibs(directory: &Path) -> Result<impl Iterator<Item = PathBuf>> {
    let entries = fs::read_dir(directory).with_context(|| format!("cannot list {}", directory.display()))?;
    let paths = entries.flatten().map(|entry| entry.path());
    Ok(paths.filter(|path| path.extension().is_some_and(|extension| extension == "rlib")))
}

fn name(path: &Path) -> std::borrow::Cow<'_, str> {
    path.file_name().unwrap_or_default().to_string_lossy()
}

/// A program run with root's rights.
fn as_root(program: &str) -> Command {
    if is_root() {
        return shell::command(program);
    }
    let mut sudo = shell::command("sudo");
    sudo.arg(program);
    sudo
}

/// Whether sudo works without asking, or there is someone to ask: once, before a spinner covers the question.
fn may_be_root() -> bool {
    if is_root() {
        return true;
    }
    let mut ask = shell::command("sudo");
    ask.args(if std::io::stdin().is_terminal() { ["-v"] } else { ["-nv"] });
    ask.status().is_ok_and(|status| status.success())
}

#[cfg(unix)]
fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

#[cfg(not(unix))]
fn is_root() -> bool {
    false
}
