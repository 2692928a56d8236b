//! `cargo xtask bench`: builds the servers, installs the peers in other languages, and starts `rides-bench`.

use std::{
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use anyhow::{Result, ensure};
use clap::Args;
use console::style;

use crate::{packages, progress, shell};

/// The flags of `cargo xtask bench`.
#[derive(Args)]
pub(crate) struct BenchArgs {
    /// Make a short run, to check that everything works. Its results are not meaningful.
    #[arg(long)]
    quick: bool,
    /// Measure only these servers: ours, tonic, envoy-grpcio, connect-node, hyper-columns, hyper-rows.
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    only: Vec<String>,
    /// Make only these measurements: fanout, unary, latency, flatness, idle, viewports, ingest.
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    questions: Vec<String>,
    /// Number of runs of each measurement [default: 3, with --quick 1].
    #[arg(long, value_name = "N")]
    runs: Option<u32>,
    /// Print every single sample.
    #[arg(long)]
    verbose: bool,
}

/// Measures, and prints and writes the tables. A full run writes into `docs`, any other into `target/bench`.
///
/// # Errors When the servers cannot be built, or this machine does not support measurements. A peer that cannot be
/// installed is no error: the tables say so.
pub(crate) fn run(bench: &BenchArgs) -> Result<ExitCode> {
    build()?;
    let scratch = shell::root().join("target/bench");
    let mut measure = task("run", &scratch)?;
    for (name, flag, install) in [
        ("connect-node", "--node", install_node as fn(&Path) -> Result<()>),
        ("envoy-grpcio", "--python", install_python),
    ] {
        if bench.only.is_empty() || bench.only.iter().any(|only| only == name) {
            match peer(flag.trim_start_matches('-'), &scratch, install) {
                Ok(dir) => drop(measure.arg(flag).arg(dir)),
                Err(error) => eprintln!("{} no {name}: {error:#}", style("note:").yellow().bold()),
            }
        }
    }
    let all = !bench.quick && bench.only.is_empty() && bench.questions.is_empty();
    measure.arg("--out").arg(if all { shell::root().join("docs") } else { scratch });
    bench.pass_on(&mut measure);
    shell::pass_through(measure)
}

/// Builds the server and `rides-bench`.
///
/// # Errors
/// When the build fails, or this machine does not support measurements.
pub(crate) fn build() -> Result<()> {
    ensure!(
        cfg!(target_os = "linux"),
        "measurements need Linux: they pin programs to cores and read their metrics from /proc"
    );
    // Two builds: in one, Cargo would unify features, and the server would be built with those that the benchmark
    // enables.
    for (package, about) in [("rides-server", "4 minutes"), ("rides-bench", "2 minutes")] {
        let build = shell::cargo(&["build", "--release", "--locked", "--package", package]);
        progress::spin(&format!("Building {package}"), &format!("about {about} the first time"), build)?;
    }
    Ok(())
}

/// Returns the command of a `rides-bench` subcommand for the built server.
pub(crate) fn task(name: &str, scratch: &Path) -> Result<Command> {
    let dir = shell::build_dir("release")?;
    let mut task = shell::command(dir.join("rides-bench"));
    task.arg(name).arg("--server").arg(dir.join("rides-server")).arg("--scratch").arg(scratch);
    Ok(task)
}

impl BenchArgs {
    fn pass_on(&self, measure: &mut Command) {
        for (flag, set) in [("--quick", self.quick), ("--verbose", self.verbose)] {
            if set {
                measure.arg(flag);
            }
        }
        for (flag, names) in [("--only", &self.only), ("--questions", &self.questions)] {
            if !names.is_empty() {
                measure.arg(flag).arg(names.join(","));
            }
        }
        if let Some(runs) = self.runs {
            measure.arg("--runs").arg(runs.to_string());
        }
    }
}

/// Copies the files of a peer into `scratch`, installs their dependencies, and returns the folder.
fn peer(name: &str, scratch: &Path, install: fn(&Path) -> Result<()>) -> Result<PathBuf> {
    let dir = scratch.join(name);
    packages::copy(&shell::root().join("bench/peers").join(name), &dir, &[])?;
    install(&dir)?;
    Ok(dir)
}

fn install_node(dir: &Path) -> Result<()> {
    packages::node(dir, "connect-node")
}

/// Makes the folder itself the virtual environment.
fn install_python(dir: &Path) -> Result<()> {
    packages::python(dir, &dir.join("requirements.txt"), "grpcio and Envoy")
}
