//! The connection of a resumable stream: a pure state machine.
//!
//! It takes events and returns steps. Time and randomness are arguments. [`crate::resumable`] drives it.

use crate::{
    backoff::retry_wait,
    buffering::{BufferingDetector, CallKind, SUSPECTS},
    clock::Millis,
    status::{Reasons, RetryHint},
};

/// The lowest wait after a refusal. The same call is refused again until a setting changes.
const REFUSED_WAIT: Millis = 10_000.0;
/// A stream that was live for longer than this forgets the failures before it. Otherwise a server that accepts each
/// stream and ends it at once would be called without a wait.
const STABLE_AFTER: Millis = 10_000.0;

/// The time limits of a resumable stream.
#[derive(Clone, Copy, Debug)]
pub struct ResumePolicy {
    /// A stream without a message for this long counts as lost. The server must send one more often, for example a
    /// heartbeat. `f64::INFINITY` turns it off.
    pub idle_timeout: Millis,
    /// A stream without a first message for this long may be held back by a proxy. The server must send one at once,
    /// for example a heartbeat. `f64::INFINITY` turns the detection off.
    pub first_message_timeout: Millis,
    /// A page that is hidden for this long has no streams: each holds one of the six connections that a browser has to
    /// a server over HTTP/1.1, for all of its tabs.
    pub hidden_timeout: Millis,
    /// The reasons of the server.
    pub reasons: Reasons,
}

impl Default for ResumePolicy {
    fn default() -> Self {
        Self {
            idle_timeout: 10_000.0,
            first_message_timeout: 3_000.0,
            hidden_timeout: 10_000.0,
            reasons: Reasons::default(),
        }
    }
}

/// The state of a resumable stream, for people.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct StreamState {
    /// The state of the connection.
    pub link: Link,
    /// The time of the newest message, of this attempt or of one before it.
    pub heard_at: Option<Millis>,
}

/// The state of a connection.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Link {
    /// The newest attempt has not had a message yet.
    Connecting,
    /// Messages arrive.
    Live,
    /// Messages arrive by short calls: a proxy holds streams back, or other windows need the connections.
    ShortCalls,
    /// The last attempt failed.
    Waiting {
        /// The time of the next attempt.
        retry_at: Millis,
    },
    /// The last attempt failed, and the browser reports that there is no network.
    Offline,
    /// The server said that it shuts down. The stream resumes as soon as a server is back.
    Draining {
        /// The time of the next attempt.
        retry_at: Millis,
    },
    /// The last attempt was refused, and the next one will be, until a setting changes.
    Refused {
        /// The time of the next attempt.
        retry_at: Millis,
    },
}

impl Link {
    /// Returns `true` if messages arrive.
    pub fn is_live(self) -> bool {
        matches!(self, Self::Live | Self::ShortCalls)
    }
}

/// An event of a connection.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Event {
    /// A message arrived.
    Message,
    /// The first message of a second call arrived. The call replaces the one before.
    TakenOver(Role),
    /// A short call reached its deadline after a message.
    CallEnded,
    /// The attempt or the stream failed.
    Failed(RetryHint),
    /// Time passed; see [`Machine::deadline`].
    Tick,
    /// The page was hidden.
    Hidden,
    /// The page was left. Browsers keep a page to come back to only if it has no open stream.
    Left,
    /// The page was shown.
    Wake,
    /// The system slept. All connections are dead, although no time seems to have passed.
    Slept,
    /// The browser reports a network.
    Online,
    /// The browser reports that there is no network.
    Offline,
    /// A person asked for an attempt.
    Reconnect,
}

/// The step after an event.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Step {
    /// Change nothing.
    Stay,
    /// Drop all calls, and open one.
    Open(CallKind),
    /// Open the successor of a call that has ended, and keep the second call.
    Next(CallKind),
    /// Drop all calls.
    Close,
    /// Open a second call.
    OpenSecond(Role),
}

/// The role of a second call. With its first message it replaces the first call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Role {
    /// A call of the same kind, for a changed request or to find out whether the server can be reached.
    Successor,
    /// A short call beside a stream without a first message.
    Probe,
    /// A stream beside short calls.
    Trial,
}

/// The state machine of one connection. It starts with an attempt under way.
#[derive(Clone, Debug)]
pub(crate) struct Machine {
    policy: ResumePolicy,
    phase: Phase,
    call: Call,
    /// Streams in a row that were silent while a short call had a message.
    silent: u32,
    /// Failures in a row, without a stream between them that was live for [`STABLE_AFTER`].
    failures: u32,
    online: bool,
    heard_at: Option<Millis>,
    hidden_at: Option<Millis>,
}

