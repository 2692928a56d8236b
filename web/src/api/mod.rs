//! The calls of the page: the client, its session, and the names of the RPCs.

use std::cell::RefCell;

use grpc_web_fetch::{BrowserClock, Client, Fetch, Token};

use self::session::{Origin, Session, TokenStores};
use crate::{
    browser::{self, BrowserStorage},
    model::Identity,
};

pub mod failure;
pub mod methods;
pub mod session;

/// The key of a token in the storage of the browser.
const TOKEN: &str = "rides.token";
/// The key of the secret of the guest.
const GUEST: &str = "rides.guest";

/// Creates the client of the server that the page came from, and the session that provides its tokens. `on_identity` is
/// called now and after each change of the identity of the page.
pub fn connect(on_identity: impl Fn(&Identity) + 'static) -> (Client, Session<Fetch, BrowserClock>) {
    let client = Client::new(Fetch::to(browser::base()));
    let session = Session::new(client.clone(), Box::new(BrowserStores::default()), Box::new(on_identity));
    (client.credentials(session.clone()), session)
}

/// The storage of the browser. The token and the secret of a guest are for all tabs and stay there: without them the
/// guest has no access to their rides. An entered token may open more, and is removed with its tab.
#[derive(Default)]
struct BrowserStores {
    /// The secret of the guest, only if the browser stores nothing. Otherwise no tab has it in its memory, so that a
    /// sign-out in one tab forgets it in all.
    secret: RefCell<Option<String>>,
}

impl TokenStores for BrowserStores {
    fn get(&self, origin: Origin) -> Option<Token> {
        storage(origin).get(TOKEN).as_deref().and_then(Token::parse)
    }

    fn put(&self, origin: Origin, token: Option<&Token>) {
        match token {
            Some(token) => storage(origin).set(TOKEN, token.reveal()),
            None => storage(origin).remove(TOKEN),
        }
    }

    fn guest_secret(&self) -> String {
        let mut known = self.secret.borrow_mut();
        // Another tab may have made a secret, or may act for another guest by now.
        let secret =
            BrowserStorage::Local.get(GUEST).or_else(|| known.take()).unwrap_or_else(browser::secret);
        BrowserStorage::Local.set(GUEST, &secret);
        *known = BrowserStorage::Local.get(GUEST).is_none().then(|| secret.clone());
        secret
    }

    fn forget_guest(&self) {
        self.secret.take();
        BrowserStorage::Local.remove(GUEST);
    }
}

fn storage(origin: Origin) -> BrowserStorage {
    match origin {
        Origin::Guest => BrowserStorage::Local,
        Origin::Entered => BrowserStorage::Session,
    }
}
