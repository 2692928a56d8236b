//! What the ride would cost and how long it would take.

use leptos::prelude::*;

use crate::{
    format,
    model::{Quote, Remote},
};

use super::{draft::Draft, ui::Ui};

/// What to do next, while there is nothing to quote.
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
    view! {
        <div class="quote" data-testid="quote" aria-live="polite">
            {move || match ui.store.quote.get() {
                Remote::Idle => view! {
                    <p class="muted hint">{move || ui.draft.with(hint)}</p>
                }.into_any(),
                Remote::Loading => view! {
                    <div class="skeleton" role="img" aria-label="Asking for the fare"></div>
                }.into_any(),
                Remote::Ready(quote) => view! { <Figures quote=quote /> }.into_any(),
                Remote::Failed(_) => ().into_any(),
            }}
        </div>
    }
}

#[component]
fn Figures(quote: Quote) -> impl IntoView {
    let wait = quote.pickup_eta_s.map(format::duration);
    let no_car = wait.is_none();
    view! {
        <p class="fare figures">{format::money(&quote.fare)}</p>
        <dl class="facts">
            <div>
                <dt>"Pickup in"</dt>
                <dd class="figures accent">{wait.unwrap_or_else(|| "—".to_owned())}</dd>
            </div>
            <div>
                <dt>"Trip"</dt>
                <dd class="figures">{format::duration(quote.trip_s)}</dd>
            </div>
            <div>
                <dt>"Distance"</dt>
                <dd class="figures">{format::distance(quote.trip_m)}</dd>
            </div>
        </dl>
        <Show when=move || no_car>
            <p class="muted">"No car is free right now. Book, and the first that is will be asked."</p>
        </Show>
    }
}
