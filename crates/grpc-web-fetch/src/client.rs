//! The client: unary calls, server-streaming calls, and streams that resume.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use bytes::Bytes;
use futures_channel::mpsc;
use futures_util::{
    StreamExt as _, TryFutureExt as _,
    stream::{self, LocalBoxStream},
};
use prost::Message;
use tonic::Status;

use crate::{
    buffering::BufferingDetector,
    call::{self, DEADLINE, Limits, RETRY_TIMEOUT},
    clock::{BrowserClock, Clock, Millis},
    connection::{ResumePolicy, StreamState},
    credentials::{Credentials, FailedAttempt, Token},
    fetch::Fetch,
    frames::MAX_MESSAGE,
    lifecycle::{PageEvents, is_online, visibility},
    messages::{MessageStream, ResponseMessages, Streaming, decode},
    metadata::Metadata,
    method::Method,
    resumable::{Environment, ResumableStream, SIGNALS, Signal, keep_open},
    tap::{Direction, Tap},
    transport::{self, Transport},
};

/// A gRPC-Web client of one server. Clones are cheap. They share the tap, the credentials and the knowledge of whether
/// streams pass.
///
/// The methods that change a setting change this value, and not its clones.
pub struct Client<T = Fetch, C = BrowserClock> {
    shared: Rc<Shared<T, C>>,
    credentials: Option<Rc<dyn Credentials>>,
}

#[derive(Clone)]
struct Shared<T, C> {
    transport: T,
    clock: C,
    tap: Tap,
    metadata: Metadata,
    deadline: Millis,
    retry_timeout: Millis,
    max_message: u32,
    policy: ResumePolicy,
    buffering: Rc<Cell<BufferingDetector>>,
}

// A derived implementation would ask for `T: Clone` and `C: Clone`.
impl<T, C> Clone for Client<T, C> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone(), credentials: self.credentials.clone() }
    }
}

impl Client {
    /// Creates a client that calls the server of `fetch`.
    pub fn new(fetch: Fetch) -> Self {
        Self::with_transport(fetch, BrowserClock, Tap::default())
    }
}

impl<T: Transport, C: Clock> Client<T, C> {
    /// Creates a client over another transport or clock, for example in a test.
    pub fn with_transport(transport: T, clock: C, tap: Tap) -> Self {
        let shared = Shared {
            transport,
            clock,
            tap,
            metadata: Metadata::default(),
            deadline: DEADLINE,
            retry_timeout: RETRY_TIMEOUT,
            max_message: MAX_MESSAGE,
            policy: ResumePolicy::default(),
            buffering: Rc::default(),
        };
        Self { shared: Rc::new(shared), credentials: None }
    }

    /// Records the calls in `tap`. Without it, the client has a tap of its own.
    #[must_use]
    pub fn observe(mut self, tap: Tap) -> Self {
        Rc::make_mut(&mut self.shared).tap = tap;
        self
    }

    /// Takes the tokens of calls from `credentials`. A [`Token`] is the simplest of them.
    #[must_use]
    pub fn credentials(mut self, credentials: impl Credentials + 'static) -> Self {
        self.credentials = Some(Rc::new(credentials));
        self
    }

    /// Adds a header to each call. The server must allow it for other origins (CORS).
    #[must_use]
    pub fn metadata(mut self, name: &str, value: &str) -> Self {
        Rc::make_mut(&mut self.shared).metadata.append(name, value);
        self
    }

    /// Sets the deadline of unary calls. The default is 10 s.
    #[must_use]
    pub fn deadline(mut self, deadline: Millis) -> Self {
        Rc::make_mut(&mut self.shared).deadline = deadline;
        self
    }

    /// Sets the time for a unary call with all of its repetitions. The default is 25 s.
    #[must_use]
    pub fn retry_timeout(mut self, timeout: Millis) -> Self {
        Rc::make_mut(&mut self.shared).retry_timeout = timeout;
        self
    }

    /// Sets the limit of a received message, in bytes. The default is 4 MiB.
    #[must_use]
    pub fn max_message(mut self, bytes: u32) -> Self {
        Rc::make_mut(&mut self.shared).max_message = bytes;
        self
    }

    /// Sets the time limits of streams that resume.
    #[must_use]
    pub fn resume_policy(mut self, policy: ResumePolicy) -> Self {
        Rc::make_mut(&mut self.shared).policy = policy;
        self
    }

    /// Returns the record of the calls.
    pub fn tap(&self) -> &Tap {
        &self.shared.tap
    }

    /// Returns the clock.
    pub fn clock(&self) -> &C {
        &self.shared.clock
    }

    /// Returns the knowledge of whether streams pass, which all clones share.
    pub fn buffering(&self) -> &Rc<Cell<BufferingDetector>> {
        &self.shared.buffering
    }

