//! The life of a stream that is to be always open: a pure state machine.
//!
//! It is told what happens and says what to do; time and chance are arguments. [`super::live`] drives it.

use super::{
    buffering::{Buffering, Kind, SUSPECT_AFTER, SUSPECTS},
    status::Later,
};
use crate::model::{Connection, Link, Millis};

/// Without a frame for this long a stream counts as dead: the server sends one at least every 4 s.
pub const SILENCE: Millis = 10_000.0;
/// The first wait is up to this long, and every next up to twice as long…
pub const FIRST_BACKOFF: Millis = 250.0;
/// … but never longer.
pub const MAX_BACKOFF: Millis = 10_000.0;
/// The least wait after a refusal: the same call is refused again, until someone changes a setting.
pub const REFUSED_WAIT: Millis = 10_000.0;
/// A page that nobody has seen for this long needs no streams: each is one of the six connections that a browser
/// has for a server, over all tabs, and one more viewer to feed. Cursors make up for it in one frame.
pub const UNSEEN: Millis = 10_000.0;

/// Something happened.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Event {
    /// A message came.
    Frame,
    /// The first message of a call that was opened beside came, and the call takes the place of the one before.
    Answered(Beside),
    /// A short call ended at its deadline, after a message or more.
    CallEnded,
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
    Open(Kind),
    /// Open the call that follows one that has ended, and leave what is open beside it.
    Next(Kind),
    /// Drop what is open.
    Close,
    /// Open another beside what is open.
    OpenBeside(Beside),
}

/// A call that is opened beside another, and takes its place with its first message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Beside {
    /// A call of the same kind: for another viewport, or to find out whether the server can still be reached.
    Successor,
    /// A short call, while a stream has no first message.
    Probe,
    /// A stream, while short calls go on.
    Trial,
}

/// The state of one connection. Begins with an attempt under way.
#[derive(Clone, PartialEq, Debug)]
pub struct Machine {
    phase: Phase,
    call: Call,
    /// Streams in a row that were silent while a short call was answered.
    silent: u32,
    /// Attempts that failed since the stream was last live for a while.
    failures: u32,
    online: bool,
    heard_at: Option<Millis>,
    hidden_at: Option<Millis>,
}

/// The newest call.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Call {
    kind: Kind,
    opened_at: Millis,
    /// A message has come.
    spoke: bool,
    /// A short call was opened beside it.
    probed: bool,
}

impl Call {
    fn new(kind: Kind, now: Millis) -> Self {
        Self { kind, opened_at: now, spoke: false, probed: false }
    }
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
        why: Why,
    },
    /// Until someone looks.
    Paused,
}

/// Why there is no call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Why {
    Lost,
    Draining,
    Refused,
}

impl Machine {
    /// A first attempt begins now. `online`: what the browser believes.
    pub fn new(now: Millis, online: bool, kind: Kind) -> Self {
        Self {
            phase: Phase::Connecting { since: now },
            call: Call::new(kind, now),
            silent: 0,
            failures: 0,
            online,
            heard_at: None,
            hidden_at: None,
        }
    }

    /// The way in which the newest call was opened.
    pub fn kind(&self) -> Kind {
        self.call.kind
    }

    /// The newest call was replaced before its first message.
    pub fn reopened(&mut self, now: Millis) {
        self.call = Call::new(self.call.kind, now);
    }

