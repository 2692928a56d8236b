//! Being written.
use leptos::prelude::*;

/// The page.
#[component]
pub fn App() -> impl IntoView {
    view! { <p>"Rides"</p> }
}
