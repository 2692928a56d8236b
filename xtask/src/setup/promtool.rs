//! promtool, the part of Prometheus that checks the format of `/metrics`.

use std::path::PathBuf;

use anyhow::{Context, Result};

use super::{debian, go};
use crate::{progress, shell};

/// The Go module of promtool, for systems other than Debian.
const MODULE: &str = "github.com/prometheus/prometheus/cmd/promtool@v0.316.0";

/// Returns the path of promtool, if it is installed or unpacked.
pub(crate) fn find() -> Option<PathBuf> {
    let unpacked = || Some(unpacked().join("usr/bin/promtool")).filter(|path| path.is_file());
    shell::find("promtool").or_else(unpacked)
}

/// Unpacks Debian's package. It is not installed, since its installation starts Prometheus. On other systems Go builds
/// it.
pub(super) fn install() -> Result<()> {
    if debian::is_here() {
        return debian::unpack_packages(&["prometheus"], &unpacked(), "seconds");
    }
    let go = go::program().context("install Prometheus, which includes promtool, or Go on PATH")?;
    let mut install = shell::command(go);
    install.args(["install", MODULE]).env("GOBIN", shell::tools_dir().join("bin"));
    progress::spin("Building promtool", "about 2 minutes", install)
}

fn unpacked() -> PathBuf {
    shell::tools_dir().join("promtool")
}
