//! The life of a stream that is to be always open: a pure state machine.
//!
//! It is told what happens and says what to do; time and chance are arguments. [`super::live`] drives it.

use crate::model::{Connection, Millis};

/// Without a frame for this long a stream counts as dead: the server sends one at least every 4 s.
pub const SILENCE: Millis = 10_000.0;
/// The first wait is up to this long, and every next up to twice as long…
pub const FIRST_BACKOFF: Millis = 250.0;
/// … but never longer.
pub const MAX_BACKOFF: Millis = 10_000.0;

/// Something happened.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Event {
    /// A message came.
    Frame,
    /// The attempt or the stream failed. `drain_for`: the server said when to come again.
    Failed {
        /// Milliseconds to leave the server alone.
        drain_for: Option<Millis>,
    },
    /// Time passed; see [`Machine::deadline`].
    Tick,
    /// Someone looks at the page again.
    Wake,
    /// The system slept: whatever was open is dead, although no time seems to have passed.
    Slept,
    /// The browser sees a network.
    Online,
    /// The browser sees no network.
    Offline,
    /// The person asked for it.
    Reconnect,
}

/// What to do about it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// Nothing.
    Stay,
    /// Drop what is open and open anew.
    Open,
    /// Drop what is open.
    Close,
}

/// The state of one connection. Begins with an attempt under way.
#[derive(Clone, PartialEq, Debug)]
pub struct Machine {
    phase: Phase,
    /// Attempts that failed since the stream was last live for a while.
    failures: u32,
    online: bool,
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Phase {
    Connecting { since: Millis },
    Live { since: Millis, last_frame_at: Millis },
    Waiting { retry_at: Millis, draining: bool },
}

impl Machine {
    /// A first attempt begins now. `online`: what the browser believes.
    pub fn new(now: Millis, online: bool) -> Self {
        Self { phase: Phase::Connecting { since: now }, failures: 0, online }
    }

    /// What a person should know. It says offline only when an attempt has failed: a server on the same
    /// machine is there without any network.
    pub fn connection(&self) -> Connection {
        match self.phase {
            Phase::Connecting { .. } => Connection::Connecting,
            Phase::Live { last_frame_at, .. } => Connection::Live { last_frame_at },
            Phase::Waiting { .. } if !self.online => Connection::Offline,
            Phase::Waiting { retry_at, draining: true } => Connection::Draining { retry_at },
            Phase::Waiting { retry_at, draining: false } => {
                Connection::Waiting { retry_at, attempt: self.failures }
            }
        }
    }

    /// When the next [`Event::Tick`] is due, if nothing else happens before.
    pub fn deadline(&self) -> Millis {
        match self.phase {
            Phase::Connecting { since } => since + SILENCE,
            Phase::Live { last_frame_at, .. } => last_frame_at + SILENCE,
            Phase::Waiting { retry_at, .. } => retry_at,
        }
    }

    /// Takes in `event`. `chance`, in [0, 1), spreads the retries of many pages.
    pub fn on(&mut self, event: Event, now: Millis, chance: f64) -> Step {
        match event {
            Event::Online => self.online = true,
            Event::Offline => self.online = false,
            _ => {}
        }
        let waiting = matches!(self.phase, Phase::Waiting { .. });
        let due = now >= self.deadline();
        match event {
            Event::Frame => self.frame(now),
            Event::Failed { drain_for } if !waiting => self.wait(drain_for, now, chance),
            Event::Tick if due && waiting => self.open(now),
            Event::Tick if due => self.wait(None, now, chance),
            Event::Wake if due || waiting => self.open(now),
            Event::Online | Event::Reconnect if waiting => self.open(now),
            Event::Slept => self.open(now),
            _ => Step::Stay,
        }
    }

    fn frame(&mut self, now: Millis) -> Step {
        match &mut self.phase {
            Phase::Connecting { .. } => self.phase = Phase::Live { since: now, last_frame_at: now },
            Phase::Live { last_frame_at, .. } => *last_frame_at = now,
            Phase::Waiting { .. } => {}
        }
        Step::Stay
    }

    fn open(&mut self, now: Millis) -> Step {
        self.phase = Phase::Connecting { since: now };
        Step::Open
    }

