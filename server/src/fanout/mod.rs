//! The fan-out of car positions to viewers, encoded once for all of them.
//!
//! [`board`] mirrors the fleet by map [`cell`]. [`frame`] encodes a cell as bytes. [`message`] joins the frames that
//! a view lacks, once for all viewers that lack the same. [`sight`] is the pure state of a [`viewer`]: it decides
//! what the next message has, by [`detail`] and [`allowance`]. Viewers pull and have no queue, so a slow viewer costs
//! nothing and gets fewer, newer frames. [`attendance`] ends viewers that read nothing.

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
