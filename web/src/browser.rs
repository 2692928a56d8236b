//! The one shared door to the browser: clocks, frames, timers, visibility.

use std::{cell::RefCell, collections::HashSet};

use wasm_bindgen::{JsCast as _, JsValue, closure::Closure};
use web_sys::{Document, Storage, VisibilityState, Window};

use crate::model::Millis;

/// The window. The page runs nowhere else.
fn window() -> Window {
    web_sys::window().expect("the page runs in a window")
}

fn document() -> Document {
    window().document().expect("a window has a document")
}

/// The monotonic clock, in milliseconds. Some systems stop it while they sleep.
pub fn now() -> Millis {
    window().performance().map_or_else(js_sys::Date::now, |performance| performance.now())
}

/// The wall clock, in Unix milliseconds.
pub fn unix_now() -> f64 {
    js_sys::Date::now()
}

/// Waits for `millis`; in a hidden tab, longer. Longer than a day is a day.
pub async fn sleep(millis: Millis) {
    const DAY: Millis = 86_400_000.0;
    gloo_timers::future::TimeoutFuture::new(millis.clamp(0.0, DAY).ceil() as u32).await;
}

/// A number in [0, 1), good for jitter and nothing else.
pub fn random() -> f64 {
    js_sys::Math::random()
}

/// A new UUID. Falls back to weaker randomness where the page is not a secure context.
pub fn random_uuid() -> String {
    let crypto = window().crypto().ok();
    let uuid = crypto.filter(|crypto| js_sys::Reflect::has(crypto, &"randomUUID".into()) == Ok(true));
    uuid.map_or_else(
        || {
            let part = || (random() * f64::from(u32::MAX)) as u32;
            format!("{:08x}{:08x}{:08x}{:08x}", part(), part(), part(), part())
        },
        |crypto| crypto.random_uuid(),
    )
}

/// Whether the browser believes that there is a network.
pub fn is_online() -> bool {
    window().navigator().on_line()
}

/// Whether anyone can see the page.
pub fn is_visible() -> bool {
    document().visibility_state() == VisibilityState::Visible
}

/// Calls `handler` on every such event of the window, for as long as the page lives.
pub fn on_window(event: &str, handler: impl Fn() + 'static) {
    listen(&window(), event, handler);
}

/// Calls `handler` whenever the page is shown or hidden, for as long as it lives.
pub fn on_visibility(handler: impl Fn() + 'static) {
    listen(&document(), "visibilitychange", handler);
}

fn listen(target: &web_sys::EventTarget, event: &str, handler: impl Fn() + 'static) {
    let closure = Closure::<dyn Fn()>::new(handler).into_js_value();
    // Fails only for a callback that is no function.
    let _ = target.add_event_listener_with_callback(event, closure.unchecked_ref());
}

/// A place for text that outlives the page's memory. All of it fails silently where the browser forbids it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shelf {
    /// For this tab: survives a reload.
    Session,
    /// For this browser: survives its end.
    Local,
}

impl Shelf {
    /// What was put there under `key`.
    pub fn get(self, key: &str) -> Option<String> {
        self.storage()?.get_item(key).ok()?
    }

    /// Puts `value` there.
    pub fn set(self, key: &str, value: &str) {
        if let Some(storage) = self.storage() {
            let _ = storage.set_item(key, value);
        }
    }

    /// Takes it away.
    pub fn remove(self, key: &str) {
        if let Some(storage) = self.storage() {
            let _ = storage.remove_item(key);
        }
    }

    fn storage(self) -> Option<Storage> {
        match self {
            Self::Session => window().session_storage(),
            Self::Local => window().local_storage(),
        }
        .ok()?
    }
}

/// Says `text` on the console, the first time only.
pub fn warn_once(text: &str) {
    thread_local! {
        static SAID: RefCell<HashSet<String>> = RefCell::default();
    }
    if SAID.with_borrow_mut(|said| said.insert(text.to_owned())) {
        web_sys::console::warn_1(&JsValue::from_str(text));
    }
}
