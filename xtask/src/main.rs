//! The commands of the README: `cargo xtask run` and `cargo xtask test`, `cargo xtask bench`, and those beside them.
#![allow(clippy::print_stdout, reason = "a tool for the terminal: what it prints is what it is for")]

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

/// Builds, runs and tests Rides, and installs what that needs.
#[derive(Parser)]
#[command(bin_name = "cargo xtask", disable_help_subcommand = true)]
enum Task {
    /// Installs what is missing, builds the page and the server (release), and starts them.
    Run {
        /// Serve TLS, and so HTTP/2 to the browser, with a certificate of a development CA made for it.
        #[arg(long)]
        tls: bool,
        /// Flags for rides-server, after `--`: `cargo xtask run -- --cars 500`.
        #[arg(last = true, value_name = "SERVER FLAGS")]
        server_flags: Vec<String>,
    },
    /// Installs what `trunk serve` needs: Trunk, and what builds the page.
    Setup,
    /// Builds what is deployed, in target/dist: a static program with the page inside, an image and a systemd unit.
    Dist,
    /// Installs what tests need and runs all of them, or the steps named.
    Test {
        /// Only these steps, in the order of the full run.
        steps: Vec<test::Step>,
        /// Let the end-to-end test drive a release build of the server, and hold it to its promised times.
        #[arg(long)]
        release: bool,
        /// Let the interop test write its table into README.md, instead of holding README.md to it.
        #[arg(long)]
        write_matrix: bool,
    },
    /// Writes docs/api.md, from the comments in proto/rides/v1.
    Api,
    /// Writes proto/contract.binpb, which later changes of the contract are compared with.
    Contract {
        /// Write it even if existing clients would break.
        #[arg(long)]
        breaking: bool,
    },
    /// Measures the server beside others of its kind, and writes docs/bench.md and docs/bench.svg.
    Bench(bench::Bench),
    /// Attacks the server in many ways, and writes docs/abuse.md: what well-behaved pages see of it.
    Abuse(abuse::Abuse),
    /// Measures what a frame of 10,000 cars costs the page, in a browser, beside protobuf-es.
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
