//! `cargo xtask api`: writes docs/api.md, which an example of `rides-proto` makes from the contract.

use std::{
    fs,
    process::{ExitCode, Stdio},
};

use anyhow::{Context, Result, ensure};

use crate::shell;

/// Writes docs/api.md.
///
/// # Errors
/// When the contract does not compile.
pub(crate) fn write() -> Result<ExitCode> {
    let mut make =
        shell::cargo(&["run", "--quiet", "--locked", "--package", "rides-proto", "--example", "api"]);
    make.stderr(Stdio::inherit());
    let made = make.output().with_context(|| shell::not_started(&make))?;
    ensure!(made.status.success(), "`{}` failed ({})", shell::command_line(&make), made.status);
    let path = shell::root().join("docs/api.md");
    fs::write(&path, made.stdout).with_context(|| format!("cannot write {}", path.display()))?;
    println!("wrote docs/api.md");
    Ok(ExitCode::SUCCESS)
}
