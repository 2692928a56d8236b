//! What it costs to tell everybody of all cars when no two viewers look at the same cells: then nothing but the cells is
//! shared, and each viewer's message is put together for it alone.

use std::path::Path;

use anyhow::{Result, ensure};

use super::{Bench, fanout::look_at, stage::Stage};
use crate::{
    contender::{Contender, watch_fleet},
    feed::fleet,
    fleet::downtown,
    wire::{Call, Protocol},
};

/// All see every car; one in so many sees as far to the west, and one in so many as far to the south.
const SIDE: u32 = 20;

/// What one run found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Viewports {
    /// Car updates in a second of the server's time, with as many viewers as all contenders hold.
    pub(crate) at_few: f64,
}

/// Asks once, of a new server.
pub(super) fn once(bench: &Bench) -> Result<Viewports> {
    let viewers = bench.plan.viewers;
    let mut stage =
        Stage::open(bench, Contender::Ours, Protocol::Http1, Path::new(""), (calls(), fleet(), 1))?;
    let sample = look_at(bench, &mut stage, Contender::Ours, viewers)?;
    let failed = sample.failed.as_deref().unwrap_or_default();
    ensure!(failed.is_empty(), "with a viewport for each of {viewers} viewers, {failed}");
    Ok(Viewports { at_few: sample.updates_per_cpu_second() })
}

fn calls() -> Vec<Call> {
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
