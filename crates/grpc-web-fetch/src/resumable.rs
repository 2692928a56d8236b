//! Streams that resume: the task around the state machine in [`crate::connection`].
//!
//! A stream that is replaced, for example by one with another request, stays open until its successor has had a
//! message, so that the data does not stop in between. The same holds for a stream beside short calls, and the reverse.

use std::{cell::Cell, future::pending, pin::pin, rc::Rc};

use bytes::Bytes;
use futures_channel::mpsc;
use futures_util::{FutureExt as _, StreamExt as _, select_biased};
use tonic::{Code, Status};

use crate::{
    buffering::{BufferingDetector, CallKind},
    clock::{Clock, Millis},
    connection::{Event, Machine, ResumePolicy, Role, Step, StreamState},
    messages::MessageStream,
    status::RetryHint,
};

/// The capacity of a channel of signals. Signals come from people and the browser, which send few.
pub const SIGNALS: usize = 32;
/// If the wall clock gains this much on the monotonic clock, the system slept.
const SLEPT: Millis = 5_000.0;

/// A message from the rest of the page to a stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Signal {
    /// The page was hidden.
    Hide,
    /// The page was left, and the browser may keep it to come back to.
    Leave,
    /// The page was shown.
    Wake,
    /// The browser reports a network.
    Online,
    /// The browser reports that there is no network.
    Offline,
    /// A person asks for an attempt now.
    Reconnect,
    /// The request has changed. The stream is opened again, and the old one dropped after the first message of the new.
    Reopen,
}

/// A stream that is opened again after each loss, from where it ended.
///
/// Its messages are encoded, so that the code that keeps it open exists once and not once for each type.
pub trait ResumableStream {
    /// Opens the stream from where the last one ended, with this deadline. Dropping it cancels the call.
    fn open(&mut self, deadline: Option<Millis>) -> MessageStream;

    /// Takes a message. `first` is true for the first message of a stream. The stream before it is dropped by then.
    ///
    /// # Errors
    /// An error ends the stream as if the server had ended it with this status.
    fn message(&mut self, message: Bytes, first: bool) -> Result<(), Status>;

    /// Takes the state of the stream, after each event.
    fn state(&mut self, state: StreamState);

    /// Takes the end of a stream. Returns `false` if the stream is not to be opened again.
    fn ended(&mut self, end: &Result<(), Status>) -> bool;
}

type Item = Result<Bytes, Status>;

/// A call beside the first one.
struct Second {
    messages: MessageStream,
    role: Role,
    give_up_at: Millis,
}

impl Second {
    fn open(
        stream: &mut dyn ResumableStream,
        policy: &ResumePolicy,
        role: Role,
        kind: CallKind,
        now: Millis,
    ) -> Self {
        let (kind, give_up_at) = match role {
            Role::Successor => (kind, now + policy.idle_timeout),
            // It ends with the silent stream beside it.
            Role::Probe => (CallKind::ShortCall, f64::INFINITY),
            Role::Trial => (CallKind::Stream, now + policy.first_message_timeout),
        };
        Self { messages: stream.open(kind.deadline()), role, give_up_at }
    }
}

enum Input {
    Signal(Option<Signal>),
    First(Option<Item>),
    Second(Option<Item>),
    Tick,
}

/// The environment of a stream.
pub(crate) struct Environment<C> {
    pub(crate) clock: C,
    pub(crate) policy: ResumePolicy,
    /// The knowledge that all streams of a client share.
    pub(crate) buffering: Rc<Cell<BufferingDetector>>,
    /// The belief of the browser at the start.
    pub(crate) is_online: bool,
}

