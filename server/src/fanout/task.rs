//! The task that turns ticks into boards, and the handle that gives out viewers.

use std::{collections::HashMap, num::NonZeroU32, sync::Arc, time::Duration};

use metrics::{Counter, counter, describe_counter};
use rides_proto::{
    geo::Bounds,
    tiles::{Cell, CellBox},
};
use tokio::{sync::mpsc, task::JoinHandle, time::Instant};
use uuid::Uuid;

use super::{
    allowance::Allowance,
    attendance::Attendance,
    board::Board,
    latest::{Latest, Publisher, latest},
    sight::Sight,
    viewer::{MAX_CELLS, TooWide, Viewer},
};
use crate::positions::FleetTick;

const LET_GO: &str = "rides_viewers_let_go_total";

/// Between two rounds past the viewers.
const ROUND: Duration = Duration::from_secs(1);
/// The time between two ticks counts as at most so many of them: while the process was stopped, nobody was slow.
const LONGEST_STEP: u32 = 8;

/// How the fan-out treats its viewers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FanoutOptions {
    /// Time between ticks, as viewers are told.
    pub tick: Duration,
    /// A viewer that takes nothing for so long is let go.
    pub viewer_timeout: Duration,
    /// A viewport with more cars than this is told their number per cell.
    pub viewer_cars: usize,
    /// The most that one viewer is sent. `None`: no ceiling.
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

/// What a viewer asks for.
#[derive(Clone, PartialEq, Debug)]
pub struct Request<'a> {
    /// What it looks at.
    pub viewport: Bounds,
    /// Which tick of which cell it has already.
    pub cursors: HashMap<Cell, u64>,
    /// Of which epoch. Of another than the present one, cursors mean nothing.
    pub epoch: &'a str,
    /// Whether it understands cars that only moved.
    pub moves: bool,
    /// True if it understands densities of coarser tiles, and so may look at any number of cells.
    pub coarse: bool,
}

/// The handle of the fan-out. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Fanout {
    boards: Latest,
    attendance: Arc<Attendance>,
    pub(super) epoch: Arc<str>,
    options: FanoutOptions,
}

impl Fanout {
    /// Starts the task that applies ticks, in a new epoch. It ends with `ticks`, and then so do all viewers.
    pub fn spawn(ticks: mpsc::Receiver<FleetTick>, options: FanoutOptions) -> (Self, JoinHandle<()>) {
        describe_counter!(
            LET_GO,
            "Viewers of the fleet that were let go, for they took nothing for too long."
        );
        let epoch = Uuid::new_v4().simple().to_string();
        let first = Arc::new(Board::new(&epoch, options.tick));
        let (publisher, boards) = latest(first.clone());
        let attendance = Arc::new(Attendance::new(options.viewer_timeout));
        let task =
            tokio::spawn(run(ticks, first, publisher, attendance.clone(), counter!(LET_GO), options.tick));
        (Self { boards, attendance, epoch: epoch.into(), options }, task)
    }

    /// Opens a view.
    pub fn watch(&self, request: Request<'_>) -> Result<Viewer, TooWide> {
        let Request { viewport, cursors, epoch, moves, coarse } = request;
        let view = CellBox::of(viewport);
        let cells = view.count();
        if cells > MAX_CELLS && !coarse {
            return Err(TooWide { cells });
        }
        let cursors = if *epoch == *self.epoch { cursors } else { HashMap::new() };
        let allowance = Allowance::new(self.options.viewer_bytes_per_second);
        let sight = Sight::new(view, self.options.viewer_cars, moves, cursors, allowance);
        let seat = self.attendance.take_seat(self.boards.uptime());
        Ok(Viewer::new(self.boards.clone(), seat, sight))
    }
}

async fn run(
    mut ticks: mpsc::Receiver<FleetTick>,
    mut board: Arc<Board>,
    publisher: Publisher,
    attendance: Arc<Attendance>,
    let_go: Counter,
    tick_interval: Duration,
) {
    let mut ticked_at = Instant::now();
    let mut round_at = ROUND;
    while let Some(tick) = ticks.recv().await {
        let now = Instant::now();
        let uptime = board.uptime + (now - ticked_at).min(tick_interval * LONGEST_STEP);
        ticked_at = now;
        board = Arc::new(board.after(tick, uptime));
        publisher.publish(board.clone()).await;
        if uptime >= round_at {
            round_at = uptime + ROUND;
            let_go.increment(attendance.go_round(uptime) as u64);
        }
    }
}
