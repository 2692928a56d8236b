//! Measures the fan-out of Rides beside its peers, in one run on one machine.
//!
//! A server under measure gets one core, the load the other. [`fleet`] moves the cars, [`feed`] reports them to ours,
//! [`servers`] are the peers in Rust, [`wire`] reads what comes back, [`load`] holds the viewers, [`measure`] asks the
//! questions, and [`report`] writes the answers down. [`stats`] and [`search`] are the arithmetic. [`abuse`] is another
//! tool of the same parts: it attacks our server, and says what others see of that.
#![cfg(target_os = "linux")]
#![allow(clippy::print_stdout, reason = "a tool for the terminal: what it prints is what it is for")]

mod abuse;
mod contender;
mod feed;
mod fleet;
mod load;
mod machine;
mod measure;
mod process;
mod report;
mod search;
mod servers;
mod stats;
mod wire;

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};

use contender::Contender;

/// Measures the fan-out beside its peers. `cargo xtask bench` builds what it needs and runs it.
#[derive(Parser)]
#[command(name = "rides-bench", disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Measures, prints the tables and writes `bench.md` and `bench.svg`.
    Run(Options),
    /// Attacks our server in many ways, prints what well-behaved pages see of it, and writes `abuse.md`.
    Abuse(abuse::Options),
    /// Is one of the peers.
    Serve {
        #[command(subcommand)]
        peer: servers::Peer,
    },
}

/// What to measure, and where things are.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Options {
    /// A short run, to see that all of it works: its figures are no figures.
    #[arg(long)]
    quick: bool,
    /// Print every single look.
    #[arg(long)]
    verbose: bool,
    /// Only these.
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    only: Vec<Contender>,
    /// Only these questions.
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    questions: Vec<measure::Question>,
    /// Runs of each, at least 3 for figures that mean something [default: 3, with --quick 1].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=20))]
    runs: Option<u32>,
    /// The release build of rides-server.
    #[arg(long, value_name = "FILE")]
    server: PathBuf,
    /// Where `npm ci` was run for the Node peer.
    #[arg(long, value_name = "DIR")]
    node: Option<PathBuf>,
    /// The virtual environment of the Python peer.
    #[arg(long, value_name = "DIR")]
    python: Option<PathBuf>,
    /// For the logs of servers and what they are given to read.
    #[arg(long, value_name = "DIR")]
    scratch: PathBuf,
    /// Where the report goes.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

/// Runs the program.
pub fn main() -> ExitCode {
    let done = match Cli::parse().task {
        Task::Run(options) => measure::run(&options),
        Task::Abuse(options) => abuse::run(&options),
        Task::Serve { peer } => servers::serve(peer),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("rides-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}
