//! Builds the program with the page inside, so that one file is the whole product.
//!
//! The page and the server are built side by side. The server's library does not need the page; only the last step, which
//! links the program, waits for it.

use std::{env, path::PathBuf, process::Command, thread};

use anyhow::{Result, anyhow};
use console::style;

use crate::{page, progress, setup, shell};

/// The feature of rides-server that puts the page into the program.
const EMBEDDED_PAGE: &str = "embedded-page";

/// The target of programs that need no library of the system they run on.
pub(crate) const STATIC_TARGET: &str = "x86_64-unknown-linux-musl";

/// The purpose that a program is built for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Profile {
    /// For this machine, at full speed.
    Release,
    /// For any Linux machine, at full speed, without libraries.
    Static,
}

/// Installs what is missing, and builds the page and the server.
///
/// # Errors
/// When something cannot be installed or built.
pub(crate) fn program(profile: Profile) -> Result<()> {
    progress::say(&style(MEANWHILE).dim());
    thread::scope(|scope| {
        let page = scope.spawn(|| setup::ensure(&setup::PAGE).and_then(|()| page::build()));
        let library =
            progress::spin("Building the server", "about 4 minutes the first time", server(profile, "--lib"));
        page.join().map_err(|_panic| anyhow!("building the page ended in a panic"))?.and(library)
    })?;
    progress::spin("Linking the server with its page", "about 1 minute", server(profile, "--bins"))
}

/// The files to look at while the first build runs.
const MEANWHILE: &str = "\
Building the page and the server. The first time takes some minutes. Meanwhile:
  docs/board.png              what you are about to see
  proto/rides/v1/rides.proto  the contract: four kinds of call, each with its errors
  ARCHITECTURE.md             how a car's position reaches the browser";

/// The path of the built program.
///
/// # Errors
/// When it cannot be told where Cargo builds.
pub(crate) fn path_of(profile: Profile) -> Result<PathBuf> {
    let dir = match profile {
        Profile::Release => "release".to_owned(),
        Profile::Static => format!("{STATIC_TARGET}/release"),
    };
    Ok(shell::build_dir(&dir)?.join("rides-server").with_extension(env::consts::EXE_EXTENSION))
}

fn server(profile: Profile, what: &str) -> Command {
    let mut cargo = shell::cargo(&["build", "--release", "--locked", "--package", "rides-server"]);
    cargo.args(["--features", EMBEDDED_PAGE, what]);
    if profile == Profile::Static {
        cargo.args(["--target", STATIC_TARGET]);
        // Not in a build for this machine: each commit would have the server built anew.
        cargo.envs(revision().map(|revision| ("RIDES_REVISION", revision)));
    }
    cargo
}

/// The commit that is built, for `rides_build_info` in `/metrics`. `None` outside of a clone.
pub(crate) fn revision() -> Option<String> {
    let mut git = shell::command("git");
    git.args(["describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]);
    Some(shell::output(git)?.trim().to_owned())
}
