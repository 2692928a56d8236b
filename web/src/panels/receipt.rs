//! The receipt of a completed ride.

use leptos::prelude::*;

use crate::{format, model::Ride};

use super::state_text;

pub(super) fn receipt(ride: &Ride) -> impl IntoView + use<> {
    let Ride { kind, pickup, dropoff, car_id, driver_id, fare, distance_m, duration_s, .. } = ride;
    let line = |name: &'static str, value: String| {
        view! {
            <div>
                <dt>{name}</dt>
                <dd class="figures">{value}</dd>
            </div>
        }
    };
    let car = car_id.map(|car| line("Car", format!("{car} · {driver_id}")));
    view! {
        <div class="receipt" data-testid="receipt">
            <p class="fare figures">{format::money(fare)}</p>
            <dl>
                {line("From", state_text::place_or(pickup.as_ref(), "off the street"))}
                {line("To", state_text::place_or(dropoff.as_ref(), "not on the map"))}
                {line("Driven", format::distance(*distance_m))}
                {line("Took", format::duration(*duration_s))}
                {line("Kind", state_text::kind(*kind).to_owned())} {car}
            </dl>
        </div>
    }
}
