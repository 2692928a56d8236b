//! `cargo xtask frame-cost`: measures the time that the page needs for a frame of 10,000 cars, and compares it with
//! protobuf-es.

use std::{fs, path::PathBuf, process::ExitCode};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::{
    progress,
    setup::{self, Browser, Need, WASM},
    shell,
};

/// The npm packages: the library to compare with, and the bundler that makes one script of it.
const PEER: [&str; 2] = ["@bufbuild/protobuf", "esbuild"];
const ENTRY: &str =
    r#"export * as es from "@bufbuild/protobuf"; export * as wkt from "@bufbuild/protobuf/wkt";"#;

/// Builds `web/tests/frame_cost.rs` with the profile of the page, and runs it.
///
/// # Errors
/// When a tool cannot be installed, the build fails, or the measurement fails.
pub(crate) fn run() -> Result<ExitCode> {
    setup::ensure(&[Need::Wasm, Need::WasmBindgen, Need::Browser])?;
    let browser = Browser::find().context("no browser found")?;
    let capabilities = shell::tools_dir().join("webdriver.json");
    fs::create_dir_all(shell::tools_dir())?;
    fs::write(&capabilities, browser.capabilities())?;

    let test = build()?;
    // The runner serves the files of its current directory.
    let mut runner = shell::command(
        shell::find("wasm-bindgen-test-runner").context("wasm-bindgen-test-runner not found")?,
    );
    runner.arg(test).args(["--include-ignored", "--nocapture"]).current_dir(protobuf_es()?);
    runner.env("CHROMEDRIVER", browser.driver).env("WASM_BINDGEN_TEST_WEBDRIVER_JSON", capabilities);
    runner.env("WASM_BINDGEN_TEST_TIMEOUT", "300");
    shell::run(runner)?;
    Ok(ExitCode::SUCCESS)
}

/// Builds the measurement in the profile of the page, but without wasm-opt, and returns its path.
fn build() -> Result<PathBuf> {
    let toolchain = setup::for_page().context("no toolchain builds the page")?;
    let test = ["test", "--locked", "--package", "rides-web", "--test", "frame_cost", "--no-run"];
    let mut build = toolchain.cargo(&test);
    build.args(["--profile", "page", "--target", WASM, "--message-format", "json-render-diagnostics"]);
    let messages = shell::output(build).context("the measurement cannot be built")?;
    let built = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    // The messages also name the page, which the test needs.
    let mut tests = built.filter(|message| message["target"]["name"] == "frame_cost");
    let executable = tests.find_map(|message| Some(PathBuf::from(message["executable"].as_str()?)));
    executable.context("cargo reported no executable of the measurement")
}

/// Bundles the newest protobuf-es from npm into `protobuf-es.js`, and returns the folder of that file.
fn protobuf_es() -> Result<PathBuf> {
    let dir = shell::root().join("target/protobuf-es");
    fs::create_dir_all(&dir)?;
    fs::write(dir.join("entry.mjs"), ENTRY)?;
    let npm = shell::find("npm").context("npm not found: it installs protobuf-es")?;
    let mut install = shell::command(npm);
    install.args(["install", "--no-audit", "--no-fund"]).args(PEER).current_dir(&dir);
    progress::spin("Fetching protobuf-es", "for the comparison only", install)?;
    let mut bundle = shell::command(dir.join("node_modules/.bin/esbuild"));
    bundle.args(["entry.mjs", "--bundle", "--minify", "--format=esm", "--outfile=protobuf-es.js"]);
    bundle.args(["--log-level=warning"]).current_dir(&dir);
    shell::run(bundle)?;
    Ok(dir)
}
