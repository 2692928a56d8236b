//! The questions, asked of each contender in turn.

mod fanout;
mod flatness;
mod idle;
mod ingest;
mod latency;
mod stage;
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
    report,
    wire::Protocol,
};

/// More viewers than any server here holds on one core.
const MOST_VIEWERS: usize = 60_000;

/// What can be asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Question {
    /// What fanning out costs, and how many viewers it reaches.
    Fanout,
    /// What a unary call costs.
    Unary,
    /// How long a position takes to viewers of ours.
    Latency,
    /// What a viewer of ours costs as the fleet grows.
    Flatness,
    /// What an idle viewer of ours costs.
    Idle,
    /// What fanning out costs ours when no two viewers look at the same cells.
    Viewports,
    /// What a position costs ours on its way in.
    Ingest,
}

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    /// Runs of each.
    pub(crate) runs: u32,
    /// After viewers have come, before anything counts.
    pub(crate) settle: Duration,
    /// For which everything counts.
    pub(crate) window: Duration,
    /// Viewers that all contenders can hold.
    pub(crate) viewers: usize,
    /// Steps of the search for the most viewers.
    pub(crate) steps: u32,
    /// Never more viewers than this.
    pub(crate) cap: usize,
    /// Of the memory measurement.
    pub(crate) idle_viewers: usize,
    /// Of the gateway.
    pub(crate) positions: usize,
}

/// Answers of one contender over one protocol.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// Who.
    pub(crate) contender: Contender,
    /// How.
    pub(crate) protocol: Protocol,
    /// What it said it is, with versions.
    pub(crate) about: String,
    /// One a run.
    pub(crate) fanout: Vec<Fanout>,
    /// One a run.
    pub(crate) unary: Vec<Unary>,
    /// Why there is less than there should be.
    pub(crate) problem: Option<String>,
}

/// All answers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answers {
    /// Contenders, each over both protocols.
    pub(crate) rows: Vec<Row>,
    /// One a run.
    pub(crate) latency: Vec<Latency>,
    /// One a run, each of all sizes of the fleet.
    pub(crate) flatness: Vec<Vec<Flatness>>,
    /// One a run.
    pub(crate) idle: Vec<Idle>,
    /// One a run.
    pub(crate) viewports: Vec<Viewports>,
    /// One a run.
    pub(crate) ingest: Vec<Ingest>,
    /// What else went wrong.
    pub(crate) problems: Vec<String>,
}

/// What measurements share.
#[derive(Debug)]
pub(crate) struct Bench {
    pub(crate) options: Options,
    pub(crate) plan: Plan,
    pub(crate) cores: Cores,
    progress: ProgressBar,
}

/// Measures all that is asked for, and reports it.
///
/// # Errors
/// When this machine cannot measure, or the report cannot be written. A contender that fails is in the report.
pub(crate) fn run(options: &Options) -> Result<()> {
    for dir in [&options.scratch, &options.out] {
        fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    }
    let cap = machine::most_sockets()?.min(MOST_VIEWERS);
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
    /// Says what goes on.
    pub(crate) fn say(&self, what: impl Into<String>) {
        self.progress.set_message(what.into());
    }

    /// Notes a single look, for whoever wonders about a figure.
    pub(crate) fn log(&self, what: &str) {
        if self.options.verbose {
            self.progress.suspend(|| eprintln!("  {what}"));
        }
    }

    fn ask_all(&self) -> Answers {
        let mut answers = Answers::default();
        for contender in Contender::value_variants() {
            if self.options.only.is_empty() || self.options.only.contains(contender) {
                for protocol in [Protocol::Http1, Protocol::Http2] {
                    answers.rows.push(self.row(*contender, protocol));
                }
            }
        }
        if self.options.only.is_empty() || self.options.only.contains(&Contender::Ours) {
            let problems = &mut answers.problems;
            answers.latency = self.runs_of(Question::Latency, problems, |_| latency::once(self));
            answers.flatness = self.runs_of(Question::Flatness, problems, |_| flatness::once(self));
            answers.idle = self.runs_of(Question::Idle, problems, |_| idle::once(self));
            answers.viewports = self.runs_of(Question::Viewports, problems, |_| viewports::once(self));
            answers.ingest = self.runs_of(Question::Ingest, problems, |_| ingest::once(self));
        }
        answers
    }

    fn row(&self, contender: Contender, protocol: Protocol) -> Row {
        let mut problems = Vec::new();
        let mut about = String::new();
        let (mut fanout, mut unary) = (Vec::new(), Vec::new());
        match self.replay(contender) {
            Err(error) => problems.push(format!("{error:#}")),
            Ok(replay) => {
                fanout = self.runs_of(Question::Fanout, &mut problems, |before| {
                    fanout::once(self, contender, protocol, &replay, before, |server| {
                        about.clone_from(&server.about);
                    })
                });
                if problems.is_empty() {
                    unary = self.runs_of(Question::Unary, &mut problems, |_| {
                        unary::once(self, contender, protocol, &replay, |server| {
                            about.clone_from(&server.about);
                        })
                    });
                }
            }
        }
        let problem = (!problems.is_empty()).then(|| problems.join("; "));
        let line = report::line(contender, protocol, &fanout, &unary, problem.as_deref());
        self.progress.suspend(|| eprintln!("{line}"));
        Row { contender, protocol, about, fanout, unary, problem }
    }

    /// Asks as often as there are runs, or until it fails; then what failed is among the problems. Each run knows the
    /// answers of those before it.
    fn runs_of<T>(
        &self,
        question: Question,
        problems: &mut Vec<String>,
        mut once: impl FnMut(&[T]) -> Result<T>,
    ) -> Vec<T> {
        let mut answers = Vec::new();
        if !self.options.questions.is_empty() && !self.options.questions.contains(&question) {
            return answers;
        }
        for run in 1..=self.plan.runs {
            self.progress.set_prefix(format!("{question:?}, run {run} of {}", self.plan.runs));
            match once(&answers) {
                Ok(answer) => answers.push(answer),
                Err(error) => {
                    problems.push(format!("{error:#}"));
                    break;
                }
            }
        }
        answers
    }

    /// What a contender is to send that sends another's bytes: recorded once in a while that this program runs.
    fn replay(&self, contender: Contender) -> Result<PathBuf> {
        let Some(whose) = contender.replays() else { return Ok(PathBuf::new()) };
        self.say(format!("recording {}", whose.name()));
        stage::record(self, whose)
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
