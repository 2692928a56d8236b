//! The memory of a viewer of Rides that sees no cars.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};

use super::{Bench, test_bed::TestBed};
use crate::{
    contender::{Contender, watch_fleet},
    feed::fleet,
    fleet::at_sea,
    stats::slope,
    wire::Protocol,
};

/// The result of one run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Idle {
    /// Resident bytes per viewer, without the kernel's buffers.
    pub(crate) memory_per_viewer: f64,
}

/// Makes one run with a new server.
pub(super) fn once(bench: &Bench) -> Result<Idle> {
    let call = watch_fleet(at_sea().viewport(), true);
    let scene = (vec![call], fleet(), 0);
    let mut stage = TestBed::open(bench, Contender::Ours, Protocol::Http1, Path::new(""), scene)?;
    let mut resident = |viewers: usize| -> Result<(f64, f64)> {
        bench.say(format!("{viewers} idle viewers"));
        stage.hold(viewers)?;
        let (sample, window) = stage.look()?;
        ensure!(window.lost.is_empty(), "streams were lost: {}", window.lost.join(", "));
        Ok((viewers as f64, sample.resident as f64))
    };
    let all = bench.plan.idle_viewers;
    let memory =
        slope(resident(all / 10)?, resident(all)?).context("there are too few viewers for a slope")?;
    Ok(Idle { memory_per_viewer: memory })
}
