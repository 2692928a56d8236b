//! The name of the page and a short explanation of its technology.

use leptos::prelude::*;

/// The name, the claim, and a popover with three paragraphs.
#[component]
pub(super) fn About() -> impl IntoView {
    view! {
        <div class="wordmark">
            <h1>"Rides"</h1>
            <button class="claim" popovertarget="about">"gRPC all the way to the browser"</button>
        </div>
        <div id="about" class="about glass" popover>
            <h2>"What you are looking at"</h2>
            <p>
                "Every car, fare and street here came over gRPC-Web, from the port that served this page. "
                "There is no proxy in between, no JSON, and no map tiles from elsewhere."
            </p>
            <p>
                "The cars are gRPC clients of that same port: each holds a bidirectional stream, reports its "
                "position, and answers the rides it is offered. "
                "The pill in the corner is the measured age of the newest frame."
            </p>
            <p>
                "The same port answers any gRPC client and describes itself by reflection: "
                <code>"grpcurl -plaintext localhost:8080 list"</code>
            </p>
        </div>
    }
}
