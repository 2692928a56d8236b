//! The fan-out of car positions to viewers, encoded once for all of them.
//!
//! [`active_rides`] mirrors the fleet by map [`cell`]. [`frame`] encodes a cell as bytes. [`message`] joins the frames that
//! a view lacks, once for all viewers that lack the same. [`view_state`] is the pure state of a [`viewer`]: it decides
//! what the next message has, by [`detail`] and [`byte_rate_limit`]. Viewers pull and have no queue, so a slow viewer costs
//! nothing and gets fewer, newer frames. [`stall_detector`] ends viewers that read nothing.

mod byte_rate_limit;
mod stall_detector;
mod fleet_map;
mod cell;
mod detail;
mod frame;
mod map_watch;
mod message;
mod view_state;
mod task;
mod viewer;

pub use self::{
    stall_detector::ViewerSlot,
    fleet_map::FleetMap,
    detail::Detail,
    message::{MessageKey, Baseline, SharedView},
    task::{Fanout, FanoutOptions, WatchParams},
    viewer::{ViewerEnd, MAX_CELLS, ViewportTooWide, Viewer},
};
