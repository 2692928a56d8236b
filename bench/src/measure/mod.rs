//! The questions, asked of all contenders in turn, round by round: a slow minute of the machine is nobody's own.

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
    process::Server,
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
    /// What it sends, if that is what another sends.
    pub(crate) replay: PathBuf,
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
        let mut answers = Answers { rows: self.rows(), ..Answers::default() };
        for question in [Question::Fanout, Question::Unary] {
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
            answers.latency = self.ask_ours(Question::Latency, problems, || latency::once(self));
            answers.flatness = self.ask_ours(Question::Flatness, problems, || flatness::once(self));
            answers.idle = self.ask_ours(Question::Idle, problems, || idle::once(self));
            answers.viewports = self.ask_ours(Question::Viewports, problems, || viewports::once(self));
            answers.ingest = self.ask_ours(Question::Ingest, problems, || ingest::once(self));
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

    /// Asks once. Each run knows the answers of those before it.
    fn ask(&self, question: Question, row: &mut Row) -> Result<()> {
        let Row { contender, protocol, replay, about, fanout, unary, .. } = row;
        let seen = |server: &Server| about.clone_from(&server.about);
        if question == Question::Fanout {
            let answer = fanout::once(self, *contender, *protocol, replay, fanout, seen)?;
            fanout.push(answer);
        } else {
            unary.push(unary::once(self, *contender, *protocol, replay, seen)?);
        }
        Ok(())
    }

    /// Asks ours as often as there are runs, or until it fails; then what failed is among the problems.
    fn ask_ours<T>(
        &self,
        question: Question,
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

    /// None of what is not asked.
    fn runs(&self, question: Question) -> impl Iterator<Item = u32> {
        let is_asked = self.options.questions.is_empty() || self.options.questions.contains(&question);
        let runs = if is_asked { self.plan.runs } else { 0 };
        (1..=runs).inspect(move |run| self.progress.set_prefix(format!("{question:?}, run {run} of {runs}")))
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
