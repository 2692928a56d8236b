//! The tools that builds and tests need: the check whether a tool is installed, and its installation.

mod browser;
mod debian;
mod go;
mod peers;
mod promtool;
mod proxies;
mod toolchain;
mod versions;

use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};
use console::style;

use crate::{build::STATIC_TARGET, progress, shell};

pub(crate) use browser::Browser;
pub(crate) use go::program as go;
pub(crate) use promtool::find as promtool;
pub(crate) use proxies::variables as proxies;
pub(crate) use toolchain::{WASM, for_page};

/// The version of Trunk that xtask installs. Any installed version from 0.21 on is used as it is.
const TRUNK_VERSION: &str = "0.21.14";

/// A tool, or a group of tools, that builds or tests need.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// A toolchain with the standard library for wasm32.
    Wasm,
    /// Trunk, which builds the page for development.
    Trunk,
    /// wasm-bindgen, in exactly the version of the crate in Cargo.lock.
    WasmBindgen,
    /// wasm-opt, which makes the page smaller, in exactly the version in Trunk.toml.
    WasmOpt,
    /// rustfmt, and Clippy for the host.
    Linters,
    /// Clippy in the toolchain that builds the page.
    PageLinter,
    /// Chromium or Chrome, with its WebDriver.
    Browser,
    /// The target and the C compiler of statically linked programs.
    StaticTarget,
    /// buildah, which builds images without a daemon.
    Buildah,
    /// Node with npm, Python with venv, and curl, for clients in other languages.
    Peers,
    /// Go, which builds the checks of grpc-go.
    Go,
    /// The reverse proxies of the tests: nginx, HAProxy, Apache, Caddy and Envoy.
    Proxies,
    /// promtool, which checks the format of `/metrics`.
    Promtool,
}

/// The needs of a release build of the page.
pub(crate) const PAGE: [Need; 2] = [Need::Wasm, Need::WasmOpt];

/// The needs of `trunk serve`.
pub(crate) const TRUNK: [Need; 4] = [Need::Wasm, Need::Trunk, Need::WasmBindgen, Need::WasmOpt];

/// Lists the missing tools of `needs`, and installs them.
///
/// # Errors
/// When a tool cannot be installed. The message says how to install it by hand.
pub(crate) fn ensure(needs: &[Need]) -> Result<()> {
    let missing: Vec<Need> = needs.iter().copied().filter(|need| !need.is_met()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    progress::say(&style("Missing on this machine, installing now:").bold());
    for need in &missing {
        progress::say(&format!("  {:<28} {}", need.name(), style(need.about()).dim()));
    }
    for need in missing {
        if need.is_met() {
            continue; // An earlier installation has brought it.
        }
        need.install().with_context(|| format!("{} could not be installed", need.name()))?;
        // wasm-opt is optional: its installation has warned if it failed.
        if !need.is_met() && need != Need::WasmOpt {
            bail!("{} was installed, but was not found or does not work", need.name());
        }
    }
    Ok(())
}

impl Need {
    fn is_met(self) -> bool {
        match self {
            Need::Wasm => for_page().is_some(),
            Need::Trunk => version_of("trunk").is_some_and(|found| versions::at_least(&found, TRUNK_OLDEST)),
            Need::WasmBindgen => {
                let wanted = versions::wasm_bindgen().ok();
                wanted.is_some() && version_of("wasm-bindgen") == wanted && has("wasm-bindgen-test-runner")
            }
            // wasm-opt is optional: without npm nothing installs it.
            Need::WasmOpt => wasm_opt().is_some() || !has("npm"),
            Need::Linters => {
                works(shell::cargo(&["fmt", "--version"])) && works(shell::cargo(&["clippy", "--version"]))
            }
            Need::PageLinter => for_page().is_some_and(|page| works(page.cargo(&["clippy", "--version"]))),
            Need::Browser => Browser::find().is_some(),
            Need::StaticTarget => toolchain::compiles(STATIC_TARGET) && has(STATIC_COMPILER),
            Need::Buildah => has("buildah"),
            Need::Peers => peers::missing().is_empty(),
            Need::Go => go::program().is_some(),
            Need::Proxies => proxies::are_here(),
            Need::Promtool => promtool::find().is_some(),
        }
    }

    fn install(self) -> Result<()> {
        match self {
            Need::Wasm => toolchain::install(),
            Need::Trunk => cargo_install("trunk", TRUNK_VERSION, self.about(), &[]),
            Need::WasmBindgen => install_wasm_bindgen(self.about()),
            Need::WasmOpt => install_wasm_opt(self.about()),
            Need::Linters => toolchain::add_components(&["rustfmt", "clippy"]),
            Need::PageLinter => toolchain::add_page_linter(),
            Need::Browser => browser::install(),
            Need::StaticTarget => install_static_target(self.about()),
            Need::Buildah => debian::install_packages(&["buildah", "crun"], self.about()),
            Need::Peers => peers::install(),
            Need::Go => go::install(),
            Need::Proxies => proxies::install(),
            Need::Promtool => promtool::install(),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Need::Wasm => "the wasm32 target",
            Need::Trunk => "Trunk",
            Need::WasmBindgen => "wasm-bindgen",
            Need::WasmOpt => "wasm-opt",
            Need::Linters => "rustfmt and Clippy",
            Need::PageLinter => "Clippy for the page",
            Need::Browser => "Chromium and its driver",
            Need::StaticTarget => "the musl target and its C compiler",
            Need::Buildah => "buildah",
            Need::Peers => "Node, Python and curl",
            Need::Go => "Go",
            Need::Proxies => "reverse proxies",
            Need::Promtool => "promtool",
        }
    }

    fn about(self) -> &'static str {
        match self {
            Need::Wasm => "seconds; minutes where it must be built",
            Need::Trunk => "about 4 minutes",
            Need::WasmBindgen => "about 2 minutes",
            Need::WasmOpt
            | Need::Linters
            | Need::PageLinter
            | Need::StaticTarget
            | Need::Proxies
            | Need::Go
            | Need::Promtool => "seconds",
            Need::Browser | Need::Peers | Need::Buildah => "about 1 minute",
        }
    }
}

