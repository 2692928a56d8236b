//! `cargo xtask test`: runs all checks, the fastest first.

mod deps;
mod dist;
#[cfg(test)]
mod imports;
pub(crate) mod interop;
mod size;
mod steps;
mod test_counts;
#[cfg(test)]
mod wording;

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use clap::ValueEnum;
use console::style;

pub(crate) use steps::Step;

use crate::setup;
use test_counts::TestCounts;

/// The options of a run.
#[derive(Clone, Copy)]
pub(crate) struct Options {
    /// Use a release build of the server.
    pub(crate) release: bool,
    /// Write the table of the interop test instead of comparing it.
    pub(crate) write_matrix: bool,
}

/// The result of a step.
struct StepResult {
    step: Step,
    tally: TestCounts,
    took: Duration,
}

/// Runs the chosen steps, or all, until one fails. The last line of output is `N passed, N failed`. A step without
/// separate tests (fmt, clippy, …) counts as one test.
///
/// # Errors
/// When a tool that the steps need cannot be installed.
pub(crate) fn run(chosen: &[Step], options: Options) -> Result<ExitCode> {
    let steps: Vec<Step> = Step::value_variants()
        .iter()
        .copied()
        .filter(|step| chosen.is_empty() || chosen.contains(step))
        .collect();
    let mut needs = Vec::new();
    for need in steps.iter().flat_map(|step| step.needs()) {
        if !needs.contains(need) {
            needs.push(*need);
        }
    }
    setup::ensure(&needs)?;

    let mut outcomes: Vec<StepResult> = Vec::new();
    for step in steps {
        println!("\n{}", style(format!("━━ {}: {}", step.name(), step.about())).bold());
        let outcome = attempt(step, options);
        let failed = outcome.tally.failed > 0;
        outcomes.push(outcome);
        if failed {
            break;
        }
    }
    Ok(report(&outcomes))
}

fn attempt(step: Step, options: Options) -> StepResult {
    let started = Instant::now();
    let mut tally = TestCounts::default();
    let done = step.run(options, &mut tally).and_then(|()| {
        ensure!(tally.passed + tally.ignored > 0 || !step.has_tests(), "no test was run");
        Ok(())
    });
    match done {
        Ok(()) if !step.has_tests() => tally.passed = 1,
        Ok(()) => {}
        Err(error) => {
            println!("{} {error:#}", style("error:").red().bold());
            // A failure that no test reported, for example code that does not compile.
            tally.failed = tally.failed.max(1);
        }
    }
    StepResult { step, tally, took: started.elapsed() }
}

fn report(outcomes: &[StepResult]) -> ExitCode {
    println!("\n{:<14}{:>8}{:>8}{:>8}{:>9}", "step", "passed", "failed", "ignored", "time");
    let mut total = TestCounts::default();
    for StepResult { step, tally, took } in outcomes {
        let TestCounts { passed, failed, ignored, .. } = tally;
        println!("{:<14}{passed:>8}{failed:>8}{ignored:>8}{:>7.0} s", step.name(), took.as_secs_f64());
        total.add(tally);
    }
    if total.rows > 0 {
        println!("\n{} rows in the catalogue of cases (docs/edge.md), each with a test", total.rows);
    }
    println!("\n{} passed, {} failed", total.passed, total.failed);
    if total.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
