//! The cost of sending all cars to all viewers, and the largest number of viewers that a server holds.

use std::path::Path;

use anyhow::{Context as _, Result};

use super::{
    Bench,
    test_bed::{Sample, TestBed},
};
use crate::{contender::Contender, process::Server, search::Search, stats::slope, wire::Protocol};

/// The number of further measurements when a server fails while other processes use its core.
const LOOK_AGAIN: u32 = 2;

/// The result of one run.
#[derive(Clone, Debug)]
pub(crate) struct Fanout {
    /// The largest number of viewers that were served in time.
    pub(crate) most: usize,
    /// Is `true` if the server may hold more, because the sockets or the load generator's core were used up.
    pub(crate) at_least: bool,
    /// Car updates per second of the server's processor time, with the most viewers.
    pub(crate) at_most: f64,
    /// The same with the number of viewers that all contenders hold.
    pub(crate) at_few: f64,
    /// Bytes on the wire per car update, with all framing.
    pub(crate) bytes_per_update: f64,
    /// Resident bytes per viewer.
    pub(crate) memory_per_viewer: f64,
    /// The share of a core that other processes used: the larger share of the two cores.
    pub(crate) foreign_share: f64,
}

/// Makes one run with a new server. `before` has the results of earlier runs. `seen` is called with the server.
pub(super) fn once(
    bench: &Bench,
    contender: Contender,
    protocol: Protocol,
    replay: &Path,
    before: &[Fanout],
    seen: impl FnOnce(&Server),
) -> Result<Fanout> {
    let open = || TestBed::of_fleet(bench, contender, protocol, replay);
    let few = bench.plan.viewers;
    let mut stage = open()?;
    seen(&stage.server);
    // The slope begins at a quarter of the viewers: the first ones pay for what all share.
    let start = look_at(bench, &mut stage, contender, few / 4)?;
    let base = look_at(bench, &mut stage, contender, few)?;
    let memory =
        slope(memory_at(&start), memory_at(&base)).context("there are too few viewers for a slope")?;

    let likely = before.last().map(|run| run.most);
    let mut search = Search::new(few, bench.plan.cap, bench.plan.steps).near(likely);
    let (mut best, mut load_was_full, mut known) = (base.clone(), false, Some(base.clone()));
    while let Some(viewers) = search.next() {
        let sample = match known.take() {
            Some(base) => Ok(base),
            None => look_at(bench, &mut stage, contender, viewers),
        };
        match sample {
            Ok(sample) if sample.failed.is_none() => {
                search.held(sample.server_share());
                load_was_full = false;
                best = sample;
            }
            other => {
                let sample = other.ok();
                search.failed();
                load_was_full = sample.is_some_and(|sample| sample.load_is_full());
                // A server that has failed may still have work queued, so the next step starts a new one.
                drop(stage);
                stage = open()?;
            }
        }
    }
    Ok(Fanout {
        most: search.most(),
        at_least: search.at_cap() || load_was_full,
        at_most: best.updates_per_cpu_second(),
        at_few: base.updates_per_cpu_second(),
        bytes_per_update: base.bytes as f64 / base.updates,
        memory_per_viewer: memory,
        foreign_share: best.foreign_share,
    })
}

/// Measures with this many viewers, again if other processes disturbed.
pub(super) fn look_at(
    bench: &Bench,
    stage: &mut TestBed,
    contender: Contender,
    viewers: usize,
) -> Result<Sample> {
    bench.say(format!("{}: {viewers} viewers", contender.name()));
    stage.hold(viewers)?;
    let mut sample = stage.judge()?;
    for _ in 0..LOOK_AGAIN {
        if sample.failed_while_disturbed() {
            sample = stage.judge()?;
        }
    }
    let (server, load) = (100.0 * sample.server_share(), 100.0 * sample.load_share);
    let outcome = sample.failed.as_deref().unwrap_or("held");
    bench.log(&format!(
        "{} {viewers} viewers: {outcome}; server {server:.0} %, load {load:.0} %, other processes {:.0} %, {:.1} M \
         updates per CPU-second",
        contender.name(),
        100.0 * sample.foreign_share,
        sample.updates_per_cpu_second() / 1e6,
    ));
    Ok(sample)
}

fn memory_at(sample: &Sample) -> (f64, f64) {
    (sample.viewers as f64, sample.resident as f64)
}
