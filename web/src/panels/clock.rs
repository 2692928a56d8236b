//! The page's clocks as signals. A reader should put a memo between the signal and the view, so that an
//! unchanged text is not rendered again.

use std::time::Duration;

use leptos::prelude::*;

use crate::{browser, model::Millis, store::Store};

/// The interval of the clock: four times per second, short enough for the age of a frame.
const TICK: Duration = Duration::from_millis(250);

/// The current time.
#[derive(Clone, Copy)]
pub(super) struct Clock {
    /// The monotonic clock, updated four times per second.
    pub(super) now: ReadSignal<Millis>,
    /// The server's clock in Unix milliseconds, in whole seconds, because the computer's clock may be wrong by
    /// hours. Before the first frame, the computer's clock.
    pub(super) unix: Memo<i64>,
}

impl Clock {
    /// Starts the clock. It runs for the life of the page, while the page is visible.
    pub(super) fn start(store: Store) -> Self {
        let (now, set_now) = signal(browser::now());
        let tick = move || {
            if browser::is_visible() {
                set_now.set(browser::now());
            }
        };
        set_interval(tick, TICK);
        // A page that becomes visible again must not show old data as new.
        browser::on_visibility(tick);
        let unix = Memo::new(move |_| {
            let server_time = store.fleet.with_value(|fleet| fleet.borrow().server_time(now.get()));
            server_time.unwrap_or_else(browser::unix_now) as i64 / 1000 * 1000
        });
        Self { now, unix }
    }
}

/// Returns the offset of the browser's time zone at that time, in minutes east of UTC.
pub(super) fn minutes_east(unix_ms: i64) -> i32 {
    let date = js_sys::Date::new(&(unix_ms as f64).into());
    -date.get_timezone_offset() as i32
}
