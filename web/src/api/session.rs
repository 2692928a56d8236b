//! The session of the page: its token, the sign-in as a guest, and renewal.
//!
//! The page sends no token before the server asks for one. The first call that is refused for want of a token signs the
//! page in as a guest, and is made again. A token is renewed at half of its lifetime. A token that a person entered is
//! never replaced by that of a guest: if it is refused, the page says so and waits for the person.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use grpc_web_fetch::{
    Client, Clock, Code, Credentials, Decision, FailedAttempt, Millis, Status, Token, transport::Transport,
};
use rides_proto::v1;

use super::{
    failure::{failure, is_about_the_token},
    methods::{RENEW, SIGN_IN, SIGN_OUT, WHO_AM_I},
};
use crate::model::{Identity, Role};

/// The number of times that a call is repeated after its token was refused: without a token, and with a new one.
const REPEATS: u32 = 2;
/// The longest time between two renewals. The clocks of page and server may differ…
const RENEW_WITHIN: Millis = 3_600_000.0;
/// … and so may they let a new token seem old. It is not renewed before this time.
const FRESH: Millis = 60_000.0;
/// The interval in which a call looks whether another call has signed in.
const POLL: Millis = 50.0;

/// The origin of a token.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Origin {
    /// The page signed in as a guest.
    Guest,
    /// A person entered the token. It takes precedence.
    Entered,
}

/// Storage for tokens beyond the memory of the page, one for each origin.
pub trait TokenStores {
    /// Returns the stored token.
    fn get(&self, origin: Origin) -> Option<Token>;
    /// Stores a token, or removes the one that is stored.
    fn put(&self, origin: Origin, token: Option<&Token>);
    /// Returns the secret by which the server recognizes the guest after the token was refused. Creates one if there is
    /// none. It is empty if the browser has no randomness for secrets.
    fn guest_secret(&self) -> String;
    /// Forgets the secret. The next guest is another one.
    fn forget_guest(&self);
}

/// The session of the page. It provides the tokens of calls. Clones share it.
pub struct Session<T, C>(Rc<Inner<T, C>>);

struct Inner<T, C> {
    /// Makes calls without credentials.
    client: Client<T, C>,
    stores: Box<dyn TokenStores>,
    on_identity: Box<dyn Fn(&Identity)>,
    ticket: RefCell<Option<Ticket>>,
    /// True if the page may sign in as a guest.
    may_be_guest: Cell<bool>,
    signing_in: Cell<bool>,
}

/// The token in use.
#[derive(Clone, PartialEq)]
struct Ticket {
    token: Token,
    origin: Origin,
    /// The time of the renewal, on the wall clock. `None` until the server has told the lifetime of the token.
    renew_at: Option<f64>,
}

impl<T: Transport, C: Clock> Session<T, C> {
    /// Continues with a stored token, if there is one. `on_identity` is called now and after each change.
    pub fn new(
        client: Client<T, C>,
        stores: Box<dyn TokenStores>,
        on_identity: Box<dyn Fn(&Identity)>,
    ) -> Self {
        let session = Self(Rc::new(Inner {
            client,
            stores,
            on_identity,
            ticket: RefCell::default(),
            may_be_guest: Cell::new(true),
            signing_in: Cell::default(),
        }));
        session.load();
        session
    }

    /// Signs in with `token`, if the server accepts it.
    ///
    /// # Errors
    /// The status of `WhoAmI`. The page keeps its token then.
    pub async fn sign_in_with(&self, token: Token) -> Result<(), Status> {
        let session = self.who_is(&token).await?;
        self.0.may_be_guest.set(true);
        self.adopt(token, Origin::Entered, session, 0.0);
        Ok(())
    }

    /// Forgets the token in use, and returns to the guest from before a token was entered. The future tells the server
    /// that the token is over. If that fails, the token expires.
    pub fn sign_out(&self) -> impl Future<Output = ()> + use<T, C> {
        let ticket = self.0.ticket.take();
        if let Some(ticket) = &ticket {
            self.0.stores.put(ticket.origin, None);
            if ticket.origin == Origin::Guest {
                self.0.stores.forget_guest();
            }
        }
        self.0.may_be_guest.set(true);
        self.load();
        let session = self.clone();
        async move {
            if let Some(ticket) = ticket {
                _ = session.client_with(&ticket.token).unary(&SIGN_OUT, &v1::SignOutRequest {}).await;
            }
        }
    }

    /// Asks for the lifetime of the token, or renews the token when it is time. Returns `true` if there is a new token:
    /// open streams end with the old one and must be opened again. A failure is repeated by the next call of this.
    pub async fn keep_up(&self) -> bool {
        let Some(ticket) = self.ticket() else { return false };
        let is_known = ticket.renew_at.is_some();
        if ticket.renew_at.is_some_and(|at| self.wall() < at) {
            return false;
        }
        let new = if is_known {
            let client = self.client_with(&ticket.token);
            client.unary(&RENEW, &v1::RenewRequest {}).await.and_then(|new| parts(&new.token, new.session))
        } else {
            self.who_is(&ticket.token).await.map(|session| (ticket.token.clone(), session))
        };
        // The page may have signed in or out during the call.
        if self.ticket().as_ref() != Some(&ticket) {
            return false;
        }
        if new.as_ref().is_err_and(|status| status.code() == Code::FailedPrecondition) {
            // The token is of an identity provider, and this server cannot renew it.
            self.0.ticket.replace(Some(Ticket { renew_at: Some(f64::INFINITY), ..ticket.clone() }));
        }
        let new = new.ok();
        let is_new = is_known && new.is_some();
        if let Some((token, session)) = new {
            self.adopt(token, ticket.origin, session, if is_known { FRESH } else { 0.0 });
        }
        is_new
    }

