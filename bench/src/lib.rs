//! Benchmarks of Rides and its peers on one machine in one run, and attacks on Rides.
//!
//! The server under test has one core and the load generator the other. [`fleet`] moves the cars, [`feed`] reports
//! them to Rides, [`servers`] has the peers in Rust, [`wire`] reads responses, [`load`] holds the viewers,
//! [`measure`] runs the benchmarks, and [`report`] writes the results. [`stats`] and [`search`] are the arithmetic.
//! [`abuse`] is a second tool from the same parts: it attacks Rides and measures what well-behaved pages see.
#![cfg(target_os = "linux")]
#![allow(clippy::print_stdout, reason = "a tool for the terminal, whose purpose is its output")]

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

/// Benchmarks of Rides and its peers. cargo xtask bench builds what they need and runs them.
#[derive(Parser)]
#[command(name = "rides-bench", disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Run the benchmarks, print the tables, and write bench.md and bench.svg.
    Run(Options),
    /// Attack rides-server, print what well-behaved pages see meanwhile, and write abuse.md.
    Abuse(abuse::Options),
    /// Run one of the peers as a server.
    Serve {
        #[command(subcommand)]
        peer: servers::Peer,
    },
}

/// The options of `rides-bench run`.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Options {
    /// Run short benchmarks, to test the tool. Do not use the results.
    #[arg(long)]
    quick: bool,
    /// Print every single measurement.
    #[arg(long)]
    verbose: bool,
    /// Measure only these servers, separated by commas.
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    only: Vec<Contender>,
    /// Run only these benchmarks, separated by commas.
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    questions: Vec<measure::Benchmark>,
    /// The number of runs of each benchmark, at least 3 for meaningful results [default: 3, with --quick 1].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=20))]
    runs: Option<u32>,
    /// The release build of rides-server.
    #[arg(long, value_name = "FILE")]
    server: PathBuf,
    /// The folder of the Node peer, in which npm ci was run. Without it the peer is left out.
    #[arg(long, value_name = "DIR")]
    node: Option<PathBuf>,
    /// The virtual environment of the Python peer. Without it the peer is left out.
    #[arg(long, value_name = "DIR")]
    python: Option<PathBuf>,
    /// The folder for the logs and the input files of servers.
    #[arg(long, value_name = "DIR")]
    scratch: PathBuf,
    /// The folder for bench.md and bench.svg.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

/// Runs the program with the arguments of the command line.
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
