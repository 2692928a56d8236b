//! The cost of sending all cars when no two viewers see the same cells. Then viewers share only the encoded cells,
//! and the server assembles each message for one viewer.

use std::path::Path;

use anyhow::{Result, ensure};

use super::{Bench, fanout::look_at, test_bed::TestBed};
use crate::{
    contender::{Contender, watch_fleet},
    feed::fleet,
    fleet::downtown,
    wire::{Protocol, RpcCall},
};

/// The number of different extensions of the viewport to the west, and to the south. All viewports contain every car.
const SIDE: u32 = 20;

/// The result of one run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Viewports {
    /// Car updates per second of the server's processor time, with the number of viewers that all contenders hold.
    pub(crate) at_few: f64,
}

/// Makes one run with a new server.
pub(super) fn once(bench: &Bench) -> Result<Viewports> {
    let viewers = bench.plan.viewers;
    let mut stage =
        TestBed::open(bench, Contender::Ours, Protocol::Http1, Path::new(""), (calls(), fleet(), 1))?;
    let sample = look_at(bench, &mut stage, Contender::Ours, viewers)?;
    let failed = sample.failed.as_deref().unwrap_or_default();
    ensure!(failed.is_empty(), "with {viewers} different viewports: {failed}");
    Ok(Viewports { at_few: sample.updates_per_cpu_second() })
}

fn calls() -> Vec<RpcCall> {
    let beyond = (0..SIDE).flat_map(|south| (0..SIDE).map(move |west| (west, south)));
    beyond.map(|(west, south)| watch_fleet(downtown().viewport_beyond(west, south), true)).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use rides_proto::{geo::Bounds, tiles::CellBox};

    use super::*;

    #[test]
    fn no_two_look_at_the_same_cells_and_all_look_at_downtown() {
        let cells = |west, south| {
            let bounds = Bounds::try_from(downtown().viewport_beyond(west, south)).unwrap();
            CellBox::of(bounds)
        };
        let all: HashSet<_> = (0..SIDE * SIDE).map(|n| cells(n % SIDE, n / SIDE)).collect();
        assert_eq!(all.len(), calls().len());
        let downtown: Vec<_> = cells(0, 0).cells().collect();
        for view in all {
            let seen: HashSet<_> = view.cells().collect();
            assert!(downtown.iter().all(|cell| seen.contains(cell)), "{view:?}");
        }
    }
}
