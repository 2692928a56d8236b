//! Somebody well-behaved who comes anew, again and again: what a page sees that is opened now.

use std::time::{Duration, Instant};

use anyhow::Result;
use mio::Registry;

use super::pages::{Line, NO_ANSWER, Sight, millis};
use crate::{
    contender::check_health,
    load::Socket,
    wire::{Protocol, Seen},
};

/// Between two arrivals: fewer than an address may have.
const PAUSE: Duration = Duration::from_millis(200);

/// Connects, makes a call, and leaves with the answer.
pub(super) struct Newcomer {
    line: Line,
    /// When it comes next.
    due: Instant,
    /// Its connection, and since when it is on its way.
    here: Option<(Socket, Instant)>,
}

impl Newcomer {
    pub(super) fn new(line: Line, due: Instant) -> Self {
        Self { line, due, here: None }
    }

    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.here.is_none() && self.due <= now
    }

    /// When there is something to do, unless it is the server's turn.
    pub(super) fn next(&self) -> Option<Instant> {
        self.here.is_none().then_some(self.due)
    }

    /// Comes, over the other HTTP than before.
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

    pub(super) fn advance(&mut self, buffer: &mut [u8], seen: &mut Sight) {
        let Some((socket, since)) = &mut self.here else { return };
        let since = *since;
        let mut answered = false;
        let done = socket.advance(buffer, |what| answered |= matches!(what, Seen::End));
        match done {
            Err(error) => seen.errors.push(format!("a newcomer: {error:#}")),
            Ok(()) if answered => seen.arrivals_ms.push(millis(since.elapsed())),
            Ok(()) => return,
        }
        self.here = None;
    }

    /// Who gets no answer leaves.
    pub(super) fn give_up(&mut self, now: Instant, seen: &mut Sight) {
        if let Some((_, since)) = &self.here
            && now - *since > NO_ANSWER
        {
            seen.errors.push("a newcomer: no answer".into());
            self.here = None;
        }
    }
}