    fn wait(&mut self, drain_for: Option<Millis>, now: Millis, chance: f64) -> Step {
        // A server that lets everyone in and throws them out at once must not be stormed.
        if matches!(self.phase, Phase::Live { since, .. } if now - since > SILENCE) {
            self.failures = 0;
        }
        self.failures = self.failures.saturating_add(1);
        let spread = chance * backoff(self.failures);
        let retry_at = now + drain_for.unwrap_or_default().clamp(0.0, 60_000.0) + spread;
        self.phase = Phase::Waiting { retry_at, draining: drain_for.is_some() };
        Step::Close
    }
}

/// The longest wait after that many failures; with full jitter the wait is anything up to it.
pub fn backoff(failures: u32) -> Millis {
    (FIRST_BACKOFF * 2f64.powi(failures.saturating_sub(1).min(20) as i32)).min(MAX_BACKOFF)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FAILED: Event = Event::Failed { drain_for: None };

    fn live(now: Millis) -> Machine {
        let mut machine = Machine::new(now, true);
        assert_eq!(machine.on(Event::Frame, now, 0.5), Step::Stay);
        machine
    }

    #[test]
    fn a_frame_makes_it_live() {
        let mut machine = Machine::new(0.0, true);
        assert_eq!(machine.connection(), Connection::Connecting);
        machine.on(Event::Frame, 20.0, 0.5);
        machine.on(Event::Frame, 30.0, 0.5);
        assert_eq!(machine.connection(), Connection::Live { last_frame_at: 30.0 });
    }

    #[test]
    fn ten_silent_seconds_end_a_stream_and_an_attempt() {
        for mut machine in [live(0.0), Machine::new(0.0, true)] {
            assert_eq!(machine.on(Event::Tick, 9_999.0, 0.5), Step::Stay);
            assert_eq!(machine.on(Event::Tick, 10_000.0, 0.5), Step::Close);
            assert_eq!(machine.connection(), Connection::Waiting { retry_at: 10_125.0, attempt: 1 });
            assert_eq!(machine.on(Event::Tick, 10_125.0, 0.5), Step::Open);
        }
    }

    #[test]
    fn waits_double_up_to_ten_seconds() {
        let mut machine = Machine::new(0.0, true);
        let mut waits = Vec::new();
        for _ in 0..8 {
            machine.on(FAILED, 0.0, 1.0);
            waits.push(machine.deadline());
            machine.on(Event::Reconnect, 0.0, 0.0);
        }
        assert_eq!(waits, [250.0, 500.0, 1_000.0, 2_000.0, 4_000.0, 8_000.0, 10_000.0, 10_000.0]);
    }

    #[test]
    fn only_a_stream_that_lasted_forgets_its_failures() {
        let mut machine = Machine::new(0.0, true);
        for _ in 0..3 {
            machine.on(FAILED, 0.0, 0.0);
            machine.on(Event::Tick, 0.0, 0.0);
            machine.on(Event::Frame, 0.0, 0.0);
        }
        machine.on(FAILED, 5.0, 0.0);
        assert!(matches!(machine.connection(), Connection::Waiting { attempt: 4, .. }));
        machine.on(Event::Tick, 5.0, 0.0);
        machine.on(Event::Frame, 5.0, 0.0);
        machine.on(FAILED, 5.1 + SILENCE, 0.0);
        assert!(matches!(machine.connection(), Connection::Waiting { attempt: 1, .. }));
    }

    #[test]
    fn a_draining_server_says_when_to_come_again() {
        let mut machine = live(0.0);
        assert_eq!(machine.on(Event::Failed { drain_for: Some(2_000.0) }, 100.0, 0.0), Step::Close);
        assert_eq!(machine.connection(), Connection::Draining { retry_at: 2_100.0 });
        assert_eq!(machine.on(Event::Tick, 2_100.0, 0.0), Step::Open);
        machine.on(FAILED, 2_200.0, 0.0);
        assert!(matches!(machine.connection(), Connection::Waiting { attempt: 2, .. }));
    }

    #[test]
    fn looking_at_the_page_finds_out_at_once() {
        let mut machine = live(0.0);
        assert_eq!(machine.on(Event::Wake, 5_000.0, 0.5), Step::Stay);
        assert_eq!(machine.on(Event::Wake, 360_000.0, 0.5), Step::Open);
        machine.on(FAILED, 360_001.0, 1.0);
        assert_eq!(machine.on(Event::Wake, 360_002.0, 0.5), Step::Open);
        assert_eq!(live(0.0).on(Event::Slept, 1.0, 0.5), Step::Open);
    }

    #[test]
    fn offline_is_said_only_when_nothing_comes() {
        let mut machine = live(0.0);
        machine.on(Event::Offline, 1.0, 0.5);
        assert_eq!(machine.connection(), Connection::Live { last_frame_at: 0.0 });
        machine.on(FAILED, 2.0, 0.5);
        assert_eq!(machine.connection(), Connection::Offline);
        assert_eq!(machine.on(Event::Online, 3.0, 0.5), Step::Open);
        assert_eq!(machine.connection(), Connection::Connecting);
    }

    fn event() -> impl Strategy<Value = Event> {
        prop_oneof![
            Just(Event::Frame),
            prop::option::of(0.0..1e6f64).prop_map(|drain_for| Event::Failed { drain_for }),
            Just(Event::Tick),
            Just(Event::Wake),
            Just(Event::Slept),
            Just(Event::Online),
            Just(Event::Offline),
            Just(Event::Reconnect),
        ]
    }

    proptest! {
        /// Whatever happens, a stream is open exactly when the machine thinks so, and some time later there
        /// is another attempt.
        #[test]
        fn it_never_gives_up(events in prop::collection::vec((event(), 0.0..20_000.0f64, 0.0..1.0f64), 0..60)) {
            let mut machine = Machine::new(0.0, true);
            let (mut now, mut open) = (0.0, true);
            for (event, later, chance) in events {
                now += later;
                if !open && matches!(event, Event::Frame | Event::Failed { .. }) {
                    continue;
                }
                match machine.on(event, now, chance) {
                    Step::Open => open = true,
                    Step::Close => open = false,
                    Step::Stay => {}
                }
                let waiting = matches!(
                    machine.connection(),
                    Connection::Waiting { .. } | Connection::Draining { .. } | Connection::Offline
                );
                prop_assert_eq!(open, !waiting);
                prop_assert!(machine.deadline() <= now + 60_000.0 + MAX_BACKOFF);
            }
            if !open {
                let deadline = machine.deadline();
                prop_assert_eq!(machine.on(Event::Tick, deadline, 0.5), Step::Open);
            }
        }
    }
}
