//! The icons, drawn in the colour of the surrounding text.

use leptos::prelude::*;

#[component]
pub(super) fn Cross() -> impl IntoView {
    view! {
        <svg class="icon" viewBox="0 0 24 24" aria-hidden="true">
            <path d="M7 7l10 10M17 7L7 17" />
        </svg>
    }
}

#[component]
pub(super) fn Swap() -> impl IntoView {
    view! {
        <svg class="icon" viewBox="0 0 24 24" aria-hidden="true">
            <path d="M8 5v14M8 19l-3.5-3.5M8 19l3.5-3.5M16 19V5M16 5l-3.5 3.5M16 5l3.5 3.5" />
        </svg>
    }
}

#[component]
pub(super) fn Chevron() -> impl IntoView {
    view! {
        <svg class="icon chevron" viewBox="0 0 24 24" aria-hidden="true">
            <path d="M6.5 9.5L12 15l5.5-5.5" />
        </svg>
    }
}

#[component]
pub(super) fn Back() -> impl IntoView {
    view! {
        <svg class="icon" viewBox="0 0 24 24" aria-hidden="true">
            <path d="M14.5 6.5L9 12l5.5 5.5" />
        </svg>
    }
}

#[component]
pub(super) fn Car() -> impl IntoView {
    view! {
        <svg class="icon" viewBox="0 0 24 24" aria-hidden="true">
            <path d="M4 16.5v-3.2c0-.7.4-1.3 1-1.6l1.4-.7 1.5-3.6c.3-.8 1-1.2 1.8-1.2h4.6c.8 0 1.5.5 1.8 1.2l1.5 3.6 1.4.7c.6.3 1 .9 1 1.6v3.2zM6.5 11h11M7 16.5v1.5M17 16.5v1.5M7.5 13.8h.01M16.5 13.8h.01" />
        </svg>
    }
}

#[component]
pub(super) fn Person() -> impl IntoView {
    view! {
        <svg class="icon" viewBox="0 0 24 24" aria-hidden="true">
            <path d="M12 12a4 4 0 1 0 0-8 4 4 0 0 0 0 8M4.5 20c.8-3.6 3.8-5.5 7.5-5.5s6.7 1.9 7.5 5.5" />
        </svg>
    }
}
