//! The life of a stream that is to be always open: a pure state machine.
//!
//! It is told what happens and says what to do; time and chance are arguments. [`super::live`] drives it.

use super::status::Later;
use crate::model::{Connection, Link, Millis};

/// Without a frame for this long a stream counts as dead: the server sends one at least every 4 s.
pub const SILENCE: Millis = 10_000.0;
/// The first wait is up to this long, and every next up to twice as long…
pub const FIRST_BACKOFF: Millis = 250.0;
/// … but never longer.
pub const MAX_BACKOFF: Millis = 10_000.0;
/// A page that nobody has seen for this long needs no streams: each is one of the six connections that a browser
/// has for a server, over all tabs, and one more viewer to feed. Cursors make up for it in one frame.
pub const UNSEEN: Millis = 10_000.0;

/// Something happened.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Event {
    /// A message came.
    Frame,
    /// The attempt or the stream failed, and the server may have said when to come again.
    Failed(Later),
    /// Time passed; see [`Machine::deadline`].
    Tick,
    /// Nobody sees the page any more.
    Hidden,
    /// The page is left, and perhaps kept to come back to: browsers keep none whose streams are open.
    Left,
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
    /// Open another beside what is open, to find out at once whether the server can still be reached.
    Check,
}

/// The state of one connection. Begins with an attempt under way.
#[derive(Clone, PartialEq, Debug)]
pub struct Machine {
    phase: Phase,
    /// Attempts that failed since the stream was last live for a while.
    failures: u32,
    online: bool,
    heard_at: Option<Millis>,
    hidden_at: Option<Millis>,
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Phase {
    Connecting {
        since: Millis,
    },
    Live {
        since: Millis,
    },
    Waiting {
        retry_at: Millis,
        draining: bool,
    },
    /// Until someone looks.
    Paused,
}

impl Machine {
    /// A first attempt begins now. `online`: what the browser believes.
    pub fn new(now: Millis, online: bool) -> Self {
        Self { phase: Phase::Connecting { since: now }, failures: 0, online, heard_at: None, hidden_at: None }
    }

    /// What a person should know. It says offline only when an attempt has failed: a server on the same
    /// machine is there without any network.
    pub fn connection(&self) -> Connection {
        let link = match self.phase {
            // Who sees it paused has just come back, and the attempt begins.
            Phase::Connecting { .. } | Phase::Paused => Link::Connecting,
            Phase::Live { .. } => Link::Live,
            Phase::Waiting { .. } if !self.online => Link::Offline,
            Phase::Waiting { retry_at, draining: true } => Link::Draining { retry_at },
            Phase::Waiting { retry_at, draining: false } => Link::Waiting { retry_at },
        };
        Connection { link, heard_at: self.heard_at }
    }

    /// When the next [`Event::Tick`] is due, if nothing else happens before.
    pub fn deadline(&self) -> Millis {
        let due = match self.phase {
            Phase::Connecting { since } => since + SILENCE,
            Phase::Live { since } => self.heard_at.unwrap_or(since) + SILENCE,
            Phase::Waiting { retry_at, .. } => retry_at,
            Phase::Paused => return f64::INFINITY,
        };
        self.hidden_at.map_or(due, |at| due.min(at + UNSEEN))
    }

    /// Takes in `event`. `chance`, in [0, 1), spreads the retries of many pages.
    pub fn on(&mut self, event: Event, now: Millis, chance: f64) -> Step {
        match event {
            Event::Online => self.online = true,
            Event::Offline => self.online = false,
            Event::Hidden => self.hidden_at = self.hidden_at.or(Some(now)),
            Event::Wake => self.hidden_at = None,
            _ => {}
        }
        let unseen = event == Event::Left || self.hidden_at.is_some_and(|at| now >= at + UNSEEN);
        let waiting = matches!(self.phase, Phase::Waiting { .. });
        let due = now >= self.deadline();
        match event {
            Event::Wake if self.phase == Phase::Paused => self.open(now),
            _ if self.phase == Phase::Paused => Step::Stay,
            _ if unseen => self.pause(),
            Event::Frame => self.frame(now),
            Event::Failed(later) if !waiting => self.wait(later, now, chance),
            Event::Tick if due && waiting => self.open(now),
            Event::Tick if due => self.wait(Later::default(), now, chance),
            Event::Wake if due || waiting => self.open(now),
            Event::Online | Event::Reconnect if waiting => self.open(now),
            // A stream of the network that was there before may never be heard of again.
            Event::Online | Event::Offline if matches!(self.phase, Phase::Live { .. }) => Step::Check,
            Event::Slept => self.open(now),
            _ => Step::Stay,
        }
    }

