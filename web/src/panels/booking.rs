//! Where from, where to, for how much.

use leptos::prelude::*;

use crate::{
    format,
    model::{Quote, Remote, RideType},
};

use super::{
    draft::{Draft, End},
    icons::Swap,
    place_field::PlaceField,
    quote::QuoteCard,
    ui::Ui,
    words,
};

#[component]
pub(super) fn Booking(ui: Ui) -> impl IntoView {
    let can_swap =
        Memo::new(move |_| ui.draft.with(|draft| draft.pickup.is_some() || draft.dropoff.is_some()));
    view! {
        <section class="card booking" aria-labelledby="booking-title">
            <h2 id="booking-title">"Book a ride"</h2>
            <div class="fields">
                <PlaceField ui=ui end=End::Pickup />
                <PlaceField ui=ui end=End::Dropoff />
                <button
                    class="icon-button swap"
                    aria-label="Swap pickup and drop-off"
                    disabled=move || !can_swap.get()
                    on:click=move |_| ui.change_draft(Draft::swap)
                >
                    <Swap />
                </button>
            </div>
            <div class="kinds" role="radiogroup" aria-label="Kind of ride">
                <Kind ui=ui kind=RideType::Regular about="A car to yourself" />
                <Kind ui=ui kind=RideType::Pool about="Shared, cheaper" />
            </div>
            <QuoteCard ui=ui />
            <BookButton ui=ui />
        </section>
    }
}

#[component]
fn Kind(ui: Ui, kind: RideType, about: &'static str) -> impl IntoView {
    view! {
        <label class="kind">
            <input
                type="radio"
                name="kind"
                prop:checked=move || ui.draft.with(|draft| draft.kind == kind)
                on:change=move |_| ui.change_draft(|draft| draft.kind = kind)
            />
            <span class="kind-name">{words::kind(kind)}</span>
            <span class="kind-about">{about}</span>
        </label>
    }
}

/// What the button is for at the moment.
#[derive(Clone, PartialEq, Debug)]
enum Button {
    /// No quote to accept.
    NotYet,
    /// For that much.
    Book(String),
    /// Under way.
    Busy,
}

impl Button {
    fn of(quote: &Remote<Quote>, action: &Remote<()>) -> Self {
        match (action, quote) {
            (Remote::Loading, _) => Self::Busy,
            (_, Remote::Ready(quote)) => Self::Book(format::money(&quote.fare)),
            _ => Self::NotYet,
        }
    }
}

#[component]
fn BookButton(ui: Ui) -> impl IntoView {
    let button = Memo::new(move |_| {
        ui.store.quote.with(|quote| ui.store.action.with(|action| Button::of(quote, action)))
    });
    let failure = Memo::new(move |_| ui.failure_elsewhere());
    view! {
        <div class="book">
            <button
                class="button primary wide"
                data-testid="book"
                disabled=move || !matches!(button.get(), Button::Book(_))
                aria-busy=move || if button.get() == Button::Busy { "true" } else { "false" }
                on:click=move |_| ui.book()
            >
                {move || match button.get() {
                    Button::NotYet => "Book".to_owned(),
                    Button::Book(fare) => format!("Book for {fare}"),
                    Button::Busy => "Booking…".to_owned(),
                }}
            </button>
            {move || {
                failure
                    .get()
                    .map(|failure| {
                        view! {
                            <p class="error" role="alert">
                                {format::failure(&failure)}
                                " "
                                <button class="link" on:click=move |_| ui.retry()>"Try again"</button>
                            </p>
                        }
                    })
            }}
        </div>
    }
}

#[cfg(test)]
mod tests {
    use rides_proto::geo::LatLng;

    use super::*;
    use crate::model::{Failure, Money, Place};

    fn quote() -> Remote<Quote> {
        let at = LatLng::new(60.17, 24.94).expect("on Earth");
        let place = Place { name: String::new(), at };
        Remote::Ready(Quote {
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
        assert_eq!(Button::of(&Remote::Idle, &Remote::Idle), Button::NotYet);
        assert_eq!(Button::of(&Remote::Loading, &Remote::Ready(())), Button::NotYet);
        assert_eq!(Button::of(&quote(), &Remote::Idle), Button::Book("€12.40".into()));
    }

    #[test]
    fn a_booking_that_runs_cannot_be_started_again_and_one_that_failed_can() {
        assert_eq!(Button::of(&quote(), &Remote::Loading), Button::Busy);
        let failure = Failure { text: String::new(), code: 14, reason: String::new(), field: String::new() };
        assert_eq!(Button::of(&quote(), &Remote::Failed(failure)), Button::Book("€12.40".into()));
    }
}