    /// Makes a unary call, and returns its response.
    ///
    /// # Errors
    /// The status of the call. DEADLINE_EXCEEDED if there is no response in time, UNAVAILABLE if the server cannot be
    /// reached or the connection breaks.
    pub async fn unary<Q, A>(&self, method: &Method<Q, A>, request: &Q) -> Result<A, Status>
    where
        Q: Message,
        A: Message + Default,
    {
        decode(self.unary_encoded(method.path(), request.encode_to_vec(), self.shared.deadline).await?)
    }

    /// Makes a unary call, and repeats it with growing waits while it ends with UNAVAILABLE. Only for calls that are
    /// safe to repeat. `on_retry` is called before each wait.
    ///
    /// # Errors
    /// The status of the last attempt, as for [`Client::unary`].
    pub async fn unary_with_retry<Q, A>(
        &self,
        method: &Method<Q, A>,
        request: &Q,
        on_retry: &dyn Fn(),
    ) -> Result<A, Status>
    where
        Q: Message,
        A: Message + Default,
    {
        decode(self.retry_encoded(method.path(), request.encode_to_vec(), on_retry).await?)
    }

    /// Makes a server-streaming call.
    pub fn stream<Q, A>(&self, method: &Method<Q, A>, request: &Q) -> Streaming<A>
    where
        Q: Message,
        A: Message + Default,
    {
        Streaming::new(self.open(method, request, None))
    }

    /// Makes a call of any kind with a deadline or none, and returns its encoded messages.
    pub fn open<Q: Message, A>(
        &self,
        method: &Method<Q, A>,
        request: &Q,
        deadline: Option<Millis>,
    ) -> MessageStream {
        self.call(method.path(), request.encode_to_vec(), deadline)
    }

    /// Describes a stream that is opened again after each loss, until the server ends it with OK.
    ///
    /// `request` makes the request from the cursor. `on_message` takes a message and moves the cursor on.
    pub fn resume<Q, A, K>(
        &self,
        method: &Method<Q, A>,
        cursor: K,
        request: impl Fn(&K) -> Q + 'static,
        mut on_message: impl FnMut(&mut K, A) + 'static,
    ) -> Resume<T, C>
    where
        Q: Message,
        A: Message + Default,
        K: 'static,
    {
        let cursor = Rc::new(RefCell::new(cursor));
        let (path, client, position) = (method.path(), self.clone(), cursor.clone());
        let open = move |deadline| client.call(path, request(&position.borrow()).encode_to_vec(), deadline);
        let message = move |message| {
            on_message(&mut cursor.borrow_mut(), decode(message)?);
            Ok(())
        };
        let stream = CursorStream {
            open: Box::new(open),
            message: Box::new(message),
            on_state: Box::new(|_| ()),
            on_error: Box::new(|_| ()),
        };
        Resume { client: self.clone(), stream }
    }

    /// Keeps `stream` open until it has ended for good, or until all senders of `signals` are dropped. `is_online` is
    /// the belief of the browser; see [`is_online`].
    pub fn keep_open(
        &self,
        stream: Box<dyn ResumableStream>,
        is_online: bool,
        signals: mpsc::Receiver<Signal>,
    ) -> impl Future<Output = ()> + use<T, C> {
        let environment = Environment {
            clock: self.shared.clock.clone(),
            policy: self.shared.policy,
            buffering: self.shared.buffering.clone(),
            is_online,
        };
        keep_open(stream, environment, signals)
    }

    // The functions below are not generic over the messages, so that a page contains each of them once.

    async fn unary_encoded(
        &self,
        path: &'static str,
        message: Vec<u8>,
        deadline: Millis,
    ) -> Result<Bytes, Status> {
        let messages = self.call(path, message, Some(deadline));
        call::until_deadline(&self.shared.clock, deadline, messages.only()).await
    }

    async fn retry_encoded(
        &self,
        path: &'static str,
        message: Vec<u8>,
        on_retry: &dyn Fn(),
    ) -> Result<Bytes, Status> {
        let limits = Limits { deadline: self.shared.deadline, total: self.shared.retry_timeout };
        let call = async |deadline| self.unary_encoded(path, message.clone(), deadline).await;
        call::retrying(&self.shared.clock, limits, on_retry, call).await
    }

    fn call(&self, path: &'static str, message: Vec<u8>, deadline: Option<Millis>) -> MessageStream {
        MessageStream::new(self.clone().with_credentials(path, message, deadline).try_flatten_stream())
    }

