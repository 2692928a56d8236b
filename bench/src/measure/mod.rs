//! The benchmarks. Each run asks all contenders in turn, so that a slow minute of the machine affects all of them.

mod fanout;
mod flatness;
mod idle;
mod ingest;
mod latency;
mod test_bed;
mod unary;
mod viewports;

use std::{fs, path::PathBuf, time::Duration};

use anyhow::{Context as _, Result};
use clap::ValueEnum;
use indicatif::{ProgressBar, ProgressStyle};

pub(crate) use self::{
    fanout::Fanout,
    flatness::{Flatness, IN_VIEW, REPORTS_PER_SECOND},
    idle::Idle,
    ingest::Ingest,
    latency::{Latency, VIEWERS as LATENCY_VIEWERS},
    unary::Unary,
    viewports::Viewports,
};
use crate::{
    Options,
    contender::Contender,
    machine::{self, Cores},
    process::Server,
    report,
    wire::Protocol,
};

/// A number of viewers that no server holds on one core.
const MOST_VIEWERS: usize = 60_000;

/// A benchmark.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Benchmark {
    /// The cost of fan-out, and the largest number of viewers.
    Fanout,
    /// The cost of a unary call.
    Unary,
    /// The time from a position to the frame at viewers of Rides.
    Latency,
    /// The cost of a viewer of Rides as the fleet grows.
    Flatness,
    /// The memory of an idle viewer of Rides.
    Idle,
    /// The cost of fan-out of Rides when no two viewers see the same cells.
    Viewports,
    /// The cost of a position that Rides receives.
    Ingest,
}

/// The sizes and durations of the benchmarks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    /// The number of runs of each benchmark.
    pub(crate) runs: u32,
    /// The time after viewers were opened, before a measurement begins.
    pub(crate) settle: Duration,
    /// The duration of a measurement.
    pub(crate) window: Duration,
    /// The number of viewers that all contenders can hold.
    pub(crate) viewers: usize,
    /// The largest number of steps in the search for the most viewers.
    pub(crate) steps: u32,
    /// The largest number of viewers.
    pub(crate) cap: usize,
    /// The number of viewers in the memory benchmark.
    pub(crate) idle_viewers: usize,
    /// The number of positions that the gateway reports.
    pub(crate) positions: usize,
}

/// The results of one contender over one protocol.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// The server.
    pub(crate) contender: Contender,
    /// The protocol of the viewers.
    pub(crate) protocol: Protocol,
    /// The file of recorded messages that it sends. Empty if it sends its own.
    pub(crate) replay: PathBuf,
    /// The name and the versions that the server prints.
    pub(crate) about: String,
    /// The results, one per run.
    pub(crate) fanout: Vec<Fanout>,
    /// The results, one per run.
    pub(crate) unary: Vec<Unary>,
    /// The error that ended its runs, if there was one.
    pub(crate) problem: Option<String>,
}

/// The results of all benchmarks.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answers {
    /// The contenders, each over both protocols.
    pub(crate) rows: Vec<Row>,
    /// One result per run.
    pub(crate) latency: Vec<Latency>,
    /// One result per run and size of the fleet.
    pub(crate) flatness: Vec<Vec<Flatness>>,
    /// One result per run.
    pub(crate) idle: Vec<Idle>,
    /// One result per run.
    pub(crate) viewports: Vec<Viewports>,
    /// One result per run.
    pub(crate) ingest: Vec<Ingest>,
    /// The errors of the benchmarks of Rides alone.
    pub(crate) problems: Vec<String>,
}

/// The options and the state that all benchmarks share.
#[derive(Debug)]
pub(crate) struct Bench {
    pub(crate) options: Options,
    pub(crate) plan: Plan,
    pub(crate) cores: Cores,
    progress: ProgressBar,
}

/// Runs the benchmarks that the options name, and writes the report.
///
/// # Errors
/// When this machine cannot measure, or the report cannot be written. The failure of a contender is part of the
/// report.
pub(crate) fn run(options: &Options) -> Result<()> {
    for dir in [&options.scratch, &options.out] {
        fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    }
    let cap = machine::raise_file_limit()?.min(MOST_VIEWERS);
    let bench = Bench {
        options: options.clone(),
        plan: Plan::new(options, cap),
        cores: Cores::take()?,
        progress: progress(),
    };
    let answers = bench.ask_all();
    bench.progress.finish_and_clear();
    report::write(options, &bench.plan, &answers)
}

impl Plan {
    fn new(options: &Options, cap: usize) -> Self {
        if options.quick {
            return Self {
                runs: options.runs.unwrap_or(1),
                settle: Duration::from_millis(750),
                window: Duration::from_millis(1500),
                viewers: 100,
                steps: 6,
                cap,
                idle_viewers: cap.min(2_000),
                positions: 200_000,
            };
        }
        Self {
            runs: options.runs.unwrap_or(3),
            settle: Duration::from_secs(1),
            window: Duration::from_secs(3),
            viewers: 400,
            steps: 12,
            cap,
            idle_viewers: cap.min(10_000),
            positions: 3_000_000,
        }
    }
}

