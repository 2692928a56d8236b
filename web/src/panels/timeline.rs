//! Every event of the followed ride.

use leptos::prelude::*;

use crate::{format, model::TimelineEntry};

use super::{clock::minutes_east, words};

#[component]
pub(super) fn Timeline(timeline: Memo<Vec<TimelineEntry>>) -> impl IntoView {
    view! {
        <ol class="timeline" aria-label="Events">
            <For
                each=move || timeline.get()
                key=|entry| entry.version
                children=|entry| {
                    view! {
                        <li data-state=words::slug(entry.state)>
                            <span class="dot" aria-hidden="true"></span>
                            <span>{entry.text}</span>
                            <time class="muted figures">{format::time_of_day(entry.at, minutes_east(entry.at))}</time>
                        </li>
                    }
                }
            />
        </ol>
    }
}
