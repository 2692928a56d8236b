//! `cargo xtask abuse`: has `rides-bench` attack the server, and say what well-behaved pages see of it.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

use crate::{bench, shell};

/// What to do to it.
#[derive(Args)]
pub(crate) struct Abuse {
    /// A short run of small crowds, to see that all of it works. Its figures are no figures.
    #[arg(long)]
    quick: bool,
    /// Only these: idle-viewers, never-read, slow-readers, slow-headers, slow-bodies, resets, pings, settings, continuations, garbage,
    /// bad-calls, connects.
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    only: Vec<String>,
}

/// Does it, prints the tables and writes them: into `docs` when it was all of it, else into `target/bench`.
///
/// # Errors
/// When the server cannot be built, or this machine cannot measure.
pub(crate) fn run(abuse: &Abuse) -> Result<ExitCode> {
    bench::build()?;
    let scratch = shell::root().join("target/bench");
    let mut task = bench::task("abuse", &scratch)?;
    if abuse.quick {
        task.arg("--quick");
    }
    if !abuse.only.is_empty() {
        task.arg("--only").arg(abuse.only.join(","));
    }
    let all = !abuse.quick && abuse.only.is_empty();
    task.arg("--out").arg(if all { shell::root().join("docs") } else { scratch });
    shell::pass_through(task)
}
