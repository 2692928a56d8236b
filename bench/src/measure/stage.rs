//! A server with its feed and its viewers, and what one look at them says.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};

use super::Bench;
use crate::{
    contender::{Contender, Form},
    feed::{Feed, Group, fleet},
    fleet::TICK_SECONDS,
    load::{Kept, Target, Viewers, Window},
    machine::Cores,
    process::{Server, own_cpu},
    servers::CARS,
    wire::{Call, Protocol},
};

/// How long viewers may take to come.
const OPEN_WITHIN: Duration = Duration::from_secs(30);
/// Of the cars, so many must be in a message on the mean: else it is not the fleet that is sent.
const COMPLETE: f64 = 0.95;
/// Of its core the load may use so much before it is what limits.
const LOAD_IS_FULL: f64 = 0.9;
/// Of a core others may use so much before they disturb.
const QUIET: f64 = 0.05;

/// What is on.
#[derive(Debug)]
pub(super) struct Stage {
    // Dropped in this order: the server last.
    pub(super) viewers: Viewers,
    pub(super) feed: Option<Feed>,
    pub(super) server: Server,
    cores: Cores,
    form: Form,
    settle: Duration,
    window: Duration,
}

/// What one look said.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    /// How many there were.
    pub(super) viewers: usize,
    /// Cars told, over all viewers.
    pub(super) updates: f64,
    /// With all framing.
    pub(super) bytes: u64,
    /// Of the server.
    pub(super) cpu: Duration,
    /// Of the server, in bytes, at the end.
    pub(super) resident: u64,
    /// That it lasted.
    pub(super) took: Duration,
    /// Of its core, what the load used.
    pub(super) load_share: f64,
    /// Of either core, what neither the server nor the load used.
    pub(super) foreign_share: f64,
    /// Why this is more than the server can hold, if it is.
    pub(super) failed: Option<String>,
}

impl Stage {
    /// A server without viewers. The first `keeping` of those who come keep what they get.
    pub(super) fn open(
        bench: &Bench,
        contender: Contender,
        protocol: Protocol,
        replay: &Path,
        (calls, groups, keeping): (Vec<Call>, Vec<Group>, usize),
    ) -> Result<Self> {
        bench.say(format!("starting {}", contender.name()));
        let server = contender.start(&bench.options, bench.cores, protocol, replay)?;
        let feed = contender.is_fed().then(|| Feed::start(server.addr, groups));
        let target = Target { addr: server.addr, protocol, calls };
        let viewers = Viewers::new(target, Duration::from_secs_f64(TICK_SECONDS), keeping)?;
        let (settle, window) = (bench.plan.settle, bench.plan.window);
        Ok(Self { viewers, feed, server, cores: bench.cores, form: contender.form(), settle, window })
    }

    /// All viewers see the whole fleet, and one of them looks at what it gets.
    pub(super) fn of_fleet(
        bench: &Bench,
        contender: Contender,
        protocol: Protocol,
        replay: &Path,
    ) -> Result<Self> {
        Self::open(bench, contender, protocol, replay, (vec![contender.watch()], fleet(), 1))
    }

    /// Lets as many viewers come or go as it takes.
    pub(super) fn hold(&mut self, viewers: usize) -> Result<()> {
        self.viewers.hold(viewers, OPEN_WITHIN)
    }

    /// Looks at everything for a while.
    pub(super) fn look(&mut self) -> Result<(Sample, Window)> {
        self.viewers.watch(self.settle)?;
        let (start, idle) = (Instant::now(), self.cores.idle()?);
        let (cpu, own) = (self.server.cpu()?, own_cpu()?);
        let window = self.viewers.watch(self.window)?;
        let took = start.elapsed();
        let (cpu, own) = (self.server.cpu()?.saturating_sub(cpu), own_cpu()?.saturating_sub(own));
        let share = |time: Duration| time.as_secs_f64() / took.as_secs_f64();
        let mut foreign_share: f64 = 0.0;
        for ((after, before), used) in self.cores.idle()?.into_iter().zip(idle).zip([cpu, own]) {
            foreign_share = foreign_share.max(1.0 - share(after.saturating_sub(before)) - share(used));
        }
        let sample = Sample {
            viewers: self.viewers.len(),
            updates: 0.0,
            bytes: window.bytes,
            cpu,
            resident: self.server.resident()?,
            took,
            load_share: share(own),
            foreign_share,
            failed: None,
        };
        Ok((sample, window))
    }

    /// Looks at viewers of the whole fleet, and judges whether the server holds them.
    pub(super) fn judge(&mut self) -> Result<Sample> {
        let (sample, window) = self.look()?;
        let cars = cars_per_message(self.form, &window.kept)?;
        let failed = if let Some(why) = window.lost.last() {
            Some(format!("{} streams were lost, one because {why}", window.lost.len()))
        } else if !window.gaps.in_time() {
            let (late, mean) = (100.0 * window.gaps.late_share(), window.gaps.mean_ticks());
            Some(format!("{late:.1} % of gaps were late, the mean is {mean:.2} ticks"))
        } else if cars < COMPLETE * CARS as f64 {
            Some(format!("a message tells of {cars:.0} cars and not of {CARS}"))
        } else {
            None
        };
        Ok(Sample { updates: cars * window.messages as f64, failed, ..sample })
    }
}

impl Sample {
    /// Of the server's core.
    pub(super) fn server_share(&self) -> f64 {
        self.cpu.as_secs_f64() / self.took.as_secs_f64()
    }

    /// Car updates delivered in a second of the server's time.
    pub(super) fn updates_per_cpu_second(&self) -> f64 {
        self.updates / self.cpu.as_secs_f64()
    }

    /// Whether it failed, and may have because something else went on.
    pub(super) fn failed_in_company(&self) -> bool {
        self.failed.is_some() && self.foreign_share > QUIET
    }

    /// Whether it is the load that has no more to give.
    pub(super) fn load_is_full(&self) -> bool {
        self.load_share > LOAD_IS_FULL
    }
}

/// Records some seconds of what a contender sends, for another to send it again.
pub(super) fn record(bench: &Bench, contender: Contender) -> Result<PathBuf> {
    const RECORD: Duration = Duration::from_secs(6);
    let mut stage = Stage::of_fleet(bench, contender, Protocol::Http2, Path::new(""))?;
    stage.hold(1)?;
    stage.viewers.watch(stage.settle)?;
    let window = stage.viewers.watch(RECORD)?;
    let cars = cars_per_message(stage.form, &window.kept)?;
    ensure!(cars >= COMPLETE * CARS as f64, "{} tells of {cars:.0} cars a message", contender.name());
    let path = bench.options.scratch.join(format!("{contender:?}.messages"));
    let length = |message: &[u8]| (message.len() as u32).to_be_bytes();
    let file: Vec<u8> = window
        .kept
        .iter()
        .flat_map(|Kept { message, .. }| [&length(message), &message[..]].concat())
        .collect();
    fs::write(&path, file).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}

fn cars_per_message(form: Form, kept: &[Kept]) -> Result<f64> {
    let mut cars = 0;
    for Kept { message, .. } in kept {
        cars += form.cars(message).context("a message that is none")?;
    }
    Ok(cars as f64 / kept.len().max(1) as f64)
}
