//! A record of the messages that calls sent and received.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tonic::{Code, Status};

use crate::{browser, clock::Millis, metadata::Metadata};

/// The number of calls that are kept. The oldest are dropped first.
pub const MAX_CALLS: usize = 200;
/// The number of messages that are kept of one call. The oldest are dropped first. The totals count all.
pub const MAX_FRAMES: usize = 50;

/// A call.
#[derive(Clone, Debug, PartialEq)]
pub struct CallRecord {
    /// The number of the call, from 1.
    pub id: u64,
    /// The name of the RPC, for example "package.Service/Method".
    pub method: Arc<str>,
    /// The time of the request.
    pub started: Millis,
    /// The messages to the server.
    pub sent: Totals,
    /// The messages from the server.
    pub received: Totals,
    /// The newest messages, oldest first.
    pub frames: VecDeque<FrameRecord>,
    /// The end of the call. `None` while it runs.
    pub end: Option<CallEnd>,
}

/// The messages in one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// The number of messages.
    pub frames: u64,
    /// Their length in bytes, without frame headers.
    pub bytes: u64,
}

/// A message.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FrameRecord {
    /// The direction.
    pub direction: Direction,
    /// The time at which it was sent, or complete.
    pub at: Millis,
    /// The length in bytes, without the frame header.
    pub bytes: u32,
}

/// The direction of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// To the server.
    Out,
    /// From the server.
    In,
}

/// The end of a call. A call that the client dropped is CANCELLED.
#[derive(Clone, Debug, PartialEq)]
pub struct CallEnd {
    /// The time of the end.
    pub at: Millis,
    /// The status code.
    pub code: Code,
    /// The status message. It may be empty.
    pub message: String,
    /// The trailers of the server.
    pub trailers: Metadata,
}

/// A bounded record of the newest calls. Clones share the record.
#[derive(Clone)]
pub struct Tap {
    log: Arc<Mutex<Log>>,
    now: fn() -> Millis,
}

impl Default for Tap {
    /// Creates an empty record with times from the clock of the browser.
    fn default() -> Self {
        Self::new(browser::now)
    }
}

#[derive(Default)]
struct Log {
    calls: VecDeque<CallRecord>,
    begun: u64,
    revision: u64,
}

impl Tap {
    /// Creates an empty record with times from `now`.
    pub fn new(now: fn() -> Millis) -> Self {
        Self { log: Arc::default(), now }
    }

    /// Returns the newest [`MAX_CALLS`] calls, oldest first.
    pub fn calls(&self) -> Vec<CallRecord> {
        self.lock().calls.iter().cloned().collect()
    }

    /// Returns a number that changes with each message and each end of a call.
    pub fn revision(&self) -> u64 {
        self.lock().revision
    }

    /// Returns `true` if calls are cancelled without a response. Of the calls that had `time` milliseconds or that the
    /// server ended, the newest decides: it got no message and no status.
    pub fn has_no_responses(&self, time: Millis) -> bool {
        let log = self.lock();
        let had_its_time = |call: &CallRecord, end: &CallEnd| end.at - call.started >= time;
        let newest = log.calls.iter().rev().find_map(|call| match &call.end {
            Some(end) if end.code != Code::Cancelled => Some(false),
            Some(end) if call.received.frames == 0 && had_its_time(call, end) => Some(true),
            _ => None,
        });
        newest.unwrap_or(false)
    }

    /// Records the begin of a call.
    pub(crate) fn begin(&self, method: &str) -> TappedCall {
        let started = (self.now)();
        let mut log = self.lock();
        log.begun += 1;
        log.revision += 1;
        let id = log.begun;
        if log.calls.len() == MAX_CALLS {
            log.calls.pop_front();
        }
        log.calls.push_back(CallRecord {
            id,
            method: method.into(),
            started,
            sent: Totals::default(),
            received: Totals::default(),
            frames: VecDeque::new(),
            end: None,
        });
        TappedCall { tap: self.clone(), id }
    }

