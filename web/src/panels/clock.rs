//! The page's clocks, as signals. Whoever reads them must hold a memo between, so that nothing is drawn anew
//! when the words stay the same.

use std::time::Duration;

use leptos::prelude::*;

use crate::{browser, model::Millis, store::Store};

/// Four ticks a second: enough for a truthful age, too few to matter.
const TICK: Duration = Duration::from_millis(250);

/// What time it is.
#[derive(Clone, Copy)]
pub(super) struct Clock {
    /// On the monotonic clock, four times a second.
    pub(super) now: ReadSignal<Millis>,
    /// The server's clock in Unix milliseconds, once a second: a computer's own may be wrong by hours. The computer's, before
    /// the server has said a word.
    pub(super) unix: Memo<i64>,
}

impl Clock {
    /// Ticks for as long as the page lives, while someone can see it.
    pub(super) fn start(store: Store) -> Self {
        let (now, set_now) = signal(browser::now());
        let tick = move || {
            if browser::is_visible() {
                set_now.set(browser::now());
            }
        };
        set_interval(tick, TICK);
        // What is seen first after a while must not look as new as it was then.
        browser::on_visibility(tick);
        let unix = Memo::new(move |_| {
            let server_time = store.fleet.with_value(|fleet| fleet.borrow().server_time(now.get()));
            server_time.unwrap_or_else(browser::unix_now) as i64 / 1000 * 1000
        });
        Self { now, unix }
    }
}

/// The browser's time zone at that moment, in minutes east of UTC.
pub(super) fn minutes_east(unix_ms: i64) -> i32 {
    let date = js_sys::Date::new(&(unix_ms as f64).into());
    -date.get_timezone_offset() as i32
}
