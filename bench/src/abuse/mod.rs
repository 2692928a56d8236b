//! Attacks on a server, the latency that well-behaved pages see meanwhile, and the recovery of the server.
//!
//! [`attack_run`] runs an attack against a new server. [`pages`] measure a baseline and then the attack. [`attackers`]
//! do what their [`attack`] defines; each attack has its own file. [`judge`] decides whether the server passes, and
//! [`report`] writes the results.

mod attack;
mod attack_run;
mod attackers;
mod bad_calls;
mod connects;
mod control_frames;
mod garbage;
mod gauges;
mod idle_viewers;
mod judge;
mod never_read;
mod newcomer;
mod pages;
mod report;
mod resets;
mod rider;
mod slow_bodies;
mod slow_headers;
mod slow_readers;

use std::{fs, path::PathBuf, time::Duration};

use anyhow::{Context as _, Result, bail};
use clap::ValueEnum;

use self::{attack::Attack, attack_run::Plan, control_frames::ControlFrames, report::Outcome};
use crate::machine::{self, Cores};

/// An attack on the server.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Scenario {
    IdleViewers,
    NeverRead,
    SlowReaders,
    SlowHeaders,
    SlowBodies,
    Resets,
    Pings,
    Settings,
    Continuations,
    Garbage,
    BadCalls,
    Connects,
}

impl Scenario {
    fn attack(self) -> Box<dyn Attack> {
        match self {
            Self::IdleViewers => Box::new(idle_viewers::IdleViewers),
            Self::NeverRead => Box::new(never_read::NeverRead),
            Self::SlowReaders => Box::new(slow_readers::SlowReaders),
            Self::SlowHeaders => Box::new(slow_headers::SlowHeaders),
            Self::SlowBodies => Box::new(slow_bodies::SlowBodies::new()),
            Self::Resets => Box::new(resets::Resets),
            Self::Pings => Box::new(ControlFrames::Pings),
            Self::Settings => Box::new(ControlFrames::Settings),
            Self::Continuations => Box::new(ControlFrames::Continuations),
            Self::Garbage => Box::new(garbage::Garbage::new()),
            Self::BadCalls => Box::new(bad_calls::BadCalls::new()),
            Self::Connects => Box::new(connects::Connects),
        }
    }

    /// Returns the name of the attack on the command line, with spaces for hyphens.
    fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().replace('-', " "))
    }
}

/// The options of `rides-bench abuse`.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Options {
    /// Run short attacks of few clients, to test the tool. Do not use the results.
    #[arg(long)]
    quick: bool,
    /// Run only these attacks, separated by commas.
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    only: Vec<Scenario>,
    /// The release build of rides-server.
    #[arg(long, value_name = "FILE")]
    server: PathBuf,
    /// The folder for the logs of servers.
    #[arg(long, value_name = "DIR")]
    scratch: PathBuf,
    /// The folder for abuse.md.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

impl Options {
    fn plan(&self) -> Plan {
        if self.quick {
            return Plan {
                settle: Duration::from_millis(500),
                quiet: Duration::from_secs(2),
                longest: Duration::from_secs(3),
                client_divisor: 10,
                recovery_timeout: Duration::from_secs(10),
            };
        }
        Plan {
            settle: Duration::from_secs(2),
            quiet: Duration::from_secs(12),
            longest: Duration::MAX,
            client_divisor: 1,
            recovery_timeout: Duration::from_secs(45),
        }
    }
}

/// Runs the attacks that the options name, and writes the report.
///
/// # Errors
/// When this machine cannot run them, or the report cannot be written. Also when the server fails under an attack,
/// unless the run was quick.
pub(crate) fn run(options: &Options) -> Result<()> {
    for dir in [&options.scratch, &options.out] {
        fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    }
    machine::raise_file_limit()?;
    let (plan, cores) = (options.plan(), Cores::take()?);
    let mut outcomes: Vec<(Scenario, Outcome)> = Vec::new();
    for scenario in Scenario::value_variants() {
        if options.only.is_empty() || options.only.contains(scenario) {
            let log = options.scratch.join(format!("abuse-{}.log", scenario.name().replace(' ', "-")));
            let outcome = attack_run::play(scenario.attack(), &plan, cores, &options.server, &log)
                .map_err(|error| format!("{error:#}"));
            eprintln!("{}", report::line(*scenario, &outcome));
            outcomes.push((*scenario, outcome));
        }
    }
    println!("{}", report::figures(&outcomes));
    let path = options.out.join("abuse.md");
    fs::write(&path, report::page(options.quick, &outcomes))
        .with_context(|| format!("cannot write {}", path.display()))?;
    eprintln!("wrote {}", path.display());

    let holds = |outcome: &Outcome| outcome.as_ref().is_ok_and(|findings| findings.faults().is_empty());
    let broken = outcomes.iter().filter(|(_, outcome)| !holds(outcome)).count();
    if broken > 0 && !options.quick {
        bail!(
            "the server fails under {broken} of {} attacks: see the failures in the report",
            outcomes.len()
        );
    }
    Ok(())
}