    /// Returns `true` if there is something else to make the call with than `used`, which was refused.
    async fn replace(&self, used: Option<&Token>, refused: &Status) -> Result<bool, Status> {
        let ticket = self.ticket();
        if ticket.as_ref().map(|ticket| &ticket.token) != used {
            return Ok(true);
        }
        match ticket {
            Some(Ticket { origin: Origin::Guest, .. }) => {
                // Another tab may have signed in again.
                if self.0.stores.get(Origin::Guest).as_ref() == used {
                    self.0.stores.put(Origin::Guest, None);
                }
                self.load();
                Ok(true)
            }
            Some(Ticket { origin: Origin::Entered, .. }) => {
                self.0.stores.put(Origin::Entered, None);
                self.0.ticket.take();
                self.0.may_be_guest.set(false);
                self.tell_refused(refused);
                Ok(false)
            }
            None if self.0.signing_in.get() => {
                while self.0.signing_in.get() {
                    self.0.client.clock().sleep(POLL).await;
                }
                Ok(true)
            }
            None if self.0.may_be_guest.get() => self.sign_in().await.map(|()| true),
            None => Ok(false),
        }
    }

    async fn sign_in(&self) -> Result<(), Status> {
        let _until_the_end = SigningIn::begin(&self.0.signing_in);
        let request = v1::SignInRequest { guest_secret: self.0.stores.guest_secret(), ..Default::default() };
        let response = self.0.client.unary(&SIGN_IN, &request).await;
        let new = response.and_then(|new| parts(&new.token, new.session));
        let (token, session) = new.inspect_err(|status| {
            if status.code() != Code::Unavailable {
                self.tell_refused(status);
            }
        })?;
        self.adopt(token, Origin::Guest, session, FRESH);
        Ok(())
    }

    async fn who_is(&self, token: &Token) -> Result<v1::Session, Status> {
        let client = self.client_with(token);
        Ok(client.unary(&WHO_AM_I, &v1::WhoAmIRequest {}).await?.session.unwrap_or_default())
    }

    fn client_with(&self, token: &Token) -> Client<T, C> {
        self.0.client.clone().credentials(token.clone())
    }

    fn load(&self) {
        let of = |origin| self.0.stores.get(origin).map(|token| Ticket { token, origin, renew_at: None });
        let ticket = of(Origin::Entered).or_else(|| of(Origin::Guest));
        let identity = match ticket {
            Some(_) => Identity::SignedIn { role: None, subject: String::new() },
            None => Identity::Anonymous,
        };
        self.0.ticket.replace(ticket);
        self.tell(&identity);
    }

    fn adopt(&self, token: Token, origin: Origin, session: v1::Session, at_least: Millis) {
        let now = self.wall();
        let left = session.expires_at.as_ref().map_or(0.0, |at| at.seconds as f64 * 1e3 - now);
        // `f64::clamp` can panic with its arguments, and the code that prints them would add 5 kB to the page.
        let renew_at = Some(now + (left / 2.0).max(at_least).min(RENEW_WITHIN));
        self.0.stores.put(origin, Some(&token));
        self.0.ticket.replace(Some(Ticket { token, origin, renew_at }));
        let role = role(session.role());
        let subject = if origin == Origin::Entered { session.subject } else { String::new() };
        self.tell(&Identity::SignedIn { role, subject });
    }

    fn ticket(&self) -> Option<Ticket> {
        self.0.ticket.borrow().clone()
    }

    fn wall(&self) -> f64 {
        self.0.client.clock().wall()
    }

    fn tell_refused(&self, status: &Status) {
        self.tell(&Identity::Refused(failure(status, self.0.client.clock().now())));
    }

    fn tell(&self, identity: &Identity) {
        (self.0.on_identity)(identity);
    }
}

impl<T: Transport, C: Clock> Credentials for Session<T, C> {
    fn token(&self) -> Option<Token> {
        self.ticket().map(|ticket| ticket.token)
    }

    fn failed<'a>(&'a self, attempt: FailedAttempt<'a>) -> Option<Decision<'a>> {
        let FailedAttempt { token, status, repeats } = attempt;
        if !is_about_the_token(status) {
            return None;
        }
        if repeats == REPEATS {
            self.tell_refused(status);
            return None;
        }
        Some(Box::pin(self.replace(token, status)))
    }
}

// A derived implementation would ask for `T: Clone` and `C: Clone`.
impl<T, C> Clone for Session<T, C> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

/// The flag of a sign-in under way. Other calls wait until it is dropped, also if the sign-in was dropped.
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
    let token = Token::parse(token).ok_or_else(|| Status::internal("the server sent no token"))?;
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