    /// Makes a call, and repeats it as long as the credentials ask for it.
    async fn with_credentials(
        self,
        path: &'static str,
        message: Vec<u8>,
        deadline: Option<Millis>,
    ) -> Result<LocalBoxStream<'static, Result<Bytes, Status>>, Status> {
        let mut repeats = 0;
        loop {
            let token = self.credentials.as_ref().and_then(|credentials| credentials.token());
            let attempt = self.shared.clone().attempt(path, message.clone(), deadline, token.clone());
            let mut messages = attempt.try_flatten_stream().boxed_local();
            let first = messages.next().await;
            if let (Some(credentials), Some(Err(status))) = (&self.credentials, &first)
                && let Some(decision) =
                    credentials.failed(FailedAttempt { token: token.as_ref(), status, repeats })
                && decision.await?
            {
                repeats += 1;
                continue;
            }
            return Ok(stream::iter(first).chain(messages).boxed_local());
        }
    }
}

impl<T: Transport, C> Shared<T, C> {
    async fn attempt(
        self: Rc<Self>,
        path: &'static str,
        message: Vec<u8>,
        deadline: Option<Millis>,
        token: Option<Token>,
    ) -> Result<ResponseMessages<T::Body>, Status> {
        let call = self.tap.begin(path.strip_prefix('/').unwrap_or(path));
        call.frame(Direction::Out, message.len() as u32);
        let request = transport::request(path, &message, &self.metadata, deadline, token);
        let response = self.transport.send(request).map_err(Status::unavailable).await;
        match response.and_then(transport::read_head) {
            Ok((body, without_status)) => {
                Ok(ResponseMessages::new(body, without_status, self.max_message, call))
            }
            Err(status) => {
                call.end(&status, Metadata::default());
                Err(status)
            }
        }
    }
}

/// A description of a stream that resumes; see [`Client::resume`].
#[must_use = "the stream is opened by `spawn` or `run`"]
pub struct Resume<T = Fetch, C = BrowserClock> {
    client: Client<T, C>,
    stream: CursorStream,
}

impl<T: Transport, C: Clock> Resume<T, C> {
    /// Calls `on_state` with the state of the stream, after each event.
    pub fn on_state(mut self, on_state: impl FnMut(StreamState) + 'static) -> Self {
        self.stream.on_state = Box::new(on_state);
        self
    }

    /// Calls `on_error` with the status of each stream that ended with an error.
    pub fn on_error(mut self, on_error: impl FnMut(&Status) + 'static) -> Self {
        self.stream.on_error = Box::new(on_error);
        self
    }

    /// Opens the stream on the event loop of the browser, and lets it follow the events of the page. The stream is
    /// closed when the handle is dropped.
    pub fn spawn(self) -> StreamHandle {
        let (signals, receiver) = mpsc::channel(SIGNALS);
        let handle = StreamHandle { signals: signals.clone(), events: PageEvents::listen(send(signals)) };
        handle.signal(visibility());
        wasm_bindgen_futures::spawn_local(self.run(is_online(), receiver));
        handle
    }

    /// Keeps the stream open until the server ends it with OK, or until all senders of `signals` are dropped.
    pub fn run(self, is_online: bool, signals: mpsc::Receiver<Signal>) -> impl Future<Output = ()> {
        self.client.keep_open(Box::new(self.stream), is_online, signals)
    }
}

/// The owner of a stream that resumes. The stream is closed when this is dropped.
#[must_use = "the stream is closed when this is dropped"]
pub struct StreamHandle {
    signals: mpsc::Sender<Signal>,
    events: PageEvents,
}

impl StreamHandle {
    /// Sends a signal to the stream, for example [`Signal::Reconnect`].
    pub fn signal(&self, signal: Signal) {
        send(self.signals.clone())(signal);
    }

    /// Keeps the stream open for the life of the page.
    pub fn detach(self) {
        self.events.forget();
    }
}

fn send(signals: mpsc::Sender<Signal>) -> impl Fn(Signal) {
    move |signal| {
        // Fails only if the stream has ended.
        let _ = signals.clone().try_send(signal);
    }
}

type Open = dyn FnMut(Option<Millis>) -> MessageStream;
type OnMessage = dyn FnMut(Bytes) -> Result<(), Status>;

/// A stream with a cursor, which its closures share.
struct CursorStream {
    open: Box<Open>,
    message: Box<OnMessage>,
    on_state: Box<dyn FnMut(StreamState)>,
    on_error: Box<dyn FnMut(&Status)>,
}

impl ResumableStream for CursorStream {
    fn open(&mut self, deadline: Option<Millis>) -> MessageStream {
        (self.open)(deadline)
    }

    fn message(&mut self, message: Bytes, _: bool) -> Result<(), Status> {
        (self.message)(message)
    }

    fn state(&mut self, state: StreamState) {
        (self.on_state)(state);
    }

    fn ended(&mut self, end: &Result<(), Status>) -> bool {
        if let Err(status) = end {
            (self.on_error)(status);
        }
        end.is_err()
    }
}
