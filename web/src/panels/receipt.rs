//! What a completed ride came to.

use leptos::prelude::*;

use crate::{format, model::Ride};

use super::words;

#[component]
pub(super) fn Receipt(ride: Ride) -> impl IntoView {
    let line = |name: &'static str, value: String| {
        view! {
            <div>
                <dt>{name}</dt>
                <dd class="figures">{value}</dd>
            </div>
        }
    };
    let car = ride.car_id.map(|car| line("Car", format!("{car} · {}", ride.driver_id)));
    view! {
        <div class="receipt" data-testid="receipt">
            <p class="fare figures">{format::money(&ride.fare)}</p>
            <dl>
                {line("From", words::place_or(ride.pickup.as_ref(), "off the street"))}
                {line("To", words::place_or(ride.dropoff.as_ref(), "not on the map"))}
                {line("Driven", format::distance(ride.distance_m))}
                {line("Took", format::duration(ride.duration_s))}
                {line("Kind", words::kind(ride.kind).to_owned())} {car}
            </dl>
        </div>
    }
}
