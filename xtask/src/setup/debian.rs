//! The installation of Debian's packages.
//!
//! They include a Rust toolchain with the wasm32 standard library, for machines that cannot reach the download site of
//! rustup.

use std::{
    fs,
    io::IsTerminal,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};

use super::toolchain::WASM;
use crate::{progress, shell};

/// The name of Debian's toolchain in rustup.
pub(super) const TOOLCHAIN: &str = "debian";

/// The folder in which Debian installs the toolchain.
const PREFIX: &str = "/usr";

const RUST: [&str; 4] = ["rustc-web", "cargo-web", "rust-web-src", "rust-web-clippy"];

/// Returns `true` if this is Debian and xtask may install packages. Asks for the password if there is a terminal.
pub(super) fn is_here() -> bool {
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    release.lines().any(|line| line == "ID=debian") && shell::find("apt-get").is_some() && may_be_root()
}

/// Installs packages with apt-get, which may run for about the time that `about` says.
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

/// Unpacks packages into `root`, with all their dependencies that are not installed. Nothing is installed, and no
/// service is started.
pub(super) fn unpack_packages(packages: &[&str], root: &Path, about: &str) -> Result<()> {
    let archives = root.join("archives");
    fs::create_dir_all(archives.join("partial"))
        .with_context(|| format!("cannot make {}", archives.display()))?;
    let cache = format!("Dir::Cache::archives={}", archives.display());
    let download = || {
        let mut download = shell::command("apt-get");
        download.args(["install", "--download-only", "--yes", "--no-install-recommends"]);
        // Without the lock this needs no root rights: it writes only the archives.
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

/// Installs Debian's compiler as a rustup toolchain, with a wasm32 standard library, which Debian does not package.
pub(super) fn install_toolchain() -> Result<()> {
    install_packages(&RUST, "about 1 minute")?;
    link_linker()?;
    install_std(&build_std()?)?;
    let mut link = shell::command("rustup");
    link.args(["toolchain", "link", TOOLCHAIN, PREFIX]);
    progress::spin("Linking the toolchain in rustup", "seconds", link)
}

/// Links `rust-lld` from rustup's toolchain into Debian's. rustc needs it for wasm, and Debian's packages do not have
/// it.
fn link_linker() -> Result<()> {
    let host = rustc_says(&["--print", "host-tuple"])?;
    let linker = |sysroot: &Path| sysroot.join("lib/rustlib").join(&host).join("bin/rust-lld");
    let theirs = linker(Path::new(PREFIX));
    if theirs.exists() {
        return Ok(());
    }
    let ours = linker(Path::new(&rustc_says(&["--print", "sysroot"])?));
    ensure!(ours.exists(), "rustup's toolchain has no {}", ours.display());
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
    Ok(shell::output(rustc).context("rustc cannot be run")?.trim().to_owned())
}

/// Builds the standard library from `rust-web-src` as a dependency of an empty crate, and returns its folder.
fn build_std() -> Result<PathBuf> {
    let empty = shell::tools_dir().join("wasm-std");
    fs::create_dir_all(empty.join("src"))?;
    fs::write(empty.join("Cargo.toml"), "[package]\nname = \"empty\"\nedition = \"2024\"\n[workspace]\n")?;
    fs::write(empty.join("src/lib.rs"), "#![no_std]\n")?;

    let target = empty.join("target");
    if target.exists() {
        fs::remove_dir_all(&target)?; // It may have a library of an older compiler.
    }
    let bin = Path::new(PREFIX).join("bin");
    let mut build = shell::command(bin.join("cargo"));
    build.args(["build", "--release", "--target", WASM, "-Zbuild-std=std,panic_abort,proc_macro,test"]);
    build.arg("--target-dir").arg(&target).current_dir(&empty);
    // Without the bitcode, link-time optimisation of the page fails with "failed to get bitcode".
    build.env("RUSTC", bin.join("rustc")).env("RUSTC_BOOTSTRAP", "1").env("RUSTFLAGS", "-Cembed-bitcode=yes");
    progress::spin("Building the wasm32 standard library", "about 1 minute", build)?;
    Ok(target.join(WASM).join("release/deps"))
}

/// Installs the libraries where Debian's compiler finds them, and removes those of an older compiler.
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

/// Returns the command of a program with root rights.
fn as_root(program: &str) -> Command {
    if is_root() {
        return shell::command(program);
    }
    let mut sudo = shell::command("sudo");
    sudo.arg(program);
    sudo
}

/// Returns `true` if the user is root, or sudo works. Asks for the password here, before a spinner would hide the
/// question.
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
