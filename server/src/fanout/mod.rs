//! The fan-out: the same city to any number of viewers, encoded once.
//!
//! [`board`] mirrors the fleet by map [`cell`], [`frame`] turns a cell into bytes, [`message`] strings together what
//! one view lacks, once for all who lack the same. [`sight`] is the pure part of a [`viewer`]: it decides what to ask
//! for, by [`detail`] and [`allowance`]. Viewers pull: nothing is queued for them, so that a slow one costs nothing
//! and gets fewer, newer frames, and one that takes nothing at all loses its seat ([`attendance`]).

mod allowance;
mod attendance;
mod board;
mod cell;
mod detail;
mod frame;
mod latest;
mod message;
mod sight;
mod task;
mod viewer;

pub use self::{
    attendance::Seat,
    board::Board,
    detail::Detail,
    message::{Ask, Have, InView},
    task::{Fanout, FanoutOptions, Request},
    viewer::{Ended, MAX_CELLS, TooWide, Viewer},
};
