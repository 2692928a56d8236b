//! A well-behaved client that connects again and again, as a page does that is opened now.

use std::time::{Duration, Instant};

use anyhow::Result;
use mio::Registry;

use super::pages::{PAGE_CALL_TIMEOUT, PageMeasurements, PageRoute, millis};
use crate::{
    contender::check_health,
    load::Socket,
    wire::{ParserEvent, Protocol},
};

/// The time between two connections. The rate stays below the limit per address.
const PAUSE: Duration = Duration::from_millis(200);

/// Connects, makes one call, and disconnects after the response.
pub(super) struct Newcomer {
    line: PageRoute,
    /// The time of the next connection.
    due: Instant,
    /// The open connection, if there is one, and the time at which it was opened.
    here: Option<(Socket, Instant)>,
}

impl Newcomer {
    pub(super) fn new(line: PageRoute, due: Instant) -> Self {
        Self { line, due, here: None }
    }

    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.here.is_none() && self.due <= now
    }

    /// Returns the time of the next connection, or `None` while it waits for the server.
    pub(super) fn next(&self) -> Option<Instant> {
        self.here.is_none().then_some(self.due)
    }

    /// Connects and makes the call, over HTTP/1.1 and HTTP/2 by turns.
    pub(super) fn come(&mut self, now: Instant, registry: &Registry) -> Result<()> {
        self.line.protocol = match self.line.protocol {
            Protocol::Http1 => Protocol::Http2,
            Protocol::Http2 => Protocol::Http1,
        };
        let mut socket = self.line.connect(false, registry)?;
        socket.call(&check_health());
        self.here = Some((socket, now));
        self.due = now + PAUSE;
        Ok(())
    }

    pub(super) fn advance(&mut self, buffer: &mut [u8], seen: &mut PageMeasurements) {
        let Some((socket, since)) = &mut self.here else { return };
        let since = *since;
        let mut answered = false;
        let done = socket.advance(buffer, |what| answered |= matches!(what, ParserEvent::End));
        match done {
            Err(error) => seen.errors.push(format!("a new connection: {error:#}")),
            Ok(()) if answered => seen.arrivals_ms.push(millis(since.elapsed())),
            Ok(()) => return,
        }
        self.here = None;
    }

    /// Gives up a connection without a response within [`PAGE_CALL_TIMEOUT`].
    pub(super) fn give_up(&mut self, now: Instant, seen: &mut PageMeasurements) {
        if let Some((_, since)) = &self.here
            && now - *since > PAGE_CALL_TIMEOUT
        {
            seen.errors.push("a new connection: no response".into());
            self.here = None;
        }
    }
}
