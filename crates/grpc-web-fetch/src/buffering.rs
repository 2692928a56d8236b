//! The choice between a stream and short calls of it. Pure; all streams of a client share one value.
//!
//! A proxy may hold a stream back until some kilobytes have gathered, and pass on a response that ends. And over
//! HTTP/1.1 all windows of a browser share six connections to a server, of which each stream holds one. So a client can
//! replace a stream by short calls of the same RPC in a row, each with a deadline of [`SHORT_CALL`]. The messages of a
//! short call arrive with its end at the latest, and then its connection is free for others.

use crate::clock::Millis;

/// The deadline of a short call.
pub(crate) const SHORT_CALL: Millis = 1_000.0;
/// The number of silent streams in a row after which streams count as held back. A short call beside each got a
/// message.
pub(crate) const SUSPECTS: u32 = 2;
/// The first wait until a stream is tried again…
const FIRST_TRIAL: Millis = 60_000.0;
/// … and the number of times that the wait doubles.
const DOUBLINGS: u32 = 4;

/// The kind of a call of a stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum CallKind {
    /// One call without a deadline.
    Stream,
    /// One of a row of calls with a deadline of [`SHORT_CALL`].
    ShortCall,
}

impl CallKind {
    /// Returns the deadline of the call.
    pub(crate) fn deadline(self) -> Option<Millis> {
        match self {
            Self::Stream => None,
            Self::ShortCall => Some(SHORT_CALL),
        }
    }
}

/// The knowledge of whether streams pass between the client and the server.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct BufferingDetector {
    /// The time of the next trial of a stream. `None` while streams pass.
    trial_at: Option<Millis>,
    /// The number of detections in a row.
    detections: u32,
    /// True while other windows need the connections.
    is_crowded: bool,
}

impl BufferingDetector {
    /// Returns `true` if the client must make short calls: streams are held back, or other windows need the
    /// connections.
    pub fn needs_short_calls(&self) -> bool {
        self.trial_at.is_some() || self.is_crowded
    }

    /// Sets whether other windows need the connections.
    pub fn set_crowded(&mut self, is_crowded: bool) {
        self.is_crowded = is_crowded;
    }

    /// Returns the kind of the next call.
    pub(crate) fn kind(&self) -> CallKind {
        if self.needs_short_calls() { CallKind::ShortCall } else { CallKind::Stream }
    }

    /// Records that streams are held back, or that the trial of one begins.
    pub(crate) fn detected(&mut self, now: Millis) {
        self.trial_at = Some(now + FIRST_TRIAL * f64::from(1u32 << self.detections));
        self.detections = DOUBLINGS.min(self.detections + 1);
    }

    /// Records that streams pass.
    pub(crate) fn cleared(&mut self) {
        self.trial_at = None;
    }

    /// Returns `true` if a stream is to be tried beside the short calls.
    pub(crate) fn is_trial_due(&self, now: Millis) -> bool {
        !self.is_crowded && self.trial_at.is_some_and(|at| now >= at)
    }

    /// Records that the network may have changed. The next trial is due.
    pub(crate) fn network_changed(&mut self, now: Millis) {
        self.trial_at = self.trial_at.map(|_| now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_tried_again_after_a_minute_and_then_more_rarely() {
        let mut buffering = BufferingDetector::default();
        assert_eq!(buffering.kind(), CallKind::Stream);
        let (mut now, mut waits) = (0.0, Vec::new());
        for _ in 0..6 {
            buffering.detected(now);
            assert_eq!(buffering.kind(), CallKind::ShortCall);
            let at = buffering.trial_at.expect("a trial");
            assert!(!buffering.is_trial_due(at - 1.0) && buffering.is_trial_due(at));
            waits.push(at - now);
            now = at;
        }
        assert_eq!(waits, [60_000.0, 120_000.0, 240_000.0, 480_000.0, 960_000.0, 960_000.0]);
    }

    /// PAGE-9
    #[test]
    fn a_crowded_window_makes_short_calls_until_others_are_closed() {
        let mut buffering = BufferingDetector::default();
        buffering.set_crowded(true);
        assert_eq!(buffering.kind(), CallKind::ShortCall);
        buffering.detected(0.0);
        assert!(!buffering.is_trial_due(60_000.0), "a trial would hold a connection");
        buffering.set_crowded(false);
        assert!(buffering.is_trial_due(60_000.0));
        buffering.cleared();
        assert_eq!(buffering.kind(), CallKind::Stream);
    }

    #[test]
    fn a_new_network_is_tried_at_once() {
        let mut buffering = BufferingDetector::default();
        buffering.network_changed(5.0);
        assert!(!buffering.needs_short_calls(), "nothing is held back");
        buffering.detected(0.0);
        buffering.network_changed(5.0);
        assert!(buffering.needs_short_calls() && buffering.is_trial_due(5.0));
        buffering.cleared();
        assert_eq!(buffering.kind(), CallKind::Stream);
    }
}
