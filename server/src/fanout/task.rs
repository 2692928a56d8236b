//! The task that turns ticks into boards, and the handle that gives out viewers.

use std::{collections::HashMap, sync::Arc, time::Duration};

use bytes::Bytes;
use rides_proto::{geo::Bounds, tiles::Cell};
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
};
use uuid::Uuid;

use super::{
    board::Board,
    frame,
    viewer::{TooWide, Viewer},
};
use crate::positions::FleetTick;

/// The handle of the fan-out. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Fanout {
    boards: watch::Receiver<Arc<Board>>,
    pub(super) epoch: Arc<str>,
    opening: Bytes,
}

impl Fanout {
    /// Starts the task that applies ticks, in a new epoch. It ends with `ticks`, and then so do all viewers.
    pub fn spawn(ticks: mpsc::Receiver<FleetTick>, tick_interval: Duration) -> (Self, JoinHandle<()>) {
        let epoch = Uuid::new_v4().simple().to_string();
        let opening = frame::opening(&epoch, tick_interval);
        let (publish, boards) = watch::channel(Arc::new(Board::new()));
        (Self { boards, epoch: epoch.into(), opening }, tokio::spawn(run(ticks, publish)))
    }

    /// Opens a view. `cursors` say which tick of which cell the viewer has already, and mean something only
    /// when `epoch` is the present one.
    pub fn watch(
        &self,
        viewport: Bounds,
        cursors: HashMap<Cell, u64>,
        epoch: &str,
    ) -> Result<Viewer, TooWide> {
        let cursors = if *epoch == *self.epoch { cursors } else { HashMap::new() };
        Viewer::new(self.boards.clone(), self.opening.clone(), viewport, cursors)
    }
}

async fn run(mut ticks: mpsc::Receiver<FleetTick>, publish: watch::Sender<Arc<Board>>) {
    let mut board = Board::new();
    while let Some(tick) = ticks.recv().await {
        board.apply(&tick);
        publish.send_replace(Arc::new(board.clone()));
    }
}
