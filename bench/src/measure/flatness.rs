//! The cost of one more viewer of Rides with 200 cars in view, as the rest of the fleet grows.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};

use super::{
    Bench,
    test_bed::{Sample, TestBed},
};
use crate::{
    contender::Contender,
    feed::Group,
    fleet::{Cars, TICK_SECONDS, downtown, elsewhere},
    stats::slope,
    wire::Protocol,
};

/// The sizes of the fleet.
const FLEETS: [usize; 3] = [1_000, 10_000, 100_000];
/// The number of cars in view.
pub(crate) const IN_VIEW: usize = 200;
/// The largest number of positions per second of all cars out of view. A larger fleet reports less often.
pub(crate) const REPORTS_PER_SECOND: usize = 40_000;

/// The result of one run for one size of the fleet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flatness {
    /// The number of cars in the fleet.
    pub(crate) cars: usize,
    /// The server's processor time for one viewer and one tick, in microseconds.
    pub(crate) micros_per_viewer_tick: f64,
}

/// Makes one run for each size of the fleet, each with a new server.
pub(super) fn once(bench: &Bench) -> Result<Vec<Flatness>> {
    FLEETS.into_iter().map(|cars| of_fleet(bench, cars)).collect()
}

fn of_fleet(bench: &Bench, cars: usize) -> Result<Flatness> {
    let contender = Contender::Ours;
    let far = cars - IN_VIEW;
    let per_second = (far as f64 / TICK_SECONDS) as usize;
    let groups = vec![
        Group { cars: Cars::new(IN_VIEW, downtown(), 1), every: 1 },
        Group { cars: Cars::new(far, elsewhere(), 2), every: per_second.div_ceil(REPORTS_PER_SECOND) },
    ];
    let mut stage = TestBed::open(
        bench,
        contender,
        Protocol::Http1,
        Path::new(""),
        (vec![contender.watch()], groups, 0),
    )?;
    let few = bench.plan.viewers;
    let mut look = |viewers| -> Result<Sample> {
        bench.say(format!("a fleet of {cars}: {viewers} viewers"));
        stage.hold(viewers)?;
        let (sample, window) = stage.look()?;
        let (late, mean) = (100.0 * window.gaps.late_share(), window.gaps.mean_ticks());
        ensure!(
            window.lost.is_empty() && window.gaps.in_time(),
            "with a fleet of {cars}, {viewers} viewers were not served in time: {late:.1} % of gaps were late, the \
             mean is {mean:.2} ticks",
        );
        Ok(sample)
    };
    let (some, many) = (look(few)?, look(6 * few)?);
    let at = |sample: &Sample| (sample.viewers as f64, sample.server_share());
    let share = slope(at(&some), at(&many)).context("there are too few viewers for a slope")?;
    Ok(Flatness { cars, micros_per_viewer_tick: share * TICK_SECONDS * 1e6 })
}
