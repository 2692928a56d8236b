//! The steps of `cargo xtask test`.

use std::{env, fs, path::PathBuf, process::Command};

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use console::style;

use super::{Options, deps, dist, interop, size, test_counts::TestCounts};
use crate::{
    page,
    setup::{self, Browser, Need, WASM},
    shell,
};

/// A step. A full run has all steps in this order.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Step {
    /// Check the formatting with rustfmt.
    Fmt,
    /// Check the dependencies.
    Deps,
    /// Run Clippy for the host.
    Lint,
    /// Run Clippy for the page, in wasm.
    LintPage,
    /// Run unit, integration and documentation tests.
    Unit,
    /// Run the page's tests in wasm, in a browser.
    PageTests,
    /// Build the page for release, and check its size.
    Page,
    /// Build the page with Trunk, as for development.
    Trunk,
    /// Run the end-to-end tests in a browser.
    E2e,
    /// Test the server behind reverse proxies.
    Proxies,
    /// Test the server with clients in other languages.
    Interop,
    /// Build and test the files for a deployment.
    Dist,
}

/// The packages of every host build. They are always the same, so that each dependency is built once, with the same
/// features. xtask is excluded, since Windows cannot replace a running program.
const HOST: [&str; 3] = ["--workspace", "--exclude", "xtask"];

impl Step {
    /// Returns the name on the command line.
    pub(super) fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// Returns the subject of the step, for its heading.
    pub(super) fn about(self) -> &'static str {
        match self {
            Step::Fmt => "formatting",
            Step::Deps => "dependencies: cargo-deny, and no openssl or protoc",
            Step::Lint => "Clippy, all targets",
            Step::LintPage => "Clippy, the page in wasm",
            Step::Unit => "unit, integration and documentation tests",
            Step::PageTests => "the page's tests, in wasm, in a browser",
            Step::Page => "the page's release build and its size",
            Step::Trunk => "the page as `trunk serve` builds it",
            Step::E2e => "the page and the server, end to end, in a browser",
            Step::Proxies => "the server behind nginx, Caddy, HAProxy, Apache and Envoy, as deploy/ has them",
            Step::Interop => "gRPC and gRPC-Web clients in other languages, every RPC",
            Step::Dist => "one static program with the page inside, its image and its unit",
        }
    }

    /// Returns `true` if the step reports the number of its tests. Otherwise it counts as one check.
    pub(super) fn has_tests(self) -> bool {
        matches!(self, Step::Unit | Step::PageTests | Step::E2e | Step::Proxies | Step::Interop)
    }

    /// Returns the tools that must be installed before the step.
    pub(super) fn needs(self) -> &'static [Need] {
        match self {
            // Interop and Dist install their tools themselves: if that fails, they are skipped and the other steps run.
            Step::Deps | Step::Unit | Step::Interop | Step::Dist => &[],
            Step::Fmt | Step::Lint => &[Need::Linters],
            Step::LintPage => &[Need::Wasm, Need::PageLinter],
            Step::PageTests => &[Need::Wasm, Need::WasmBindgen, Need::Browser],
            Step::Page => &setup::PAGE,
            Step::Trunk => &setup::TRUNK,
            // The step Proxies installs the proxies itself: if one cannot be installed, the others are tested.
            Step::E2e | Step::Proxies => &[Need::Wasm, Need::WasmOpt, Need::Browser],
        }
    }

    /// Runs the step and counts its tests.
    ///
    /// # Errors
    /// When the step fails.
    pub(super) fn run(self, options: Options, tally: &mut TestCounts) -> Result<()> {
        match self {
            Step::Fmt => shell::run(shell::cargo(&["fmt", "--all", "--check"])),
            Step::Deps => deps::check(),
            Step::Lint => shell::run(shell::cargo(&[
                "clippy",
                "--locked",
                "--workspace",
                "--all-targets",
                "--",
                "-D",
                "warnings",
            ])),
            Step::LintPage => lint_page(),
            Step::Unit => unit_tests(tally),
            Step::PageTests => page_tests(tally),
            Step::Page => page::build().and_then(|()| size::check()),
            Step::Trunk => trunk_build(),
            Step::E2e => end_to_end(options.release, tally),
            Step::Proxies => behind_proxies(options.release, tally),
            Step::Interop => foreign_clients(options, tally),
            Step::Dist => dist::check(tally),
        }
    }
}

fn lint_page() -> Result<()> {
    let toolchain = setup::for_page().context("no toolchain builds the page")?;
    let mut clippy = toolchain.cargo(&["clippy", "--locked"]);
    clippy.args(["--package", "rides-web", "--package", "rides-proto", "--package", "grpc-web-fetch"]);
    clippy.args(["--target", WASM, "--", "-D", "warnings"]);
    shell::run(clippy)
}

fn unit_tests(tally: &mut TestCounts) -> Result<()> {
    let mut host = shell::cargo(&["test", "--locked", "--no-fail-fast"]);
    host.args(HOST);
    // Both commands run, so that the count includes all tests also when the first one fails.
    let host = tally.count(host);
    host.and(tally.count(shell::cargo(&["test", "--locked", "--package", "xtask"])))
}

