//! The events of a page that matter to its streams.

use wasm_bindgen::{JsCast as _, closure::Closure};
use web_sys::{Event, EventTarget, VisibilityState};

use crate::{browser, resumable::Signal};

/// The events of the window.
const WINDOW: [&str; 5] = ["online", "offline", "pagehide", "pageshow", "focus"];
/// The event of the document.
const DOCUMENT: &str = "visibilitychange";

/// A listener for the events of the page that matter to its streams: it is hidden, shown or left, and the network comes
/// and goes. It is removed when this is dropped.
#[must_use = "the listener is removed when this is dropped"]
pub struct PageEvents(Closure<dyn Fn(Event)>);

impl PageEvents {
    /// Calls `on_signal` with the signal for each event. In a worker there are only those of the network.
    pub fn listen(on_signal: impl Fn(Signal) + 'static) -> Self {
        let callback = Closure::<dyn Fn(Event)>::new(move |event: Event| on_signal(signal(&event.type_())));
        each_event(|target, event| {
            // Fails only if the callback is not a function.
            let _ = target.add_event_listener_with_callback(event, callback.as_ref().unchecked_ref());
        });
        Self(callback)
    }

    /// Keeps the listener for the life of the page.
    pub fn forget(self) {
        std::mem::forget(self);
    }
}

impl Drop for PageEvents {
    fn drop(&mut self) {
        each_event(|target, event| {
            // Fails only if the callback is not a function.
            let _ = target.remove_event_listener_with_callback(event, self.0.as_ref().unchecked_ref());
        });
    }
}

fn each_event(act: impl Fn(&EventTarget, &str)) {
    let global = browser::global();
    for event in WINDOW {
        act(&global, event);
    }
    if let Some(document) = global.document() {
        act(&document, DOCUMENT);
    }
}

fn signal(event: &str) -> Signal {
    match event {
        "online" => Signal::Online,
        "offline" => Signal::Offline,
        "pagehide" => Signal::Leave,
        _ => visibility(),
    }
}

/// Returns [`Signal::Hide`] if the page is hidden, and [`Signal::Wake`] if it is shown or a worker.
pub fn visibility() -> Signal {
    let state = browser::global().document().map(|document| document.visibility_state());
    if state == Some(VisibilityState::Hidden) { Signal::Hide } else { Signal::Wake }
}

/// Returns `true` if the browser reports a network.
pub fn is_online() -> bool {
    browser::global().navigator().on_line()
}
