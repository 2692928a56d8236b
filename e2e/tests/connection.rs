//! The timeline of a followed ride: every event once and in order, also when the network or the server fails.
//!
//! The tests need a browser and the built page, so they are ignored unless `cargo xtask test e2e` runs them.
//! Names such as `L6` are rows of the tables in docs/failures.md and docs/edge.md.

#![allow(clippy::print_stdout, reason = "measurements belong in the output of the test")]

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context, Result, ensure};
use rides_e2e::{
    bad_network::{BadNetwork, NetworkCondition},
    driver::Driver,
    history,
    page::{PAGE_TIMEOUT, Page},
    page_test::{NO_CARS, PageTest},
    server::ANY_PORT,
    wait,
};

/// L6: events happen while the browser is offline.
#[tokio::test]
#[ignore = "needs a browser: cargo xtask test e2e"]
async fn a_followed_ride_resumes_after_the_network_was_gone() -> Result<()> {
    PageTest::run("offline", async |stage| {
        let server = quiet_server(stage).await?;
        let mut driver = books_and_gets_a_car(stage, server, server).await?;
        let page = &stage.page;

        page.browser.set_offline(true).await?;
        page.reaches("connection", &["offline"], PAGE_TIMEOUT).await?;
        page.says("last known").await.context("the time to the pickup is not marked as last known")?;
        driver.arrives().await?;
        driver.picks_up().await?;
        page.says(" s ago").await.context("the page does not show the age of the time to the pickup")?;
        stage.screenshot("gone").await?;

        page.browser.set_offline(false).await?;
        page.is_live().await?;
        has_resumed(page, 3).await?;
        page.reaches("ride-state", &["on-trip"], PAGE_TIMEOUT).await?;
        stage.screenshot("resumed").await?;
        driver.drops_off().await?;
        tells_all(page, server, driver.ride()).await?;
        stage.console_is_clean(|error| error.from_network).await
    })
    .await
}

/// L1, L3, L6: the server is killed while a car drives to the pickup, and drained during the trip.
#[tokio::test]
#[ignore = "needs a browser: cargo xtask test e2e"]
async fn a_followed_ride_resumes_after_the_server_was_restarted() -> Result<()> {
    PageTest::run("restarted", async |stage| {
        let data = tempfile::tempdir()?;
        stage.set_flags(NO_CARS.into_iter().chain([
            "--data-dir",
            data.path().to_str().context("the path of the data directory is not UTF-8")?,
        ]));
        let server = stage.start_server(ANY_PORT).await?;
        books_and_gets_a_car(stage, server, server).await?;

        stage.kill_server().await?;
        stage.page.reaches("connection", &["reconnecting"], PAGE_TIMEOUT).await?;
        stage.page.says("Reconnecting in ").await.context("the page shows no countdown")?;
        stage.screenshot("killed").await?;
        stage.page.browser.resize(390, 844).await?;
        stage.screenshot("phone").await?;
        stage.page.browser.resize(1440, 900).await?;
        stage.start_server(server).await?;
        let mut driver = Driver::signs_on(server, CAR).await?;
        driver.has_ride().await?;
        has_resumed(&stage.page, 3).await?;
        stage.page.is_live().await?;
        driver.arrives().await?;
        driver.picks_up().await?;
        stage.page.reaches("ride-state", &["on-trip"], PAGE_TIMEOUT).await?;

        stage.drain_server().await?;
        stage.page.reaches("connection", &["draining"], PAGE_TIMEOUT).await?;
        stage.server_ends().await?;
        stage.start_server(server).await?;
        let mut driver = Driver::signs_on(server, CAR).await?;
        driver.has_ride().await?;
        has_resumed(&stage.page, 5).await?;
        driver.drops_off().await?;
        tells_all(&stage.page, server, driver.ride()).await?;
        stage.console_is_clean(|error| error.from_network).await
    })
    .await
}

/// L11, the part of the page; and a booking that is retried makes one ride.
#[tokio::test]
#[ignore = "needs a browser: cargo xtask test e2e"]
async fn the_page_says_that_the_server_goes_and_books_once_it_is_back() -> Result<()> {
    PageTest::run("drained", async |stage| {
        let server = quiet_server(stage).await?;
        stage.page.open(&format!("http://{server}/")).await?;
        stage.page.is_live().await?;
        stage.page.picks_two_places().await?;
        stage.page.says("Book for").await?;

        stage.drain_server().await?;
        stage.page.reaches("connection", &["draining"], PAGE_TIMEOUT).await?;
        stage.screenshot("draining").await?;
        stage.server_ends().await?;
        stage.page.press("book").await?;
        stage.page.says("Trying again").await?;
        stage.screenshot("booking").await?;

        stage.start_server(server).await?;
        stage.page.reaches("ride-state", &["requested"], PAGE_TIMEOUT).await?;
        stage.page.is_live().await?;
        ensure!(history::rides(server).await? == 1, "the server does not have exactly one ride");
        stage.console_is_clean(|error| error.from_network).await
    })
    .await
}