/// The newest call.
#[derive(Clone, Copy, Debug)]
struct Call {
    kind: CallKind,
    opened_at: Millis,
    /// A message has arrived.
    spoke: bool,
    /// A probe was opened beside it.
    probed: bool,
}

impl Call {
    fn new(kind: CallKind, now: Millis) -> Self {
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
        cause: Cause,
    },
    /// Without a call until the page is shown.
    Paused,
}

/// The cause of a wait.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Cause {
    Lost,
    Draining,
    Refused,
}

impl Machine {
    /// Starts with an attempt of `kind`. `online` is the belief of the browser.
    pub(crate) fn new(policy: ResumePolicy, now: Millis, online: bool, kind: CallKind) -> Self {
        Self {
            policy,
            phase: Phase::Connecting { since: now },
            call: Call::new(kind, now),
            silent: 0,
            failures: 0,
            online,
            heard_at: None,
            hidden_at: None,
        }
    }

    pub(crate) fn policy(&self) -> &ResumePolicy {
        &self.policy
    }

    /// Returns the kind of the newest call.
    pub(crate) fn kind(&self) -> CallKind {
        self.call.kind
    }

    /// Records that the newest call was replaced before its first message.
    pub(crate) fn reopened(&mut self, now: Millis) {
        self.call = Call::new(self.call.kind, now);
    }

    /// Returns the state for people. It is offline only after a failed attempt: a server on the same machine can be
    /// reached without a network.
    pub(crate) fn state(&self, buffering: &BufferingDetector) -> StreamState {
        let link = match self.phase {
            // A person who sees it paused has just come back, and the attempt begins.
            Phase::Connecting { .. } | Phase::Paused => Link::Connecting,
            Phase::Live { .. } if self.call.kind == CallKind::ShortCall && buffering.needs_short_calls() => {
                Link::ShortCalls
            }
            Phase::Live { .. } => Link::Live,
            Phase::Waiting { .. } if !self.online => Link::Offline,
            Phase::Waiting { retry_at, cause } => match cause {
                Cause::Lost => Link::Waiting { retry_at },
                Cause::Draining => Link::Draining { retry_at },
                Cause::Refused => Link::Refused { retry_at },
            },
        };
        StreamState { link, heard_at: self.heard_at }
    }

    /// Returns the time of the next [`Event::Tick`], if no other event comes before.
    pub(crate) fn deadline(&self) -> Millis {
        let due = match self.phase {
            Phase::Connecting { since } => since + self.policy.idle_timeout,
            Phase::Live { since } => self.heard_at.unwrap_or(since) + self.policy.idle_timeout,
            Phase::Waiting { retry_at, .. } => retry_at,
            Phase::Paused => return f64::INFINITY,
        };
        let due = self.suspect_at().map_or(due, |at| due.min(at));
        self.hidden_at.map_or(due, |at| due.min(at + self.policy.hidden_timeout))
    }

    /// Returns the time at which the open stream is suspect, if no message comes before.
    fn suspect_at(&self) -> Option<Millis> {
        let is_open = matches!(self.phase, Phase::Connecting { .. } | Phase::Live { .. });
        let Call { kind, opened_at, spoke, probed } = self.call;
        (is_open && kind == CallKind::Stream && !spoke && !probed)
            .then_some(opened_at + self.policy.first_message_timeout)
    }

