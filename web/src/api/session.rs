//! Calls in somebody's name: as nobody where that is enough, as a guest where it is not, or as whom a person says.
//!
//! Nothing is sent before the server asks for it. The first call that is refused for want of a token signs the page in
//! as a guest, and is made again; a token is renewed at half of its time. A token that a person handed over is never
//! replaced by a guest's behind their back: when it is refused the page says so, and waits for them.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use bytes::Bytes;
use futures_util::{StreamExt as _, TryFutureExt as _, stream};
use prost::Message;
use rides_proto::v1;
use tonic::{Code, Status};

use super::{
    call::{self, DEADLINE},
    clock::Clock,
    methods::{Method, RENEW, SIGN_IN, SIGN_OUT, WHO_AM_I},
    status::{failure, is_about_the_token},
    tap::Tap,
    token::Token,
    transport::{self, Answers, Fetch, Transport},
};
use crate::model::{Millis, Role, Standing};

/// How often a call is made again that was refused for its token: without it, and with a new one.
const REPEATS: u32 = 2;
/// A token is renewed this often at least, whatever the clocks of page and server say of its end…
const RENEW_WITHIN: Millis = 3_600_000.0;
/// … and one that was just issued not before this.
const FRESH: Millis = 60_000.0;
/// Between two looks at whether another call has signed in.
const GLANCE: Millis = 50.0;

/// Where a token is from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Origin {
    /// The page asked for it by itself.
    Guest,
    /// A person handed it over. While there is one, it counts.
    Handed,
}

/// Where tokens outlive the page's memory, one of each origin.
pub trait Shelves {
    /// What was put there last.
    fn get(&self, origin: Origin) -> Option<Token>;
    /// Puts it there, or leaves nothing.
    fn put(&self, origin: Origin, token: Option<&Token>);
    /// Returns the secret by which the server knows the guest again when the token is refused. Makes one where there is
    /// none. It is empty where the browser has no randomness for secrets.
    fn guest_secret(&self) -> String;
    /// Forgets the secret, so that the next guest is another one.
    fn forget_guest(&self);
}

/// Makes calls in somebody's name. Clones share it.
pub struct Session<F, C>(Rc<Inner<F, C>>);

struct Inner<F, C> {
    transport: Transport<F>,
    clock: C,
    shelves: Box<dyn Shelves>,
    on_standing: Box<dyn Fn(&Standing)>,
    pass: RefCell<Option<Pass>>,
    /// Whether the page may sign in by itself.
    may_be_guest: Cell<bool>,
    signing_in: Cell<bool>,
}

#[derive(Clone, PartialEq)]
struct Pass {
    token: Token,
    origin: Origin,
    /// On the wall clock. `None`: the server has not said yet what the token is good for.
    renew_at: Option<f64>,
}

