//! What clients in other languages run on.

use anyhow::{Result, bail};

use super::{debian, has, version_of, versions, works};
use crate::shell;

/// The oldest Node that the packages of `clients/node` are for.
const NODE_OLDEST: (u32, u32) = (20, 0);

/// Debian's packages of Python with virtual environments.
const PYTHON: [&str; 2] = ["python3", "python3-venv"];

/// Tells whether Python is here, with virtual environments.
pub(super) fn has_python() -> bool {
    let mut python = shell::command("python3");
    python.args(["-c", "import ensurepip, venv"]);
    works(python)
}

/// Installs Debian's Python where there is none. Elsewhere it does nothing.
pub(super) fn install_python() -> Result<()> {
    if !has_python() && debian::is_here() {
        debian::install_packages(&PYTHON, "seconds")?;
    }
    Ok(())
}

/// What is not here, with Debian's packages of it.
pub(super) fn missing() -> Vec<(&'static str, &'static [&'static str])> {
    let node = version_of("node").is_some_and(|found| versions::at_least(&found, NODE_OLDEST)) && has("npm");
    let all: [(bool, &'static str, &'static [&'static str]); 3] = [
        (node, "Node 20 or later, with npm", &["nodejs", "npm"]),
        (has_python(), "Python 3 with venv and pip", &PYTHON),
        (has("curl"), "curl with HTTP/2", &["curl"]),
    ];
    all.into_iter().filter(|(there, ..)| !there).map(|(_, what, packages)| (what, packages)).collect()
}

/// Installs Debian's packages; elsewhere, says what to do.
pub(super) fn install() -> Result<()> {
    let missing = missing();
    if debian::is_here() {
        let packages: Vec<&str> = missing.iter().flat_map(|(_, packages)| packages.iter().copied()).collect();
        return debian::install_packages(&packages, "about 1 minute");
    }
    let names: Vec<&str> = missing.iter().map(|(what, _)| *what).collect();
    bail!("install {} with this system's package manager, and have it on PATH", names.join(", and "));
}
