use std::{
    cell::{Cell, RefCell},
    collections::BTreeSet,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_util::{Stream, TryStreamExt as _, future::join};
use grpc_web_fetch::{
    Metadata,
    tap::Tap,
    transport::{Body, HttpRequest, HttpResponse},
};
use prost::Message as _;
use rides_proto::v1;
use tonic_types::{ErrorDetails, StatusExt as _};

use super::{
    super::methods::{LIST, WATCH_RIDE},
    *,
};

/// The clock of tokio, which a test can pause. It starts at 0, and the wall clock with it.
#[derive(Clone)]
struct TestClock(tokio::time::Instant);

impl TestClock {
    fn new() -> Self {
        Self(tokio::time::Instant::now())
    }
}

impl Clock for TestClock {
    fn now(&self) -> Millis {
        self.0.elapsed().as_secs_f64() * 1e3
    }

    fn wall(&self) -> f64 {
        self.now()
    }

    fn random(&self) -> f64 {
        0.5
    }

    async fn sleep(&self, millis: Millis) {
        tokio::time::sleep(std::time::Duration::from_secs_f64(millis / 1e3)).await;
    }
}

/// A server that accepts the tokens it knows, or all calls.
#[derive(Clone, Default)]
struct Server(Rc<ServerState>);

#[derive(Default)]
struct ServerState {
    is_open: Cell<bool>,
    refuses_guests: Cell<bool>,
    /// The tokens that it issues are refused.
    issues_bad_tokens: Cell<bool>,
    renews_nothing: Cell<bool>,
    good: RefCell<BTreeSet<String>>,
    issued: Cell<u32>,
    /// The secrets of the guests that signed in.
    guests: RefCell<Vec<String>>,
    /// The calls with their tokens.
    asked: RefCell<Vec<String>>,
}

impl ServerState {
    fn issue(&self) -> String {
        self.issued.set(self.issued.get() + 1);
        let token = format!("issued-{}", self.issued.get());
        if !self.issues_bad_tokens.get() {
            self.good.borrow_mut().insert(token.clone());
        }
        token
    }

    fn respond(&self, path: &str, message: &[u8], token: Option<&str>) -> Result<Vec<u8>, Status> {
        let session = Some(v1::Session {
            subject: "eve".to_owned(),
            role: v1::Role::Dispatcher.into(),
            // The clock of the test begins at 0.
            expires_at: Some(prost_types::Timestamp { seconds: 600, nanos: 0 }),
            ..Default::default()
        });
        if path == SIGN_IN.path() {
            if self.refuses_guests.get() {
                return Err(refusal(Code::PermissionDenied, "NO_GUESTS"));
            }
            // The message follows the flag and the length of its frame.
            let request = v1::SignInRequest::decode(&message[5..]).expect("a message");
            self.guests.borrow_mut().push(request.guest_secret);
            return Ok(v1::SignInResponse { token: self.issue(), session }.encode_to_vec());
        }
        match token {
            None if self.is_open.get() => {}
            None => return Err(refusal(Code::Unauthenticated, "NO_TOKEN")),
            Some(token) if self.good.borrow().contains(token) => {}
            Some(_) => return Err(refusal(Code::Unauthenticated, "BAD_TOKEN")),
        }
        Ok(match path {
            _ if path == RENEW.path() && self.renews_nothing.get() => {
                return Err(refusal(Code::FailedPrecondition, "NOT_OURS"));
            }
            _ if path == RENEW.path() => v1::RenewResponse { token: self.issue(), session }.encode_to_vec(),
            _ if path == WHO_AM_I.path() => v1::WhoAmIResponse { session }.encode_to_vec(),
            _ => Vec::new(),
        })
    }
}

fn refusal(code: Code, reason: &str) -> Status {
    Status::with_error_details(code, "no", ErrorDetails::with_error_info(reason, "rides.v1", []))
}

impl Transport for Server {
    type Body = OneChunk;

    async fn send(&self, request: HttpRequest) -> Result<HttpResponse<OneChunk>, String> {
        let token = request.token.as_ref().map(Token::reveal);
        let method = request.path.rsplit('/').next().unwrap_or_default();
        self.0.asked.borrow_mut().push([method, " ", token.unwrap_or("-")].concat());
        tokio::task::yield_now().await;
        let (headers, body) = match self.0.respond(&request.path, &request.body, token) {
            Ok(message) => {
                let framed = [&[0][..], &(message.len() as u32).to_be_bytes(), &message].concat();
                (Status::new(Code::Ok, "").into_http::<()>(), Some(framed.into()))
            }
            Err(status) => (status.into_http::<()>(), None),
        };
        let mut metadata = Metadata::default();
        metadata.append("content-type", "application/grpc-web+proto");
        for (name, value) in headers.headers().iter().filter(|(name, _)| *name != "content-type") {
            metadata.append(name.as_str(), value.to_str().expect("ASCII"));
        }
        Ok(HttpResponse { status: 200, headers: metadata, body: OneChunk(body) })
    }
}

struct OneChunk(Option<Bytes>);

impl Stream for OneChunk {
    type Item = Result<Bytes, String>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(self.0.take().map(Ok))
    }
}

