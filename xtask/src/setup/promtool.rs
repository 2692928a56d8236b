//! promtool, which checks what `/metrics` shows. It is a part of Prometheus.

use std::path::PathBuf;

use anyhow::{Context, Result};

use super::{debian, go};
use crate::{progress, shell};

/// The module that Go builds it from, on systems other than Debian.
const MODULE: &str = "github.com/prometheus/prometheus/cmd/promtool@v0.316.0";

/// The program, if it is here.
pub(crate) fn find() -> Option<PathBuf> {
    let unpacked = || Some(unpacked().join("usr/bin/promtool")).filter(|path| path.is_file());
    shell::find("promtool").or_else(unpacked)
}

/// Unpacks Debian's package, without installing it: an installed one starts a Prometheus. Elsewhere Go builds it.
pub(super) fn install() -> Result<()> {
    if debian::is_here() {
        return debian::unpack_packages(&["prometheus"], &unpacked(), "seconds");
    }
    let go = go::program()
        .context("install Prometheus, which promtool is a part of, or Go, and have it on PATH")?;
    let mut install = shell::command(go);
    install.args(["install", MODULE]).env("GOBIN", shell::tools_dir().join("bin"));
    progress::spin("Building promtool", "about 2 minutes", install)
}

fn unpacked() -> PathBuf {
    shell::tools_dir().join("promtool")
}
