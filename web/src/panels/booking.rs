//! The booking form: pickup, drop-off, kind of ride, quote, and the button that books.

use leptos::prelude::*;

use crate::{
    format,
    model::{Quote, RemoteData, RideType},
    type_erased::on_click,
};

use super::{
    draft::{Draft, PlaceRole},
    failure_view::failure_view,
    icons::Swap,
    place_field::{PlaceField, Typing},
    quote::QuoteCard,
    state_text,
    ui::{Ui, yes_no},
};

#[component]
pub(super) fn Booking(ui: Ui) -> impl IntoView {
    let is_empty = move || ui.draft.with(|draft| draft.pickup.is_none() && draft.dropoff.is_none());
    let [from, to] = [(); 2].map(|()| RwSignal::new(Typing::default()));
    let swap = move || {
        ui.change_draft(Draft::swap);
        let typed = from.get_untracked();
        from.set(to.get_untracked());
        to.set(typed);
    };
    view! {
        <section class="card booking" aria-labelledby="booking-title">
            <h2 id="booking-title">"Book a ride"</h2>
            <div class="fields">
                <PlaceField ui=ui end=PlaceRole::Pickup typing=from />
                <PlaceField ui=ui end=PlaceRole::Dropoff typing=to />
                <button
                    class="icon-button swap"
                    aria-label="Swap pickup and drop-off"
                    disabled=is_empty
                    on:click=on_click(swap)
                >
                    <Swap />
                </button>
            </div>
            <div class="kinds" role="radiogroup" aria-label="Kind of ride">
                {kind_option(ui, RideType::Regular, "A car to yourself")}
                {kind_option(ui, RideType::Pool, "Shared, cheaper")}
            </div>
            <QuoteCard ui=ui />
            <div class="book">{move || book(ui)}</div>
        </section>
    }
}

fn kind_option(ui: Ui, kind: RideType, about: &'static str) -> impl IntoView {
    view! {
        <label class="kind">
            <input
                type="radio"
                name="kind"
                prop:checked=move || ui.draft.with(|draft| draft.kind == kind)
                on:change=move |_| ui.change_draft(|draft| draft.kind = kind)
            />
            <span class="kind-name">{state_text::kind(kind)}</span>
            <span class="kind-about">{about}</span>
        </label>
    }
}

/// The state of the button.
#[derive(Clone, PartialEq, Debug)]
enum Button {
    /// There is no quote to accept.
    NotYet,
    /// Book for this fare.
    Book(String),
    /// Wait this number of seconds.
    Wait(u32),
    /// The quote failed, and a new request may succeed.
    Again,
    /// A booking is running. The text says so.
    Busy(&'static str),
}

impl Button {
    fn of(quote: &RemoteData<Quote>, action: &RemoteData<()>, wait_s: Option<u32>) -> Self {
        match (action, wait_s, quote) {
            (RemoteData::Loading, ..) => Self::Busy("Booking…"),
            (RemoteData::Retrying, ..) => Self::Busy(state_text::RETRYING),
            (_, Some(seconds), _) => Self::Wait(seconds),
            (_, _, RemoteData::Ready(quote)) => Self::Book(format::money(&quote.fare)),
            (_, _, RemoteData::Failed(failure)) if failure.field.is_empty() => Self::Again,
            _ => Self::NotYet,
        }
    }
}

fn book(ui: Ui) -> impl IntoView {
    let wait_s = ui.retry_in_s.get();
    let button =
        ui.store.quote.with(|quote| ui.store.action.with(|action| Button::of(quote, action, wait_s)));
    let is_busy = matches!(button, Button::Busy(_));
    let is_ready = matches!(button, Button::Book(_) | Button::Again);
    let words = match button {
        Button::NotYet => "Book".to_owned(),
        Button::Book(fare) => format!("Book for {fare}"),
        Button::Wait(seconds) => state_text::again_in(seconds),
        Button::Again => "Try again".to_owned(),
        Button::Busy(words) => words.to_owned(),
    };
    view! {
        <button
            class="button primary wide"
            data-testid="book"
            // `disabled` would take the focus away from the pressed button.
            aria-disabled=yes_no(!is_ready)
            aria-busy=yes_no(is_busy)
            on:click=on_click(move || {
                if is_ready {
                    ui.book_or_quote();
                }
            })
        >
            {words}
        </button>
        {ui.failure_elsewhere().as_ref().map(failure_view)}
    }
}

#[cfg(test)]
mod tests {
    use rides_proto::geo::LatLng;

    use super::*;
    use crate::model::{Failure, Money, Place};

    fn quote() -> RemoteData<Quote> {
        let at = LatLng::new(60.17, 24.94).expect("on Earth");
        let place = Place { name: String::new(), at };
        RemoteData::Ready(Quote {
            fare: Money { currency: "EUR".into(), minor_units: 1240 },
            pickup_eta_s: None,
            trip_s: 60,
            trip_m: 600,
            route: vec![],
            pickup: place.clone(),
            dropoff: place,
        })
    }

    #[test]
    fn only_a_quote_can_be_booked() {
        assert_eq!(Button::of(&RemoteData::Idle, &RemoteData::Idle, None), Button::NotYet);
        assert_eq!(Button::of(&RemoteData::Loading, &RemoteData::Ready(()), None), Button::NotYet);
        assert_eq!(Button::of(&quote(), &RemoteData::Idle, None), Button::Book("€12.40".into()));
    }

    #[test]
    fn a_booking_that_runs_cannot_be_started_again_and_one_that_failed_can() {
        assert_eq!(Button::of(&quote(), &RemoteData::Loading, None), Button::Busy("Booking…"));
        assert_eq!(Button::of(&quote(), &RemoteData::Retrying, None), Button::Busy(state_text::RETRYING));
        let failure = Failure { code: 14, ..Failure::default() };
        let failed = RemoteData::Failed(failure);
        assert_eq!(
            Button::of(&quote(), &failed, Some(3)),
            Button::Wait(3),
            "the server gave the time of the next attempt"
        );
        assert_eq!(Button::of(&quote(), &failed, None), Button::Book("€12.40".into()));
    }

    #[test]
    fn a_quote_that_failed_can_be_asked_for_again_unless_a_field_is_wrong() {
        let failed = |field: &str| RemoteData::Failed(Failure { field: field.into(), ..Failure::default() });
        assert_eq!(Button::of(&failed(""), &RemoteData::Idle, None), Button::Again);
        assert_eq!(Button::of(&failed("pickup"), &RemoteData::Idle, None), Button::NotYet);
    }
}
