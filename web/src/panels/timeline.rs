//! The timeline of the followed ride: a line for each event.

use leptos::prelude::*;

use crate::{format, model::TimelineEntry};

use super::{clock::minutes_east, state_text};

/// Renders the events in order.
pub(super) fn timeline(entries: &[TimelineEntry]) -> impl IntoView + use<> {
    let line = |entry: &TimelineEntry| {
        view! {
            <li data-state=state_text::slug(entry.state) data-version=entry.version.to_string()>
                <span class="dot" aria-hidden="true"></span>
                <span>{entry.text.clone()}</span>
                <time class="muted figures">{format::time_of_day(entry.at, minutes_east(entry.at))}</time>
            </li>
        }
    };
    view! { <ol class="timeline" data-testid="timeline" aria-label="Events">{entries.iter().map(line).collect_view()}</ol> }
}
