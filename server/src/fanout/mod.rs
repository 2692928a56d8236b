//! The fan-out: the same city to any number of viewers, encoded once.
//!
//! [`board`] mirrors the fleet by map cell, [`frame`] turns a cell into bytes, [`viewer`] picks from the newest
//! board what one viewport lacks. Viewers pull: nothing is queued for them, so that a slow one costs nothing
//! and gets fewer, newer frames.

mod board;
mod frame;
mod task;
mod viewer;

pub use self::{
    task::Fanout,
    viewer::{Frame, MAX_CELLS, TooWide, Viewer},
};