/// L6, L15, W1, W23: connections are cut, delayed and split at random, and then half-open.
#[tokio::test]
#[ignore = "needs a browser: cargo xtask test e2e"]
async fn a_followed_ride_is_complete_over_a_network_that_cuts_delays_and_splits() -> Result<()> {
    const SEED: u64 = 20_261_121;
    PageTest::run("storm", async |stage| {
        let server = quiet_server(stage).await?;
        let proxy = BadNetwork::start(server, SEED).await?;
        let first = books_and_gets_a_car(stage, server, proxy.address()).await?;
        let mut others = Vec::new();
        for number in 1..=6 {
            others.push(Driver::signs_on(server, CAR + number).await?);
        }
        let mut driver = others.pop().context("no driver signed on")?;
        let page = &stage.page;

        proxy.turn(NetworkCondition::Lossy);
        first.gives_back().await?;
        for other in &mut others {
            other.is_offered().await?;
            grows_in_order(page, Duration::from_millis(500)).await?;
            other.declines().await?;
        }
        driver.is_offered().await?;
        driver.accepts().await?;
        proxy.turn(NetworkCondition::Normal);
        page.reaches("ride-state", &["assigned"], PAGE_TIMEOUT).await?;
        page.is_live().await?;
        let (resumed, _) = resumed(page).await?.context("the page never resumed: the storm cut no stream")?;
        println!("after the storm: resumed at version {resumed}");
        stage.screenshot("after").await?;

        let before = page.timeline().await?.len() as u64;
        proxy.turn(NetworkCondition::Blackhole);
        driver.arrives().await?;
        driver.picks_up().await?;
        // If the storm has cut a stream, the page reports that first.
        let silent =
            page.reaches("connection", &["stalled", "reconnecting", "connecting"], PAGE_TIMEOUT).await?;
        stage.screenshot(&silent).await?;
        page.reaches("connection", &["reconnecting", "connecting"], PAGE_TIMEOUT).await?;
        proxy.turn(NetworkCondition::Normal);
        has_resumed(page, before).await?;
        driver.drops_off().await?;
        tells_all(page, server, driver.ride()).await?;
        // The proxy is dropped before the browser, and the page would log errors.
        page.open("about:blank").await?;
        stage.console_is_clean(|error| error.from_network).await
    })
    .await
}

/// L14, L19: a hidden page draws nothing and has no streams, and a page restored from the back/forward cache resumes.
#[tokio::test]
#[ignore = "needs a browser: cargo xtask test e2e"]
async fn a_page_that_nobody_sees_rests_and_catches_up_when_it_is_shown() -> Result<()> {
    PageTest::run("hidden", async |stage| {
        let server = quiet_server(stage).await?;
        stage.page.browser.on_every_page(COUNTERS).await?;
        let mut driver = books_and_gets_a_car(stage, server, server).await?;
        let page = &stage.page;
        has_streams(page, 2).await?;

        page.browser.set_hidden(true).await?;
        wait::until("the page to be hidden", PAGE_TIMEOUT, async || {
            Ok((page.script("return document.visibilityState").await? == "hidden").then_some(()))
        })
        .await?;
        let drawn = page.script("return window.frames_asked").await?;
        has_streams(page, 0).await?;
        driver.arrives().await?;
        driver.picks_up().await?;
        ensure!(page.timeline().await?.len() == 3, "the timeline changed without a stream");
        ensure!(
            page.script("return window.frames_asked").await? == drawn,
            "the hidden page requested animation frames"
        );

        page.browser.set_hidden(false).await?;
        has_resumed(page, 3).await?;
        page.reaches("ride-state", &["on-trip"], PAGE_TIMEOUT).await?;
        page.is_live().await?;
        let after = wait::until("the page to be up to date", PAGE_TIMEOUT, async || {
            Ok(page.script("return window.right_after ?? null").await?.as_f64())
        })
        .await?;
        println!("up to date {after:.0} ms after it was shown");
        ensure!(
            after <= WAKE_MS,
            "the page took {after:.0} ms to be up to date, the limit is {WAKE_MS:.0} ms"
        );

        page.script("window.sameDocument = true").await?;
        page.open(&format!("http://{server}/healthz")).await?;
        driver.drops_off().await?;
        page.script("history.back()").await?;
        tells_all(page, server, driver.ride()).await?;
        has_resumed(page, 5).await?;
        page.is_live().await?;
        ensure!(
            page.script("return window.sameDocument === true").await? == true,
            "the page was loaded again"
        );
        // /healthz has no icon, for which the browser logs a network error.
        stage.console_is_clean(|error| error.from_network).await
    })
    .await
}

