//! `cargo xtask dist`: builds the files for a deployment. They are one static program with the page inside, an image of
//! it, and a systemd unit.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use anyhow::{Context, Result, ensure};

use crate::{
    build::{self, Profile},
    progress,
    setup::{self, Need},
    shell,
};

/// The name of the image.
pub(crate) const IMAGE: &str = "rides";

/// Returns the folder of the files for a deployment.
pub(crate) fn dir() -> PathBuf {
    shell::root().join("target/dist")
}

/// Builds all files and prints their paths.
///
/// # Errors
/// When a tool cannot be installed, a build fails, or the folder cannot be written.
pub(crate) fn run() -> Result<ExitCode> {
    program()?;
    let archive = image()?;
    println!("{}  a static program with the page inside", dir().join("rides-server").display());
    println!("{}  a systemd unit for it", dir().join("rides-server.service").display());
    match archive {
        Some(archive) => {
            println!("{}  an image of it, for `podman load` or `skopeo copy`", archive.display());
        }
        None => println!("docker build --tag {IMAGE} {}  builds the image with Docker", dir().display()),
    }
    Ok(ExitCode::SUCCESS)
}

/// Builds the static program, and copies it, its unit and its Containerfile into the folder. Returns the program's
/// path.
///
/// # Errors
/// As for [`run`].
pub(crate) fn program() -> Result<PathBuf> {
    setup::ensure(&[Need::StaticTarget])?;
    build::program(Profile::Static)?;
    let (deploy, dist) = (shell::root().join("deploy"), dir());
    fs::create_dir_all(dist.join("data")).with_context(|| format!("cannot make {}", dist.display()))?;
    let program = dist.join("rides-server");
    copy(&build::path_of(Profile::Static)?, &program)?;
    copy(&deploy.join("systemd/rides-server.service"), &dist.join("rides-server.service"))?;
    copy(&deploy.join("container/Containerfile"), &dist.join("Containerfile"))?;
    Ok(program)
}

/// Builds the image with buildah, which needs no daemon, and returns its archive. `None` if buildah is not installed.
///
/// # Errors
/// When buildah fails.
pub(crate) fn image() -> Result<Option<PathBuf>> {
    if shell::find("buildah").is_none() {
        return Ok(None);
    }
    let archive = dir().join("rides-image.tar");
    if archive.exists() {
        fs::remove_file(&archive).with_context(|| format!("cannot replace {}", archive.display()))?;
    }
    let mut build = buildah(&["build", "--quiet", "--tag", IMAGE]);
    build.arg("--file").arg(dir().join("Containerfile")).arg(dir());
    progress::spin("Building the image", "seconds", build)?;
    let mut push = buildah(&["push", "--quiet", IMAGE]);
    push.arg(format!("oci-archive:{}:{IMAGE}", archive.display()));
    progress::spin("Writing the image", "seconds", push)?;
    ensure!(archive.exists(), "buildah did not write {}", archive.display());
    Ok(Some(archive))
}

/// Returns the command of buildah with its images below `target`, in settings that work for any user and file system.
pub(crate) fn buildah(arguments: &[&str]) -> Command {
    let store = shell::root().join("target/images");
    let mut buildah = shell::command("buildah");
    buildah.arg("--storage-driver").arg("vfs");
    buildah.arg("--root").arg(store.join("root")).arg("--runroot").arg(store.join("run"));
    buildah.env("BUILDAH_ISOLATION", "chroot");
    buildah.args(arguments);
    buildah
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to).with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))?;
    Ok(())
}
