//! The quote: the fare and the duration of the draft.

use leptos::prelude::*;

use crate::{
    format,
    model::{Quote, RemoteData},
};

use super::{draft::Draft, state_text, ui::Ui};

/// Returns the next step for the person while the draft is not complete.
fn hint(draft: &Draft) -> &'static str {
    match (&draft.pickup, &draft.dropoff) {
        (None, None) => {
            "Search for a street, or click the map: first where you are, then where you are going."
        }
        (Some(_), _) => "Now where you are going: search, or click the map.",
        (None, Some(_)) => "Now where you are: search, or click the map.",
    }
}

#[component]
pub(super) fn QuoteCard(ui: Ui) -> impl IntoView {
    let content = move || {
        let (mut hinted, mut asking, mut figured) = (None, None, None);
        match ui.store.quote.get() {
            RemoteData::Idle => hinted = Some(view! { <p class="muted hint">{ui.draft.with(hint)}</p> }),
            state @ (RemoteData::Loading | RemoteData::Retrying) => {
                hinted = (state == RemoteData::Retrying)
                    .then(|| view! { <p class="muted hint">{state_text::RETRYING}</p> });
                asking = Some(view! {
                    <div class="skeleton" role="img" aria-label="Asking for the fare"></div>
                });
            }
            RemoteData::Ready(quote) => figured = Some(quote_details(&quote)),
            RemoteData::Failed(_) => {}
        }
        (hinted, asking, figured)
    };
    view! { <div class="quote" data-testid="quote" aria-live="polite">{content}</div> }
}

fn quote_details(quote: &Quote) -> impl IntoView + use<> {
    let wait = quote.pickup_eta_s.map(format::duration);
    let no_car = wait.is_none().then(|| {
        view! { <p class="muted">"No car is free right now. Book, and the first that is will be asked."</p> }
    });
    let fact = |name, value: String, class| {
        view! {
            <div>
                <dt>{name}</dt>
                <dd class=class>{value}</dd>
            </div>
        }
    };
    view! {
        <p class="fare figures">{format::money(&quote.fare)}</p>
        <dl class="facts">
            {fact("Pickup in", wait.unwrap_or_else(|| "—".to_owned()), "figures accent")}
            {fact("Trip", format::duration(quote.trip_s), "figures")}
            {fact("Distance", format::distance(quote.trip_m), "figures")}
        </dl>
        {no_car}
    }
}
