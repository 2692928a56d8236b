//! The interop test: gRPC and gRPC-Web clients of other projects run the checks of `clients/interop.json`.
//!
//! The clients are programs in `clients/`, and print one line of JSON per check. This module installs them, starts
//! servers for them, and reads their outcomes. The outcomes become a table, which docs/interop.md also has.

mod early_exits;
mod examples;
mod late_frames;
mod matrix;
mod metrics;
mod programs;
mod readmes;
#[cfg(unix)]
mod rolling;
mod servers;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};

use super::test_counts::TestCounts;
use crate::{contract, packages, setup::Browser, shell};
use matrix::{CheckList, Matrix};
use programs::ClientPrograms;
use servers::Servers;

/// Runs all checks against the server at `program`, and counts them. With `write`, the table is written into
/// docs/interop.md. Otherwise docs/interop.md must have the same table.
///
/// # Errors
/// When a check fails, when a client or server cannot be installed or started, or when docs/interop.md has another
/// table.
pub(super) fn run(program: &Path, browser: &Browser, write: bool, tally: &mut TestCounts) -> Result<()> {
    let scratch = mirror()?;
    // The legacy contract, for the checks of its paths.
    let older = shell::root().join("server/tests/edge/older.proto");
    fs::copy(&older, scratch.join("proto/older.proto"))
        .with_context(|| format!("cannot copy {}", older.display()))?;
    let programs = ClientPrograms::install(&scratch)?;
    tally.passed += contract::check(&programs.node_dir())?;
    let servers = Servers::start(program, &programs, browser, &scratch.join("servers"))?;

    let list = CheckList::read(&shell::root().join("clients/interop.json"))?;
    let mut matrix = Matrix::new(list);
    programs.run_all(&servers.file, &mut |line| matrix.take(line))?;
    println!("\n{matrix}");
    let examples = examples::run(&programs, &servers)?;
    metrics::run(&servers, tally)?;
    let (passed, failed) = matrix.counts();
    tally.passed += passed + examples + cancelling_and_rolling(&programs, &servers)?;
    tally.failed += failed;
    ensure!(failed == 0, "{failed} of {} checks failed", passed + failed);
    keep(&matrix, write)
}

/// Copies the contract and the clients to the folder in which they run, and returns it.
fn mirror() -> Result<PathBuf> {
    let scratch = shell::root().join("target/interop");
    for folder in ["proto", "clients"] {
        let left_out = ["node_modules", "gen", "__pycache__", ".venv", "keys"];
        packages::mirror(&shell::root().join(folder), &scratch.join(folder), &left_out)?;
    }
    Ok(scratch)
}

/// Installs the packages of the clients in JavaScript, which include buf, and returns their folder.
///
/// # Errors
/// When the installation fails.
pub(crate) fn packages_in_javascript() -> Result<PathBuf> {
    let node = mirror()?.join("clients/node");
    packages::node(&node, "clients in JavaScript")?;
    Ok(node)
}

/// Runs the checks of clients beside a client that cancels calls, and of clients whose servers stop. Returns their
/// number.
fn cancelling_and_rolling(programs: &ClientPrograms, servers: &Servers) -> Result<u64> {
    examples::expect(&mut programs.go(&["cancelling", &servers.open]), "\"cancelled\":20000")?;
    #[cfg(unix)]
    let rolling = rolling::run(programs, servers)?;
    #[cfg(not(unix))]
    let rolling = 0;
    Ok(1 + rolling)
}

fn keep(matrix: &Matrix, write: bool) -> Result<()> {
    let path = shell::root().join("docs/interop.md");
    let document = fs::read_to_string(&path).context("cannot read docs/interop.md")?;
    let updated = matrix::with_table(&document, &matrix.to_string())
        .context("docs/interop.md has no markers for the table")?;
    if write {
        fs::write(&path, updated).context("cannot write docs/interop.md")?;
    } else {
        ensure!(
            updated == document,
            "docs/interop.md has another table: run `cargo xtask test interop --write-matrix` to update it"
        );
    }
    Ok(())
}
