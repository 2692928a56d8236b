//! Rides survive crashes: the program is killed repeatedly while riders book, cancel and watch.
//!
//! [`Storm`] kills the [`Server`] and starts it again. [`Client`]s repeat each call until they get a response,
//! [`Watcher`]s resume until their ride has ended, and [`Driver`]s sign on again. All of them record what they
//! were told in the [`Ledger`], which finds contradictions. At the end the [`Auditor`] asks for everything.

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
    watcher::Watcher, weather::StormReceiver,
};

/// The number of kills: 200, or `RIDES_CRASHES`, for example 5000.
fn crashes() -> u32 {
    let number = env::var("RIDES_CRASHES").ok().filter(|number| !number.is_empty());
    number.map_or(200, |number| number.parse().unwrap())
}

/// L1, L2, L3, L4, L5, L8: after every kill the server has each acknowledged ride, once and in order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_every_kill() {
    let ledger = Storm::new().kills(crashes()).run().await;
    eprintln!("{ledger}");
    ledger.assert_nothing_is_lost();
    ledger.assert_there_was_a_storm();
}

/// With its journal in memory the server forgets everything, and the ledger must find that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_forgets_is_found_out() {
    let ledger = Storm::new().in_memory().kills(5).run().await;
    for promise in ["lost: ", "twice: "] {
        assert!(ledger.broken().iter().any(|broken| broken.starts_with(promise)), "{promise}{ledger}");
    }
}