/// The oldest Trunk that understands Trunk.toml and index.html.
const TRUNK_OLDEST: (u32, u32) = (0, 21);

/// Returns the path of wasm-opt, if it is installed in the version of Trunk.toml.
pub(crate) fn wasm_opt() -> Option<PathBuf> {
    let wanted = versions::wasm_opt().ok()?;
    version_of("wasm-opt").filter(|found| *found == wanted)?;
    shell::find("wasm-opt")
}

fn has(program: &str) -> bool {
    shell::find(program).is_some()
}

fn works(command: std::process::Command) -> bool {
    shell::output(command).is_some()
}

/// Returns the version that `program --version` prints.
fn version_of(program: &str) -> Option<String> {
    let path = shell::find(program)?;
    let mut ask = shell::command(path);
    ask.arg("--version");
    versions::number_in(&shell::output(ask)?)
}

/// Installs a program into the cargo home, so that `trunk serve` and others work afterwards without xtask. Where
/// cargo-binstall is installed, it is asked for a prebuilt one first.
fn cargo_install(package: &str, version: &str, about: &str, more: &[&str]) -> Result<()> {
    if has("cargo-binstall") && more.is_empty() {
        let mut fetch = shell::cargo(&["binstall", "--no-confirm", "--disable-strategies", "compile"]);
        fetch.arg(format!("{package}@{version}"));
        match progress::spin(&format!("Fetching {package} {version}"), "seconds", fetch) {
            Ok(()) => return Ok(()),
            Err(_) => {
                progress::warn(&format!("{package} {version} is not available prebuilt: building it"));
            }
        }
    }
    let mut install = shell::cargo(&["install", package, "--version", version, "--locked"]);
    // Link-time optimisation would take minutes, and these tools run for seconds.
    install
        .args(more)
        .env("CARGO_PROFILE_RELEASE_LTO", "off")
        .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16");
    progress::spin(&format!("Installing {package} {version}"), about, install)
}

/// Installs wasm-bindgen. If the user has another version, that stays, and this one is installed in `target/tools`.
fn install_wasm_bindgen(about: &str) -> Result<()> {
    let version = versions::wasm_bindgen()?;
    if !has("wasm-bindgen") {
        return cargo_install("wasm-bindgen-cli", &version, about, &[]);
    }
    let tools = shell::tools_dir();
    cargo_install("wasm-bindgen-cli", &version, about, &["--force", "--root", &tools.to_string_lossy()])
}

/// The C compiler of static programs.
const STATIC_COMPILER: &str = "musl-gcc";

/// Installs the target with rustup, and the C compiler from Debian's packages.
fn install_static_target(about: &str) -> Result<()> {
    if !toolchain::compiles(STATIC_TARGET) {
        let mut add = shell::command("rustup");
        add.args(["target", "add", STATIC_TARGET]);
        progress::spin("Adding the musl target", about, add)?;
    }
    if has(STATIC_COMPILER) {
        return Ok(());
    }
    ensure!(debian::is_here(), "install musl-gcc with this system's package manager, and have it on PATH");
    debian::install_packages(&["musl-tools"], about)
}

/// Installs wasm-opt from npm, whose package has the same program as the project's releases. A failure is only a
/// warning.
fn install_wasm_opt(about: &str) -> Result<()> {
    let version = versions::wasm_opt()?;
    let mut install = shell::command("npm");
    install.args(["install", "--no-save", "--no-audit", "--no-fund", "--prefix"]);
    install.arg(shell::tools_dir()).arg(format!("binaryen@{version}"));
    let installed = progress::spin(&format!("Installing wasm-opt {version}"), about, install);
    if installed.is_err() {
        progress::warn(&format!("npm could not install wasm-opt {version}"));
    }
    Ok(())
}