/// Keeps `stream` open until it has ended for good, or until all senders of `signals` are dropped.
pub(crate) async fn keep_open<C: Clock>(
    mut stream: Box<dyn ResumableStream>,
    environment: Environment<C>,
    mut signals: mpsc::Receiver<Signal>,
) {
    let Environment { clock, policy, buffering, is_online } = environment;
    let mut machine = Machine::new(policy, clock.now(), is_online, buffering.get().kind());
    let mut first = Some(stream.open(machine.kind().deadline()));
    let mut fresh = true;
    let mut second: Option<Second> = None;
    let mut drift = clock.wall() - clock.now();
    loop {
        stream.state(machine.state(&buffering.get()));
        let wake_at =
            machine.deadline().min(second.as_ref().map_or(f64::INFINITY, |second| second.give_up_at));
        let timer = clock.sleep(wake_at - clock.now());
        let input = next_input(&mut signals, &mut first, &mut second, timer).await;

        let now = clock.now();
        let slept = clock.wall() - now - drift > SLEPT;
        drift = clock.wall() - now;
        let event = match input {
            Input::Signal(None) => return,
            Input::Signal(Some(Signal::Reopen)) => {
                // A short call goes on: its messages arrive with its end, and the next one follows within a second.
                if first.is_some() && machine.kind() == CallKind::Stream {
                    if fresh {
                        first = Some(stream.open(machine.kind().deadline()));
                        machine.reopened(now);
                    } else {
                        let kind = machine.kind();
                        second =
                            Some(Second::open(&mut *stream, machine.policy(), Role::Successor, kind, now));
                    }
                }
                continue;
            }
            Input::First(Some(Err(status)))
                if !fresh
                    && machine.kind() == CallKind::ShortCall
                    && status.code() == Code::DeadlineExceeded =>
            {
                Event::CallEnded
            }
            Input::First(item) => {
                let is_message = matches!(item, Some(Ok(_)));
                let is_first = is_message && std::mem::take(&mut fresh);
                let Some(event) = take(&mut *stream, machine.policy(), item, is_first) else { return };
                if is_message {
                    second.take_if(|second| second.role == Role::Probe);
                }
                event
            }
            Input::Second(item) => {
                let Some(Second { messages, role, .. }) = second.take() else { continue };
                match item {
                    Some(Ok(_)) => (first, fresh) = (Some(messages), false),
                    // A probe or a trial that failed has found out nothing.
                    _ if role != Role::Successor => continue,
                    _ => {}
                }
                match take(&mut *stream, machine.policy(), item, true) {
                    Some(Event::Message) => Event::TakenOver(role),
                    Some(event) => event,
                    None => return,
                }
            }
            Input::Tick => match second.take_if(|second| now >= second.give_up_at) {
                Some(Second { role: Role::Successor, .. }) => Event::Failed(RetryHint::default()),
                Some(_) => continue,
                None => Event::Tick,
            },
            Input::Signal(Some(Signal::Hide)) => Event::Hidden,
            Input::Signal(Some(Signal::Leave)) => Event::Left,
            Input::Signal(Some(Signal::Wake)) => Event::Wake,
            Input::Signal(Some(Signal::Online)) => Event::Online,
            Input::Signal(Some(Signal::Offline)) => Event::Offline,
            Input::Signal(Some(Signal::Reconnect)) => Event::Reconnect,
        };
        let mut known = buffering.get();
        let step = match slept.then(|| machine.on(Event::Slept, now, clock.random(), &mut known)) {
            None | Some(Step::Stay) => machine.on(event, now, clock.random(), &mut known),
            Some(step) => step,
        };
        buffering.set(known);
        match step {
            Step::Stay => {}
            Step::Open(kind) => (first, fresh, second) = (Some(stream.open(kind.deadline())), true, None),
            Step::Next(kind) => (first, fresh) = (Some(stream.open(kind.deadline())), true),
            Step::Close => (first, second) = (None, None),
            Step::OpenSecond(role) => {
                second = Some(Second::open(&mut *stream, machine.policy(), role, machine.kind(), now));
            }
        }
    }
}

/// Gives an item, or the end, to `stream`, and returns the event. Returns `None` if the stream has ended for good.
fn take(
    stream: &mut dyn ResumableStream,
    policy: &ResumePolicy,
    item: Option<Item>,
    first: bool,
) -> Option<Event> {
    let end = match item {
        Some(Ok(message)) => match stream.message(message, first) {
            Ok(()) => return Some(Event::Message),
            Err(status) => Err(status),
        },
        Some(Err(status)) => Err(status),
        None => Ok(()),
    };
    let hint = |status: &Status| RetryHint::of(status, &policy.reasons);
    stream.ended(&end).then(|| Event::Failed(end.err().as_ref().map(hint).unwrap_or_default()))
}

