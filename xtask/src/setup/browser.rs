//! The browser of the tests: the user's Chrome or Chromium, or Debian's Chromium.

use std::{
    env,
    path::{Path, PathBuf},
};

use anyhow::{Result, bail};

use super::debian;
use crate::shell;

const BROWSERS: [&str; 5] =
    ["chromium", "chromium-browser", "google-chrome-stable", "google-chrome", "chrome"];

/// The paths of installed browsers that are not on `PATH`.
const INSTALL_PATHS: [&str; 4] = [
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    r"C:\Program Files\Google\Chrome\Application\chrome.exe",
    r"C:\Program Files (x86)\Google\Chrome\Application\chrome.exe",
];

/// Flags for a browser without a screen, without a sandbox, without background traffic, and with WebGL2 in software.
const FLAGS: [&str; 8] = [
    "--headless",
    "--no-sandbox",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
];

/// A Chrome or Chromium and its WebDriver.
pub(crate) struct Browser {
    /// The path of Chromium or Chrome.
    pub(crate) chrome: PathBuf,
    /// The path of chromedriver, of the same major version.
    pub(crate) driver: PathBuf,
}

impl Browser {
    /// Finds both: the paths in CHROME and CHROMEDRIVER, else the installed programs.
    pub(crate) fn find() -> Option<Self> {
        Some(Self { chrome: chrome()?, driver: driver()? })
    }

    /// Returns the WebDriver capabilities for wasm-bindgen's test runner, as JSON.
    pub(crate) fn capabilities(&self) -> String {
        serde_json::json!({ "goog:chromeOptions": { "binary": self.chrome, "args": FLAGS } }).to_string()
    }
}

fn chrome() -> Option<PathBuf> {
    named_by("CHROME")
        .or_else(|| BROWSERS.iter().find_map(|name| shell::find(name)))
        .or_else(|| INSTALL_PATHS.iter().map(PathBuf::from).find(|place| place.exists()))
}

fn driver() -> Option<PathBuf> {
    let in_dir = |dir: PathBuf| dir.join("chromedriver").with_extension(env::consts::EXE_EXTENSION);
    named_by("CHROMEDRIVER")
        .or_else(|| shell::find("chromedriver"))
        .or_else(|| named_by("CHROMEWEBDRIVER").map(in_dir).filter(|path| path.exists()))
}

/// Returns the path in an environment variable, if it exists.
fn named_by(variable: &str) -> Option<PathBuf> {
    shell::variable(variable).map(PathBuf::from).filter(|path| Path::exists(path))
}

/// Installs Debian's packages.
///
/// # Errors
/// When the installation fails. On other systems always: the message says how to install the browser.
pub(super) fn install() -> Result<()> {
    if debian::is_here() {
        return debian::install_packages(
            &["chromium", "chromium-driver", "fonts-dejavu-core"],
            "about 1 minute",
        );
    }
    let found = |path: Option<PathBuf>| path.map_or("not found".into(), |path| path.display().to_string());
    bail!(
        "the browser tests need Chrome or Chromium and a chromedriver of the same version, on PATH or named by \
         CHROME and CHROMEDRIVER.\n  browser: {}\n  driver:  {}",
        found(chrome()),
        found(driver())
    );
}