impl Body for OneChunk {
    fn complete(&mut self) {}
}

/// The storage of a browser, which outlives a page: a token of each origin, and the number of guests that were
/// forgotten.
#[derive(Clone, Default)]
struct Storage(Rc<RefCell<[Option<Token>; 2]>>, Rc<Cell<u32>>);

impl TokenStores for Storage {
    fn get(&self, origin: Origin) -> Option<Token> {
        self.0.borrow()[origin as usize].clone()
    }

    fn put(&self, origin: Origin, token: Option<&Token>) {
        self.0.borrow_mut()[origin as usize] = token.cloned();
    }

    fn guest_secret(&self) -> String {
        format!("secret-{}", self.1.get())
    }

    fn forget_guest(&self) {
        self.1.set(self.1.get() + 1);
    }
}

/// An open page, and the identities that it reported.
struct Page {
    server: Server,
    stores: Storage,
    client: Client<Server, TestClock>,
    session: Session<Server, TestClock>,
    identities: Rc<RefCell<Vec<Identity>>>,
}

impl Page {
    fn open(server: &Server, stores: &Storage) -> Self {
        let identities = Rc::<RefCell<Vec<Identity>>>::default();
        let told = identities.clone();
        let client = Client::with_transport(server.clone(), TestClock::new(), Tap::new(|| 0.0));
        let session = Session::new(
            client.clone(),
            Box::new(stores.clone()),
            Box::new(move |identity| told.borrow_mut().push(identity.clone())),
        );
        let client = client.credentials(session.clone());
        Self { server: server.clone(), stores: stores.clone(), client, session, identities }
    }

    fn new() -> Self {
        Self::open(&Server::default(), &Storage::default())
    }

    async fn list(&self) -> Result<(), Code> {
        let messages = self.client.open(&LIST, &v1::ListRequest::default(), None);
        messages.try_collect::<Vec<_>>().await.map(|_| ()).map_err(|status| status.code())
    }

    fn knows(&self, token: &str) -> Token {
        self.server.0.good.borrow_mut().insert(token.to_owned());
        Token::parse(token).expect("a token")
    }

    fn forgets(&self, token: &str) {
        self.server.0.good.borrow_mut().remove(token);
    }

    fn asked(&self) -> Vec<String> {
        self.server.0.asked.take()
    }

    fn identity(&self) -> Identity {
        self.identities.borrow().last().cloned().expect("reported at the start")
    }
}

fn guest() -> Identity {
    Identity::SignedIn { role: Some(Role::Dispatcher), subject: String::new() }
}

