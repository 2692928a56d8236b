//! Stand-in for the map.
#![allow(missing_docs)]
use std::sync::Arc;

use leptos::prelude::*;
use rides_proto::{
    geo::{Bounds, LatLng},
    ids::CarNumber,
};

use crate::store::{Commands, Store};

/// What is drawn over the map.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Overlay {
    /// Pin.
    pub pickup: Option<LatLng>,
    /// Pin.
    pub dropoff: Option<LatLng>,
    /// The ride's way.
    pub route: Arc<Vec<LatLng>>,
    /// The car's way.
    pub way_to_car: Arc<Vec<LatLng>>,
    /// Ringed.
    pub followed: Option<CarNumber>,
}

/// A camera move.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Move {
    /// Changes with every request.
    pub seq: u32,
    /// Where to.
    pub target: Target,
}

/// Where the camera goes.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Target {
    /// Show all of it.
    Fit(Bounds),
    /// Centre.
    To(LatLng),
    /// Back.
    Home,
}

/// Pixels along the map's edges that panels cover.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Padding {
    /// From the top edge.
    pub top: f64,
    /// From the right edge.
    pub right: f64,
    /// From the bottom edge.
    pub bottom: f64,
    /// From the left edge.
    pub left: f64,
}

/// The map.
#[component]
pub fn MapView(
    store: Store,
    commands: Commands,
    overlay: Signal<Overlay>,
    on_pick: Callback<LatLng>,
    move_to: Signal<Option<Move>>,
    #[prop(optional, into)] padding: Signal<Padding>,
) -> impl IntoView {
    let _ = (store, commands);
    Effect::new(move |_| {
        let words = format!("{:?} {:?}", padding.get(), move_to.get());
        leptos::logging::log!("{words}");
    });
    let click = move |e: leptos::ev::MouseEvent| {
        let (x, y) = (f64::from(e.client_x()), f64::from(e.client_y()));
        if let Ok(at) = LatLng::new(60.1699 - (y - 450.0) * 2e-5, 24.9384 + (x - 720.0) * 4e-5) {
            on_pick.run(at);
        }
    };
    view! {
        <div class="map-view" data-testid="map" on:click=click>
            <p class="visually-hidden">{move || format!("{:?}", overlay.get().followed)}</p>
        </div>
    }
}
