//! The display of a failure: its text, and under *Details* the reason and the id of the call in the server's log.

use leptos::{ev::MouseEvent, prelude::*};
use web_sys::Element;

use crate::{browser, format, model::Failure};

/// Renders the text and the details of a failure.
pub(super) fn failure_view(failure: &Failure) -> impl IntoView + use<> {
    view! {
        <p class="error" role="alert">{format::failure(failure)}</p>
        {failure_details(failure)}
    }
}

/// Renders the reason and the id with a button that copies them, or `None` if the server gave no id.
fn failure_details(failure: &Failure) -> Option<impl IntoView + use<>> {
    let Failure { reason, request_id, .. } = failure;
    let both = format!("{reason} {request_id}");
    (!request_id.is_empty()).then(|| {
        let shown = both.clone();
        let copy = move |event: MouseEvent| {
            if browser::copy(&both) {
                event_target::<Element>(&event).set_text_content(Some("Copied"));
            }
        };
        view! {
            <details class="quotable muted" data-testid="error-id">
                <summary>"Details"</summary>
                <code>{shown}</code>
                <button class="link" on:click=copy>"Copy"</button>
            </details>
        }
    })
}
