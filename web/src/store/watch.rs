//! The two streams of the page: the cars in the viewport, and the ride that the person follows.

use std::{cell::Cell, rc::Rc};

use bytes::Bytes;
use grpc_web_fetch::{Client, MessageStream, ResumableStream, StreamState};
use leptos::prelude::*;
use rides_proto::{geo::Bounds, ids::RideId, tiles::CellBox, v1};
use tonic::{Code, Status};

use super::{
    Store, Update, decode,
    follow::{EventError, FollowedRideState},
};
use crate::{
    api::{
        failure,
        methods::{WATCH_FLEET, WATCH_RIDE},
    },
    browser,
    model::{Connection, Millis, RemoteData},
};

/// The maximum number of cursors in a request.
const MAX_CURSORS: usize = 4096;

/// The stream of the cars in the viewport.
pub(super) struct FleetWatch {
    pub(super) client: Client,
    pub(super) store: Store,
    /// The area to watch. A change takes effect at the next [`Signal::Reopen`](grpc_web_fetch::Signal::Reopen).
    pub(super) viewport: Rc<Cell<Bounds>>,
    /// The area for which the newest stream was opened.
    pub(super) opened_for: Bounds,
    /// `true` if the newest stream was opened without cursors, because there were too many. Its first message
    /// then has every car.
    pub(super) without_cursors: bool,
    /// Called each time that the connection becomes live.
    pub(super) on_live: Box<dyn Fn()>,
    pub(super) live: bool,
}

impl ResumableStream for FleetWatch {
    fn open(&mut self, deadline: Option<Millis>) -> MessageStream {
        self.opened_for = self.viewport.get();
        let (epoch, cursors) = self.store.fleet.with_value(|fleet| {
            let fleet = fleet.borrow();
            let seen = fleet.cursors_in(self.opened_for);
            let cursors: Vec<_> =
                seen.map(|(cell, tick)| v1::CellCursor { cell: cell.number(), tick }).collect();
            (fleet.epoch().to_owned(), cursors)
        });
        self.without_cursors = cursors.len() > MAX_CURSORS;
        let cursors = if self.without_cursors { Vec::new() } else { cursors };
        let viewport = Some(self.opened_for.into());
        let request = v1::WatchFleetRequest { viewport, cursors, epoch, moves: true, coarse: true };
        self.client.open(&WATCH_FLEET, &request, deadline)
    }

    fn message(&mut self, message: Bytes, first: bool) -> Result<(), Status> {
        let (frame, wrong) = decode::fleet_frame(message)?;
        if let Some(why) = wrong {
            browser::warn_once(&why.to_string());
        }
        if first && self.without_cursors {
            self.store.apply(Update::ForgetCars);
        }
        self.store.apply(Update::Fleet { frame, now: browser::now() });
        if first {
            self.store.apply(Update::Viewport(self.opened_for));
        }
        Ok(())
    }

    fn state(&mut self, state: StreamState) {
        let connection = Connection::from(state);
        self.store.apply(Update::Connection(connection));
        let live = connection.link.is_live();
        if live && !std::mem::replace(&mut self.live, live) {
            (self.on_live)();
        }
        self.live = live;
    }

    fn ended(&mut self, end: &Result<(), Status>) -> bool {
        let refusal = match end {
            Err(status) if failure::is_refused(status) => {
                RemoteData::Failed(failure::failure(status, browser::now()))
            }
            _ => RemoteData::Idle,
        };
        self.store.apply(Update::Refusal(refusal));
        true
    }
}

/// Returns `true` if both bounds cover the same cells.
pub(super) fn same_cells(a: Bounds, b: Bounds) -> bool {
    CellBox::of(a) == CellBox::of(b)
}

/// The stream of the ride that the person follows.
pub(super) struct RideWatch {
    pub(super) client: Client,
    pub(super) store: Store,
    pub(super) ride: RideId,
    pub(super) following: FollowedRideState,
    /// Called when this ride cannot be followed, for example because it does not exist.
    pub(super) on_refused: Box<dyn Fn(&Status)>,
}

impl ResumableStream for RideWatch {
    fn open(&mut self, deadline: Option<Millis>) -> MessageStream {
        let (epoch, after_version) = self.following.cursor();
        let request = v1::WatchRequest { ride_id: self.ride.as_str().to_owned(), epoch, after_version };
        self.client.open(&WATCH_RIDE, &request, deadline)
    }

    fn message(&mut self, message: Bytes, _: bool) -> Result<(), Status> {
        let changed = self.following.apply(grpc_web_fetch::decode(message)?).or_else(|misfit| {
            browser::warn_once(&misfit.to_string());
            match misfit {
                EventError::Gap { .. } => Err(Status::aborted("events are missing")),
                EventError::Malformed(why) if self.following.followed().is_none() => {
                    Err(Status::data_loss(why.to_string()))
                }
                EventError::Malformed(_) => Ok(false),
            }
        })?;
        let Some(followed) = self.following.followed() else { return Ok(()) };
        if changed {
            self.store.apply(Update::Ride(followed.ride.clone()));
        }
        if self.store.followed.with_untracked(|shown| shown.as_ref() != Some(followed)) {
            self.store.apply(Update::Followed(Some(followed.clone())));
        }
        Ok(())
    }

    fn state(&mut self, state: StreamState) {
        let connection = Connection::from(state);
        // The first attempt is short, and nothing on the screen depends on it yet.
        if connection != Connection::NEW {
            self.store.apply(Update::RideConnection(Some(connection)));
        }
    }

    fn ended(&mut self, end: &Result<(), Status>) -> bool {
        let goes_on = match end {
            Ok(()) => !self.following.is_over(),
            Err(status) if is_final(status) => {
                (self.on_refused)(status);
                false
            }
            Err(_) => true,
        };
        if !goes_on {
            self.store.apply(Update::RideConnection(None));
        }
        goes_on
    }
}

/// Returns `true` if the same request for this ride would fail again.
/// UNAUTHENTICATED is not final: a token expires, and the page can get another. A failure that concerns every
/// call of the page is not final either.
fn is_final(status: &Status) -> bool {
    let is_final = matches!(
        status.code(),
        Code::NotFound | Code::InvalidArgument | Code::PermissionDenied | Code::DataLoss
    );
    is_final && !failure::refuses_page(status)
}

#[cfg(test)]
mod tests {
    use grpc_web_fetch::NotGrpc;
    use rides_proto::geo::LatLng;

    use super::*;

    /// PROXY-2
    #[test]
    fn a_ride_is_not_dropped_for_what_a_proxy_says_of_every_call() {
        assert!(is_final(&Status::not_found("")) && is_final(&Status::permission_denied("")));
        assert!(!is_final(&NotGrpc(403).status()) && !is_final(&Status::unavailable("")));
    }

    fn p(lat: f64, lng: f64) -> LatLng {
        LatLng::new(lat, lng).expect("on Earth")
    }

    #[test]
    fn a_small_pan_needs_no_new_stream() {
        let here = Bounds::new(p(60.16, 24.92), p(60.18, 24.96)).expect("right way round");
        let near = Bounds::new(p(60.1601, 24.9201), p(60.1801, 24.9601)).expect("right way round");
        let far = Bounds::new(p(60.17, 24.94), p(60.19, 24.98)).expect("right way round");
        assert!(same_cells(here, near) && !same_cells(here, far));
    }
}
