//! The one shared door to the browser: clocks, frames, timers, visibility.

use crate::model::Millis;

/// Milliseconds on the browser's monotonic clock.
pub fn now() -> Millis {
    js_sys::Date::now()
}

/// The wall clock, in Unix milliseconds.
pub fn unix_now() -> f64 {
    js_sys::Date::now()
}

/// Tells of an element's size until it is dropped.
pub struct SizeWatch(leptos::leptos_dom::helpers::IntervalHandle);

impl SizeWatch {
    /// `None` when the browser cannot tell.
    pub fn start(
        element: &leptos::web_sys::Element,
        on_size: impl FnMut((f64, f64)) + 'static,
    ) -> Option<Self> {
        let element = element.clone();
        let on_size = std::cell::RefCell::new(on_size);
        let last = std::cell::Cell::new((-1.0, -1.0));
        let check = move || {
            let rect = element.get_bounding_client_rect();
            let size = (rect.width(), rect.height());
            if last.replace(size) != size {
                on_size.borrow_mut()(size);
            }
        };
        leptos::prelude::set_interval_with_handle(check, std::time::Duration::from_millis(100)).ok().map(Self)
    }
}

impl Drop for SizeWatch {
    fn drop(&mut self) {
        self.0.clear();
    }
}
