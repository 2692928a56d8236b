//! The events of a page that matter to its streams.

use wasm_bindgen::{JsCast as _, closure::Closure};
use web_sys::{EventTarget, VisibilityState};

use super::{browser, live::Signal};

/// Listeners for the events of the page that matter to its streams: it is hidden, shown or left, and the network comes
/// and goes. They are removed when this is dropped.
#[must_use = "the listeners are removed when this is dropped"]
pub struct PageEvents(Vec<Listener>);

struct Listener {
    target: EventTarget,
    event: &'static str,
    callback: Closure<dyn Fn()>,
}

impl PageEvents {
    /// Calls `on_signal` with the signal for each event. In a worker there are only those of the network.
    pub fn listen(on_signal: impl Fn(Signal) + Clone + 'static) -> Self {
        let global = browser::global();
        let document = global.document();
        let document = document.as_ref().map(|document| ("visibilitychange", None, document.as_ref()));
        let window: &EventTarget = global.as_ref();
        let events = [
            ("online", Some(Signal::Online), window),
            ("offline", Some(Signal::Offline), window),
            ("pagehide", Some(Signal::Leave), window),
            ("pageshow", None, window),
            ("focus", None, window),
        ];
        let listeners = events.into_iter().chain(document).map(|(event, signal, target)| {
            let on_signal = on_signal.clone();
            Listener::new(target, event, Closure::new(move || on_signal(signal.unwrap_or_else(visibility))))
        });
        Self(listeners.collect())
    }

    /// Keeps the listeners for the life of the page.
    pub fn forget(self) {
        std::mem::forget(self);
    }
}

impl Drop for PageEvents {
    fn drop(&mut self) {
        for Listener { target, event, callback } in &self.0 {
            // Fails only if the callback is not a function.
            let _ = target.remove_event_listener_with_callback(event, callback.as_ref().unchecked_ref());
        }
    }
}

impl Listener {
    fn new(target: &EventTarget, event: &'static str, callback: Closure<dyn Fn()>) -> Self {
        // Fails only if the callback is not a function.
        let _ = target.add_event_listener_with_callback(event, callback.as_ref().unchecked_ref());
        Self { target: target.clone(), event, callback }
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