    /// Takes `event`, and returns the next step. `random`, in [0, 1), spreads the attempts of many clients.
    pub(crate) fn on(
        &mut self,
        event: Event,
        now: Millis,
        random: f64,
        buffering: &mut BufferingDetector,
    ) -> Step {
        match event {
            Event::Online => self.online = true,
            Event::Offline => self.online = false,
            Event::Hidden => self.hidden_at = self.hidden_at.or(Some(now)),
            Event::Wake => self.hidden_at = None,
            _ => {}
        }
        let unseen =
            event == Event::Left || self.hidden_at.is_some_and(|at| now >= at + self.policy.hidden_timeout);
        let waiting = matches!(self.phase, Phase::Waiting { .. });
        let due = now >= self.deadline();
        if let Event::Online | Event::Slept | Event::Reconnect = event {
            buffering.network_changed(now);
        }
        match event {
            Event::Wake if self.phase == Phase::Paused => self.open(now, buffering),
            _ if self.phase == Phase::Paused => Step::Stay,
            _ if unseen => self.pause(),
            Event::Message => self.message(now, buffering),
            Event::TakenOver(role) => {
                self.take_over(role, now, buffering);
                self.message(now, buffering)
            }
            Event::CallEnded if !waiting => {
                self.call = Call::new(buffering.kind(), now);
                Step::Next(self.call.kind)
            }
            Event::Failed(hint) if !waiting => self.wait(hint, now, random),
            Event::Tick if due && waiting => self.open(now, buffering),
            Event::Tick if self.suspect_at().is_some_and(|at| now >= at) => {
                self.call.probed = true;
                Step::OpenSecond(Role::Probe)
            }
            Event::Tick if due => self.wait(RetryHint::default(), now, random),
            Event::Wake if due || waiting => self.open(now, buffering),
            Event::Online | Event::Reconnect if waiting => self.open(now, buffering),
            // A stream over the former network may never end by itself.
            Event::Online | Event::Offline if matches!(self.phase, Phase::Live { .. }) => {
                Step::OpenSecond(Role::Successor)
            }
            Event::Slept => self.open(now, buffering),
            _ => Step::Stay,
        }
    }

    fn message(&mut self, now: Millis, buffering: &mut BufferingDetector) -> Step {
        self.heard_at = Some(now);
        if let Phase::Connecting { .. } = self.phase {
            self.phase = Phase::Live { since: now };
        }
        self.call.spoke = true;
        match self.call.kind {
            CallKind::Stream if buffering.needs_short_calls() => {
                self.call = Call::new(CallKind::ShortCall, now);
                Step::Open(CallKind::ShortCall)
            }
            CallKind::Stream => {
                self.silent = 0;
                Step::Stay
            }
            CallKind::ShortCall if buffering.is_trial_due(now) => {
                buffering.detected(now);
                Step::OpenSecond(Role::Trial)
            }
            CallKind::ShortCall => Step::Stay,
        }
    }

    /// Puts the second call in the place of the first.
    fn take_over(&mut self, role: Role, now: Millis, buffering: &mut BufferingDetector) {
        let kind = match role {
            Role::Successor => self.call.kind,
            Role::Probe => {
                self.silent += 1;
                if self.silent >= SUSPECTS && !buffering.needs_short_calls() {
                    buffering.detected(now);
                }
                CallKind::ShortCall
            }
            Role::Trial => {
                buffering.cleared();
                CallKind::Stream
            }
        };
        self.call = Call::new(kind, now);
    }

    fn open(&mut self, now: Millis, buffering: &BufferingDetector) -> Step {
        self.phase = Phase::Connecting { since: now };
        self.call = Call::new(buffering.kind(), now);
        Step::Open(self.call.kind)
    }

    fn pause(&mut self) -> Step {
        self.phase = Phase::Paused;
        Step::Close
    }

