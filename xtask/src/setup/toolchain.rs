//! The toolchain that builds the page: the current one if it has the wasm32 standard library, else Debian's.

use std::process::Command;

use anyhow::{Context, Result, bail};

use super::debian;
use crate::{progress, shell};

/// The target of the page.
pub(crate) const WASM: &str = "wasm32-unknown-unknown";

/// A toolchain that can build the page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum PageToolchain {
    /// The current toolchain, which builds everything else.
    Current,
    /// Debian's toolchain, under its name in rustup.
    Debian,
}

/// Returns the toolchain that builds the page, if this machine has one.
pub(crate) fn for_page() -> Option<PageToolchain> {
    [PageToolchain::Current, PageToolchain::Debian].into_iter().find(|toolchain| toolchain.compiles_wasm())
}

impl PageToolchain {
    /// Returns a command with this toolchain: `cargo`, `rustc`, or a program that calls them.
    pub(crate) fn command(self, program: &str) -> Command {
        let mut command = shell::command(program);
        if self == PageToolchain::Debian {
            command.env("RUSTUP_TOOLCHAIN", debian::TOOLCHAIN);
        }
        command
    }

    /// Returns the command of `cargo` with this toolchain and arguments.
    pub(crate) fn cargo(self, arguments: &[&str]) -> Command {
        let mut cargo = self.command("cargo");
        cargo.args(arguments);
        cargo
    }

    fn compiles_wasm(self) -> bool {
        compiles_with(self.command("rustc"), WASM)
    }
}

/// Returns `true` if the current toolchain compiles for `target`.
pub(super) fn compiles(target: &str) -> bool {
    compiles_with(shell::command("rustc"), target)
}

/// Returns `true` if `rustc` compiles an empty crate. It does not if the standard library is missing, or was built by
/// another compiler.
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

/// Installs the target with rustup. If that fails on Debian, installs Debian's toolchain.
///
/// # Errors
/// When neither works.
pub(super) fn install() -> Result<()> {
    let mut add = shell::command("rustup");
    add.args(["target", "add", WASM]);
    let Err(error) = progress::spin("Adding the wasm32 target", "seconds", add) else { return Ok(()) };
    if !debian::is_here() {
        return Err(error.context(format!(
            "the page needs the standard library for {WASM}. Make `rustup target add {WASM}` work, or use Debian with \
             apt-get (and root or sudo)"
        )));
    }
    eprintln!(
        "rustup cannot download the target: installing Debian's Rust packages instead (about 2 minutes)."
    );
    debian::install_toolchain()
}

/// Installs rustup components in the current toolchain.
pub(super) fn add_components(components: &[&str]) -> Result<()> {
    let mut add = shell::command("rustup");
    add.args(["component", "add"]).args(components);
    progress::spin("Adding components", "seconds", add)
}

/// Installs Clippy in the toolchain that builds the page.
pub(super) fn add_page_linter() -> Result<()> {
    match for_page().context("no toolchain builds the page")? {
        PageToolchain::Current => add_components(&["clippy"]),
        PageToolchain::Debian if debian::is_here() => {
            debian::install_packages(&["rust-web-clippy"], "seconds")
        }
        PageToolchain::Debian => bail!("the package rust-web-clippy is missing"),
    }
}
