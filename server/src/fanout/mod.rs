//! The fan-out of car positions to viewers, encoded once for all of them.
//!
//! [`active_rides`] mirrors the fleet by map [`cell`]. [`frame`] encodes a cell as bytes. [`message`] joins the frames
//! that a view lacks, once for all viewers that lack the same. [`view_state`] is the pure state of a [`viewer`]: it
//! decides what the next message has, by [`detail`] and [`byte_rate_limit`]. Viewers pull and have no queue, so a slow
//! viewer costs nothing and gets fewer, newer frames. [`stall_detector`] ends viewers that read nothing.

mod byte_rate_limit;
mod cell;
mod detail;
mod fleet_map;
mod frame;
mod map_watch;
mod message;
mod stall_detector;
mod task;
mod view_state;
mod viewer;

pub use self::{
    detail::Detail,
    fleet_map::FleetMap,
    message::{Baseline, MessageKey, SharedView},
    stall_detector::ViewerSlot,
    task::{Fanout, FanoutOptions, WatchParams},
    viewer::{MAX_CELLS, Viewer, ViewerEnd, ViewportTooWide},
};
