//! Keeps a stream open: the task around [`super::connection`].
//!
//! A stream that is to be replaced (another viewport) stays until its successor has answered, so that nothing
//! on the screen stops in between. So is a short call beside a stream that is held back, and a stream beside short calls.

use std::{cell::Cell, future::pending, pin::pin, rc::Rc};

use bytes::Bytes;
use futures_channel::mpsc;
use futures_util::{FutureExt as _, StreamExt as _, select_biased, stream::LocalBoxStream};
use tonic::{Code, Status};

use super::{
    buffering::{Buffering, Kind, SUSPECT_AFTER},
    clock::Clock,
    connection::{Beside, Event, Machine, SILENCE, Step},
    status::{Later, later},
};
use crate::model::{Connection, Millis};

/// Waiting signals before new ones are dropped; they come at the pace of people.
pub const SIGNALS: usize = 32;
/// A clock that ran on by this much more than the other means that the system slept.
const SLEPT: f64 = 5_000.0;

/// What the rest of the page can tell a live stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Signal {
    /// Nobody sees the page any more.
    Hide,
    /// The page is left, and perhaps kept to come back to.
    Leave,
    /// Someone looks at the page again.
    Wake,
    /// The browser sees a network.
    Online,
    /// The browser sees none.
    Offline,
    /// The person asks for an attempt now.
    Reconnect,
    /// What is watched has changed: open anew, and drop the old stream when the new one has answered.
    Reopen,
}

/// What is watched, and what becomes of it. Messages stay encoded here, so that the page carries [`keep_open`]
/// once and not once for every type of them.
pub trait Watched {
    /// Opens a stream from where the last one ended, and gives the server this deadline. Dropping it gives the call up.
    fn open(&mut self, deadline: Option<Millis>) -> Attempt;

    /// A message came. `first`: it is the first of its stream, and the stream before is gone.
    ///
    /// An error ends the stream as if the server had ended it so.
    fn frame(&mut self, message: Bytes, first: bool) -> Result<(), Status>;

    /// The state of the connection, after every change.
    fn connection(&mut self, connection: Connection);

    /// A stream ended, with OK or not. False: there is nothing more to watch, and so no need to retry.
    fn ended(&mut self, end: &Result<(), Status>) -> bool;
}

/// A stream from before it is open to its end.
pub type Attempt = LocalBoxStream<'static, Item>;

type Item = Result<Bytes, Status>;

/// A call beside the current one.
struct Other {
    stream: Attempt,
    role: Beside,
    give_up_at: Millis,
}

impl Other {
    fn open(watched: &mut dyn Watched, role: Beside, kind: Kind, now: Millis) -> Self {
        let (kind, give_up_at) = match role {
            Beside::Successor => (kind, now + SILENCE),
            // The silent stream beside it is given up in time, and the probe with it.
            Beside::Probe => (Kind::ShortCall, f64::INFINITY),
            Beside::Trial => (Kind::Stream, now + SUSPECT_AFTER),
        };
        Self { stream: watched.open(kind.deadline()), role, give_up_at }
    }
}

enum Input {
    Signal(Option<Signal>),
    /// From the stream in use.
    Current(Option<Item>),
    /// From the call beside it.
    Other(Option<Item>),
    Tick,
}

