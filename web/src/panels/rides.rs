//! Everyone's rides, newest first.

use leptos::prelude::*;

use crate::{format, model::Ride};

use super::{icons::Chevron, ui::Ui, words};

#[component]
pub(super) fn RidesPanel(ui: Ui) -> impl IntoView {
    let open = RwSignal::new(true);
    let count = Memo::new(move |_| ui.store.rides.with(Vec::len));
    let under_way = Memo::new(move |_| {
        ui.store.rides.with(|rides| rides.iter().filter(|ride| !ride.state.is_over()).count())
    });
    view! {
        <section class="card rides" data-testid="rides" data-open=move || open.get().then_some("") aria-labelledby="rides-title">
            <button
                class="rides-head"
                aria-expanded=move || if open.get() { "true" } else { "false" }
                aria-controls="rides-list"
                on:click=move |_| open.update(|open| *open = !*open)
            >
                <h2 id="rides-title">"Rides"</h2>
                <span class="muted figures">{move || format!("{} under way", under_way.get())}</span>
                <Chevron />
            </button>
            <ul class="rides-list" id="rides-list">
                <For
                    each=move || ui.store.rides.get()
                    key=|ride| (ride.id.clone(), ride.version, ride.state)
                    children=move |ride| view! { <Row ui=ui ride=ride /> }
                />
            </ul>
            <Show when=move || count.get() == 0>
                <p class="muted rides-none">"None yet. The next one booked, here or anywhere, shows up here."</p>
            </Show>
        </section>
    }
}

#[component]
fn Row(ui: Ui, ride: Ride) -> impl IntoView {
    let Ride { id, state, requested_at, .. } = ride.clone();
    let followed = {
        let id = id.clone();
        Memo::new(move |_| {
            ui.store.followed.with(|followed| followed.as_ref().is_some_and(|f| f.ride.id == id))
        })
    };
    let when = Memo::new(move |_| format::ago(requested_at, ui.clock.unix.get()));
    view! {
        <li>
            <button
                class="row"
                data-state=words::slug(state)
                aria-current=move || followed.get().then_some("true")
                on:click=move |_| ui.follow(id.clone())
            >
                <span class="dot" aria-hidden="true"></span>
                <span class="row-from">{words::place_or(ride.pickup.as_ref(), "Off the street")}</span>
                <span class="row-fare figures">{format::money(&ride.fare)}</span>
                <span class="row-to">
                    <span class="muted">"→ "</span>
                    {words::place_or(ride.dropoff.as_ref(), "…")}
                </span>
                <span class="row-state figures">{words::state(state)} " · " {when}</span>
            </button>
        </li>
    }
}
