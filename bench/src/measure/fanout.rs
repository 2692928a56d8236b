//! What it costs to tell everybody of all cars, and how many can be told.

use std::path::Path;

use anyhow::{Context as _, Result};

use super::{
    Bench,
    stage::{Sample, Stage},
};
use crate::{contender::Contender, process::Server, search::Search, stats::slope, wire::Protocol};

/// So often, when a server fails while something else runs beside it.
const LOOK_AGAIN: u32 = 2;

/// What one run found.
#[derive(Clone, Debug)]
pub(crate) struct Fanout {
    /// The most viewers that were served in time.
    pub(crate) most: usize,
    /// The server may hold more: there were no more sockets, or the load was full.
    pub(crate) at_least: bool,
    /// Car updates in a second of the server's time, with so many.
    pub(crate) at_most: f64,
    /// The same with as many as all contenders hold.
    pub(crate) at_few: f64,
    /// On the wire, with all framing.
    pub(crate) bytes_per_update: f64,
    /// Resident, in bytes.
    pub(crate) memory_per_viewer: f64,
    /// Of either core, what something else used meanwhile.
    pub(crate) foreign_share: f64,
}

/// Asks once, of a new server, after the runs `before`. `seen` gets to see it.
pub(super) fn once(
    bench: &Bench,
    contender: Contender,
    protocol: Protocol,
    replay: &Path,
    before: &[Fanout],
    seen: impl FnOnce(&Server),
) -> Result<Fanout> {
    let open = || Stage::of_fleet(bench, contender, protocol, replay);
    let few = bench.plan.viewers;
    let mut stage = open()?;
    seen(&stage.server);
    // The first viewers are not counted: they pay for what all share.
    let start = look_at(bench, &mut stage, contender, few / 4)?;
    let base = look_at(bench, &mut stage, contender, few)?;
    let memory = slope(memory_at(&start), memory_at(&base)).context("there are too few viewers")?;

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
                // What it could not do may still lie about in it.
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

/// Looks at so many viewers, and again where something else was in the way.
pub(super) fn look_at(
    bench: &Bench,
    stage: &mut Stage,
    contender: Contender,
    viewers: usize,
) -> Result<Sample> {
    bench.say(format!("{}: {viewers} viewers", contender.name()));
    stage.hold(viewers)?;
    let mut sample = stage.judge()?;
    for _ in 0..LOOK_AGAIN {
        if sample.failed_in_company() {
            sample = stage.judge()?;
        }
    }
    let (server, load) = (100.0 * sample.server_share(), 100.0 * sample.load_share);
    let outcome = sample.failed.as_deref().unwrap_or("held");
    bench.log(&format!(
        "{} {viewers} viewers: {outcome}; server {server:.0} %, load {load:.0} %, others {:.0} %, {:.1} M updates per \
         CPU-second",
        contender.name(),
        100.0 * sample.foreign_share,
        sample.updates_per_cpu_second() / 1e6,
    ));
    Ok(sample)
}

fn memory_at(sample: &Sample) -> (f64, f64) {
    (sample.viewers as f64, sample.resident as f64)
}
