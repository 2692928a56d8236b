//! What the colours of the cars mean, how many there are of each, and whose map it is.

use leptos::prelude::*;

use crate::{model::CarState, store::Store};

use super::{ui::Ui, words};

const STATES: [CarState; 6] = [
    CarState::Free,
    CarState::Offered,
    CarState::ToPickup,
    CarState::AtPickup,
    CarState::OnTrip,
    CarState::OffDuty,
];

fn tally(states: impl Iterator<Item = CarState>) -> [usize; STATES.len()] {
    let mut counts = [0; STATES.len()];
    for state in states {
        if let Some(index) = STATES.iter().position(|known| *known == state) {
            counts[index] += 1;
        }
    }
    counts
}

/// Counted once a second.
#[component]
pub(super) fn Legend(ui: Ui) -> impl IntoView {
    let row = |(state, count): (CarState, usize)| {
        let (slug, name) = words::car_state(state);
        view! {
            <li data-car=slug>
                <span class="dot" aria-hidden="true"></span>
                <span class="legend-name">{name}</span>
                <span class="figures">{count.to_string()}</span>
            </li>
        }
    };
    move || {
        ui.clock.unix.track();
        let counts =
            ui.store.fleet.with_value(|fleet| tally(fleet.borrow().glides().map(|glide| glide.state)));
        view! {
            <section class="legend glass" aria-label="Cars">
                <p class="legend-total">
                    <span class="figures">{ui.store.cars_in_view.get().to_string()}</span>
                    " cars in view"
                </p>
                <ul>{STATES.into_iter().zip(counts).map(row).collect_view()}</ul>
            </section>
        }
    }
}

/// Whose map it is; the licence asks for it to be seen at all times.
#[component]
pub(super) fn Attribution(store: Store) -> impl IntoView {
    let text = move || {
        store.city.with(|city| match city {
            Some(city) if !city.attribution.is_empty() => city.attribution.clone(),
            _ => "© OpenStreetMap contributors".to_owned(),
        })
    };
    view! {
        <a
            class="attribution"
            href="https://www.openstreetmap.org/copyright"
            target="_blank"
            rel="noopener noreferrer"
        >
            {text}
        </a>
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_car_is_counted_once() {
        let cars = [CarState::OnTrip, CarState::Free, CarState::OnTrip, CarState::OffDuty];
        assert_eq!(tally(cars.into_iter()), [1, 0, 0, 0, 2, 1]);
        assert_eq!(tally(STATES.into_iter()), [1; 6]);
    }
}
