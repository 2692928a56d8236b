//! Functions of the global scope. They work in a window and in a worker.

use gloo_timers::future::TimeoutFuture;
use wasm_bindgen::JsCast as _;
use web_sys::Window;

use crate::clock::Millis;

/// Returns the global scope. It has the type of a window because the bindings look up each function by its name: those
/// that a worker has too, for example `fetch`, work there.
pub(crate) fn global() -> Window {
    js_sys::global().unchecked_into()
}

/// Returns the monotonic clock.
pub(crate) fn now() -> Millis {
    global().performance().map_or_else(js_sys::Date::now, |performance| performance.now())
}

/// Waits for `millis` milliseconds, at most one day: timers of browsers overflow after 24 days.
pub(crate) fn sleep(millis: Millis) -> TimeoutFuture {
    const DAY: Millis = 86_400_000.0;
    TimeoutFuture::new(millis.clamp(0.0, DAY).ceil() as u32)
}
