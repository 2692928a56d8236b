//! The newest rides: everyone's, or a rider's own.

use leptos::prelude::*;

use crate::{erased::press, format, model::Ride};

use super::{
    icons::Chevron,
    ui::{Ui, yes_no},
    words,
};

#[component]
pub(super) fn RidesPanel(ui: Ui) -> impl IntoView {
    let open = RwSignal::new(true);
    let rows = move || {
        let followed = ui.store.followed.with(|followed| followed.as_ref().map(|f| f.ride.id.clone()));
        let now = ui.clock.unix.get();
        ui.store.rides.with(|rides| {
            let row = |ride| row(ui, ride, followed.as_ref() == Some(&ride.id), now);
            rides.iter().map(row).collect_view()
        })
    };
    let none = move || {
        ui.store.rides.with(Vec::is_empty).then(|| {
            view! { <p class="muted rides-none">"None yet. The next one booked shows up here."</p> }
        })
    };
    let under_way = move || {
        let count = ui.store.rides.with(|rides| rides.iter().filter(|ride| !ride.state.is_over()).count());
        format!("{count} under way")
    };
    view! {
        <section class="card rides" data-testid="rides" data-open=move || open.get().then_some("") aria-labelledby="rides-title">
            <button
                class="rides-head"
                aria-expanded=move || yes_no(open.get())
                aria-controls="rides-list"
                on:click=press(move || open.update(|open| *open = !*open))
            >
                <h2 id="rides-title">"Rides"</h2>
                <span class="muted figures">{under_way}</span>
                <Chevron />
            </button>
            <ul class="rides-list" id="rides-list">{rows}</ul>
            {none}
        </section>
    }
}

fn row(ui: Ui, ride: &Ride, followed: bool, now: i64) -> impl IntoView + use<> {
    let id = ride.id.clone();
    let state = format!("{} · {}", words::state(ride.state), format::ago(ride.requested_at, now));
    view! {
        <li>
            <button
                class="row"
                data-state=words::slug(ride.state)
                aria-current=followed.then_some("true")
                on:click=press(move || ui.follow(id.clone()))
            >
                <span class="dot" aria-hidden="true"></span>
                <span class="row-from">{words::place_or(ride.pickup.as_ref(), "Off the street")}</span>
                <span class="row-fare figures">{format::money(&ride.fare)}</span>
                <span class="row-to">
                    <span class="muted">"→ "</span>
                    {words::place_or(ride.dropoff.as_ref(), "…")}
                </span>
                <span class="row-state figures">{state}</span>
            </button>
        </li>
    }
}
