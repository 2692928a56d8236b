//! A server with its feed and its viewers, and single measurements of them.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};

use super::Bench;
use crate::{
    contender::{Contender, MessageForm},
    feed::{Feed, Group, fleet},
    fleet::TICK_SECONDS,
    load::{KeptMessage, Target, Viewers, Window},
    machine::Cores,
    process::{Server, own_cpu},
    servers::CARS,
    wire::{Protocol, RpcCall},
};

/// The time within which viewers must open their streams.
const OPEN_WITHIN: Duration = Duration::from_secs(30);
/// The least mean share of all cars in a message. With fewer the server does not send the whole fleet.
const COMPLETE: f64 = 0.95;
/// The share of its core above which the load generator is the bottleneck.
const LOAD_IS_FULL: f64 = 0.9;
/// The share of a core above which other processes disturb a measurement.
const DISTURBED: f64 = 0.05;

/// A running server, the feed of positions, and the viewers.
#[derive(Debug)]
pub(super) struct TestBed {
    // Fields are dropped in this order: the server last.
    pub(super) viewers: Viewers,
    pub(super) feed: Option<Feed>,
    pub(super) server: Server,
    cores: Cores,
    form: MessageForm,
    settle: Duration,
    window: Duration,
}

/// The result of one measurement.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    /// The number of viewers.
    pub(super) viewers: usize,
    /// The number of car updates, over all viewers.
    pub(super) updates: f64,
    /// The number of bytes received, with all framing.
    pub(super) bytes: u64,
    /// The server's processor time.
    pub(super) cpu: Duration,
    /// The server's resident bytes at the end.
    pub(super) resident: u64,
    /// The duration.
    pub(super) took: Duration,
    /// The share of its core that the load generator used.
    pub(super) load_share: f64,
    /// The share of a core that neither the server nor the load generator used: the larger share of the two cores.
    pub(super) foreign_share: f64,
    /// The reason why the server does not hold these viewers, if it does not.
    pub(super) failed: Option<String>,
}

impl TestBed {
    /// Starts a server without viewers. The first `keeping` viewers keep their messages.
    pub(super) fn open(
        bench: &Bench,
        contender: Contender,
        protocol: Protocol,
        replay: &Path,
        (calls, groups, keeping): (Vec<RpcCall>, Vec<Group>, usize),
    ) -> Result<Self> {
        bench.say(format!("starting {}", contender.name()));
        let server = contender.start(&bench.options, bench.cores, protocol, replay)?;
        let feed = contender.receives_positions().then(|| Feed::start(server.addr, groups));
        let target = Target { addr: server.addr, protocol, calls };
        let viewers = Viewers::new(target, Duration::from_secs_f64(TICK_SECONDS), keeping)?;
        let (settle, window) = (bench.plan.settle, bench.plan.window);
        Ok(Self { viewers, feed, server, cores: bench.cores, form: contender.form(), settle, window })
    }

    /// Starts a server whose viewers see the whole fleet. The first one keeps its messages.
    pub(super) fn of_fleet(
        bench: &Bench,
        contender: Contender,
        protocol: Protocol,
        replay: &Path,
    ) -> Result<Self> {
        Self::open(bench, contender, protocol, replay, (vec![contender.watch()], fleet(), 1))
    }

    /// Opens or closes streams until there are this many viewers.
    pub(super) fn hold(&mut self, viewers: usize) -> Result<()> {
        self.viewers.hold(viewers, OPEN_WITHIN)
    }

    /// Measures for the window, after a pause to settle.
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

    /// Measures viewers of the whole fleet, and checks whether the server holds them.
    pub(super) fn judge(&mut self) -> Result<Sample> {
        let (sample, window) = self.look()?;
        let cars = cars_per_message(self.form, &window.kept)?;
        let failed = if let Some(why) = window.lost.last() {
            Some(format!("{} streams ended, the last because: {why}", window.lost.len()))
        } else if !window.gaps.in_time() {
            let (late, mean) = (100.0 * window.gaps.late_share(), window.gaps.mean_ticks());
            Some(format!("{late:.1} % of gaps were late, the mean is {mean:.2} ticks"))
        } else if cars < COMPLETE * CARS as f64 {
            Some(format!("a message has {cars:.0} cars, not {CARS}"))
        } else {
            None
        };
        Ok(Sample { updates: cars * window.messages as f64, failed, ..sample })
    }
}

impl Sample {
    /// Returns the share of its core that the server used.
    pub(super) fn server_share(&self) -> f64 {
        self.cpu.as_secs_f64() / self.took.as_secs_f64()
    }

    /// Returns the car updates per second of the server's processor time.
    pub(super) fn updates_per_cpu_second(&self) -> f64 {
        self.updates / self.cpu.as_secs_f64()
    }

    /// Returns `true` if the server failed while other processes disturbed.
    pub(super) fn failed_while_disturbed(&self) -> bool {
        self.failed.is_some() && self.foreign_share > DISTURBED
    }

    /// Returns `true` if the load generator is the bottleneck.
    pub(super) fn load_is_full(&self) -> bool {
        self.load_share > LOAD_IS_FULL
    }
}

/// Records 6 s of messages of a contender, for another to send again. Returns their file.
pub(super) fn record(bench: &Bench, contender: Contender) -> Result<PathBuf> {
    const RECORD: Duration = Duration::from_secs(6);
    let mut stage = TestBed::of_fleet(bench, contender, Protocol::Http2, Path::new(""))?;
    stage.hold(1)?;
    stage.viewers.watch(stage.settle)?;
    let window = stage.viewers.watch(RECORD)?;
    let cars = cars_per_message(stage.form, &window.kept)?;
    ensure!(cars >= COMPLETE * CARS as f64, "{} has {cars:.0} cars per message", contender.name());
    let path = bench.options.scratch.join(format!("{contender:?}.messages"));
    let length = |message: &[u8]| (message.len() as u32).to_be_bytes();
    let file: Vec<u8> = window
        .kept
        .iter()
        .flat_map(|KeptMessage { message, .. }| [&length(message), &message[..]].concat())
        .collect();
    fs::write(&path, file).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}

fn cars_per_message(form: MessageForm, kept: &[KeptMessage]) -> Result<f64> {
    let mut cars = 0;
    for KeptMessage { message, .. } in kept {
        cars += form.cars(message).context("cannot decode a message")?;
    }
    Ok(cars as f64 / kept.len().max(1) as f64)
}