fn page_tests(tally: &mut TestCounts) -> Result<()> {
    let toolchain = setup::for_page().context("no toolchain builds the page")?;
    let browser = Browser::find().context("no browser")?;
    let runner = shell::find("wasm-bindgen-test-runner").context("no wasm-bindgen-test-runner")?;
    let capabilities = shell::tools_dir().join("webdriver.json");
    fs::create_dir_all(shell::tools_dir())?;
    fs::write(&capabilities, browser.capabilities())?;

    let mut test = toolchain.cargo(&["test", "--locked", "--target", WASM, "--test", "*"]);
    test.args(["--package", "rides-web", "--package", "grpc-web-fetch"]);
    test.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUNNER", runner);
    test.env("CHROMEDRIVER", browser.driver).env("WASM_BINDGEN_TEST_WEBDRIVER_JSON", capabilities);
    tally.count(test)
}

/// Builds the page as `trunk serve` does, into a separate folder. The WebAssembly is built already.
fn trunk_build() -> Result<()> {
    let toolchain = setup::for_page().context("no toolchain builds the page")?;
    let dist = shell::root().join("target/trunk");
    let mut trunk = toolchain.command("trunk");
    trunk.args(["build", "--release", "--locked", "--dist"]).arg(&dist);
    shell::run(trunk)?;
    let html = fs::read_to_string(dist.join("index.html")).context("Trunk wrote no index.html")?;
    for name in ["modulepreload", "start", "data-base"] {
        ensure!(html.contains(name), "{name} is missing in the index.html that Trunk wrote");
    }
    Ok(())
}

fn end_to_end(release: bool, tally: &mut TestCounts) -> Result<()> {
    let mut test = in_a_browser(
        release,
        &[
            "behind_proxies",
            "board",
            "connection",
            "input",
            "sessions",
            "starting",
            "tls",
            "truth",
            "windows",
        ],
    )?;
    test.args(["--", "--ignored", "--nocapture", "--test-threads=1"]);
    if release {
        test.env("RIDES_E2E_FIRST_FRAME_MS", "1000");
    }
    tally.count(test)
}

/// Runs the tests with reverse proxies. If a proxy cannot be installed, prints a note, and its tests count as ignored.
fn behind_proxies(release: bool, tally: &mut TestCounts) -> Result<()> {
    if let Err(missing) = setup::ensure(&[Need::Proxies]) {
        println!("{} not all proxies are tested: {missing:#}", style("note:").yellow().bold());
    }
    let mut test = in_a_browser(release, &["proxies"])?;
    test.envs(setup::proxies());
    tally.count(test)
}

/// Builds the page and the server, and returns the command of the `e2e` tests in `files`, which drive a browser.
fn in_a_browser(release: bool, files: &[&str]) -> Result<Command> {
    page::build()?;
    let browser = Browser::find().context("no browser")?;
    let server = server(release)?;

    let mut test = shell::cargo(&["test", "--locked", "--no-fail-fast"]);
    test.args(HOST);
    for file in files {
        test.args(["--test", file]);
    }
    test.env("RIDES_E2E_SERVER", server).env("RIDES_E2E_PAGE", page::dir());
    // A stack trace of the test runner would hide the message of a failed test.
    test.env("RUST_LIB_BACKTRACE", "0");
    test.env("CHROME", browser.chrome).env("CHROMEDRIVER", browser.driver);
    Ok(test)
}

/// Runs the interop test against the server program in RIDES_INTEROP_SERVER, else against one built here. If Node,
/// Python, curl, Go or a browser cannot be installed, prints a note and counts as ignored.
fn foreign_clients(options: Options, tally: &mut TestCounts) -> Result<()> {
    if let Err(missing) = setup::ensure(&[Need::Browser, Need::Peers, Need::Go]) {
        println!("{} not run: {missing:#}", style("note:").yellow().bold());
        tally.ignored += 1;
        return Ok(());
    }
    let browser = Browser::find().context("no browser")?;
    let program = shell::variable("RIDES_INTEROP_SERVER").map(PathBuf::from);
    let program = program.map_or_else(|| server(options.release), Ok)?;
    interop::run(&program, &browser, options.write_matrix, tally)
}

/// Builds the server and returns its path.
fn server(release: bool) -> Result<PathBuf> {
    shell::run(server_build(release))?;
    let profile = if release { "release" } else { "debug" };
    Ok(shell::build_dir(profile)?.join("rides-server").with_extension(env::consts::EXE_EXTENSION))
}

/// Returns the command that builds the server: the debug build, which the unit tests have already built, or the release
/// build.
fn server_build(release: bool) -> Command {
    if release {
        return shell::cargo(&["build", "--locked", "--release", "--package", "rides-server"]);
    }
    let mut build = shell::cargo(&["build", "--locked", "--all-targets"]);
    build.args(HOST);
    build
}
