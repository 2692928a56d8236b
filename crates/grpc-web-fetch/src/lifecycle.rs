//! The events of a page that matter to its streams.

use std::rc::Rc;

use wasm_bindgen::{JsCast as _, closure::Closure};
use web_sys::{EventTarget, VisibilityState};

use crate::{browser, resumable::Signal};

/// Listeners for the events of the page that matter to its streams: it is hidden, shown or left, and the network comes
/// and goes. They are removed when this is dropped.
#[must_use = "the listeners are removed when this is dropped"]
pub struct PageEvents([Listener; 6]);

struct Listener {
    target: EventTarget,
    event: &'static str,
    callback: Closure<dyn Fn()>,
}

impl PageEvents {
    /// Calls `on_signal` with the signal for each event. In a worker there are only those of the network.
    pub fn listen(on_signal: impl Fn(Signal) + 'static) -> Self {
        Self::listen_shared(&(Rc::new(on_signal) as _))
    }

    fn listen_shared(on_signal: &Rc<dyn Fn(Signal)>) -> Self {
        let global = browser::global();
        let document = global.document();
        let window: &EventTarget = global.as_ref();
        let document = document.as_ref().map_or(window, AsRef::as_ref);
        let events = [
            ("online", Some(Signal::Online), window),
            ("offline", Some(Signal::Offline), window),
            ("pagehide", Some(Signal::Leave), window),
            ("pageshow", None, window),
            ("focus", None, window),
            ("visibilitychange", None, document),
        ];
        Self(events.map(|(event, signal, target)| {
            let on_signal = on_signal.clone();
            let callback = Closure::new(move || on_signal(signal.unwrap_or_else(visibility)));
            // Fails only if the callback is not a function.
            let _ = target.add_event_listener_with_callback(event, callback.as_ref().unchecked_ref());
            Listener { target: target.clone(), event, callback }
        }))
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

/// Returns [`Signal::Hide`] if the page is hidden, and [`Signal::Wake`] if it is shown or a worker.
pub fn visibility() -> Signal {
    let state = browser::global().document().map(|document| document.visibility_state());
    if state == Some(VisibilityState::Hidden) { Signal::Hide } else { Signal::Wake }
}

/// Returns `true` if the browser reports a network.
pub fn is_online() -> bool {
    browser::global().navigator().on_line()
}
