//! The task that turns ticks into boards, and the handle that opens viewers.

use std::{collections::HashMap, num::NonZeroU32, sync::Arc, time::Duration};

use metrics::{Counter, counter, describe_counter};
use rides_proto::{
    geo::Bounds,
    tiles::{Cell, CellBox},
};
use tokio::{sync::mpsc, task::JoinHandle, time::Instant};
use uuid::Uuid;

use super::{
    byte_rate_limit::ByteRateLimit,
    fleet_map::FleetMap,
    map_watch::{MapReceiver, MapSender, channel},
    stall_detector::StallDetector,
    view_state::ViewState,
    viewer::{MAX_CELLS, Viewer, ViewportTooWide},
};
use crate::positions::FleetTick;

const ENDED_VIEWERS: &str = "rides_viewers_let_go_total";

/// The interval between two checks for stalled viewers.
const STALL_CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// The most ticks that the time between two ticks counts for. A viewer must not time out because the process was
/// paused.
const MAX_TICKS_PER_STEP: u32 = 8;

/// Settings of the fan-out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FanoutOptions {
    /// The time between ticks, as announced to viewers.
    pub tick: Duration,
    /// A viewer that reads nothing for this long is ended.
    pub viewer_timeout: Duration,
    /// With more cars than this in its viewport, a viewer gets counts of cars per tile.
    pub viewer_cars: usize,
    /// The rate limit of one viewer. `None`: no limit.
    pub viewer_bytes_per_second: Option<NonZeroU32>,
}

impl Default for FanoutOptions {
    fn default() -> Self {
        Self {
            tick: Duration::from_millis(250),
            viewer_timeout: Duration::from_secs(20),
            viewer_cars: 10_000,
            viewer_bytes_per_second: NonZeroU32::new(500_000),
        }
    }
}

/// The parameters of a new viewer.
#[derive(Clone, PartialEq, Debug)]
pub struct WatchParams<'a> {
    /// The part of the map that the viewer shows.
    pub viewport: Bounds,
    /// The cells that the viewer has already, each with its tick.
    pub cursors: HashMap<Cell, u64>,
    /// The epoch of `cursors`. Cursors of another epoch are ignored.
    pub epoch: &'a str,
    /// `true` if the viewer understands cars that only moved.
    pub moves: bool,
    /// `true` if the viewer understands density tiles that are coarser than cells. It may look at any number of cells
    /// then.
    pub coarse: bool,
}

/// A handle to the fan-out. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Fanout {
    boards: MapReceiver,
    stalls: Arc<StallDetector>,
    pub(super) epoch: Arc<str>,
    options: FanoutOptions,
}

impl Fanout {
    /// Starts the fan-out task in a new epoch. The task and all viewers end when `ticks` is closed.
    pub fn spawn(ticks: mpsc::Receiver<FleetTick>, options: FanoutOptions) -> (Self, JoinHandle<()>) {
        describe_counter!(
            ENDED_VIEWERS,
            "Viewers of the fleet that were ended because they read nothing for too long."
        );
        let epoch = Uuid::new_v4().simple().to_string();
        let first = Arc::new(FleetMap::new(&epoch, options.tick));
        let (publisher, boards) = channel(first.clone());
        let attendance = Arc::new(StallDetector::new(options.viewer_timeout));
        let task = tokio::spawn(run(
            ticks,
            first,
            publisher,
            attendance.clone(),
            counter!(ENDED_VIEWERS),
            options.tick,
        ));
        (Self { boards, stalls: attendance, epoch: epoch.into(), options }, task)
    }

    /// Opens a viewer. Fails if the viewport is too wide for a viewer that does not understand coarse tiles.
    pub fn watch(&self, request: WatchParams<'_>) -> Result<Viewer, ViewportTooWide> {
        let WatchParams { viewport, cursors, epoch, moves, coarse } = request;
        let view = CellBox::of(viewport);
        let cells = view.count();
        if cells > MAX_CELLS && !coarse {
            return Err(ViewportTooWide { cells });
        }
        let cursors = if *epoch == *self.epoch { cursors } else { HashMap::new() };
        let allowance = ByteRateLimit::new(self.options.viewer_bytes_per_second);
        let sight = ViewState::new(view, self.options.viewer_cars, moves, cursors, allowance);
        let seat = self.stalls.register(self.boards.uptime());
        Ok(Viewer::new(self.boards.clone(), seat, sight))
    }
}

async fn run(
    mut ticks: mpsc::Receiver<FleetTick>,
    mut board: Arc<FleetMap>,
    publisher: MapSender,
    attendance: Arc<StallDetector>,
    let_go: Counter,
    tick_interval: Duration,
) {
    let mut ticked_at = Instant::now();
    let mut round_at = STALL_CHECK_INTERVAL;
    while let Some(tick) = ticks.recv().await {
        let now = Instant::now();
        let uptime = board.uptime + (now - ticked_at).min(tick_interval * MAX_TICKS_PER_STEP);
        ticked_at = now;
        board = Arc::new(board.after(tick, uptime));
        publisher.publish(board.clone()).await;
        if uptime >= round_at {
            round_at = uptime + STALL_CHECK_INTERVAL;
            let_go.increment(attendance.expire_stalled(uptime) as u64);
        }
    }
}