/// L14: the time within which a page that is shown again must be up to date, in milliseconds.
const WAKE_MS: f64 = 2_000.0;

/// A script that counts open streams and requested animation frames, and measures the time from the moment the page
/// is shown until it is live and shows the ride on its trip.
const COUNTERS: &str = r"
    window.streams = 0;
    const fetched = window.fetch;
    window.fetch = (url, init) => {
        if (url.endsWith('/Watch')) {
            window.streams++;
            init.signal.addEventListener('abort', () => window.streams--);
        }
        return fetched(url, init);
    };
    window.frames_asked = 0;
    const asked = window.requestAnimationFrame;
    window.requestAnimationFrame = (callback) => asked((time) => { window.frames_asked++; callback(time); });
    const is = (id, state) => document.querySelector(`[data-testid=${id}][data-state=${state}]`);
    document.addEventListener('visibilitychange', () => {
        const shown = performance.now();
        const look = () => {
            if (document.hidden) return;
            if (is('connection', 'live') && is('ride-state', 'on-trip'))
                window.right_after = performance.now() - shown;
            else setTimeout(look, 10);
        };
        look();
    });
";

/// Waits until the page has `count` open streams.
async fn has_streams(page: &Page, count: u64) -> Result<()> {
    wait::until(&format!("the page to have {count} open streams"), PAGE_TIMEOUT, async || {
        Ok((page.script("return window.streams").await? == count).then_some(()))
    })
    .await
}

/// The id of the car that takes the ride first.
const CAR: i64 = 7;

/// Starts a server without simulated cars.
async fn quiet_server(stage: &mut PageTest) -> Result<SocketAddr> {
    stage.set_flags(NO_CARS);
    stage.start_server(ANY_PORT).await
}

/// Opens the page, books a ride, and waits until the page shows that it is assigned: at version 3.
async fn books_and_gets_a_car(stage: &PageTest, server: SocketAddr, page_at: SocketAddr) -> Result<Driver> {
    let page = &stage.page;
    page.open(&format!("http://{page_at}/")).await?;
    page.is_live().await?;
    let mut driver = Driver::signs_on(server, CAR).await?;
    page.books_on_the_map().await?;
    driver.is_offered().await?;
    driver.accepts().await?;
    page.reaches("ride-state", &["assigned"], PAGE_TIMEOUT).await?;
    Ok(driver)
}

/// Returns the version from which the page says it resumed, and the number of events that it says it missed.
async fn resumed(page: &Page) -> Result<Option<(u64, u64)>> {
    let number = async |name| -> Result<Option<u64>> {
        Ok(page.attribute("resumed", name).await?.and_then(|text| text.parse().ok()))
    };
    Ok(number("data-version").await?.zip(number("data-missed").await?))
}

/// Waits until the page says, in its text and its attributes, that it resumed from `version` and missed nothing.
async fn has_resumed(page: &Page, version: u64) -> Result<()> {
    page.says(&format!("Resumed at version {version}, missed 0")).await?;
    ensure!(
        resumed(page).await? == Some((version, 0)),
        "the attributes of the element do not agree with the text"
    );
    Ok(())
}

/// Checks repeatedly for `during` that the timeline has no gap and no repeated event, and never shrinks.
async fn grows_in_order(page: &Page, during: Duration) -> Result<()> {
    let end = tokio::time::Instant::now() + during;
    let mut seen = 0;
    while tokio::time::Instant::now() < end {
        let versions: Vec<u64> = page.timeline().await?.into_iter().map(|(version, _)| version).collect();
        ensure!(versions == (1..=versions.len() as u64).collect::<Vec<_>>(), "out of order: {versions:?}");
        ensure!(versions.len() >= seen, "the timeline lost events: it had {seen}, now {versions:?}");
        seen = versions.len();
    }
    Ok(())
}

/// Waits until the page shows the completed ride, and compares its timeline with the server's events.
async fn tells_all(page: &Page, server: SocketAddr, ride: &str) -> Result<()> {
    page.reaches("ride-state", &["completed"], PAGE_TIMEOUT).await?;
    let truth = history::of(server, ride).await?;
    let told = page.timeline().await?;
    ensure!(told == truth, "the page shows {told:?}, the server has {truth:?}");
    println!("{} events, each once and in order", truth.len());
    Ok(())
}
