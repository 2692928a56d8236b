//! The choice between a stream and short calls of it. Pure; all streams of the page share one value.
//!
//! A proxy may hold streams back until some kilobytes are there, and passes on a response that ends. And over HTTP/1.1 all
//! windows of a browser share six connections, each of which a stream holds. So the page can go on by short calls of the
//! same stream, one after the other, each with a deadline of [`SHORT_CALL`]: what the server sends within it arrives with
//! its end, and its connection is free for others then.

use crate::model::Millis;

/// A stream without a first message for this long is suspect: the server sends one at once.
pub const SUSPECT_AFTER: Millis = 3_000.0;
/// The deadline of a short call.
pub const SHORT_CALL: Millis = 1_000.0;
/// Suspect streams in a row, each beside a short call that was answered, until streams count as held back.
pub const SUSPECTS: u32 = 2;
/// The wait before a stream is tried again is this long at first…
const FIRST_TRIAL: Millis = 60_000.0;
/// … and doubles at most this often.
const DOUBLINGS: u32 = 4;

/// The way in which a stream is called.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// One call for as long as it lasts.
    Stream,
    /// One call after the other, each over after [`SHORT_CALL`].
    ShortCall,
}

impl Kind {
    /// The deadline to give to the server.
    pub fn deadline(self) -> Option<Millis> {
        match self {
            Self::Stream => None,
            Self::ShortCall => Some(SHORT_CALL),
        }
    }
}

/// The knowledge of the way between page and server.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Buffering {
    /// When to try a stream again. `None`: streams pass.
    trial_at: Option<Millis>,
    /// Streams that were tried and held back.
    trials: u32,
    /// True while other windows need the connections.
    is_crowded: bool,
}

impl Buffering {
    /// Tells whether the page must make short calls: streams are held back, or would hold connections that other windows need.
    pub fn is_found(&self) -> bool {
        self.trial_at.is_some() || self.is_crowded
    }

    /// Other windows need the connections, or do not any more.
    pub fn set_crowded(&mut self, is_crowded: bool) {
        self.is_crowded = is_crowded;
    }

    /// Returns the way in which the next call is opened.
    pub fn kind(&self) -> Kind {
        if self.is_found() { Kind::ShortCall } else { Kind::Stream }
    }

    /// Streams are held back, or one is tried to find out.
    pub fn found(&mut self, now: Millis) {
        self.trial_at = Some(now + FIRST_TRIAL * f64::from(1u32 << self.trials));
        self.trials = DOUBLINGS.min(self.trials + 1);
    }

    /// Streams pass.
    pub fn is_over(&mut self) {
        self.trial_at = None;
    }

    /// Tells whether a stream is to be tried beside the short calls.
    pub fn is_trial_due(&self, now: Millis) -> bool {
        !self.is_crowded && self.trial_at.is_some_and(|at| now >= at)
    }

    /// Something on the way may have changed: the next trial is due.
    pub fn may_be_over(&mut self, now: Millis) {
        self.trial_at = self.trial_at.map(|_| now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_tried_again_after_a_minute_and_ever_more_rarely() {
        let mut buffering = Buffering::default();
        assert_eq!(buffering.kind(), Kind::Stream);
        let (mut now, mut waits) = (0.0, Vec::new());
        for _ in 0..6 {
            buffering.found(now);
            assert_eq!(buffering.kind(), Kind::ShortCall);
            let at = buffering.trial_at.expect("a trial");
            assert!(!buffering.is_trial_due(at - 1.0) && buffering.is_trial_due(at));
            waits.push(at - now);
            now = at;
        }
        assert_eq!(waits, [60_000.0, 120_000.0, 240_000.0, 480_000.0, 960_000.0, 960_000.0]);
    }

    /// PAGE-9
    #[test]
    fn a_window_too_many_makes_short_calls_until_others_are_closed() {
        let mut buffering = Buffering::default();
        buffering.set_crowded(true);
        assert_eq!(buffering.kind(), Kind::ShortCall);
        buffering.found(0.0);
        assert!(!buffering.is_trial_due(60_000.0), "a trial would hold a connection");
        buffering.set_crowded(false);
        assert!(buffering.is_trial_due(60_000.0));
        buffering.is_over();
        assert_eq!(buffering.kind(), Kind::Stream);
    }

    #[test]
    fn a_new_network_is_tried_at_once() {
        let mut buffering = Buffering::default();
        buffering.may_be_over(5.0);
        assert!(!buffering.is_found(), "nothing is held back");
        buffering.found(0.0);
        buffering.may_be_over(5.0);
        assert!(buffering.is_found() && buffering.is_trial_due(5.0));
        buffering.is_over();
        assert_eq!(buffering.kind(), Kind::Stream);
    }
}
