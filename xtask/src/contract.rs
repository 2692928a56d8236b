//! The checks of the contract with buf, and its committed copy, with which changes are compared.

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

/// The arguments of the checks.
const BREAKING: &[&str] = &["breaking", "--against", COMMITTED];
const CHECKS: [&[&str]; 3] = [&["lint"], &["format", "--diff", "--exit-code"], BREAKING];

/// Writes the committed copy. Refuses a contract that breaks existing clients, unless `breaking` is set.
///
/// # Errors
/// When the contract does not compile, when it breaks existing clients, or when buf cannot be installed.
pub(crate) fn write(breaking: bool) -> Result<ExitCode> {
    if !breaking {
        setup::ensure(&[Need::Peers])?;
        let node = interop::packages_in_javascript()?;
        shell::run(buf(&node, BREAKING)).context(
            "this change breaks clients of the committed contract. Undo it, or run `cargo xtask contract --breaking` if \
             no client uses the changed part yet",
        )?;
    }
    let mut make =
        shell::cargo(&["run", "--quiet", "--locked", "--package", "rides-proto", "--example", "contract"]);
    make.stderr(Stdio::inherit());
    let made = make.output().with_context(|| shell::not_started(&make))?;
    ensure!(made.status.success(), "`{}` failed ({})", shell::command_line(&make), made.status);
    let path = shell::root().join("proto").join(COMMITTED);
    fs::write(&path, made.stdout).with_context(|| format!("cannot write {}", path.display()))?;
    println!("wrote proto/{COMMITTED}");
    Ok(ExitCode::SUCCESS)
}

/// Runs the checks with buf from the npm packages in `node`, and returns their number.
///
/// # Errors
/// When a check fails.
pub(crate) fn check(node: &Path) -> Result<u64> {
    for arguments in CHECKS {
        println!("buf {}", arguments.join(" "));
        shell::run(buf(node, arguments))?;
    }
    Ok(CHECKS.len() as u64)
}

/// Returns the command of buf, in the folder of the contract with its `buf.yaml`.
fn buf(node: &Path, arguments: &[&str]) -> Command {
    let mut buf = shell::command("node");
    buf.arg(node.join("node_modules/@bufbuild/buf/bin/buf")).args(arguments);
    buf.current_dir(shell::root().join("proto"));
    buf
}
