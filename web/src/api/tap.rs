//! The tap on the wire: what every call sent and received, measured by the transport.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tonic::{Code, Status};

use super::{call::DEADLINE, status::Metadata};
use crate::model::Millis;

/// Calls kept; the oldest go first.
pub const MAX_CALLS: usize = 200;
/// Frames kept of one call; the oldest go first. The totals count all.
pub const MAX_FRAMES: usize = 50;

/// One call, from its request to its status.
#[derive(Clone, Debug, PartialEq)]
pub struct CallRecord {
    /// Counts up from 1.
    pub id: u64,
    /// "rides.v1.Rides/Book".
    pub method: Arc<str>,
    /// When it was asked.
    pub started: Millis,
    /// Messages to the server.
    pub sent: Totals,
    /// Messages from the server.
    pub received: Totals,
    /// The newest frames, oldest first.
    pub frames: VecDeque<FrameRecord>,
    /// How it ended; `None` while it runs.
    pub end: Option<CallEnd>,
}

/// How much went one way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Messages.
    pub frames: u64,
    /// Bytes of them, frame headers left out.
    pub bytes: u64,
}

/// One message on the wire.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FrameRecord {
    /// Which way.
    pub direction: Direction,
    /// When it was sent, or began to arrive.
    pub at: Millis,
    /// Its length, frame header left out.
    pub bytes: u32,
}

/// Which way a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// To the server.
    Out,
    /// From the server.
    In,
}

/// How a call ended. A call that the page gave up is CANCELLED.
#[derive(Clone, Debug, PartialEq)]
pub struct CallEnd {
    /// When.
    pub at: Millis,
    /// The gRPC status.
    pub code: Code,
    /// Its text; may be empty.
    pub message: String,
    /// What came with it from the server.
    pub trailers: Metadata,
}

/// A bounded record of the newest calls. Clones share it.
#[derive(Clone)]
pub struct Tap {
    log: Arc<Mutex<Log>>,
    now: fn() -> Millis,
}

#[derive(Default)]
struct Log {
    calls: VecDeque<CallRecord>,
    begun: u64,
    revision: u64,
}

impl Tap {
    /// An empty record that reads the time from `now`.
    pub fn new(now: fn() -> Millis) -> Self {
        Self { log: Arc::default(), now }
    }

    /// A copy of the newest [`MAX_CALLS`] calls, oldest first.
    pub fn calls(&self) -> Vec<CallRecord> {
        self.lock().calls.iter().cloned().collect()
    }

    /// Changes with every frame and every end of a call.
    pub fn revision(&self) -> u64 {
        self.lock().revision
    }

    /// Whether calls are given up without a word: of those that ended by themselves or had all of their time, the newest
    /// got no answer.
    pub fn is_unanswered(&self) -> bool {
        let log = self.lock();
        let had_its_time = |call: &CallRecord, end: &CallEnd| end.at - call.started >= DEADLINE;
        let told = log.calls.iter().rev().find_map(|call| match &call.end {
            Some(end) if end.code != Code::Cancelled => Some(false),
            Some(end) if call.received.frames == 0 && had_its_time(call, end) => Some(true),
            _ => None,
        });
        told.unwrap_or(false)
    }

    /// A call begins.
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

    /// The mutex is for `Send` alone: the page has one thread, and no lock is held across an await.
    fn lock(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The transport's end of the tap, for one call. Dropped before the call ended, it ends it as CANCELLED.
pub(crate) struct TappedCall {
    tap: Tap,
    id: u64,
}

impl TappedCall {
    /// A message of `bytes` bytes passed.
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

    /// The call ended. Only the first end counts.
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
        // Calls stand in the order of their ids, so the oldest kept says where this one is, if it still is.
        let Some(oldest) = log.calls.front().map(|call| call.id) else { return };
        let place = self.id.checked_sub(oldest).and_then(|place| usize::try_from(place).ok());
        if let Some(call) = place.and_then(|place| log.calls.get_mut(place)) {
            change(call, at);
        }
    }
}

impl Drop for TappedCall {
    fn drop(&mut self) {
        self.end(&Status::cancelled("given up by the page"), Metadata::default());
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn tap() -> Tap {
        Tap::new(|| 7.0)
    }

    #[test]
    fn a_call_is_counted_and_ends_once() {
        let tap = tap();
        let call = tap.begin("rides.v1.Rides/Book");
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
    fn calls_that_are_given_up_without_a_word_are_told_from_all_others() {
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
            tap.is_unanswered()
        };
        assert!(!tap.is_unanswered());
        assert!(!call(DEADLINE, 0, Some(Code::DeadlineExceeded)), "the server has said so");
        assert!(call(DEADLINE, 0, None));
        assert!(call(20.0, 0, None), "another question took its place: that says nothing");
        assert!(call(60_000.0, 3, None), "nor does a stream that was left");
        assert!(!call(20.0, 1, Some(Code::Ok)));
        assert!(call(DEADLINE, 0, None));
        assert!(!call(20.0, 0, Some(Code::Unavailable)), "there was a connection to break");
    }

    #[test]
    fn old_calls_and_old_frames_make_room() {
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
