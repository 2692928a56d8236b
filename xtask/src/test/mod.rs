//! `cargo xtask test`: every check there is, in the order of what fails soonest.

mod size;
mod steps;
mod tally;

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::Result;
use clap::ValueEnum;
use console::style;

pub(crate) use steps::Step;

use crate::setup;
use tally::Tally;

/// How a step went.
struct Outcome {
    step: Step,
    tally: Tally,
    took: Duration,
}

/// Runs the steps named, or all, until one fails. What it prints last is `N passed, N failed`, where a step that
/// has no tests of its own (fmt, clippy, …) counts as one.
///
/// # Errors
/// When what the steps need cannot be installed.
pub(crate) fn run(chosen: &[Step], release: bool) -> Result<ExitCode> {
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

    let mut outcomes: Vec<Outcome> = Vec::new();
    for step in steps {
        println!("\n{}", style(format!("━━ {}: {}", step.name(), step.about())).bold());
        let outcome = attempt(step, release);
        let failed = outcome.tally.failed > 0;
        outcomes.push(outcome);
        if failed {
            break;
        }
    }
    Ok(report(&outcomes))
}

fn attempt(step: Step, release: bool) -> Outcome {
    let started = Instant::now();
    let mut tally = Tally::default();
    let done = step.run(release, &mut tally);
    if let Err(error) = &done {
        println!("{} {error:#}", style("error:").red().bold());
    }
    // A failure that no test reported, such as one to compile, counts as one; so does a check that is not a test.
    match done {
        Err(_) if tally.failed == 0 => tally.failed = 1,
        Ok(()) if tally.passed == 0 => tally.passed = 1,
        _ => {}
    }
    Outcome { step, tally, took: started.elapsed() }
}

fn report(outcomes: &[Outcome]) -> ExitCode {
    println!("\n{:<14}{:>8}{:>8}{:>8}{:>9}", "step", "passed", "failed", "ignored", "time");
    let mut total = Tally::default();
    for Outcome { step, tally, took } in outcomes {
        let Tally { passed, failed, ignored } = tally;
        println!("{:<14}{passed:>8}{failed:>8}{ignored:>8}{:>7.0} s", step.name(), took.as_secs_f64());
        total.add(tally);
    }
    println!("\n{} passed, {} failed", total.passed, total.failed);
    if total.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
