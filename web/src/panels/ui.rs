//! The state that panels share, and the actions that more than one panel offers.

use leptos::prelude::*;
use rides_proto::{geo::LatLng, ids::RideId};

use crate::{
    format,
    model::{Failure, Identity, Place, RemoteData, Ride, Role},
    store::{Command, Commands, Store},
    type_erased::effect,
};

use super::{
    clock::Clock,
    draft::{Draft, PlaceRole},
    streets,
};

/// The panel that a phone shows. Wide screens show both.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Tab {
    /// The booking form or the followed ride.
    Ride,
    /// The list of rides.
    Rides,
}

/// The shared state, which every panel receives. Cheap to copy.
#[derive(Clone, Copy)]
pub(super) struct Ui {
    pub(super) store: Store,
    pub(super) commands: Commands,
    pub(super) clock: Clock,
    /// `true` if the data on the screen is current.
    pub(super) live: Memo<bool>,
    /// Seconds until the failed request may be sent again, if the server gave a time and it has not come.
    pub(super) retry_in_s: Memo<Option<u32>>,
    /// The draft. It changes only through [`Ui::change_draft`].
    pub(super) draft: ReadSignal<Draft>,
    set_draft: WriteSignal<Draft>,
    pub(super) tab: RwSignal<Tab>,
    /// The number of street searches so far. The store has the result of the newest.
    pub(super) searches: RwSignal<u32>,
    /// The number of times that a person asked to see a ride. Each time moves the map.
    pub(super) show_requests: RwSignal<u32>,
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
            retry_in_s: Memo::new(move |_| {
                let retry_at =
                    failures(store).into_iter().filter_map(|failure| failure.retry_at).reduce(f64::max);
                Some(format::seconds_until(retry_at?, clock.now.get())).filter(|seconds| *seconds > 0)
            }),
            draft,
            set_draft,
            tab: RwSignal::new(Tab::Ride),
            searches: RwSignal::new(0),
            show_requests: RwSignal::new(0),
        };
        // A failure or a quote for one identity does not apply to another.
        let mut known = store.identity.get_untracked();
        effect(move || {
            let identity = store.identity.get();
            if std::mem::replace(&mut known, identity.clone()) != identity {
                ui.quote();
            }
        });
        ui
    }

    /// Changes the draft. A complete draft is quoted at once, and the old failure is dismissed.
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

    /// Requests a quote for the draft, or clears the quote if the draft is not complete.
    pub(super) fn quote(self) {
        let Draft { kind, .. } = self.draft.get_untracked();
        self.commands.send(match self.draft.with_untracked(Draft::points) {
            Some((pickup, dropoff)) => Command::Quote { pickup, dropoff, kind },
            None => Command::ClearQuote,
        });
    }

    /// Handles a click on the map at `at`. While a ride is followed, it does nothing.
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

    /// Returns `true` if the ride belongs to the person. Riders with a token see only their own rides. A rider
    /// without a token booked it with the id of this browser.
    pub(super) fn is_mine(self, ride: &Ride) -> bool {
        self.store.identity.with(|identity| match identity {
            Identity::SignedIn { role, .. } => !matches!(role, Some(Role::Driver | Role::Dispatcher)),
            _ => ride.rider_id == self.commands.rider_id(),
        })
    }

    /// Returns one end of the draft: the place in the quote, which is on a street, or else the chosen place.
    pub(super) fn place(self, end: PlaceRole) -> Option<Place> {
        let quoted = self.store.quote.with(|quote| match quote {
            RemoteData::Ready(quote) => Some(match end {
                PlaceRole::Pickup => quote.pickup.clone(),
                PlaceRole::Dropoff => quote.dropoff.clone(),
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

    /// Books the draft if it has a quote, and else requests the quote again.
    pub(super) fn book_or_quote(self) {
        if self.store.quote.with_untracked(|quote| matches!(quote, RemoteData::Ready(_))) {
            self.book();
        } else {
            self.quote();
        }
    }

    /// Follows a ride and shows it on the map.
    pub(super) fn follow(self, ride: RideId) {
        self.dismiss();
        self.commands.send(Command::Follow(ride));
        self.show_requests.update(|looks| *looks += 1);
        self.tab.set(Tab::Ride);
    }

    /// Stops following the ride and starts a new draft.
    pub(super) fn start_over(self) {
        self.dismiss();
        self.commands.send(Command::Unfollow);
        self.change_draft(|draft| *draft = Draft { kind: draft.kind, ..Draft::default() });
    }

    /// Returns `true` if the server rejected the page's token or did not issue one.
    pub(super) fn is_refused(self) -> bool {
        self.store.identity.with(|identity| matches!(identity, Identity::Refused(_)))
    }

    /// Returns the reason why the newest fleet stream was refused, for people.
    pub(super) fn refusal(self) -> Option<String> {
        self.store.refusal.with(|refusal| failed(refusal).map(format::failure))
    }

    /// Returns the failure that concerns one end of the draft.
    pub(super) fn failure_at(self, end: PlaceRole) -> Option<Failure> {
        failures(self.store).into_iter().find(|failure| failure.field == end.name())
    }

    /// Returns a failure that concerns neither end of the draft.
    pub(super) fn failure_elsewhere(self) -> Option<Failure> {
        failures(self.store)
            .into_iter()
            .find(|failure| PlaceRole::BOTH.iter().all(|end| failure.field != end.name()))
    }

    /// Returns the failure of the newest booking or cancellation.
    pub(super) fn action_failure(self) -> Option<Failure> {
        self.store.action.with(|action| failed(action).cloned())
    }

    fn dismiss(self) {
        if let Some(failure) = self.store.action.with_untracked(|action| failed(action).cloned()) {
            self.commands.send(Command::Dismiss(failure));
        }
    }
}

/// Returns the value of a boolean ARIA attribute.
pub(super) fn yes_no(is_so: bool) -> &'static str {
    if is_so { "true" } else { "false" }
}

/// Returns the failure, if the request failed.
pub(super) fn failed<T>(remote: &RemoteData<T>) -> Option<&Failure> {
    match remote {
        RemoteData::Failed(failure) => Some(failure),
        _ => None,
    }
}

/// Returns the failures of the newest booking or cancellation and of the quote.
fn failures(store: Store) -> Vec<Failure> {
    let action = store.action.with(|action| failed(action).cloned());
    let quote = store.quote.with(|quote| failed(quote).cloned());
    action.into_iter().chain(quote).collect()
}
