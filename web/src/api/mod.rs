//! gRPC-Web in the page: the transport over `fetch`, the tap on it, and live connections.
//!
//! [`frames`] (bytes to frames) → [`messages`] (frames to messages and a status) → [`transport`] (calls, typed
//! by [`methods`]) → [`session`] (calls in somebody's name). [`connection`] and [`buffering`] (pure) → [`live`] (the task around them) keep a stream open, and [`call`] is
//! for single answers. Only [`fetch`] and the clock need a browser.

use std::cell::RefCell;

use bytes::Bytes;
use prost::Message;
use tonic::Status;

use self::{
    clock::BrowserClock,
    fetch::BrowserFetch,
    methods::Method,
    session::{Origin, Session, Shelves},
    tap::Tap,
    token::Token,
    transport::Transport,
};
use crate::{
    browser::{self, Shelf},
    model::{Millis, Standing},
};

pub mod buffering;
pub mod call;
pub mod clock;
pub mod connection;
pub mod fetch;
pub mod frames;
pub mod live;
pub mod messages;
pub mod methods;
pub mod session;
pub mod status;
pub mod tap;
pub mod token;
pub mod transport;

#[cfg(test)]
mod tests;

/// Where tokens stay over a reload.
const TOKEN: &str = "rides.token";
/// The key of the guest's secret.
const GUEST: &str = "rides.guest";

/// Calls of the server that the page came from. Cheap to clone; clones share the tap and the session.
#[derive(Clone)]
pub struct Api {
    session: Session<BrowserFetch, BrowserClock>,
}

impl Api {
    /// Calls with a tap of their own. `on_standing` is told whenever the page becomes someone else to the server.
    pub fn new(on_standing: impl Fn(&Standing) + 'static) -> Self {
        let transport = Transport::new(BrowserFetch::new(browser::base()), Tap::new(browser::now));
        Self {
            session: Session::new(
                transport,
                BrowserClock,
                Box::new(BrowserShelves::default()),
                Box::new(on_standing),
            ),
        }
    }

    /// What the calls sent and received.
    pub fn tap(&self) -> &Tap {
        self.session.tap()
    }

    /// As whom the calls are made.
    pub fn session(&self) -> &Session<BrowserFetch, BrowserClock> {
        &self.session
    }

    /// The answer within [`call::DEADLINE`], or DEADLINE_EXCEEDED.
    pub async fn ask<Q: Message, A: Message + Default>(
        &self,
        method: Method<Q, A>,
        request: &Q,
    ) -> Result<A, Status> {
        transport::decode(self.answer(method.path(), request.encode_to_vec(), call::DEADLINE).await?)
    }

    /// The same, tried again while the server cannot be reached. Only for calls that are safe to repeat.
    pub async fn ask_again<Q: Message, A: Message + Default>(
        &self,
        method: Method<Q, A>,
        request: &Q,
        on_retry: &dyn Fn(),
    ) -> Result<A, Status> {
        transport::decode(self.answer_again(method.path(), request.encode_to_vec(), on_retry).await?)
    }

    /// The answers, encoded, from before the call is made to its end; an error is the last item.
    pub fn open<Q: Message, A>(
        &self,
        method: Method<Q, A>,
        request: &Q,
        deadline: Option<Millis>,
    ) -> live::Attempt {
        self.session.answers(method.path(), request.encode_to_vec(), deadline)
    }

    async fn answer(&self, path: &'static str, message: Vec<u8>, deadline: Millis) -> Result<Bytes, Status> {
        let answers = self.session.answers(path, message, Some(deadline));
        call::unary(&BrowserClock, deadline, transport::only(answers)).await
    }

    async fn answer_again(
        &self,
        path: &'static str,
        message: Vec<u8>,
        on_retry: &dyn Fn(),
    ) -> Result<Bytes, Status> {
        let call = async |deadline| self.answer(path, message.clone(), deadline).await;
        call::retrying(&BrowserClock, on_retry, call).await
    }
}

/// A guest's token and secret stay in the browser, since they are all that makes their rides theirs, in any tab and the
/// next time. A token that was handed over opens more, and goes with its tab.
#[derive(Default)]
struct BrowserShelves {
    /// The guest's secret where the browser keeps nothing. A secret that the browser keeps is in no tab's memory, so that
    /// signing out in one tab forgets it in all.
    secret: RefCell<Option<String>>,
}

impl Shelves for BrowserShelves {
    fn get(&self, origin: Origin) -> Option<Token> {
        shelf(origin).get(TOKEN).as_deref().and_then(Token::parse)
    }

    fn put(&self, origin: Origin, token: Option<&Token>) {
        match token {
            Some(token) => shelf(origin).set(TOKEN, token.reveal()),
            None => shelf(origin).remove(TOKEN),
        }
    }

    fn guest_secret(&self) -> String {
        let mut known = self.secret.borrow_mut();
        // Another tab may have made one, or may act for another guest by now.
        let secret = Shelf::Local.get(GUEST).or_else(|| known.take()).unwrap_or_else(browser::secret);
        Shelf::Local.set(GUEST, &secret);
        *known = Shelf::Local.get(GUEST).is_none().then(|| secret.clone());
        secret
    }

    fn forget_guest(&self) {
        self.secret.take();
        Shelf::Local.remove(GUEST);
    }
}

fn shelf(origin: Origin) -> Shelf {
    match origin {
        Origin::Guest => Shelf::Local,
        Origin::Handed => Shelf::Session,
    }
}