    fn wait(&mut self, hint: RetryHint, now: Millis, random: f64) -> Step {
        if matches!(self.phase, Phase::Live { since, .. } if now - since > STABLE_AFTER) {
            self.failures = 0;
        }
        self.failures = self.failures.saturating_add(1);
        let cause = match hint {
            RetryHint { is_refused: true, .. } => Cause::Refused,
            RetryHint { is_shutting_down: true, .. } => Cause::Draining,
            _ => Cause::Lost,
        };
        let asked = if cause == Cause::Refused { hint.wait.max(REFUSED_WAIT) } else { hint.wait };
        self.phase = Phase::Waiting { retry_at: now + retry_wait(asked, self.failures, random), cause };
        Step::Close
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FAILED: Event = Event::Failed(RetryHint { wait: 0.0, is_shutting_down: false, is_refused: false });

    /// A machine, and the knowledge of its client.
    struct Page(Machine, BufferingDetector);

    impl Page {
        fn new(now: Millis) -> Self {
            Self(
                Machine::new(ResumePolicy::default(), now, true, CallKind::Stream),
                BufferingDetector::default(),
            )
        }

        fn live(now: Millis) -> Self {
            let mut page = Self::new(now);
            assert_eq!(page.on(Event::Message, now, 0.5), Step::Stay);
            page
        }

        fn on(&mut self, event: Event, now: Millis, random: f64) -> Step {
            self.0.on(event, now, random, &mut self.1)
        }

        fn state(&self) -> StreamState {
            self.0.state(&self.1)
        }

        fn link(&self) -> Link {
            self.state().link
        }
    }

    #[test]
    fn a_message_makes_it_live() {
        let mut machine = Page::new(0.0);
        assert_eq!(machine.state(), StreamState { link: Link::Connecting, heard_at: None });
        machine.on(Event::Message, 20.0, 0.5);
        machine.on(Event::Message, 30.0, 0.5);
        assert_eq!(machine.state(), StreamState { link: Link::Live, heard_at: Some(30.0) });
        machine.on(FAILED, 40.0, 0.5);
        assert_eq!(machine.state().heard_at, Some(30.0), "the data on the screen is as old as that");
    }

    /// L15, the client's half.
    #[test]
    fn ten_silent_seconds_end_a_stream_and_an_attempt() {
        for mut machine in [Page::live(0.0), Page::new(0.0)] {
            machine.on(Event::Tick, 3_000.0, 0.5);
            assert_eq!(machine.on(Event::Tick, 9_999.0, 0.5), Step::Stay);
            assert_eq!(machine.on(Event::Tick, 10_000.0, 0.5), Step::Close);
            assert_eq!(machine.link(), Link::Waiting { retry_at: 10_125.0 });
            assert_eq!(machine.on(Event::Tick, 10_125.0, 0.5), Step::Open(CallKind::Stream));
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
            machine.on(Event::Message, 0.0, 0.0);
        }
        machine.on(FAILED, 5.0, 0.0);
        assert_eq!(machine.0.failures, 4);
        machine.on(Event::Tick, 5.0, 0.0);
        machine.on(Event::Message, 5.0, 0.0);
        machine.on(FAILED, 5.1 + STABLE_AFTER, 0.0);
        assert_eq!(machine.0.failures, 1);
    }

    #[test]
    fn the_delay_of_a_server_that_shuts_down_is_kept() {
        let mut machine = Page::live(0.0);
        let shutting_down =
            Event::Failed(RetryHint { wait: 2_000.0, is_shutting_down: true, is_refused: false });
        assert_eq!(machine.on(shutting_down, 100.0, 0.0), Step::Close);
        assert_eq!(machine.link(), Link::Draining { retry_at: 2_100.0 });
        assert_eq!(machine.on(Event::Tick, 2_100.0, 0.0), Step::Open(CallKind::Stream));
        machine.on(FAILED, 2_200.0, 0.0);
        assert_eq!((machine.link(), machine.0.failures), (Link::Waiting { retry_at: 2_200.0 }, 2));
    }

    #[test]
    fn the_delay_of_a_server_whose_disk_is_full_is_kept_and_it_does_not_count_as_draining() {
        let mut machine = Page::live(0.0);
        let full = Event::Failed(RetryHint { wait: 2_000.0, is_shutting_down: false, is_refused: false });
        assert_eq!(machine.on(full, 100.0, 0.0), Step::Close);
        assert_eq!(machine.link(), Link::Waiting { retry_at: 2_100.0 });
    }

    /// L14.
    #[test]
    fn a_page_that_is_shown_again_finds_out_at_once() {
        let mut machine = Page::live(0.0);
        assert_eq!(machine.on(Event::Wake, 5_000.0, 0.5), Step::Stay);
        assert_eq!(machine.on(Event::Wake, 360_000.0, 0.5), Step::Open(CallKind::Stream));
        machine.on(FAILED, 360_001.0, 1.0);
        assert_eq!(machine.on(Event::Wake, 360_002.0, 0.5), Step::Open(CallKind::Stream));
        assert_eq!(Page::live(0.0).on(Event::Slept, 1.0, 0.5), Step::Open(CallKind::Stream));
    }

    #[test]
    fn it_is_offline_only_after_a_failed_attempt() {
        let mut machine = Page::live(0.0);
        assert_eq!(machine.on(Event::Offline, 1.0, 0.5), Step::OpenSecond(Role::Successor));
        assert_eq!(machine.link(), Link::Live);
        machine.on(FAILED, 2.0, 0.5);
        assert_eq!(machine.link(), Link::Offline);
        assert_eq!(machine.on(Event::Online, 3.0, 0.5), Step::Open(CallKind::Stream));
        assert_eq!(machine.link(), Link::Connecting);
    }

    /// L14, L19.
    #[test]
    fn a_hidden_page_has_no_streams_after_ten_seconds() {
        let mut machine = Page::live(0.0);
        assert_eq!(machine.on(Event::Hidden, 1_000.0, 0.5), Step::Stay);
        machine.on(Event::Message, 9_000.0, 0.5);
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
        assert_eq!(machine.on(Event::Wake, 500_000.0, 0.5), Step::Open(CallKind::Stream));
        assert_eq!(machine.on(Event::Message, 500_020.0, 0.5), Step::Stay);
        assert_eq!(machine.link(), Link::Live);
    }

    #[test]
    fn a_page_that_is_shown_again_soon_keeps_its_stream() {
        let mut machine = Page::live(0.0);
        machine.on(Event::Hidden, 1_000.0, 0.5);
        assert_eq!(machine.on(Event::Wake, 4_000.0, 0.5), Step::Stay);
        machine.on(Event::Message, 9_000.0, 0.5);
        assert_eq!(machine.on(Event::Tick, 12_000.0, 0.5), Step::Stay);
    }

    #[test]
    fn a_page_that_is_left_has_no_streams_at_once() {
        for mut machine in [Page::live(0.0), Page::new(0.0)] {
            assert_eq!(machine.on(Event::Left, 1.0, 0.5), Step::Close);
            assert_eq!(machine.on(Event::Wake, 2.0, 0.5), Step::Open(CallKind::Stream));
        }
    }

    #[test]
    fn a_refused_client_waits_long_between_its_attempts() {
        let mut machine = Page::live(0.0);
        let refused = Event::Failed(RetryHint { is_refused: true, ..RetryHint::default() });
        assert_eq!(machine.on(refused, 100.0, 0.0), Step::Close);
        assert_eq!(machine.link(), Link::Refused { retry_at: 10_100.0 });
        assert_eq!(machine.on(Event::Reconnect, 200.0, 0.0), Step::Open(CallKind::Stream));
        machine.on(refused, 300.0, 1.0);
        assert_eq!(machine.0.deadline(), 20_300.0);
    }

    /// PROXY-1: twice a stream is silent while a short call beside it has a message.
    fn held_back() -> Page {
        let mut machine = Page::new(0.0);
        assert_eq!(machine.on(Event::Tick, 2_999.0, 0.5), Step::Stay);
        assert_eq!(machine.on(Event::Tick, 3_000.0, 0.5), Step::OpenSecond(Role::Probe));
        assert_eq!(machine.on(Event::TakenOver(Role::Probe), 4_000.0, 0.5), Step::Stay);
        assert_eq!(machine.link(), Link::Live, "once may be an accident");
        assert_eq!(machine.on(Event::CallEnded, 4_001.0, 0.5), Step::Next(CallKind::Stream));
        assert_eq!(machine.0.deadline(), 7_001.0);
        assert_eq!(machine.on(Event::Tick, 7_001.0, 0.5), Step::OpenSecond(Role::Probe));
        assert_eq!(machine.on(Event::TakenOver(Role::Probe), 8_000.0, 0.5), Step::Stay);
        assert_eq!(machine.link(), Link::ShortCalls);
        machine
    }

    #[test]
    fn streams_that_are_silent_while_short_calls_have_messages_are_held_back() {
        let mut machine = held_back();
        for now in [8_001.0, 9_001.0, 10_001.0] {
            assert_eq!(machine.on(Event::CallEnded, now, 0.5), Step::Next(CallKind::ShortCall));
            assert_eq!(machine.on(Event::Message, now + 999.0, 0.5), Step::Stay);
            assert_eq!(machine.link(), Link::ShortCalls);
        }
        let mut other = Machine::new(ResumePolicy::default(), 10_000.0, true, machine.1.kind());
        assert_eq!(other.kind(), CallKind::ShortCall, "one stream has found out for all");
        assert_eq!(other.deadline(), 20_000.0, "and a short call is not suspect");
        other.on(FAILED, 10_500.0, 0.0, &mut machine.1);
        assert_eq!(other.on(Event::Tick, 10_500.0, 0.0, &mut machine.1), Step::Open(CallKind::ShortCall));
    }

    #[test]
    fn a_slow_stream_and_a_silent_server_are_not_held_back() {
        let mut slow = Page::new(0.0);
        for now in [0.0, 10_000.0, 20_000.0] {
            assert_eq!(slow.on(Event::Tick, now + 3_000.0, 0.0), Step::OpenSecond(Role::Probe));
            slow.on(Event::Message, now + 3_500.0, 0.0);
            slow.on(FAILED, now + 4_000.0, 0.0);
            assert_eq!(slow.on(Event::Tick, now + 10_000.0, 0.0), Step::Open(CallKind::Stream));
        }
        let mut once = Page::new(0.0);
        once.on(Event::Tick, 3_000.0, 0.0);
        once.on(Event::TakenOver(Role::Probe), 3_100.0, 0.0);
        once.on(Event::CallEnded, 4_100.0, 0.0);
        once.on(Event::Message, 4_150.0, 0.0);
        assert_eq!(once.0.silent, 0);
        let mut silent = Page::new(0.0);
        assert_eq!(silent.on(Event::Tick, 3_000.0, 0.0), Step::OpenSecond(Role::Probe));
        assert_eq!(silent.on(Event::Tick, 10_000.0, 0.0), Step::Close);
        for page in [slow, once, silent] {
            assert!(!page.1.needs_short_calls());
        }
    }

    #[test]
    fn a_stream_is_tried_beside_the_short_calls_and_takes_over_when_it_speaks() {
        let mut machine = held_back();
        let trial = 68_000.0;
        machine.on(Event::CallEnded, trial - 500.0, 0.5);
        assert_eq!(machine.on(Event::Message, trial, 0.5), Step::OpenSecond(Role::Trial));
        assert_eq!(machine.on(Event::Message, trial + 1.0, 0.5), Step::Stay, "one trial at a time");
        assert_eq!(machine.on(Event::TakenOver(Role::Trial), trial + 50.0, 0.5), Step::Stay);
        assert_eq!((machine.link(), machine.0.kind()), (Link::Live, CallKind::Stream));

        let mut asked = held_back();
        asked.on(FAILED, 9_000.0, 0.0);
        assert_eq!(asked.on(Event::Reconnect, 9_000.0, 0.0), Step::Open(CallKind::ShortCall));
        assert_eq!(asked.on(Event::Message, 10_000.0, 0.0), Step::OpenSecond(Role::Trial));
    }

    #[test]
    fn a_stream_that_comes_in_bursts_gives_way_once_another_has_found_out() {
        let mut machine = Page::live(0.0);
        machine.1.detected(1.0);
        assert_eq!(machine.on(Event::Message, 2.0, 0.5), Step::Open(CallKind::ShortCall));
        assert_eq!(machine.link(), Link::ShortCalls);
    }

    fn role() -> impl Strategy<Value = Role> {
        prop_oneof![Just(Role::Successor), Just(Role::Probe), Just(Role::Trial)]
    }

    fn event() -> impl Strategy<Value = Event> {
        prop_oneof![
            Just(Event::Message),
            role().prop_map(Event::TakenOver),
            Just(Event::CallEnded),
            (0.0..1e6f64, any::<bool>(), any::<bool>()).prop_map(|(wait, is_shutting_down, is_refused)| {
                Event::Failed(RetryHint { wait, is_shutting_down, is_refused })
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
        /// A stream is open exactly if the machine takes it to be open. While the page is shown, the next attempt is
        /// due at some time.
        #[test]
        fn it_never_gives_up(events in prop::collection::vec((event(), 0.0..20_000.0f64, 0.0..1.0f64), 0..60)) {
            let mut machine = Page::new(0.0);
            let (mut now, mut open) = (0.0, true);
            for (event, later, random) in events {
                now += later;
                if !open && matches!(event, Event::Message | Event::TakenOver(_) | Event::CallEnded | Event::Failed(_)) {
                    continue;
                }
                match machine.on(event, now, random) {
                    Step::Open(_) | Step::Next(_) => open = true,
                    Step::Close => open = false,
                    Step::Stay | Step::OpenSecond(_) => {}
                }
                let closed = matches!(machine.0.phase, Phase::Waiting { .. } | Phase::Paused);
                prop_assert_eq!(open, !closed);
                let latest = now + 2.0 * 60_000.0;
                prop_assert!(machine.0.deadline() <= latest || machine.0.phase == Phase::Paused);
            }
            match machine.on(Event::Wake, now, 0.5) {
                Step::Open(_) | Step::Next(_) => open = true,
                Step::Close => open = false,
                Step::Stay | Step::OpenSecond(_) => {}
            }
            if !open {
                let deadline = machine.0.deadline();
                prop_assert_eq!(machine.on(Event::Tick, deadline, 0.5), Step::Open(CallKind::Stream));
            }
        }
    }
}
