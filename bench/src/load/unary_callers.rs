//! Callers of unary RPCs, each of which makes its next call after the response to the last one.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use mio::{Events, Poll};

use super::{
    Target,
    socket::{BUFFER, Socket},
};
use crate::wire::{ParserEvent, RpcCall};

/// The number of callers, and of their connections.
const CALLERS: usize = 64;

/// Makes calls from [`CALLERS`] connections with one call at a time each, first for `warm_up` and then for `window`.
/// Calls `at_start` between the two. Returns its result and the number of calls in `window` that succeeded.
///
/// # Errors
/// When a call fails, or its response has no message.
pub(crate) fn call_for<T>(
    target: &Target,
    warm_up: Duration,
    window: Duration,
    at_start: impl FnOnce() -> Result<T>,
) -> Result<(T, u64)> {
    let mut poll = Poll::new().context("cannot make a poller")?;
    let mut callers = Vec::with_capacity(CALLERS);
    for index in 0..CALLERS {
        let mut socket = Socket::connect(target, index, false, poll.registry())?;
        socket.call(target.call(index));
        callers.push(Caller { socket, answered: false });
    }
    let mut events = Events::with_capacity(CALLERS);
    let mut buffer = vec![0; BUFFER];
    let mut call_until = |deadline: Instant| -> Result<u64> {
        let mut answers = 0;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(answers);
            }
            poll.poll(&mut events, Some(left))?;
            for event in &events {
                let index = event.token().0;
                answers += callers[index].advance(target.call(index), &mut buffer)?;
            }
        }
    };
    call_until(Instant::now() + warm_up)?;
    let start = at_start()?;
    let answers = call_until(Instant::now() + window)?;
    Ok((start, answers))
}

struct Caller {
    socket: Socket,
    /// Is `true` if the response of the open call has had a message.
    answered: bool,
}

impl Caller {
    fn advance(&mut self, next: &RpcCall, buffer: &mut [u8]) -> Result<u64> {
        let Self { socket, answered } = self;
        let (mut over, mut failed) = (0, false);
        socket.advance(buffer, |seen| match seen {
            ParserEvent::Message(_) => *answered = true,
            ParserEvent::End => {
                failed |= !*answered;
                *answered = false;
                over += 1;
            }
        })?;
        ensure!(!failed, "a response has no message");
        if over > 0 {
            socket.call(next);
            socket.send()?;
        }
        Ok(over)
    }
}