impl Bench {
    /// Sets the message of the progress bar.
    pub(crate) fn say(&self, what: impl Into<String>) {
        self.progress.set_message(what.into());
    }

    /// Prints a single measurement, with `--verbose`.
    pub(crate) fn log(&self, what: &str) {
        if self.options.verbose {
            self.progress.suspend(|| eprintln!("  {what}"));
        }
    }

    fn ask_all(&self) -> Answers {
        let mut answers = Answers { rows: self.rows(), ..Answers::default() };
        for question in [Benchmark::Fanout, Benchmark::Unary] {
            for _run in self.runs(question) {
                for row in answers.rows.iter_mut().filter(|row| row.problem.is_none()) {
                    row.problem = self.ask(question, row).err().map(|error| format!("{error:#}"));
                }
            }
        }
        for row in &answers.rows {
            self.progress.suspend(|| eprintln!("{}", report::line(row)));
        }
        if self.is_asked(Contender::Ours) {
            let problems = &mut answers.problems;
            answers.latency = self.run_rides(Benchmark::Latency, problems, || latency::once(self));
            answers.flatness = self.run_rides(Benchmark::Flatness, problems, || flatness::once(self));
            answers.idle = self.run_rides(Benchmark::Idle, problems, || idle::once(self));
            answers.viewports = self.run_rides(Benchmark::Viewports, problems, || viewports::once(self));
            answers.ingest = self.run_rides(Benchmark::Ingest, problems, || ingest::once(self));
        }
        answers
    }

    fn rows(&self) -> Vec<Row> {
        let contenders = Contender::value_variants().iter().filter(|contender| self.is_asked(**contender));
        let rows_of = |&contender: &Contender| {
            let (replay, problem) = match self.replay(contender) {
                Ok(replay) => (replay, None),
                Err(error) => (PathBuf::new(), Some(format!("{error:#}"))),
            };
            [Protocol::Http1, Protocol::Http2].map(|protocol| {
                let (about, fanout, unary) = Default::default();
                let (replay, problem) = (replay.clone(), problem.clone());
                Row { contender, protocol, replay, about, fanout, unary, problem }
            })
        };
        contenders.flat_map(rows_of).collect()
    }

    fn is_asked(&self, contender: Contender) -> bool {
        self.options.only.is_empty() || self.options.only.contains(&contender)
    }

    /// Makes one run. It may use the results of the runs before it.
    fn ask(&self, question: Benchmark, row: &mut Row) -> Result<()> {
        let Row { contender, protocol, replay, about, fanout, unary, .. } = row;
        let seen = |server: &Server| about.clone_from(&server.about);
        if question == Benchmark::Fanout {
            let answer = fanout::once(self, *contender, *protocol, replay, fanout, seen)?;
            fanout.push(answer);
        } else {
            unary.push(unary::once(self, *contender, *protocol, replay, seen)?);
        }
        Ok(())
    }

    /// Makes all runs of a benchmark of Rides, or until one fails. The error is added to `problems`.
    fn run_rides<T>(
        &self,
        question: Benchmark,
        problems: &mut Vec<String>,
        once: impl Fn() -> Result<T>,
    ) -> Vec<T> {
        let mut answers = Vec::new();
        for _run in self.runs(question) {
            match once() {
                Ok(answer) => answers.push(answer),
                Err(error) => {
                    problems.push(format!("{error:#}"));
                    break;
                }
            }
        }
        answers
    }

    /// Returns the numbers of the runs; none if the benchmark was not asked for.
    fn runs(&self, question: Benchmark) -> impl Iterator<Item = u32> {
        let is_asked = self.options.questions.is_empty() || self.options.questions.contains(&question);
        let runs = if is_asked { self.plan.runs } else { 0 };
        (1..=runs).inspect(move |run| self.progress.set_prefix(format!("{question:?}, run {run} of {runs}")))
    }

    /// Records the messages that a contender sends, if it sends those of another. Returns their file.
    fn replay(&self, contender: Contender) -> Result<PathBuf> {
        let Some(whose) = contender.replays() else { return Ok(PathBuf::new()) };
        self.say(format!("recording {}", whose.name()));
        test_bed::record(self, whose)
    }
}

fn progress() -> ProgressBar {
    let bar = ProgressBar::new_spinner();
    let template = "{spinner:.cyan} {elapsed} {prefix:.bold} {wide_msg:.dim}";
    bar.set_style(
        ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner()),
    );
    bar.enable_steady_tick(Duration::from_millis(500));
    bar
}
