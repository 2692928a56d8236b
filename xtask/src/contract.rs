//! The contract for other languages: buf's checks of it, and the committed copy that changes are compared with.

use std::{
    fs,
    path::Path,
    process::{Command, ExitCode, Stdio},
};

use anyhow::{Context, Result, ensure};

use crate::{
    setup::{self, Need},
    shell,
    test::interop,
};

/// The committed copy, in the folder of the contract.
const COMMITTED: &str = "contract.binpb";

/// buf's checks, as arguments.
const BREAKING: &[&str] = &["breaking", "--against", COMMITTED];
const CHECKS: [&[&str]; 3] = [&["lint"], &["format", "--diff", "--exit-code"], BREAKING];

/// Writes the committed copy anew. Unless `breaking`, it refuses a contract that breaks what clients have.
///
/// # Errors
/// When the contract does not compile, or breaks something, or buf cannot be installed.
pub(crate) fn write(breaking: bool) -> Result<ExitCode> {
    if !breaking {
        setup::ensure(&[Need::Peers])?;
        let node = interop::packages_in_javascript()?;
        shell::run(buf(&node, BREAKING)).context(
            "clients of the contract as it was would break. Undo the change, or, if no client can have it yet: \
             `cargo xtask contract --breaking`",
        )?;
    }
    let mut make =
        shell::cargo(&["run", "--quiet", "--locked", "--package", "rides-proto", "--example", "contract"]);
    make.stderr(Stdio::inherit());
    let made = make.output().with_context(|| shell::not_started(&make))?;
    ensure!(made.status.success(), "`{}` failed ({})", shell::words(&make), made.status);
    let path = shell::root().join("proto").join(COMMITTED);
    fs::write(&path, made.stdout).with_context(|| format!("cannot write {}", path.display()))?;
    println!("wrote proto/{COMMITTED}");
    Ok(ExitCode::SUCCESS)
}

/// Runs buf's checks, with the npm packages in `node`, and returns how many there are.
///
/// # Errors
/// When one fails.
pub(crate) fn check(node: &Path) -> Result<u64> {
    for arguments in CHECKS {
        println!("buf {}", arguments.join(" "));
        shell::run(buf(node, arguments))?;
    }
    Ok(CHECKS.len() as u64)
}

/// `buf`, in the folder of the contract, where `buf.yaml` is.
fn buf(node: &Path, arguments: &[&str]) -> Command {
    let mut buf = shell::command("node");
    buf.arg(node.join("node_modules/@bufbuild/buf/bin/buf")).args(arguments);
    buf.current_dir(shell::root().join("proto"));
    buf
}
