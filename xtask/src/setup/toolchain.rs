//! The toolchain that builds the page: the one in use when it has the wasm32 standard library, else Debian's.

use std::process::Command;

use anyhow::{Context, Result, bail};

use super::debian;
use crate::{progress, shell};

/// What the page is compiled for.
pub(crate) const WASM: &str = "wasm32-unknown-unknown";

/// A toolchain that can build the page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum PageToolchain {
    /// The one that everything else is built with.
    Own,
    /// Debian's, under its rustup name.
    Debian,
}

/// The toolchain to build the page with, if this machine has one.
pub(crate) fn for_page() -> Option<PageToolchain> {
    [PageToolchain::Own, PageToolchain::Debian].into_iter().find(|toolchain| toolchain.compiles_wasm())
}

impl PageToolchain {
    /// A command of this toolchain: `cargo`, `rustc`, or a program that calls them.
    pub(crate) fn command(self, program: &str) -> Command {
        let mut command = shell::command(program);
        if self == PageToolchain::Debian {
            command.env("RUSTUP_TOOLCHAIN", debian::TOOLCHAIN);
        }
        command
    }

    /// Its `cargo`, with arguments.
    pub(crate) fn cargo(self, arguments: &[&str]) -> Command {
        let mut cargo = self.command("cargo");
        cargo.args(arguments);
        cargo
    }

    fn compiles_wasm(self) -> bool {
        compiles_with(self.command("rustc"), WASM)
    }
}

/// Tells whether the toolchain in use compiles for `target`.
pub(super) fn compiles(target: &str) -> bool {
    compiles_with(shell::command("rustc"), target)
}

/// Compiles an empty crate: this finds a standard library that is missing, and one of another compiler.
fn compiles_with(mut rustc: Command, target: &str) -> bool {
    rustc.args([
        "--crate-name=probe",
        "--crate-type=lib",
        "--emit=metadata",
        "--target",
        target,
        "--out-dir",
    ]);
    rustc.arg(shell::tools_dir().join("probe")).arg("-");
    shell::output(rustc).is_some()
}

/// Adds the target the usual way; where the download site is out of reach, Debian's packages serve.
pub(super) fn install() -> Result<()> {
    let mut add = shell::command("rustup");
    add.args(["target", "add", WASM]);
    let Err(error) = progress::spin("Adding the wasm32 target", "seconds", add) else { return Ok(()) };
    if !debian::is_here() {
        return Err(error.context(format!(
            "the page needs the standard library for {WASM}: `rustup target add {WASM}` must work, or this must be \
             Debian with apt-get (and root or sudo)"
        )));
    }
    eprintln!("rustup cannot fetch it here: Debian's Rust packages serve instead (about 2 minutes).");
    debian::install_toolchain()
}

/// Adds rustup components to the toolchain in use.
pub(super) fn add_components(components: &[&str]) -> Result<()> {
    let mut add = shell::command("rustup");
    add.args(["component", "add"]).args(components);
    progress::spin("Adding components", "seconds", add)
}

/// Adds Clippy to the toolchain that builds the page.
pub(super) fn add_page_linter() -> Result<()> {
    match for_page().context("no toolchain builds the page")? {
        PageToolchain::Own => add_components(&["clippy"]),
        PageToolchain::Debian if debian::is_here() => {
            debian::install_packages(&["rust-web-clippy"], "seconds")
        }
        PageToolchain::Debian => bail!("the package rust-web-clippy is missing"),
    }
}
