//! The runtimes of clients in other languages: Node, Python and curl.

use anyhow::{Result, bail};

use super::{debian, has, version_of, versions, works};
use crate::shell;

/// The oldest Node that the packages of `clients/node` support.
const NODE_OLDEST: (u32, u32) = (20, 0);

/// Debian's packages for Python with virtual environments.
const PYTHON: [&str; 2] = ["python3", "python3-venv"];

/// Returns `true` if Python is installed, with virtual environments.
pub(super) fn has_python() -> bool {
    let mut python = shell::command("python3");
    python.args(["-c", "import ensurepip, venv"]);
    works(python)
}

/// Installs Debian's Python if this is Debian and Python is missing. Otherwise it does nothing.
pub(super) fn install_python() -> Result<()> {
    if !has_python() && debian::is_here() {
        debian::install_packages(&PYTHON, "seconds")?;
    }
    Ok(())
}

/// Returns the missing runtimes, each with its Debian packages.
pub(super) fn missing() -> Vec<(&'static str, &'static [&'static str])> {
    let node = version_of("node").is_some_and(|found| versions::at_least(&found, NODE_OLDEST)) && has("npm");
    let all: [(bool, &'static str, &'static [&'static str]); 3] = [
        (node, "Node 20 or later, with npm", &["nodejs", "npm"]),
        (has_python(), "Python 3 with venv and pip", &PYTHON),
        (has("curl"), "curl with HTTP/2", &["curl"]),
    ];
    all.into_iter().filter(|(there, ..)| !there).map(|(_, what, packages)| (what, packages)).collect()
}

/// Installs the missing runtimes from Debian's packages.
///
/// # Errors
/// When the installation fails. On other systems always: the message names the missing runtimes.
pub(super) fn install() -> Result<()> {
    let missing = missing();
    if debian::is_here() {
        let packages: Vec<&str> = missing.iter().flat_map(|(_, packages)| packages.iter().copied()).collect();
        return debian::install_packages(&packages, "about 1 minute");
    }
    let names: Vec<&str> = missing.iter().map(|(what, _)| *what).collect();
    bail!("install {} on PATH with this system's package manager", names.join(", and "));
}