fn eve() -> Identity {
    Identity::SignedIn { role: Some(Role::Dispatcher), subject: "eve".to_owned() }
}

#[tokio::test]
async fn an_open_server_gets_no_token() {
    let page = Page::new();
    page.server.0.is_open.set(true);
    assert_eq!(page.list().await, Ok(()));
    assert!(!page.session.keep_up().await);
    assert_eq!(page.asked(), ["List -"]);
    assert_eq!(page.identity(), Identity::Anonymous);
}

#[tokio::test]
async fn calls_that_are_refused_together_sign_in_once_and_are_made_again() {
    let page = Page::new();
    let stream = page.client.open(&WATCH_RIDE, &v1::WatchRequest::default(), None);
    let (listed, watched) = join(page.list(), stream.try_collect::<Vec<_>>()).await;
    assert_eq!((listed, watched.expect("OK").len()), (Ok(()), 1));
    assert_eq!(page.asked(), ["List -", "Watch -", "SignIn -", "List issued-1", "Watch issued-1"]);
    assert_eq!(page.identity(), guest());
    let printed = format!("{:?} {:?}", page.client.tap().calls(), page.identities);
    assert!(!printed.contains("issued-1"), "{printed}");
}

#[tokio::test]
async fn a_guest_keeps_the_token_over_a_reload_and_signs_in_anew_when_it_is_refused() {
    let page = Page::new();
    page.list().await.expect("a guest");
    let page = Page::open(&page.server, &page.stores);
    page.asked();
    page.list().await.expect("the same guest");
    assert_eq!(page.asked(), ["List issued-1"]);

    page.forgets("issued-1");
    page.list().await.expect("signed in anew");
    assert_eq!(page.asked(), ["List issued-1", "List -", "SignIn -", "List issued-2"]);
}

/// BAD-7: a guest can repeat a call that was sent before the token was refused.
#[tokio::test]
async fn the_guest_whose_token_is_refused_is_the_same_guest_until_they_sign_out() {
    let page = Page::new();
    page.list().await.expect("a guest");
    page.forgets("issued-1");
    page.list().await.expect("the same guest");
    let page = Page::open(&page.server, &page.stores);
    page.session.sign_in_with(page.knows("eves")).await.expect("good");
    page.session.sign_out().await;
    page.forgets("issued-2");
    page.list().await.expect("the same guest");
    page.session.sign_out().await;
    page.list().await.expect("another guest");
    assert_eq!(*page.server.0.guests.borrow(), ["secret-0", "secret-0", "secret-0", "secret-1"]);
}

#[tokio::test]
async fn a_token_of_another_server_does_not_sign_in_to_an_open_one() {
    let page = Page::new();
    page.server.0.is_open.set(true);
    page.stores.put(Origin::Guest, Token::parse("stale").as_ref());
    let page = Page::open(&page.server, &page.stores);
    page.list().await.expect("open");
    assert_eq!(page.asked(), ["List stale", "List -"]);
    assert_eq!(page.stores.get(Origin::Guest), None);
}

#[tokio::test]
async fn a_server_that_refuses_each_token_is_not_called_for_ever() {
    let page = Page::new();
    page.server.0.issues_bad_tokens.set(true);
    assert_eq!(page.list().await, Err(Code::Unauthenticated));
    assert_eq!(page.asked(), ["List -", "SignIn -", "List issued-1", "List -"]);
    assert!(matches!(page.identity(), Identity::Refused(_)));

    page.server.0.refuses_guests.set(true);
    assert_eq!(page.list().await, Err(Code::PermissionDenied));
    assert_eq!(page.asked(), ["List -", "SignIn -"]);
    let Identity::Refused(failure) = page.identity() else { panic!("refused") };
    assert_eq!(failure.reason, "NO_GUESTS");
}