    /// What a person should know. It says offline only when an attempt has failed: a server on the same
    /// machine is there without any network.
    pub fn connection(&self, buffering: &Buffering) -> Connection {
        let link = match self.phase {
            // Who sees it paused has just come back, and the attempt begins.
            Phase::Connecting { .. } | Phase::Paused => Link::Connecting,
            Phase::Live { .. } if self.call.kind == Kind::ShortCall && buffering.is_found() => {
                Link::ShortCalls
            }
            Phase::Live { .. } => Link::Live,
            Phase::Waiting { .. } if !self.online => Link::Offline,
            Phase::Waiting { retry_at, why } => match why {
                Why::Lost => Link::Waiting { retry_at },
                Why::Draining => Link::Draining { retry_at },
                Why::Refused => Link::Refused { retry_at },
            },
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
        let due = self.suspect_at().map_or(due, |at| due.min(at));
        self.hidden_at.map_or(due, |at| due.min(at + UNSEEN))
    }

    /// When the open stream is suspect, if no message comes before.
    fn suspect_at(&self) -> Option<Millis> {
        let is_open = matches!(self.phase, Phase::Connecting { .. } | Phase::Live { .. });
        let Call { kind, opened_at, spoke, probed } = self.call;
        (is_open && kind == Kind::Stream && !spoke && !probed).then_some(opened_at + SUSPECT_AFTER)
    }

    /// Takes in `event`. `chance`, in [0, 1), spreads the retries of many pages.
    pub fn on(&mut self, event: Event, now: Millis, chance: f64, buffering: &mut Buffering) -> Step {
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
        if let Event::Online | Event::Slept | Event::Reconnect = event {
            buffering.may_be_over(now);
        }
        match event {
            Event::Wake if self.phase == Phase::Paused => self.open(now, buffering),
            _ if self.phase == Phase::Paused => Step::Stay,
            _ if unseen => self.pause(),
            Event::Frame => self.frame(now, buffering),
            Event::Answered(beside) => {
                self.answered(beside, now, buffering);
                self.frame(now, buffering)
            }
            Event::CallEnded if !waiting => {
                self.call = Call::new(buffering.kind(), now);
                Step::Next(self.call.kind)
            }
            Event::Failed(later) if !waiting => self.wait(later, now, chance),
            Event::Tick if due && waiting => self.open(now, buffering),
            Event::Tick if self.suspect_at().is_some_and(|at| now >= at) => {
                self.call.probed = true;
                Step::OpenBeside(Beside::Probe)
            }
            Event::Tick if due => self.wait(Later::default(), now, chance),
            Event::Wake if due || waiting => self.open(now, buffering),
            Event::Online | Event::Reconnect if waiting => self.open(now, buffering),
            // A stream of the network that was there before may never be heard of again.
            Event::Online | Event::Offline if matches!(self.phase, Phase::Live { .. }) => {
                Step::OpenBeside(Beside::Successor)
            }
            Event::Slept => self.open(now, buffering),
            _ => Step::Stay,
        }
    }

    fn frame(&mut self, now: Millis, buffering: &mut Buffering) -> Step {
        self.heard_at = Some(now);
        if let Phase::Connecting { .. } = self.phase {
            self.phase = Phase::Live { since: now };
        }
        self.call.spoke = true;
        match self.call.kind {
            Kind::Stream if buffering.is_found() => {
                self.call = Call::new(Kind::ShortCall, now);
                Step::Open(Kind::ShortCall)
            }
            Kind::Stream => {
                self.silent = 0;
                Step::Stay
            }
            Kind::ShortCall if buffering.is_trial_due(now) => {
                buffering.found(now);
                Step::OpenBeside(Beside::Trial)
            }
            Kind::ShortCall => Step::Stay,
        }
    }

    /// The call beside takes over.
    fn answered(&mut self, beside: Beside, now: Millis, buffering: &mut Buffering) {
        let kind = match beside {
            Beside::Successor => self.call.kind,
            Beside::Probe => {
                self.silent += 1;
                if self.silent >= SUSPECTS && !buffering.is_found() {
                    buffering.found(now);
                }
                Kind::ShortCall
            }
            Beside::Trial => {
                buffering.is_over();
                Kind::Stream
            }
        };
        self.call = Call::new(kind, now);
    }

    fn open(&mut self, now: Millis, buffering: &Buffering) -> Step {
        self.phase = Phase::Connecting { since: now };
        self.call = Call::new(buffering.kind(), now);
        Step::Open(self.call.kind)
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
        let why = match later {
            Later { is_refused: true, .. } => Why::Refused,
            Later { is_going: true, .. } => Why::Draining,
            _ => Why::Lost,
        };
        let asked = if why == Why::Refused { later.wait.max(REFUSED_WAIT) } else { later.wait };
        self.phase = Phase::Waiting { retry_at: now + retry_after(asked, self.failures, chance), why };
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

    const FAILED: Event = Event::Failed(Later { wait: 0.0, is_going: false, is_refused: false });

    /// A machine and what it knows of the way.
    struct Page(Machine, Buffering);

    impl Page {
        fn new(now: Millis) -> Self {
            Self(Machine::new(now, true, Kind::Stream), Buffering::default())
        }

        fn live(now: Millis) -> Self {
            let mut page = Self::new(now);
            assert_eq!(page.on(Event::Frame, now, 0.5), Step::Stay);
            page
        }

        fn on(&mut self, event: Event, now: Millis, chance: f64) -> Step {
            self.0.on(event, now, chance, &mut self.1)
        }

        fn connection(&self) -> Connection {
            self.0.connection(&self.1)
        }

        fn link(&self) -> Link {
            self.connection().link
        }
    }

    #[test]
    fn a_frame_makes_it_live() {
        let mut machine = Page::new(0.0);
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
        for mut machine in [Page::live(0.0), Page::new(0.0)] {
            machine.on(Event::Tick, 3_000.0, 0.5);
            assert_eq!(machine.on(Event::Tick, 9_999.0, 0.5), Step::Stay);
            assert_eq!(machine.on(Event::Tick, 10_000.0, 0.5), Step::Close);
            assert_eq!(machine.link(), Link::Waiting { retry_at: 10_125.0 });
            assert_eq!(machine.on(Event::Tick, 10_125.0, 0.5), Step::Open(Kind::Stream));
        }
    }

    #[test]
    fn waits_double_up_to_ten_seconds() {
        let mut machine = Page::new(0.0);
        let mut waits = Vec::new();
        for _ in 0..8 {
            machine.on(FAILED, 0.0, 1.0);
            waits.push(machine.0.deadline());
            machine.on(Event::Reconnect, 0.0, 0.0);
        }
        assert_eq!(waits, [250.0, 500.0, 1_000.0, 2_000.0, 4_000.0, 8_000.0, 10_000.0, 10_000.0]);
    }

    #[test]
    fn only_a_stream_that_lasted_forgets_its_failures() {
        let mut machine = Page::new(0.0);
        for _ in 0..3 {
            machine.on(FAILED, 0.0, 0.0);
            machine.on(Event::Tick, 0.0, 0.0);
            machine.on(Event::Frame, 0.0, 0.0);
        }
        machine.on(FAILED, 5.0, 0.0);
        assert_eq!(machine.0.failures, 4);
        machine.on(Event::Tick, 5.0, 0.0);
        machine.on(Event::Frame, 5.0, 0.0);
        machine.on(FAILED, 5.1 + SILENCE, 0.0);
        assert_eq!(machine.0.failures, 1);
    }

    #[test]
    fn a_draining_server_says_when_to_come_again() {
        let mut machine = Page::live(0.0);
        let going = Event::Failed(Later { wait: 2_000.0, is_going: true, is_refused: false });
        assert_eq!(machine.on(going, 100.0, 0.0), Step::Close);
        assert_eq!(machine.link(), Link::Draining { retry_at: 2_100.0 });
        assert_eq!(machine.on(Event::Tick, 2_100.0, 0.0), Step::Open(Kind::Stream));
        machine.on(FAILED, 2_200.0, 0.0);
        assert_eq!((machine.link(), machine.0.failures), (Link::Waiting { retry_at: 2_200.0 }, 2));
    }

    #[test]
    fn a_server_whose_disk_is_full_is_left_alone_and_not_said_to_restart() {
        let mut machine = Page::live(0.0);
        let full = Event::Failed(Later { wait: 2_000.0, is_going: false, is_refused: false });
        assert_eq!(machine.on(full, 100.0, 0.0), Step::Close);
        assert_eq!(machine.link(), Link::Waiting { retry_at: 2_100.0 });
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
        let mut machine = Page::live(0.0);
        assert_eq!(machine.on(Event::Wake, 5_000.0, 0.5), Step::Stay);
        assert_eq!(machine.on(Event::Wake, 360_000.0, 0.5), Step::Open(Kind::Stream));
        machine.on(FAILED, 360_001.0, 1.0);
        assert_eq!(machine.on(Event::Wake, 360_002.0, 0.5), Step::Open(Kind::Stream));
        assert_eq!(Page::live(0.0).on(Event::Slept, 1.0, 0.5), Step::Open(Kind::Stream));
    }

    #[test]
    fn offline_is_said_only_when_nothing_comes() {
        let mut machine = Page::live(0.0);
        assert_eq!(machine.on(Event::Offline, 1.0, 0.5), Step::OpenBeside(Beside::Successor));
        assert_eq!(machine.link(), Link::Live);
        machine.on(FAILED, 2.0, 0.5);
        assert_eq!(machine.link(), Link::Offline);
        assert_eq!(machine.on(Event::Online, 3.0, 0.5), Step::Open(Kind::Stream));
        assert_eq!(machine.link(), Link::Connecting);
    }

    /// L14, L19.
    #[test]
    fn a_page_that_nobody_sees_has_no_streams_after_a_while() {
        let mut machine = Page::live(0.0);
        assert_eq!(machine.on(Event::Hidden, 1_000.0, 0.5), Step::Stay);
        machine.on(Event::Frame, 9_000.0, 0.5);
        assert_eq!(
            machine.on(Event::Hidden, 9_500.0, 0.5),
            Step::Stay,
            "hidden twice is hidden since the first"
        );
        assert_eq!(machine.0.deadline(), 11_000.0);
        assert_eq!(machine.on(Event::Tick, 11_000.0, 0.5), Step::Close);
        for event in [Event::Tick, Event::Online, Event::Slept, Event::Hidden, Event::Left] {
            assert_eq!(machine.on(event, 400_000.0, 0.5), Step::Stay, "{event:?}");
        }
        assert_eq!(machine.on(Event::Wake, 500_000.0, 0.5), Step::Open(Kind::Stream));
        assert_eq!(machine.on(Event::Frame, 500_020.0, 0.5), Step::Stay);
        assert_eq!(machine.link(), Link::Live);
    }

    #[test]
    fn a_look_elsewhere_costs_nothing() {
        let mut machine = Page::live(0.0);
        machine.on(Event::Hidden, 1_000.0, 0.5);
        assert_eq!(machine.on(Event::Wake, 4_000.0, 0.5), Step::Stay);
        machine.on(Event::Frame, 9_000.0, 0.5);
        assert_eq!(machine.on(Event::Tick, 12_000.0, 0.5), Step::Stay);
    }

    #[test]
    fn a_page_that_is_left_has_no_streams_at_once() {
        for mut machine in [Page::live(0.0), Page::new(0.0)] {
            assert_eq!(machine.on(Event::Left, 1.0, 0.5), Step::Close);
            assert_eq!(machine.on(Event::Wake, 2.0, 0.5), Step::Open(Kind::Stream));
        }
    }

    #[test]
    fn who_is_refused_is_told_so_and_asks_again_slowly() {
        let mut machine = Page::live(0.0);
        let refused = Event::Failed(Later { is_refused: true, ..Later::default() });
        assert_eq!(machine.on(refused, 100.0, 0.0), Step::Close);
        assert_eq!(machine.link(), Link::Refused { retry_at: 10_100.0 });
        assert_eq!(machine.on(Event::Reconnect, 200.0, 0.0), Step::Open(Kind::Stream));
        machine.on(refused, 300.0, 1.0);
        assert_eq!(machine.0.deadline(), 20_300.0);
    }

    /// PROXY-1: twice a stream is silent while a short call beside it is answered.
    fn held_back() -> Page {
        let mut machine = Page::new(0.0);
        assert_eq!(machine.on(Event::Tick, 2_999.0, 0.5), Step::Stay);
        assert_eq!(machine.on(Event::Tick, 3_000.0, 0.5), Step::OpenBeside(Beside::Probe));
        assert_eq!(machine.on(Event::Answered(Beside::Probe), 4_000.0, 0.5), Step::Stay);
        assert_eq!(machine.link(), Link::Live, "once may have been an accident");
        assert_eq!(machine.on(Event::CallEnded, 4_001.0, 0.5), Step::Next(Kind::Stream));
        assert_eq!(machine.0.deadline(), 7_001.0);
        assert_eq!(machine.on(Event::Tick, 7_001.0, 0.5), Step::OpenBeside(Beside::Probe));
        assert_eq!(machine.on(Event::Answered(Beside::Probe), 8_000.0, 0.5), Step::Stay);
        assert_eq!(machine.link(), Link::ShortCalls);
        machine
    }

    #[test]
    fn streams_that_are_silent_while_short_calls_are_answered_are_held_back() {
        let mut machine = held_back();
        for now in [8_001.0, 9_001.0, 10_001.0] {
            assert_eq!(machine.on(Event::CallEnded, now, 0.5), Step::Next(Kind::ShortCall));
            assert_eq!(machine.on(Event::Frame, now + 999.0, 0.5), Step::Stay);
            assert_eq!(machine.link(), Link::ShortCalls);
        }
        let mut other = Machine::new(10_000.0, true, machine.1.kind());
        assert_eq!(other.kind(), Kind::ShortCall, "one stream has found out for all");
        assert_eq!(other.deadline(), 20_000.0, "and a short call is not suspect");
        other.on(FAILED, 10_500.0, 0.0, &mut machine.1);
        assert_eq!(other.on(Event::Tick, 10_500.0, 0.0, &mut machine.1), Step::Open(Kind::ShortCall));
    }

    #[test]
    fn a_slow_stream_and_a_server_that_answers_nothing_are_not_held_back() {
        let mut slow = Page::new(0.0);
        for now in [0.0, 10_000.0, 20_000.0] {
            assert_eq!(slow.on(Event::Tick, now + 3_000.0, 0.0), Step::OpenBeside(Beside::Probe));
            slow.on(Event::Frame, now + 3_500.0, 0.0);
            slow.on(FAILED, now + 4_000.0, 0.0);
            assert_eq!(slow.on(Event::Tick, now + 10_000.0, 0.0), Step::Open(Kind::Stream));
        }
        let mut once = Page::new(0.0);
        once.on(Event::Tick, 3_000.0, 0.0);
        once.on(Event::Answered(Beside::Probe), 3_100.0, 0.0);
        once.on(Event::CallEnded, 4_100.0, 0.0);
        once.on(Event::Frame, 4_150.0, 0.0);
        assert_eq!(once.0.silent, 0);
        let mut silent = Page::new(0.0);
        assert_eq!(silent.on(Event::Tick, 3_000.0, 0.0), Step::OpenBeside(Beside::Probe));
        assert_eq!(silent.on(Event::Tick, 10_000.0, 0.0), Step::Close);
        for page in [slow, once, silent] {
            assert!(!page.1.is_found());
        }
    }

    #[test]
    fn a_stream_is_tried_beside_the_short_calls_and_takes_over_when_it_speaks() {
        let mut machine = held_back();
        let trial = 68_000.0;
        machine.on(Event::CallEnded, trial - 500.0, 0.5);
        assert_eq!(machine.on(Event::Frame, trial, 0.5), Step::OpenBeside(Beside::Trial));
        assert_eq!(machine.on(Event::Frame, trial + 1.0, 0.5), Step::Stay, "one trial at a time");
        assert_eq!(machine.on(Event::Answered(Beside::Trial), trial + 50.0, 0.5), Step::Stay);
        assert_eq!((machine.link(), machine.0.kind()), (Link::Live, Kind::Stream));

        let mut asked = held_back();
        asked.on(FAILED, 9_000.0, 0.0);
        assert_eq!(asked.on(Event::Reconnect, 9_000.0, 0.0), Step::Open(Kind::ShortCall));
        assert_eq!(asked.on(Event::Frame, 10_000.0, 0.0), Step::OpenBeside(Beside::Trial));
    }

    #[test]
    fn a_stream_that_comes_in_bursts_gives_way_once_another_has_found_out() {
        let mut machine = Page::live(0.0);
        machine.1.found(1.0);
        assert_eq!(machine.on(Event::Frame, 2.0, 0.5), Step::Open(Kind::ShortCall));
        assert_eq!(machine.link(), Link::ShortCalls);
    }

    fn beside() -> impl Strategy<Value = Beside> {
        prop_oneof![Just(Beside::Successor), Just(Beside::Probe), Just(Beside::Trial)]
    }

    fn event() -> impl Strategy<Value = Event> {
        prop_oneof![
            Just(Event::Frame),
            beside().prop_map(Event::Answered),
            Just(Event::CallEnded),
            (0.0..1e6f64, any::<bool>(), any::<bool>()).prop_map(|(wait, is_going, is_refused)| {
                Event::Failed(Later { wait, is_going, is_refused })
            }),
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
            let mut machine = Page::new(0.0);
            let (mut now, mut open) = (0.0, true);
            for (event, later, chance) in events {
                now += later;
                if !open && matches!(event, Event::Frame | Event::Answered(_) | Event::CallEnded | Event::Failed(_)) {
                    continue;
                }
                match machine.on(event, now, chance) {
                    Step::Open(_) | Step::Next(_) => open = true,
                    Step::Close => open = false,
                    Step::Stay | Step::OpenBeside(_) => {}
                }
                let closed = matches!(machine.0.phase, Phase::Waiting { .. } | Phase::Paused);
                prop_assert_eq!(open, !closed);
                let latest = now + 2.0 * 60_000.0;
                prop_assert!(machine.0.deadline() <= latest || machine.0.phase == Phase::Paused);
            }
            match machine.on(Event::Wake, now, 0.5) {
                Step::Open(_) | Step::Next(_) => open = true,
                Step::Close => open = false,
                Step::Stay | Step::OpenBeside(_) => {}
            }
            if !open {
                let deadline = machine.0.deadline();
                prop_assert_eq!(machine.on(Event::Tick, deadline, 0.5), Step::Open(Kind::Stream));
            }
        }
    }
}