/// Watches until there is nothing more to watch, or nobody is left to send a signal. `buffering` is shared by all streams
/// of the page.
pub async fn keep_open(
    mut watched: Box<dyn Watched>,
    clock: impl Clock,
    buffering: Rc<Cell<Buffering>>,
    online: bool,
    mut signals: mpsc::Receiver<Signal>,
) {
    let mut machine = Machine::new(clock.now(), online, buffering.get().kind());
    let mut current = Some(watched.open(machine.kind().deadline()));
    let mut fresh = true;
    let mut other: Option<Other> = None;
    let mut drift = clock.wall() - clock.now();
    loop {
        watched.connection(machine.connection(&buffering.get()));
        let wake_at = machine.deadline().min(other.as_ref().map_or(f64::INFINITY, |other| other.give_up_at));
        let input =
            next_input(&mut signals, &mut current, &mut other, clock.sleep(wake_at - clock.now())).await;

        let now = clock.now();
        let slept = clock.wall() - now - drift > SLEPT;
        drift = clock.wall() - now;
        let event = match input {
            Input::Signal(None) => return,
            Input::Signal(Some(Signal::Reopen)) => {
                // A short call goes on: what it has to say comes with its end, and the next one, within a second, is for what
                // is watched then.
                if current.is_some() && machine.kind() == Kind::Stream {
                    if fresh {
                        current = Some(watched.open(machine.kind().deadline()));
                        machine.reopened(now);
                    } else {
                        other = Some(Other::open(&mut *watched, Beside::Successor, machine.kind(), now));
                    }
                }
                continue;
            }
            Input::Current(Some(Err(status)))
                if !fresh && machine.kind() == Kind::ShortCall && status.code() == Code::DeadlineExceeded =>
            {
                Event::CallEnded
            }
            Input::Current(item) => {
                let is_message = matches!(item, Some(Ok(_)));
                let first = is_message && std::mem::take(&mut fresh);
                let Some(event) = take_in(&mut *watched, item, first) else { return };
                if is_message {
                    other.take_if(|other| other.role == Beside::Probe);
                }
                event
            }
            Input::Other(item) => {
                let Some(Other { stream, role, .. }) = other.take() else { continue };
                match item {
                    Some(Ok(_)) => (current, fresh) = (Some(stream), false),
                    // It was to find out something, and did not.
                    _ if role != Beside::Successor => continue,
                    _ => {}
                }
                match take_in(&mut *watched, item, true) {
                    Some(Event::Frame) => Event::Answered(role),
                    Some(event) => event,
                    None => return,
                }
            }
            Input::Tick => match other.take_if(|other| now >= other.give_up_at) {
                Some(Other { role: Beside::Successor, .. }) => Event::Failed(Later::default()),
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
        let step = match slept.then(|| machine.on(Event::Slept, now, clock.chance(), &mut known)) {
            None | Some(Step::Stay) => machine.on(event, now, clock.chance(), &mut known),
            Some(step) => step,
        };
        buffering.set(known);
        match step {
            Step::Stay => {}
            Step::Open(kind) => (current, fresh, other) = (Some(watched.open(kind.deadline())), true, None),
            Step::Next(kind) => (current, fresh) = (Some(watched.open(kind.deadline())), true),
            Step::Close => (current, other) = (None, None),
            Step::OpenBeside(role) => {
                other = Some(Other::open(&mut *watched, role, machine.kind(), now));
            }
        }
    }
}

/// What an item of a stream, or its end, means for the connection. `None`: there is nothing more to watch.
fn take_in(watched: &mut dyn Watched, item: Option<Item>, first: bool) -> Option<Event> {
    let end = match item {
        Some(Ok(frame)) => match watched.frame(frame, first) {
            Ok(()) => return Some(Event::Frame),
            Err(status) => Err(status),
        },
        Some(Err(status)) => Err(status),
        None => Ok(()),
    };
    watched.ended(&end).then(|| Event::Failed(end.err().as_ref().map(later).unwrap_or_default()))
}

async fn next_input(
    signals: &mut mpsc::Receiver<Signal>,
    current: &mut Option<Attempt>,
    other: &mut Option<Other>,
    timer: impl Future<Output = ()>,
) -> Input {
    let current = async {
        match current {
            Some(stream) => stream.next().await,
            None => pending().await,
        }
    };
    let other = async {
        match other {
            Some(other) => other.stream.next().await,
            None => pending().await,
        }
    };
    select_biased! {
        signal = signals.next() => Input::Signal(signal),
        item = pin!(other.fuse()) => Input::Other(item),
        item = pin!(current.fuse()) => Input::Current(item),
        () = pin!(timer.fuse()) => Input::Tick,
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, collections::VecDeque, rc::Rc, time::Duration};

    use futures_util::{SinkExt as _, future::join, stream};
    use tokio::time::{advance, sleep};
    use tonic::Code;
    use tonic_types::StatusExt as _;

    use super::{
        super::{clock::TestClock, connection::UNSEEN},
        *,
    };
    use crate::model::Link;

    /// A frame that does not go with those before it.
    const UNFIT: u8 = 99;

    /// Streams of a script, one an attempt, and a diary of what happened to them.
    #[derive(Clone, Default)]
    struct Scripted {
        attempts: Rc<RefCell<VecDeque<Attempt>>>,
        diary: Rc<RefCell<Vec<String>>>,
        buffering: Rc<Cell<Buffering>>,
    }

    impl Scripted {
        fn new(attempts: impl IntoIterator<Item = Attempt>) -> Self {
            let attempts = Rc::new(RefCell::new(attempts.into_iter().collect()));
            Self { attempts, ..Self::default() }
        }

        fn note(&self, text: impl Into<String>) {
            self.diary.borrow_mut().push(text.into());
        }

        async fn run(&self, script: impl AsyncFnOnce(mpsc::Sender<Signal>)) -> Vec<String> {
            let (sender, signals) = mpsc::channel(SIGNALS);
            let watched = Box::new(self.clone());
            let watching = keep_open(watched, TestClock::new(), self.buffering.clone(), true, signals);
            join(watching, script(sender)).await;
            self.diary.take()
        }
    }

    impl Watched for Scripted {
        fn open(&mut self, deadline: Option<Millis>) -> Attempt {
            self.note(if deadline.is_some() { "short" } else { "open" });
            let dropped = OnDrop(self.clone());
            let attempt =
                self.attempts.borrow_mut().pop_front().unwrap_or_else(|| stream::pending().boxed_local());
            attempt.inspect(move |_| _ = &dropped).boxed_local()
        }

        fn frame(&mut self, message: Bytes, first: bool) -> Result<(), Status> {
            let frame = message[0];
            self.note(format!("{frame}{}", if first { " first" } else { "" }));
            if frame == UNFIT { Err(Status::aborted("")) } else { Ok(()) }
        }

        fn connection(&mut self, connection: Connection) {
            if let Link::Waiting { .. } | Link::Draining { .. } = connection.link {
                self.note(format!("{:?}", connection.link));
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

    fn then_silent(frames: &[u8]) -> Attempt {
        stream::iter(frames.to_vec()).map(|frame| Ok(message(frame))).chain(stream::pending()).boxed_local()
    }

    /// The outcome of a short call through a proxy that holds back until its end.
    fn short(frames: &[u8]) -> Attempt {
        let items: Vec<Item> = frames.iter().map(|frame| Ok(message(*frame))).collect();
        let end = Err(Status::deadline_exceeded(""));
        stream::once(async { sleep(Duration::from_secs(1)).await })
            .flat_map(move |()| stream::iter(items.clone()))
            .chain(stream::iter([end]))
            .boxed_local()
    }

    fn failing(status: Status) -> Attempt {
        stream::iter([Err(status)]).boxed_local()
    }

    #[tokio::test(start_paused = true)]
    async fn a_short_call_is_not_given_up_for_another_viewport() {
        let scripted = Scripted::new([short(&[1]), short(&[2])]);
        let mut buffering = Buffering::default();
        buffering.found(0.0);
        scripted.buffering.set(buffering);
        let diary = scripted
            .run(async |mut signals| {
                for _ in 0..3 {
                    sleep(Duration::from_millis(300)).await;
                    let _ = signals.send(Signal::Reopen).await;
                }
                sleep(Duration::from_millis(1_200)).await;
            })
            .await;
        assert_eq!(diary[..5], ["short", "1 first", "short", "dropped", "2 first"], "{diary:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn the_old_stream_stays_until_the_new_one_has_answered() {
        let slow =
            stream::once(sleep(Duration::from_secs(1))).map(|()| Ok(message(2))).chain(then_silent(&[]));
        let scripted = Scripted::new([then_silent(&[1]), slow.boxed_local()]);
        let diary = scripted
            .run(async |mut sender| {
                sleep(Duration::from_millis(10)).await;
                sender.send(Signal::Reopen).await.expect("alive");
                sleep(Duration::from_millis(500)).await;
                assert!(!scripted.diary.borrow().contains(&"dropped".to_owned()));
                sleep(Duration::from_secs(1)).await;
            })
            .await;
        assert_eq!(diary, ["open", "1 first", "open", "dropped", "2 first", "dropped"]);
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_network_the_page_finds_out_at_once() {
        let unreachable = || failing(Status::unavailable(""));
        for (attempt, stays) in [(unreachable(), false), (then_silent(&[2]), true)] {
            let scripted = Scripted::new([then_silent(&[1]), attempt]);
            let diary = scripted
                .run(async |mut sender| {
                    sleep(Duration::from_millis(10)).await;
                    sender.send(Signal::Offline).await.expect("alive");
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
    async fn a_successor_that_says_nothing_is_given_up_with_its_predecessor() {
        let beating = stream::iter(0..).then(async |n| {
            sleep(Duration::from_millis(2_800)).await;
            Ok(message(n))
        });
        let scripted = Scripted::new([beating.boxed_local(), then_silent(&[]), then_silent(&[7])]);
        let diary = scripted
            .run(async |mut sender| {
                sleep(Duration::from_secs(5)).await;
                sender.send(Signal::Reopen).await.expect("alive");
                sleep(Duration::from_secs(11)).await;
            })
            .await;
        assert_eq!(diary[..4], ["open", "0 first", "open", "1"]);
        assert!(diary.contains(&"7 first".to_owned()), "{diary:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn an_end_that_is_final_ends_the_watching() {
        let scripted = Scripted::new([stream::iter([Ok(message(1)), Ok(message(2))]).boxed_local()]);
        let diary = scripted.run(async |_sender| ()).await;
        assert_eq!(diary, ["open", "1 first", "2", "OK", "dropped"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_draining_server_is_left_alone_for_as_long_as_it_says() {
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
    async fn a_frame_that_does_not_fit_ends_its_stream() {
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
                sender.send(Signal::Hide).await.expect("alive");
                sleep(Duration::from_millis(UNSEEN as u64 + 1)).await;
                assert_eq!(scripted.diary.borrow().last().map(String::as_str), Some("dropped"));
                sleep(Duration::from_secs(360)).await;
                sender.send(Signal::Wake).await.expect("alive");
                sleep(Duration::from_millis(10)).await;
                sender.send(Signal::Leave).await.expect("alive");
                sleep(Duration::from_millis(10)).await;
                assert_eq!(scripted.diary.borrow().last().map(String::as_str), Some("dropped"));
                sender.send(Signal::Wake).await.expect("alive");
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
    async fn a_stream_is_tried_beside_the_short_calls_and_given_up_when_it_is_silent() {
        let scripted = Scripted::new([short(&[1]), then_silent(&[]), short(&[2]), short(&[3]), short(&[4])]);
        let mut buffering = Buffering::default();
        buffering.found(-60_000.0);
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
        assert!(scripted.buffering.get().is_found());
    }

    #[tokio::test(start_paused = true)]
    async fn a_trial_that_speaks_ends_the_short_calls() {
        let scripted = Scripted::new([short(&[1]), then_silent(&[2])]);
        let mut buffering = Buffering::default();
        buffering.found(-60_000.0);
        scripted.buffering.set(buffering);
        let diary = scripted.run(async |_sender| sleep(Duration::from_secs(5)).await).await;
        assert_eq!(diary, ["short", "1 first", "open", "dropped", "2 first", "dropped"]);
        assert!(!scripted.buffering.get().is_found());
    }
}