#[tokio::test]
async fn an_entered_token_takes_precedence_and_its_end_makes_no_guest() {
    let page = Page::new();
    page.list().await.expect("a guest");
    let bad = page.session.sign_in_with(Token::parse("bad").expect("a token")).await;
    assert_eq!(bad.map_err(|status| status.code()), Err(Code::Unauthenticated));
    assert_eq!(page.identity(), guest(), "it keeps its identity");

    page.session.sign_in_with(page.knows("eves")).await.expect("good");
    assert_eq!(page.identity(), eve());
    page.asked();
    page.forgets("eves");
    assert_eq!(page.list().await, Err(Code::Unauthenticated));
    assert_eq!(page.list().await, Err(Code::Unauthenticated));
    assert_eq!(page.asked(), ["List eves", "List -"]);
    assert!(matches!(page.identity(), Identity::Refused(_)));

    page.session.sign_out().await;
    page.list().await.expect("the guest from before");
    assert_eq!(page.asked(), ["List issued-1"]);
}

#[tokio::test]
async fn the_server_learns_of_a_sign_out() {
    let page = Page::new();
    page.session.sign_in_with(page.knows("eves")).await.expect("good");
    page.asked();
    let sign_out = page.session.sign_out();
    assert_eq!(page.stores.get(Origin::Entered), None, "at once, before the server responds");
    sign_out.await;
    assert_eq!(page.asked(), ["SignOut eves"]);
}

#[tokio::test(start_paused = true)]
async fn a_token_that_cannot_be_renewed_is_renewed_once() {
    let page = Page::new();
    page.session.sign_in_with(page.knows("eves")).await.expect("good");
    page.server.0.renews_nothing.set(true);
    tokio::time::advance(std::time::Duration::from_secs(300)).await;
    page.asked();
    for _ in 0..2 {
        assert!(!page.session.keep_up().await);
    }
    assert_eq!(page.asked(), ["Renew eves"]);
    page.list().await.expect("the token is good until it ends");
}

#[tokio::test(start_paused = true)]
async fn a_token_is_renewed_at_half_of_its_lifetime() {
    let page = Page::new();
    page.session.sign_in_with(page.knows("eves")).await.expect("good");
    page.asked();
    tokio::time::advance(std::time::Duration::from_secs(299)).await;
    assert!(!page.session.keep_up().await);
    assert_eq!(page.asked(), [""; 0]);
    tokio::time::advance(std::time::Duration::from_secs(1)).await;
    assert!(page.session.keep_up().await);
    page.list().await.expect("renewed");
    assert_eq!(page.asked(), ["Renew eves", "List issued-1"]);
    assert_eq!(page.identity(), eve());
    let kept = page.stores.get(Origin::Entered);
    assert_eq!(kept.as_ref().map(Token::reveal), Some("issued-1"), "and not in the store of the guest");
    assert_eq!(page.stores.get(Origin::Guest), None);
}

/// The clock of the machine is ahead of the clock of the server.
#[tokio::test(start_paused = true)]
async fn a_wrong_clock_makes_no_storm_of_renewals() {
    let page = Page::new();
    tokio::time::advance(std::time::Duration::from_secs(100_000)).await;
    page.session.sign_in_with(page.knows("eves")).await.expect("good");
    assert!(page.session.keep_up().await, "it seems to have expired");
    assert!(!page.session.keep_up().await);
    page.asked();
    tokio::time::advance(std::time::Duration::from_secs(59)).await;
    assert!(!page.session.keep_up().await);
    assert_eq!(page.asked(), [""; 0]);
}

#[tokio::test]
async fn after_a_reload_the_page_asks_for_its_identity() {
    let page = Page::new();
    page.session.sign_in_with(page.knows("eves")).await.expect("good");
    let page = Page::open(&page.server, &page.stores);
    assert_eq!(page.identity(), Identity::SignedIn { role: None, subject: String::new() });
    page.asked();
    assert!(!page.session.keep_up().await);
    assert_eq!((page.asked(), page.identity()), (vec!["WhoAmI eves".to_owned()], eve()));
}
