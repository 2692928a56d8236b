//! The developer commands: `cargo xtask run`, `cargo xtask test`, `cargo xtask bench` and others.
#![allow(clippy::print_stdout, reason = "a tool for the terminal: its output is its purpose")]

mod abuse;
mod api;
mod bench;
mod build;
mod contract;
mod dist;
mod frame_cost;
mod packages;
mod page;
mod progress;
mod run;
mod setup;
mod shell;
mod test;

use std::process::ExitCode;

use clap::Parser;

/// Builds, runs and tests Rides, and installs the tools for that.
#[derive(Parser)]
#[command(bin_name = "cargo xtask", disable_help_subcommand = true)]
enum Task {
    /// Installs missing tools, builds the page and the server (release), and starts them.
    Run {
        /// Serve TLS, and so HTTP/2 to the browser, with a self-signed development certificate.
        #[arg(long)]
        tls: bool,
        /// Flags for rides-server, after --, for example: cargo xtask run -- --cars 500.
        #[arg(last = true, value_name = "SERVER FLAGS")]
        server_flags: Vec<String>,
    },
    /// Installs the tools for trunk serve: Trunk, and the tools that build the page.
    Setup,
    /// Builds the files for a deployment in target/dist: a static program with the page, an image and a systemd unit.
    Dist,
    /// Installs the tools for the tests, and runs all steps or the named ones.
    Test {
        /// Run only these steps, in the order of a full run.
        steps: Vec<test::Step>,
        /// Run the end-to-end tests against a release build of the server, and check its response times.
        #[arg(long)]
        release: bool,
        /// Write the table of the interop test into docs/interop.md, instead of comparing it with docs/interop.md.
        #[arg(long)]
        write_matrix: bool,
    },
    /// Writes docs/api.md from the comments in proto/rides/v1.
    Api,
    /// Writes proto/contract.binpb, the contract with which later changes are compared.
    Contract {
        /// Write the file even if existing clients would break.
        #[arg(long)]
        breaking: bool,
    },
    /// Measures the server and comparable servers, and writes docs/bench.md and docs/bench.svg.
    Bench(bench::BenchArgs),
    /// Attacks the server, measures the effect on well-behaved pages, and writes docs/abuse.md.
    Abuse(abuse::AbuseArgs),
    /// Measures in a browser the time that the page needs for a frame of 10,000 cars, and compares it with protobuf-es.
    FrameCost,
}

fn main() -> ExitCode {
    let done = match Task::parse() {
        Task::Run { tls, server_flags } => run::run(tls, &server_flags),
        Task::Setup => setup::ensure(&setup::TRUNK).map(|()| ExitCode::SUCCESS),
        Task::Dist => dist::run(),
        Task::Test { steps, release, write_matrix } => {
            test::run(&steps, test::Options { release, write_matrix })
        }
        Task::Api => api::write(),
        Task::Contract { breaking } => contract::write(breaking),
        Task::Bench(bench) => bench::run(&bench),
        Task::Abuse(abuse) => abuse::run(&abuse),
        Task::FrameCost => frame_cost::run(),
    };
    done.unwrap_or_else(|error| {
        eprintln!("{} {error:#}", console::style("error:").red().bold());
        ExitCode::FAILURE
    })
}
