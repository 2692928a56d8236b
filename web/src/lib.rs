//! The Rides page: gRPC-Web streams in, a live map out.

pub mod api;
pub mod browser;
pub mod map;
pub mod model;
pub mod panels;
pub mod store;

/// Puts the page into the document's body.
pub fn mount() {
    leptos::mount::mount_to_body(panels::App);
}
