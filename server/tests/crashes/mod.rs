//! Rides that are never lost: the program is killed again and again while riders book, cancel and watch.
//!
//! [`Storm`] kills the [`Server`] and starts it again. [`Client`]s ask until they are answered, [`Watcher`]s resume
//! until their ride is over, [`Driver`]s sign on again; and all write down what they were told in the [`Ledger`],
//! which says what does not fit. In the end the [`Auditor`] asks for everything.

mod audit;
mod client;
mod driver;
mod ledger;
mod server;
mod storm;
mod watcher;
mod weather;

use std::env;

use self::{
    audit::Auditor, client::Client, driver::Driver, ledger::Ledger, server::Server, storm::Storm,
    watcher::Watcher, weather::Weather,
};

/// How often the server is killed. Thousands: `RIDES_CRASHES=5000`.
fn crashes() -> u32 {
    let number = env::var("RIDES_CRASHES").ok().filter(|number| !number.is_empty());
    number.map_or(200, |number| number.parse().unwrap())
}

/// L1, L2, L3, L4, L5, L8.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_every_kill() {
    let ledger = Storm::new().kills(crashes()).rages().await;
    eprintln!("{ledger}");
    ledger.assert_nothing_is_lost();
    ledger.assert_there_was_a_storm();
}

/// That the one above can fail.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_forgets_is_found_out() {
    let ledger = Storm::new().in_memory().kills(5).rages().await;
    for promise in ["lost: ", "twice: "] {
        assert!(ledger.broken().iter().any(|broken| broken.starts_with(promise)), "{promise}{ledger}");
    }
}