impl<F: Fetch, C: Clock + 'static> Session<F, C> {
    /// Goes on as whom the shelves say. `on_standing` is told of every change, and is told now if there is one.
    pub fn new(
        transport: Transport<F>,
        clock: C,
        shelves: Box<dyn Shelves>,
        on_standing: Box<dyn Fn(&Standing)>,
    ) -> Self {
        let session = Self(Rc::new(Inner {
            transport,
            clock,
            shelves,
            on_standing,
            pass: RefCell::default(),
            may_be_guest: Cell::new(true),
            signing_in: Cell::default(),
        }));
        session.take_from_shelves();
        session
    }

    /// What the calls sent and received.
    pub fn tap(&self) -> &Tap {
        self.0.transport.tap()
    }

    /// The answers to a request, encoded. A call that is refused for its token, before its first message, is made
    /// again if there is another: nothing has come of it.
    pub fn answers(&self, path: &'static str, message: Vec<u8>, deadline: Option<Millis>) -> Answers {
        self.clone().call(path, message, deadline).try_flatten_stream().boxed_local()
    }

    async fn call(
        self,
        path: &'static str,
        message: Vec<u8>,
        deadline: Option<Millis>,
    ) -> Result<Answers, Status> {
        let mut repeats = 0;
        loop {
            let token = self.pass().map(|pass| pass.token);
            let mut answers = self.0.transport.answers(path, message.clone(), deadline, token.clone());
            let first = answers.next().await;
            match &first {
                Some(Err(status)) if is_about_the_token(status) => {
                    if repeats == REPEATS {
                        self.tell(&Standing::Refused(failure(status, self.0.clock.now())));
                    } else if self.has_another(token.as_ref(), status).await? {
                        repeats += 1;
                        continue;
                    }
                }
                _ => {}
            }
            return Ok(stream::iter(first).chain(answers).boxed_local());
        }
    }

    /// Becomes whom `token` is of, if the server knows it.
    pub async fn sign_in_with(&self, token: Token) -> Result<(), Status> {
        let session = self.who_is(&token).await?;
        self.0.may_be_guest.set(true);
        self.adopt(token, Origin::Handed, session, 0.0);
        Ok(())
    }

    /// Is nobody again, or the guest who it was before a token was handed over. What is left to do is to tell the server
    /// that the token is over; where that fails, it ends by itself.
    pub fn sign_out(&self) -> impl Future<Output = ()> + use<F, C> {
        let pass = self.0.pass.take();
        if let Some(pass) = &pass {
            self.0.shelves.put(pass.origin, None);
            if pass.origin == Origin::Guest {
                self.0.shelves.forget_guest();
            }
        }
        self.0.may_be_guest.set(true);
        self.take_from_shelves();
        let session = self.clone();
        async move {
            if let Some(pass) = pass {
                _ = session.ask(SIGN_OUT, &v1::SignOutRequest {}, Some(&pass.token)).await;
            }
        }
    }

    /// Asks what the token is good for, and renews it when it is time. True: streams go on with the new one only if
    /// they are opened anew. Failing is for the next time, and for the calls.
    pub async fn keep_up(&self) -> bool {
        let Some(pass) = self.pass() else { return false };
        let is_known = pass.renew_at.is_some();
        if pass.renew_at.is_some_and(|at| self.0.clock.wall() < at) {
            return false;
        }
        let news = if is_known {
            self.ask(RENEW, &v1::RenewRequest {}, Some(&pass.token))
                .await
                .and_then(|new| parts(&new.token, new.session))
        } else {
            self.who_is(&pass.token).await.map(|session| (pass.token.clone(), session))
        };
        // Meanwhile the page may have become someone else.
        if self.pass().as_ref() != Some(&pass) {
            return false;
        }
        if news.as_ref().is_err_and(|status| status.code() == Code::FailedPrecondition) {
            // Of an identity provider's, which this server cannot renew.
            self.0.pass.replace(Some(Pass { renew_at: Some(f64::INFINITY), ..pass.clone() }));
        }
        let news = news.ok();
        let is_new = is_known && news.is_some();
        if let Some((token, session)) = news {
            self.adopt(token, pass.origin, session, if is_known { FRESH } else { 0.0 });
        }
        is_new
    }

    /// Whether a call that was refused `used` can be made with something else.
    async fn has_another(&self, used: Option<&Token>, refused: &Status) -> Result<bool, Status> {
        let pass = self.pass();
        if pass.as_ref().map(|pass| &pass.token) != used {
            return Ok(true);
        }
        match pass {
            Some(Pass { origin: Origin::Guest, .. }) => {
                // Another tab may have signed in anew.
                if self.0.shelves.get(Origin::Guest).as_ref() == used {
                    self.0.shelves.put(Origin::Guest, None);
                }
                self.take_from_shelves();
                Ok(true)
            }
            Some(Pass { origin: Origin::Handed, .. }) => {
                self.0.shelves.put(Origin::Handed, None);
                self.0.pass.take();
                self.0.may_be_guest.set(false);
                self.tell(&Standing::Refused(failure(refused, self.0.clock.now())));
                Ok(false)
            }
            None if self.0.signing_in.get() => {
                while self.0.signing_in.get() {
                    self.0.clock.sleep(GLANCE).await;
                }
                Ok(true)
            }
            None if self.0.may_be_guest.get() => self.sign_in().await.map(|()| true),
            None => Ok(false),
        }
    }

    async fn sign_in(&self) -> Result<(), Status> {
        let _until_it_is_over = SigningIn::begin(&self.0.signing_in);
        let request = v1::SignInRequest { guest_secret: self.0.shelves.guest_secret(), ..Default::default() };
        let answer = self.ask(SIGN_IN, &request, None).await;
        let news = answer.and_then(|new| parts(&new.token, new.session));
        let (token, session) = news.inspect_err(|status| {
            if status.code() != Code::Unavailable {
                self.tell(&Standing::Refused(failure(status, self.0.clock.now())));
            }
        })?;
        self.adopt(token, Origin::Guest, session, FRESH);
        Ok(())
    }

    async fn who_is(&self, token: &Token) -> Result<v1::Session, Status> {
        Ok(self.ask(WHO_AM_I, &v1::WhoAmIRequest {}, Some(token)).await?.session.unwrap_or_default())
    }

    async fn ask<Q: Message, A: Message + Default>(
        &self,
        method: Method<Q, A>,
        request: &Q,
        token: Option<&Token>,
    ) -> Result<A, Status> {
        transport::decode(self.answer(method.path(), request.encode_to_vec(), token.cloned()).await?)
    }

    async fn answer(
        &self,
        path: &'static str,
        message: Vec<u8>,
        token: Option<Token>,
    ) -> Result<Bytes, Status> {
        let answers = self.0.transport.answers(path, message, Some(DEADLINE), token);
        call::unary(&self.0.clock, DEADLINE, transport::only(answers)).await
    }

    fn take_from_shelves(&self) {
        let on = |origin| self.0.shelves.get(origin).map(|token| Pass { token, origin, renew_at: None });
        let pass = on(Origin::Handed).or_else(|| on(Origin::Guest));
        let standing = match pass {
            Some(_) => Standing::SignedIn { role: None, subject: String::new() },
            None => Standing::Nobody,
        };
        self.0.pass.replace(pass);
        self.tell(&standing);
    }

    fn adopt(&self, token: Token, origin: Origin, session: v1::Session, at_least: Millis) {
        let now = self.0.clock.wall();
        let left = session.expires_at.as_ref().map_or(0.0, |at| at.seconds as f64 * 1e3 - now);
        // `f64::clamp` can panic with its figures, and to print them takes five kilobytes of page.
        let renew_at = Some(now + (left / 2.0).max(at_least).min(RENEW_WITHIN));
        self.0.shelves.put(origin, Some(&token));
        self.0.pass.replace(Some(Pass { token, origin, renew_at }));
        let role = role(session.role());
        let subject = if origin == Origin::Handed { session.subject } else { String::new() };
        self.tell(&Standing::SignedIn { role, subject });
    }

    fn pass(&self) -> Option<Pass> {
        self.0.pass.borrow().clone()
    }

    fn tell(&self, standing: &Standing) {
        (self.0.on_standing)(standing);
    }
}

// Derived, it would ask that the transport's parts can be copied.
impl<F, C> Clone for Session<F, C> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

/// A sign-in under way; others wait for its end, also when it is given up.
struct SigningIn<'a>(&'a Cell<bool>);

impl<'a> SigningIn<'a> {
    fn begin(flag: &'a Cell<bool>) -> Self {
        flag.set(true);
        Self(flag)
    }
}

impl Drop for SigningIn<'_> {
    fn drop(&mut self) {
        self.0.set(false);
    }
}

fn parts(token: &str, session: Option<v1::Session>) -> Result<(Token, v1::Session), Status> {
    let token = Token::parse(token).ok_or_else(|| Status::internal("the server gave out no token"))?;
    Ok((token, session.unwrap_or_default()))
}

fn role(role: v1::Role) -> Option<Role> {
    match role {
        v1::Role::Rider => Some(Role::Rider),
        v1::Role::Driver => Some(Role::Driver),
        v1::Role::Dispatcher => Some(Role::Dispatcher),
        v1::Role::Unspecified => None,
    }
}

#[cfg(test)]
mod tests;
