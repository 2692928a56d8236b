//! What the panels share, and the few things a person can do in more than one of them.

use leptos::prelude::*;
use rides_proto::{geo::LatLng, ids::RideId};

use crate::{
    erased::effect,
    format,
    model::{Failure, Place, Remote, Ride, Role, Standing},
    store::{Command, Commands, Store},
};

use super::{
    clock::Clock,
    draft::{Draft, End},
    streets,
};

/// Which panel a phone shows; wide screens show both.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Tab {
    /// Booking, or the followed ride.
    Ride,
    /// The list.
    Rides,
}

/// Handed to every panel.
#[derive(Clone, Copy)]
pub(super) struct Ui {
    pub(super) store: Store,
    pub(super) commands: Commands,
    pub(super) clock: Clock,
    /// Whether what is on the screen is what is so now.
    pub(super) live: Memo<bool>,
    /// Seconds until what failed may be tried again, while that is not yet.
    pub(super) wait_s: Memo<Option<u32>>,
    /// Changes only through [`Ui::change_draft`].
    pub(super) draft: ReadSignal<Draft>,
    set_draft: WriteSignal<Draft>,
    pub(super) tab: RwSignal<Tab>,
    /// The number of searches for streets so far. The store has the answer to the newest.
    pub(super) searches: RwSignal<u32>,
    /// Counts the times a person asked to see a ride; each moves the map.
    pub(super) looks: RwSignal<u32>,
}

impl Ui {
    pub(super) fn new(store: Store, commands: Commands) -> Self {
        let (draft, set_draft) = signal(Draft::default());
        let clock = Clock::start(store);
        let ui = Self {
            store,
            commands,
            clock,
            live: Memo::new(move |_| store.connection.get_untracked().is_live(clock.now.get())),
            wait_s: Memo::new(move |_| {
                let retry_at =
                    failures(store).into_iter().filter_map(|failure| failure.retry_at).reduce(f64::max);
                Some(format::seconds_until(retry_at?, clock.now.get())).filter(|seconds| *seconds > 0)
            }),
            draft,
            set_draft,
            tab: RwSignal::new(Tab::Ride),
            searches: RwSignal::new(0),
            looks: RwSignal::new(0),
        };
        // What one person may not ask, or at what price, says nothing of another.
        let mut known = store.standing.get_untracked();
        effect(move || {
            let standing = store.standing.get();
            if std::mem::replace(&mut known, standing.clone()) != standing {
                ui.quote();
            }
        });
        ui
    }

    /// The one way to change the draft: a complete one is quoted at once, and what was shown of the one
    /// before it goes away.
    pub(super) fn change_draft(self, change: impl FnOnce(&mut Draft)) {
        let mut draft = self.draft.get_untracked();
        change(&mut draft);
        self.replace_draft(draft);
    }

    fn replace_draft(self, draft: Draft) {
        if self.draft.with_untracked(|old| *old != draft) {
            self.set_draft.set(draft);
            self.dismiss();
            self.quote();
        }
    }

    /// Asks for the draft's fare.
    pub(super) fn quote(self) {
        let Draft { kind, .. } = self.draft.get_untracked();
        self.commands.send(match self.draft.with_untracked(Draft::points) {
            Some((pickup, dropoff)) => Command::Quote { pickup, dropoff, kind },
            None => Command::ClearQuote,
        });
    }

    /// A click on the map. While a ride is followed it means nothing.
    pub(super) fn pick(self, at: LatLng) {
        if self.store.followed.with_untracked(Option::is_some) {
            return;
        }
        let name = self.store.city.with_untracked(|city| {
            city.as_ref().and_then(|city| streets::nearest(&city.streets, at)).unwrap_or_default().to_owned()
        });
        self.change_draft(|draft| draft.pick(Place { name, at }));
        self.tab.set(Tab::Ride);
    }

    /// Tells whether a ride is the person's own: riders with a token see no others, and a rider without one booked it
    /// under the id of this browser.
    pub(super) fn is_mine(self, ride: &Ride) -> bool {
        self.store.standing.with(|standing| match standing {
            Standing::SignedIn { role, .. } => !matches!(role, Some(Role::Driver | Role::Dispatcher)),
            _ => ride.rider_id == self.commands.rider_id(),
        })
    }

    /// One end of the ride that is put together: as it was quoted, on its street, or else as it was chosen.
    pub(super) fn place(self, end: End) -> Option<Place> {
        let quoted = self.store.quote.with(|quote| match quote {
            Remote::Ready(quote) => Some(match end {
                End::Pickup => quote.pickup.clone(),
                End::Dropoff => quote.dropoff.clone(),
            }),
            _ => None,
        });
        quoted.or_else(|| self.draft.with(|draft| draft.place(end).cloned()))
    }

    fn book(self) {
        let kind = self.draft.with_untracked(|draft| draft.kind);
        if let Some((pickup, dropoff)) = self.draft.with_untracked(Draft::points) {
            self.commands.send(Command::Book { pickup, dropoff, kind });
        }
    }

    /// Books the draft if it is quoted, and else asks for its fare again.
    pub(super) fn book_or_quote(self) {
        if self.store.quote.with_untracked(|quote| matches!(quote, Remote::Ready(_))) {
            self.book();
        } else {
            self.quote();
        }
    }

    /// Follows a ride and shows it.
    pub(super) fn follow(self, ride: RideId) {
        self.dismiss();
        self.commands.send(Command::Follow(ride));
        self.looks.update(|looks| *looks += 1);
        self.tab.set(Tab::Ride);
    }

    /// Leaves the followed ride for a new draft.
    pub(super) fn start_over(self) {
        self.dismiss();
        self.commands.send(Command::Unfollow);
        self.change_draft(|draft| *draft = Draft { kind: draft.kind, ..Draft::default() });
    }

    /// Whether the server refuses to take the page for anyone.
    pub(super) fn is_refused(self) -> bool {
        self.store.standing.with(|standing| matches!(standing, Standing::Refused(_)))
    }

    /// Why the page is refused, in words.
    pub(super) fn refusal(self) -> Option<String> {
        self.store.refusal.with(|refusal| failed(refusal).map(format::failure))
    }

    /// What is wrong with one end of the draft.
    pub(super) fn failure_at(self, end: End) -> Option<Failure> {
        failures(self.store).into_iter().find(|failure| failure.field == end.name())
    }

    /// What is wrong with the draft, but with neither of its ends.
    pub(super) fn failure_elsewhere(self) -> Option<Failure> {
        failures(self.store)
            .into_iter()
            .find(|failure| End::BOTH.iter().all(|end| failure.field != end.name()))
    }

    /// What went wrong with the newest Book or Cancel.
    pub(super) fn action_failure(self) -> Option<Failure> {
        self.store.action.with(|action| failed(action).cloned())
    }

    fn dismiss(self) {
        if let Some(failure) = self.store.action.with_untracked(|action| failed(action).cloned()) {
            self.commands.send(Command::Dismiss(failure));
        }
    }
}

/// For attributes that say whether something is so.
pub(super) fn yes_no(is_so: bool) -> &'static str {
    if is_so { "true" } else { "false" }
}

/// How it failed, if it did.
pub(super) fn failed<T>(remote: &Remote<T>) -> Option<&Failure> {
    match remote {
        Remote::Failed(failure) => Some(failure),
        _ => None,
    }
}

/// Of the newest Book or Cancel, and of the quote.
fn failures(store: Store) -> Vec<Failure> {
    let action = store.action.with(|action| failed(action).cloned());
    let quote = store.quote.with(|quote| failed(quote).cloned());
    action.into_iter().chain(quote).collect()
}
