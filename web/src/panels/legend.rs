//! The legend of the cars' colours with a count for each, and the attribution of the map.

use leptos::{either::Either, prelude::*};

use crate::{
    format::count,
    model::{CarState, CarsInView, Detail},
    store::Store,
};

use super::{state_text, ui::Ui};

const STATES: [CarState; 6] = [
    CarState::Free,
    CarState::Offered,
    CarState::ToPickup,
    CarState::AtPickup,
    CarState::OnTrip,
    CarState::OffDuty,
];

/// Returns the number of cars in each of [`STATES`].
fn count_by_state(states: impl Iterator<Item = CarState>) -> [usize; STATES.len()] {
    let mut counts = [0; STATES.len()];
    for state in states {
        if let Some(index) = STATES.iter().position(|known| *known == state) {
            counts[index] += 1;
        }
    }
    counts
}

/// Describes the number of cars and their detail.
fn total(cars: CarsInView) -> String {
    let noun = if cars.count == 1 { "car" } else { "cars" };
    let how = match cars.detail {
        Detail::Cars => "in view",
        Detail::Densities => "in view, shown as density",
    };
    format!("{} {noun} {how}", count(cars.count))
}

/// The legend. Its counts are updated once per second.
#[component]
pub(super) fn Legend(ui: Ui) -> impl IntoView {
    let row = |(state, count): (CarState, usize)| {
        let (slug, name) = state_text::car_state(state);
        view! {
            <li data-car=slug>
                <span class="dot" aria-hidden="true"></span>
                <span class="legend-name">{name}</span>
                <span class="figures">{count.to_string()}</span>
            </li>
        }
    };
    let rows = move || {
        ui.clock.unix.track();
        let counts = ui.store.fleet.with_value(|fleet| count_by_state(fleet.borrow().states_in_view()));
        STATES.into_iter().zip(counts).map(row).collect_view()
    };
    let cars = Memo::new(move |_| {
        ui.clock.unix.track();
        ui.store.fleet.with_value(|fleet| fleet.borrow().in_view())
    });
    let is_density = Memo::new(move |_| cars.get().detail == Detail::Densities);
    view! {
        <section
            class="legend glass"
            aria-label="Cars"
            data-testid="legend"
            data-state=move || if is_density.get() { "densities" } else { "cars" }
        >
            <p class="legend-total figures">{move || total(cars.get())}</p>
            {move || {
                if is_density.get() {
                    Either::Left(view! { <p class="legend-ramp">"Zoom in to see each"</p> })
                } else {
                    Either::Right(view! { <ul>{rows}</ul> })
                }
            }}
        </section>
    }
}

/// The attribution of the map data, which the licence requires to be visible at all times.
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
    fn the_total_says_how_cars_are_shown() {
        let total = |count, detail| total(CarsInView { count, detail });
        assert_eq!(total(0, Detail::Cars), "0 cars in view");
        assert_eq!(total(1, Detail::Cars), "1 car in view");
        assert_eq!(total(12_400, Detail::Densities), "12,400 cars in view, shown as density");
    }

    #[test]
    fn every_car_is_counted_once() {
        let cars = [CarState::OnTrip, CarState::Free, CarState::OnTrip, CarState::OffDuty];
        assert_eq!(count_by_state(cars.into_iter()), [1, 0, 0, 0, 2, 1]);
        assert_eq!(count_by_state(STATES.into_iter()), [1; 6]);
    }
}