async fn next_input(
    signals: &mut mpsc::Receiver<Signal>,
    first: &mut Option<MessageStream>,
    second: &mut Option<Second>,
    timer: impl Future<Output = ()>,
) -> Input {
    let first = async {
        match first {
            Some(messages) => messages.next().await,
            None => pending().await,
        }
    };
    let second = async {
        match second {
            Some(second) => second.messages.next().await,
            None => pending().await,
        }
    };
    // A person does not wait for messages, and a successor replaces its predecessor before that has more to say.
    select_biased! {
        signal = signals.next() => Input::Signal(signal),
        item = pin!(second.fuse()) => Input::Second(item),
        item = pin!(first.fuse()) => Input::First(item),
        () = pin!(timer.fuse()) => Input::Tick,
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, collections::VecDeque, rc::Rc, time::Duration};

    use futures_util::{future::join, stream};
    use tokio::time::{advance, sleep};
    use tonic::Code;
    use tonic_types::StatusExt as _;

    use super::{
        super::{clock::TestClock, connection::Link},
        *,
    };

    /// A message that does not fit to those before it.
    const UNFIT: u8 = 99;

    /// A stream of scripted attempts, with a diary of the events.
    #[derive(Clone, Default)]
    struct Scripted {
        attempts: Rc<RefCell<VecDeque<MessageStream>>>,
        diary: Rc<RefCell<Vec<String>>>,
        buffering: Rc<Cell<BufferingDetector>>,
    }

    impl Scripted {
        fn new(attempts: impl IntoIterator<Item = MessageStream>) -> Self {
            let attempts = Rc::new(RefCell::new(attempts.into_iter().collect()));
            Self { attempts, ..Self::default() }
        }

        fn note(&self, text: impl Into<String>) {
            self.diary.borrow_mut().push(text.into());
        }

        async fn run(&self, script: impl AsyncFnOnce(mpsc::Sender<Signal>)) -> Vec<String> {
            let (sender, signals) = mpsc::channel(SIGNALS);
            let environment = Environment {
                clock: TestClock::new(),
                policy: ResumePolicy::default(),
                buffering: self.buffering.clone(),
                is_online: true,
            };
            join(keep_open(Box::new(self.clone()), environment, signals), script(sender)).await;
            self.diary.take()
        }
    }

    impl ResumableStream for Scripted {
        fn open(&mut self, deadline: Option<Millis>) -> MessageStream {
            self.note(if deadline.is_some() { "short" } else { "open" });
            let dropped = OnDrop(self.clone());
            let attempt = self
                .attempts
                .borrow_mut()
                .pop_front()
                .unwrap_or_else(|| MessageStream::new(stream::pending()));
            MessageStream::new(attempt.inspect(move |_| _ = &dropped))
        }

        fn message(&mut self, message: Bytes, first: bool) -> Result<(), Status> {
            let frame = message[0];
            self.note(format!("{frame}{}", if first { " first" } else { "" }));
            if frame == UNFIT { Err(Status::aborted("")) } else { Ok(()) }
        }

        fn state(&mut self, state: StreamState) {
            if let Link::Waiting { .. } | Link::Draining { .. } = state.link {
                self.note(format!("{:?}", state.link));
            }
        }

        fn ended(&mut self, end: &Result<(), Status>) -> bool {
            self.note(end.as_ref().map_or_else(|status| status.code().to_string(), |()| "OK".to_owned()));
            end.is_err()
        }
    }

    struct OnDrop(Scripted);

    impl Drop for OnDrop {
        fn drop(&mut self) {
            self.0.note("dropped");
        }
    }

    fn message(frame: u8) -> Bytes {
        vec![frame].into()
    }

    fn then_silent(frames: &[u8]) -> MessageStream {
        let messages = stream::iter(frames.to_vec()).map(|frame| Ok(message(frame)));
        MessageStream::new(messages.chain(stream::pending()))
    }

    /// Returns a short call through a proxy that holds the messages back until the end.
    fn short(frames: &[u8]) -> MessageStream {
        let items: Vec<Item> = frames.iter().map(|frame| Ok(message(*frame))).collect();
        let end = Err(Status::deadline_exceeded(""));
        let held = stream::once(async { sleep(Duration::from_secs(1)).await })
            .flat_map(move |()| stream::iter(items.clone()));
        MessageStream::new(held.chain(stream::iter([end])))
    }

    fn failing(status: Status) -> MessageStream {
        MessageStream::new(stream::iter([Err(status)]))
    }

    #[tokio::test(start_paused = true)]
    async fn a_short_call_is_not_dropped_for_another_request() {
        let scripted = Scripted::new([short(&[1]), short(&[2])]);
        let mut buffering = BufferingDetector::default();
        buffering.detected(0.0);
        scripted.buffering.set(buffering);
        let diary = scripted
            .run(async |mut signals| {
                for _ in 0..3 {
                    sleep(Duration::from_millis(300)).await;
                    let _ = signals.try_send(Signal::Reopen);
                }
                sleep(Duration::from_millis(1_200)).await;
            })
            .await;
        assert_eq!(diary[..5], ["short", "1 first", "short", "dropped", "2 first"], "{diary:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn the_old_stream_stays_until_the_new_one_has_a_message() {
        let slow =
            stream::once(sleep(Duration::from_secs(1))).map(|()| Ok(message(2))).chain(then_silent(&[]));
        let scripted = Scripted::new([then_silent(&[1]), MessageStream::new(slow)]);
        let diary = scripted
            .run(async |mut sender| {
                sleep(Duration::from_millis(10)).await;
                sender.try_send(Signal::Reopen).expect("room for a signal");
                sleep(Duration::from_millis(500)).await;
                assert!(!scripted.diary.borrow().contains(&"dropped".to_owned()));
                sleep(Duration::from_secs(1)).await;
            })
            .await;
        assert_eq!(diary, ["open", "1 first", "open", "dropped", "2 first", "dropped"]);
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_network_the_client_finds_out_at_once() {
        let unreachable = || failing(Status::unavailable(""));
        for (attempt, stays) in [(unreachable(), false), (then_silent(&[2]), true)] {
            let scripted = Scripted::new([then_silent(&[1]), attempt]);
            let diary = scripted
                .run(async |mut sender| {
                    sleep(Duration::from_millis(10)).await;
                    sender.try_send(Signal::Offline).expect("room for a signal");
                    sleep(Duration::from_millis(10)).await;
                })
                .await;
            assert_eq!(
                diary.contains(&"2 first".to_owned()),
                stays,
                "a server on this machine is still there"
            );
            assert_eq!(diary.contains(&Code::Unavailable.to_string()), !stays);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn silence_ends_a_stream_and_a_new_one_is_opened() {
        let scripted = Scripted::new([then_silent(&[1]), then_silent(&[2])]);
        let diary = scripted.run(async |_sender| sleep(Duration::from_millis(10_300)).await).await;
        let waiting = "Waiting { retry_at: 10125.0 }";
        assert_eq!(diary, ["open", "1 first", "dropped", waiting, "open", "2 first", "dropped"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_successor_is_dropped_with_its_predecessor() {
        let beating = stream::iter(0..).then(async |n| {
            sleep(Duration::from_millis(2_800)).await;
            Ok(message(n))
        });
        let scripted = Scripted::new([MessageStream::new(beating), then_silent(&[]), then_silent(&[7])]);
        let diary = scripted
            .run(async |mut sender| {
                sleep(Duration::from_secs(5)).await;
                sender.try_send(Signal::Reopen).expect("room for a signal");
                sleep(Duration::from_secs(11)).await;
            })
            .await;
        assert_eq!(diary[..4], ["open", "0 first", "open", "1"]);
        assert!(diary.contains(&"7 first".to_owned()), "{diary:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_final_end_ends_the_task() {
        let scripted = Scripted::new([MessageStream::new(stream::iter([Ok(message(1)), Ok(message(2))]))]);
        let diary = scripted.run(async |_sender| ()).await;
        assert_eq!(diary, ["open", "1 first", "2", "OK", "dropped"]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_delay_of_a_draining_server_is_kept() {
        let details = tonic_types::ErrorDetails::with_retry_info(Some(Duration::from_secs(2)));
        let status = Status::with_error_details(Code::Unavailable, "draining", details);
        let scripted = Scripted::new([failing(status), then_silent(&[1])]);
        let diary = scripted
            .run(async |_sender| {
                advance(Duration::from_secs(1)).await;
                sleep(Duration::from_secs(3)).await;
            })
            .await;
        let draining = "Draining { retry_at: 3000.0 }";
        assert!(diary.contains(&draining.to_owned()) && diary.contains(&"1 first".to_owned()), "{diary:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_that_does_not_fit_ends_its_stream() {
        let scripted = Scripted::new([then_silent(&[1, UNFIT, 3]), then_silent(&[2])]);
        let diary = scripted.run(async |_sender| sleep(Duration::from_secs(1)).await).await;
        let (aborted, waiting) = (Code::Aborted.to_string(), "Waiting { retry_at: 125.0 }");
        assert_eq!(
            diary,
            ["open", "1 first", "99", &aborted, "dropped", waiting, "open", "2 first", "dropped"]
        );
    }

    /// L14, L19.
    #[tokio::test(start_paused = true)]
    async fn a_hidden_page_closes_its_stream_and_opens_one_when_it_is_shown() {
        let scripted = Scripted::new([then_silent(&[1]), then_silent(&[2]), then_silent(&[3])]);
        let diary = scripted
            .run(async |mut sender| {
                sender.try_send(Signal::Hide).expect("room for a signal");
                sleep(Duration::from_millis(ResumePolicy::default().hidden_timeout as u64 + 1)).await;
                assert_eq!(scripted.diary.borrow().last().map(String::as_str), Some("dropped"));
                sleep(Duration::from_secs(360)).await;
                sender.try_send(Signal::Wake).expect("room for a signal");
                sleep(Duration::from_millis(10)).await;
                sender.try_send(Signal::Leave).expect("room for a signal");
                sleep(Duration::from_millis(10)).await;
                assert_eq!(scripted.diary.borrow().last().map(String::as_str), Some("dropped"));
                sender.try_send(Signal::Wake).expect("room for a signal");
                sleep(Duration::from_millis(10)).await;
            })
            .await;
        let expected =
            ["open", "1 first", "dropped", "open", "2 first", "dropped", "open", "3 first", "dropped"];
        assert_eq!(diary, expected);
    }

    /// PROXY-1
    #[tokio::test(start_paused = true)]
    async fn a_stream_that_is_held_back_goes_on_by_short_calls() {
        let (held, none) = (|| then_silent(&[]), || short(&[]));
        let scripted =
            Scripted::new([held(), short(&[1]), held(), short(&[2, 3]), short(&[4]), none(), short(&[5])]);
        let diary = scripted.run(async |_sender| sleep(Duration::from_millis(11_500)).await).await;
        let late = Code::DeadlineExceeded.to_string();
        let waiting = "Waiting { retry_at: 10125.0 }";
        assert_eq!(
            diary,
            [
                &["open", "short", "dropped", "1 first", "open", "dropped", "short", "dropped"][..],
                &["2 first", "3", "short", "dropped", "4 first", "short", "dropped"],
                &[&late, "dropped", waiting, "short", "5 first"],
                &["short", "dropped", "dropped"],
            ]
            .concat()
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_is_tried_beside_the_short_calls_and_dropped_if_it_is_silent() {
        let scripted = Scripted::new([short(&[1]), then_silent(&[]), short(&[2]), short(&[3]), short(&[4])]);
        let mut buffering = BufferingDetector::default();
        buffering.detected(-60_000.0);
        scripted.buffering.set(buffering);
        let diary = scripted.run(async |_sender| sleep(Duration::from_millis(4_500)).await).await;
        assert_eq!(
            diary,
            [
                &["short", "1 first", "open", "short", "dropped", "2 first", "short", "dropped"][..],
                &["3 first", "short", "dropped", "4 first", "short", "dropped", "dropped", "dropped"],
            ]
            .concat()
        );
        assert!(scripted.buffering.get().needs_short_calls());
    }

    #[tokio::test(start_paused = true)]
    async fn a_trial_that_speaks_ends_the_short_calls() {
        let scripted = Scripted::new([short(&[1]), then_silent(&[2])]);
        let mut buffering = BufferingDetector::default();
        buffering.detected(-60_000.0);
        scripted.buffering.set(buffering);
        let diary = scripted.run(async |_sender| sleep(Duration::from_secs(5)).await).await;
        assert_eq!(diary, ["short", "1 first", "open", "dropped", "2 first", "dropped"]);
        assert!(!scripted.buffering.get().needs_short_calls());
    }
}