    /// The mutex makes the tap `Send`, as signals of UI libraries ask for. No lock is held across an await.
    fn lock(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The recorder of one call. If it is dropped before the end, the call has ended as CANCELLED.
pub(crate) struct TappedCall {
    tap: Tap,
    id: u64,
}

impl TappedCall {
    /// Records a message of `bytes` bytes.
    pub(crate) fn frame(&self, direction: Direction, bytes: u32) {
        self.record(|call, at| {
            let totals = match direction {
                Direction::Out => &mut call.sent,
                Direction::In => &mut call.received,
            };
            totals.frames += 1;
            totals.bytes += u64::from(bytes);
            if call.frames.len() == MAX_FRAMES {
                call.frames.pop_front();
            }
            call.frames.push_back(FrameRecord { direction, at, bytes });
        });
    }

    /// Records the end of the call. Only the first end counts.
    pub(crate) fn end(&self, status: &Status, trailers: Metadata) {
        self.record(|call, at| {
            call.end.get_or_insert_with(|| CallEnd {
                at,
                code: status.code(),
                message: status.message().to_owned(),
                trailers,
            });
        });
    }

    fn record(&self, change: impl FnOnce(&mut CallRecord, Millis)) {
        let at = (self.tap.now)();
        let mut log = self.tap.lock();
        log.revision += 1;
        // Calls are in the order of their ids. The position follows from the oldest, and a dropped call has none.
        let Some(oldest) = log.calls.front().map(|call| call.id) else { return };
        let index = self.id.checked_sub(oldest).and_then(|index| usize::try_from(index).ok());
        if let Some(call) = index.and_then(|index| log.calls.get_mut(index)) {
            change(call, at);
        }
    }
}

impl Drop for TappedCall {
    fn drop(&mut self) {
        self.end(&Status::cancelled("dropped by the client"), Metadata::default());
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    const DEADLINE: Millis = 10_000.0;

    fn tap() -> Tap {
        Tap::new(|| 7.0)
    }

    #[test]
    fn a_call_is_counted_and_ends_once() {
        let tap = tap();
        let call = tap.begin("example.v1.Example/Get");
        call.frame(Direction::Out, 10);
        call.frame(Direction::In, 20);
        call.frame(Direction::In, 30);
        call.end(&Status::new(Code::Ok, ""), Metadata::default());
        drop(call);

        let [record] = &tap.calls()[..] else { panic!("one call") };
        assert_eq!(
            (record.sent, record.received),
            (Totals { frames: 1, bytes: 10 }, Totals { frames: 2, bytes: 50 })
        );
        let trailers = Metadata::default();
        assert_eq!(record.end, Some(CallEnd { at: 7.0, code: Code::Ok, message: String::new(), trailers }));
    }

    #[test]
    fn a_dropped_call_is_cancelled() {
        let tap = tap();
        drop(tap.begin("a"));
        assert_eq!(tap.calls()[0].end.as_ref().map(|end| end.code), Some(Code::Cancelled));
    }

    /// B6
    #[test]
    fn calls_without_a_response_are_told_from_all_others() {
        thread_local! {
            static NOW: Cell<Millis> = const { Cell::new(0.0) };
        }
        let tap = Tap::new(|| NOW.get());
        let stream = tap.begin("a stream that goes on");
        stream.frame(Direction::In, 1);
        let call = |millis, frames: u32, code| {
            let call = tap.begin("a call");
            NOW.set(NOW.get() + millis);
            (0..frames).for_each(|_| call.frame(Direction::In, 1));
            if let Some(code) = code {
                call.end(&Status::new(code, ""), Metadata::default());
            }
            drop(call);
            tap.has_no_responses(DEADLINE)
        };
        assert!(!tap.has_no_responses(DEADLINE));
        assert!(!call(DEADLINE, 0, Some(Code::DeadlineExceeded)), "the server has ended it");
        assert!(call(DEADLINE, 0, None));
        assert!(call(20.0, 0, None), "it was replaced early, which says nothing");
        assert!(call(60_000.0, 3, None), "a stream that was dropped says nothing either");
        assert!(!call(20.0, 1, Some(Code::Ok)));
        assert!(call(DEADLINE, 0, None));
        assert!(!call(20.0, 0, Some(Code::Unavailable)), "there was a connection to break");
    }

    #[test]
    fn the_oldest_calls_and_messages_are_dropped() {
        let tap = tap();
        let oldest = tap.begin("old");
        for _ in 0..=MAX_FRAMES {
            oldest.frame(Direction::In, 1);
        }
        assert_eq!(tap.calls()[0].frames.len(), MAX_FRAMES);
        assert_eq!(tap.calls()[0].received.frames, MAX_FRAMES as u64 + 1);

        let newer: Vec<_> = (0..MAX_CALLS).map(|_| tap.begin("new")).collect();
        oldest.frame(Direction::In, 1);
        newer[0].frame(Direction::In, 5);
        let calls = tap.calls();
        assert_eq!((calls.len(), calls[0].id), (MAX_CALLS, 2));
        assert_eq!(calls[0].received.bytes, 5);
    }
}