    fn frame(&mut self, now: Millis) -> Step {
        self.heard_at = Some(now);
        if let Phase::Connecting { .. } = self.phase {
            self.phase = Phase::Live { since: now };
        }
        Step::Stay
    }

    fn open(&mut self, now: Millis) -> Step {
        self.phase = Phase::Connecting { since: now };
        Step::Open
    }

    fn pause(&mut self) -> Step {
        self.phase = Phase::Paused;
        Step::Close
    }

    fn wait(&mut self, later: Later, now: Millis, chance: f64) -> Step {
        // A server that lets everyone in and throws them out at once must not be stormed.
        if matches!(self.phase, Phase::Live { since, .. } if now - since > SILENCE) {
            self.failures = 0;
        }
        self.failures = self.failures.saturating_add(1);
        let retry_at = now + retry_after(later.wait, self.failures, chance);
        self.phase = Phase::Waiting { retry_at, draining: later.is_going };
        Step::Close
    }
}

/// How long to wait after so many failures: what the server asked for, and then anything up to [`backoff`], or as long
/// again: those whom one server sent away together do not come back together.
pub fn retry_after(asked: Millis, failures: u32, chance: f64) -> Millis {
    let asked = asked.clamp(0.0, 60_000.0);
    asked + chance * backoff(failures).max(asked)
}

/// The longest wait after that many failures; with full jitter the wait is anything up to it.
pub fn backoff(failures: u32) -> Millis {
    (FIRST_BACKOFF * f64::from(1u32 << failures.saturating_sub(1).min(20))).min(MAX_BACKOFF)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FAILED: Event = Event::Failed(Later { wait: 0.0, is_going: false });

    fn live(now: Millis) -> Machine {
        let mut machine = Machine::new(now, true);
        assert_eq!(machine.on(Event::Frame, now, 0.5), Step::Stay);
        machine
    }

    fn link(machine: &Machine) -> Link {
        machine.connection().link
    }

    #[test]
    fn a_frame_makes_it_live() {
        let mut machine = Machine::new(0.0, true);
        assert_eq!(machine.connection(), Connection::NEW);
        machine.on(Event::Frame, 20.0, 0.5);
        machine.on(Event::Frame, 30.0, 0.5);
        assert_eq!(machine.connection(), Connection { link: Link::Live, heard_at: Some(30.0) });
        machine.on(FAILED, 40.0, 0.5);
        assert_eq!(machine.connection().heard_at, Some(30.0), "what is on the screen is as old as that");
    }

    /// L15, the page's half.
    #[test]
    fn ten_silent_seconds_end_a_stream_and_an_attempt() {
        for mut machine in [live(0.0), Machine::new(0.0, true)] {
            assert_eq!(machine.on(Event::Tick, 9_999.0, 0.5), Step::Stay);
            assert_eq!(machine.on(Event::Tick, 10_000.0, 0.5), Step::Close);
            assert_eq!(link(&machine), Link::Waiting { retry_at: 10_125.0 });
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
        assert_eq!(machine.failures, 4);
        machine.on(Event::Tick, 5.0, 0.0);
        machine.on(Event::Frame, 5.0, 0.0);
        machine.on(FAILED, 5.1 + SILENCE, 0.0);
        assert_eq!(machine.failures, 1);
    }

    #[test]
    fn a_draining_server_says_when_to_come_again() {
        let mut machine = live(0.0);
        let going = Event::Failed(Later { wait: 2_000.0, is_going: true });
        assert_eq!(machine.on(going, 100.0, 0.0), Step::Close);
        assert_eq!(link(&machine), Link::Draining { retry_at: 2_100.0 });
        assert_eq!(machine.on(Event::Tick, 2_100.0, 0.0), Step::Open);
        machine.on(FAILED, 2_200.0, 0.0);
        assert_eq!((link(&machine), machine.failures), (Link::Waiting { retry_at: 2_200.0 }, 2));
    }

    #[test]
    fn a_server_whose_disk_is_full_is_left_alone_and_not_said_to_restart() {
        let mut machine = live(0.0);
        let full = Event::Failed(Later { wait: 2_000.0, is_going: false });
        assert_eq!(machine.on(full, 100.0, 0.0), Step::Close);
        assert_eq!(link(&machine), Link::Waiting { retry_at: 2_100.0 });
    }

    /// L12, the page's half.
    #[test]
    fn those_whom_a_server_sends_away_together_do_not_come_back_together() {
        assert_eq!((retry_after(1_000.0, 1, 0.0), retry_after(1_000.0, 1, 1.0)), (1_000.0, 2_000.0));
        assert_eq!((retry_after(0.0, 1, 1.0), retry_after(f64::MAX, 1, 0.0)), (250.0, 60_000.0));
    }

    /// L14.
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
        assert_eq!(machine.on(Event::Offline, 1.0, 0.5), Step::Check);
        assert_eq!(link(&machine), Link::Live);
        machine.on(FAILED, 2.0, 0.5);
        assert_eq!(link(&machine), Link::Offline);
        assert_eq!(machine.on(Event::Online, 3.0, 0.5), Step::Open);
        assert_eq!(link(&machine), Link::Connecting);
    }

    /// L14, L19.
    #[test]
    fn a_page_that_nobody_sees_has_no_streams_after_a_while() {
        let mut machine = live(0.0);
        assert_eq!(machine.on(Event::Hidden, 1_000.0, 0.5), Step::Stay);
        machine.on(Event::Frame, 9_000.0, 0.5);
        assert_eq!(
            machine.on(Event::Hidden, 9_500.0, 0.5),
            Step::Stay,
            "hidden twice is hidden since the first"
        );
        assert_eq!(machine.deadline(), 11_000.0);
        assert_eq!(machine.on(Event::Tick, 11_000.0, 0.5), Step::Close);
        for event in [Event::Tick, Event::Online, Event::Slept, Event::Hidden, Event::Left] {
            assert_eq!(machine.on(event, 400_000.0, 0.5), Step::Stay, "{event:?}");
        }
        assert_eq!(machine.on(Event::Wake, 500_000.0, 0.5), Step::Open);
        assert_eq!(machine.on(Event::Frame, 500_020.0, 0.5), Step::Stay);
        assert_eq!(link(&machine), Link::Live);
    }

    #[test]
    fn a_look_elsewhere_costs_nothing() {
        let mut machine = live(0.0);
        machine.on(Event::Hidden, 1_000.0, 0.5);
        assert_eq!(machine.on(Event::Wake, 4_000.0, 0.5), Step::Stay);
        machine.on(Event::Frame, 9_000.0, 0.5);
        assert_eq!(machine.on(Event::Tick, 12_000.0, 0.5), Step::Stay);
    }

    #[test]
    fn a_page_that_is_left_has_no_streams_at_once() {
        for mut machine in [live(0.0), Machine::new(0.0, true)] {
            assert_eq!(machine.on(Event::Left, 1.0, 0.5), Step::Close);
            assert_eq!(machine.on(Event::Wake, 2.0, 0.5), Step::Open);
        }
    }

    fn event() -> impl Strategy<Value = Event> {
        prop_oneof![
            Just(Event::Frame),
            (0.0..1e6f64, any::<bool>()).prop_map(|(wait, is_going)| Event::Failed(Later { wait, is_going })),
            Just(Event::Tick),
            Just(Event::Hidden),
            Just(Event::Left),
            Just(Event::Wake),
            Just(Event::Slept),
            Just(Event::Online),
            Just(Event::Offline),
            Just(Event::Reconnect),
        ]
    }

    proptest! {
        /// Whatever happens, a stream is open exactly when the machine thinks so; and when someone looks, there is
        /// another attempt some time later.
        #[test]
        fn it_never_gives_up(events in prop::collection::vec((event(), 0.0..20_000.0f64, 0.0..1.0f64), 0..60)) {
            let mut machine = Machine::new(0.0, true);
            let (mut now, mut open) = (0.0, true);
            for (event, later, chance) in events {
                now += later;
                if !open && matches!(event, Event::Frame | Event::Failed(_)) {
                    continue;
                }
                match machine.on(event, now, chance) {
                    Step::Open => open = true,
                    Step::Close => open = false,
                    Step::Stay | Step::Check => {}
                }
                let closed = matches!(machine.phase, Phase::Waiting { .. } | Phase::Paused);
                prop_assert_eq!(open, !closed);
                let latest = now + 2.0 * 60_000.0;
                prop_assert!(machine.deadline() <= latest || machine.phase == Phase::Paused);
            }
            match machine.on(Event::Wake, now, 0.5) {
                Step::Open => open = true,
                Step::Close => open = false,
                Step::Stay | Step::Check => {}
            }
            if !open {
                let deadline = machine.deadline();
                prop_assert_eq!(machine.on(Event::Tick, deadline, 0.5), Step::Open);
            }
        }
    }
}
