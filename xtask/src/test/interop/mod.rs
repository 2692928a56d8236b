//! Whether other people's clients can talk to the server: each runs through the checks of `clients/interop.json`.
//!
//! The clients are programs in `clients/`, and say one line of JSON for each check. Here they are installed, given servers
//! to call, and listened to; what they say becomes a table, which README.md holds too.

mod endings;
mod examples;
mod matrix;
mod programs;
mod readmes;
#[cfg(unix)]
mod rolling;
mod servers;

use std::{fs, path::Path};

use anyhow::{Context, Result, ensure};

use super::tally::Tally;
use crate::{packages, setup::Browser, shell};
use matrix::{List, Matrix};
use programs::Programs;
use servers::Servers;

/// Runs all of it with the server at `program`, and counts its checks. With `write`, README.md gets the table; without, it
/// must hold it already.
///
/// # Errors
/// When something cannot be installed or started, or README.md holds another table.
pub(super) fn run(program: &Path, browser: &Browser, write: bool, tally: &mut Tally) -> Result<()> {
    let scratch = shell::root().join("target/interop");
    for folder in ["proto", "clients"] {
        let left_out = ["node_modules", "gen", "__pycache__", ".venv", "keys"];
        packages::mirror(&shell::root().join(folder), &scratch.join(folder), &left_out)?;
    }
    // The file that older clients were made from.
    let older = shell::root().join("server/tests/edge/older.proto");
    fs::copy(&older, scratch.join("proto/older.proto"))
        .with_context(|| format!("cannot copy {}", older.display()))?;
    let programs = Programs::install(&scratch)?;
    let servers = Servers::start(program, &programs, browser, &scratch.join("servers"))?;

    let list = List::read(&shell::root().join("clients/interop.json"))?;
    let mut matrix = Matrix::new(list);
    programs.run_all(&servers.file, &mut |line| matrix.take(line))?;
    println!("\n{matrix}");
    let examples = examples::run(&programs, &servers)?;
    let (passed, failed) = matrix.counts();
    tally.passed += passed + examples + beside_others(&programs, &servers)?;
    tally.failed += failed;
    ensure!(failed == 0, "{failed} of {} checks failed", passed + failed);
    keep(&matrix, write)
}

/// Clients that must not notice what others do, or a server that stops.
fn beside_others(programs: &Programs, servers: &Servers) -> Result<u64> {
    examples::expect(&mut programs.go(&["cancelling", &servers.open]), "\"cancelled\":20000")?;
    #[cfg(unix)]
    let rolling = rolling::run(programs, servers)?;
    #[cfg(not(unix))]
    let rolling = 0;
    Ok(1 + rolling)
}

fn keep(matrix: &Matrix, write: bool) -> Result<()> {
    let path = shell::root().join("README.md");
    let readme = fs::read_to_string(&path).context("cannot read README.md")?;
    let updated =
        matrix::with_table(&readme, &matrix.to_string()).context("README.md has no place for the table")?;
    if write {
        fs::write(&path, updated).context("cannot write README.md")?;
    } else {
        ensure!(
            updated == readme,
            "README.md holds another table: `cargo xtask test interop --write-matrix` writes this one"
        );
    }
    Ok(())
}
