//! The time from the report of a position until Rides has sent the frame with it to viewers.

use std::{
    collections::HashMap,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use prost::Message as _;
use rides_proto::{
    tiles::{Cell, WorldPoint},
    v1,
};

use super::{Bench, test_bed::TestBed};
use crate::{
    contender::{Contender, watch_fleet},
    feed::{Group, fleet},
    fleet::downtown,
    load::KeptMessage,
    stats::percentile,
    wire::Protocol,
};

/// The number of viewers. All of them see all cars.
pub(crate) const VIEWERS: usize = 1000;
/// The number of viewers that keep the times and contents of their messages.
const KEEPING: usize = 20;
/// The longest time that counts. After a longer time it is another visit of the same point.
const LONGEST: Duration = Duration::from_secs(5);

/// The result of one run, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Latency {
    /// The median.
    pub(crate) p50_ms: f64,
    /// The 99th percentile.
    pub(crate) p99_ms: f64,
}

/// Makes one run with a new server.
pub(super) fn once(bench: &Bench) -> Result<Latency> {
    let contender = Contender::Ours;
    // Without moves, each message has the position of every car.
    let scene = (vec![watch_fleet(downtown().viewport(), false)], fleet(), KEEPING);
    let mut stage = TestBed::open(bench, contender, Protocol::Http1, Path::new(""), scene)?;
    bench.say(format!("latency with {VIEWERS} viewers"));
    stage.hold(VIEWERS)?;
    let (_, window) = stage.look()?;
    ensure!(window.lost.is_empty(), "streams were lost: {}", window.lost.join(", "));
    let sent = stage.feed.take().context("the feed is not running")?.stop()?;
    let mut latencies = latencies(&window.kept, &Sent::new(fleet(), sent))?;
    bench.log(&format!("latency: {} positions timed", latencies.len()));
    let mut at = |share| percentile(&mut latencies, share).context("no position arrived");
    Ok(Latency { p50_ms: at(0.5)?, p99_ms: at(0.99)? })
}

/// The times at which cars were reported at each point.
struct Sent {
    times: Vec<Instant>,
    /// The slots in which a car was reported at a point, in ascending order.
    slots: HashMap<WorldPoint, Vec<u32>>,
}

impl Sent {
    /// Repeats the drive of the fleet slot by slot, which is deterministic.
    fn new(mut groups: Vec<Group>, times: Vec<Instant>) -> Self {
        let mut slots: HashMap<WorldPoint, Vec<u32>> = HashMap::new();
        for slot in 0..times.len() {
            for group in &mut groups {
                for index in group.drive(slot) {
                    slots.entry(group.cars.point(index)).or_default().push(slot as u32);
                }
            }
        }
        Self { times, slots }
    }

    /// Returns the last time before `at` at which a car was reported at `place`.
    fn before(&self, place: WorldPoint, at: Instant) -> Option<Instant> {
        let slots = self.slots.get(&place)?;
        slots.iter().rev().map(|slot| self.times[*slot as usize]).find(|sent| *sent <= at)
    }
}

fn latencies(kept: &[KeptMessage], sent: &Sent) -> Result<Vec<f64>> {
    let mut latencies = Vec::new();
    for KeptMessage { at, message } in kept {
        for frame in v1::WatchFleetResponse::decode(&**message)?.cells {
            let cell = Cell::new(frame.cell).context("a frame has an invalid cell")?;
            for (dx, dy) in frame.dx.iter().zip(&frame.dy) {
                let place = cell.point(*dx, *dy);
                let since = sent.before(place, *at).map(|sent| *at - sent);
                latencies
                    .extend(since.filter(|since| *since < LONGEST).map(|since| since.as_secs_f64() * 1e3));
            }
        }
    }
    Ok(latencies)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{feed::SLOTS, fleet::Cars};

    #[test]
    fn a_position_is_timed_from_its_slot() {
        let start = Instant::now();
        let times: Vec<_> =
            (0..3 * SLOTS).map(|slot| start + Duration::from_millis(25) * slot as u32).collect();
        let group = || Group { cars: Cars::new(50, downtown(), 9), every: 1 };
        let mut driven = group();
        for slot in 0..2 * SLOTS {
            let _ = driven.drive(slot);
        }
        // Car 12 was driven in slots 2 and 12.
        let here = driven.cars.point(12);
        let (cell, arrived) = (Cell::of(here), times[12] + Duration::from_millis(7));
        let (dx, dy) = cell.offset(here);
        let frame = v1::CellFrame { cell: cell.number(), dx: vec![dx], dy: vec![dy], ..Default::default() };
        let message = v1::WatchFleetResponse { cells: vec![frame], ..Default::default() }.encode_to_vec();
        let latencies =
            latencies(&[KeptMessage { at: arrived, message }], &Sent::new(vec![group()], times)).unwrap();
        assert_eq!(latencies.len(), 1);
        assert!((latencies[0] - 7.0).abs() < 0.01, "{latencies:?}");
    }
}
