//! The build of the program with the page inside, so that one file is the whole product.
//!
//! The page and the server are built in parallel. The server's library does not need the page: only the last step,
//! which links the program, waits for it.

use std::{env, path::PathBuf, process::Command, thread};

use anyhow::{Result, anyhow};
use console::style;

use crate::{page, progress, setup, shell};

/// The feature of rides-server that puts the page into the program.
const EMBEDDED_PAGE: &str = "embedded-page";

/// The target of statically linked programs.
pub(crate) const STATIC_TARGET: &str = "x86_64-unknown-linux-musl";

/// The purpose of a build.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Profile {
    /// An optimized program for this machine.
    Release,
    /// An optimized program for any Linux machine, without libraries of the system.
    Static,
}

/// Installs missing tools, and builds the page and the server.
///
/// # Errors
/// When a tool cannot be installed, or a build fails.
pub(crate) fn program(profile: Profile) -> Result<()> {
    progress::say(&style(READING_LIST).dim());
    thread::scope(|scope| {
        let page = scope.spawn(|| setup::ensure(&setup::PAGE).and_then(|()| page::build()));
        let library =
            progress::spin("Building the server", "about 4 minutes the first time", server(profile, "--lib"));
        page.join().map_err(|_panic| anyhow!("building the page ended in a panic"))?.and(library)
    })?;
    progress::spin("Linking the server with its page", "about 1 minute", server(profile, "--bins"))
}

/// The note that is shown before a build: the files to read while the first build runs.
const READING_LIST: &str = "\
Building the page and the server. The first time takes some minutes. Meanwhile:
  docs/board.png              a picture of the page
  proto/rides/v1/rides.proto  the contract: four kinds of call, each with its errors
  ARCHITECTURE.md             how a car's position reaches the browser";

/// Returns the path of the built program.
///
/// # Errors
/// When the target directory of Cargo is not known.
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
        // Not in a build for this machine: the variable would rebuild the server after each commit.
        cargo.envs(revision().map(|revision| ("RIDES_REVISION", revision)));
    }
    cargo
}

/// Returns the commit of the build, for `rides_build_info` in `/metrics`. `None` outside of a git clone.
pub(crate) fn revision() -> Option<String> {
    let mut git = shell::command("git");
    git.args(["describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]);
    Some(shell::output(git)?.trim().to_owned())
}
