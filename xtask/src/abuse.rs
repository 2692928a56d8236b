//! `cargo xtask abuse`: runs the attacks of `rides-bench` against the server, and reports their effect on well-behaved
//! pages.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

use crate::{bench, shell};

/// The flags of `cargo xtask abuse`.
#[derive(Args)]
pub(crate) struct AbuseArgs {
    /// Make a short run with few attackers, to check that everything works. Its results are not meaningful.
    #[arg(long)]
    quick: bool,
    /// Run only these attacks: idle-viewers, never-read, slow-readers, slow-headers, slow-bodies, resets, pings,
    /// settings, continuations, garbage, bad-calls, connects.
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    only: Vec<String>,
}

/// Runs the attacks, and prints and writes the tables. A full run writes into `docs`, any other into `target/bench`.
///
/// # Errors
/// When the server cannot be built, or this machine does not support measurements.
pub(crate) fn run(abuse: &AbuseArgs) -> Result<ExitCode> {
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
