//! The Rides page: a live map and panels, fed by gRPC-Web streams.
//!
//! Data flows in one direction: `api` makes the calls, `store` keeps the state, and `map` and `panels` show it.

pub mod api;
pub mod browser;
pub mod format;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
pub mod map;
pub mod model;
pub mod panels;
pub mod sort;
pub mod store;
pub mod type_erased;

/// Mounts the page into the document's body and removes the static first paint of `index.html`.
pub fn mount() {
    leptos::mount::mount_to_body(panels::App);
    if let Some(first_paint) = leptos::prelude::document().get_element_by_id("first-paint") {
        first_paint.remove();
    }
}
