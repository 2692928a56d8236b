//! The page on a server that requires tokens: guests, sign-in, renewal; and the errors that it displays.
//!
//! The tests need a browser and the built page, so they are ignored unless `cargo xtask test e2e` runs them.
//! Names such as `L6` are rows of the tables in docs/failures.md and docs/edge.md.

use std::{
    net::SocketAddr,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use fantoccini::Locator;
use rides_e2e::{
    driver::Driver,
    history,
    page::{PAGE_TIMEOUT, Page},
    page_test::{NO_CARS, PageTest},
    server::{ANY_PORT, channel, request_with_token, token},
    wait,
};
use rides_proto::v1::{
    BookRequest, Bounds, ListRequest, Location, WatchFleetRequest, fleet_client::FleetClient,
    rides_client::RidesClient,
};

const CAR: i64 = 7;

/// A script that records the methods that the page calls in `window.calls`.
const CALLS: &str = r"
    window.calls = [];
    const fetched = window.fetch;
    window.fetch = (url, init) => {
        window.calls.push(url.split('/').pop());
        return fetched(url, init);
    };
";

#[tokio::test]
#[ignore = "needs a browser: cargo xtask test e2e"]
async fn a_guest_signs_in_books_and_follows_where_tokens_are_asked_for() -> Result<()> {
    PageTest::run("guest", async |stage| {
        let keys = tempfile::tempdir()?;
        let server = strict_server(stage, keys.path()).await?;
        stage.page.browser.on_every_page(CALLS).await?;
        stage.page.open(&format!("http://{server}/")).await?;
        stage.page.is_live().await?;
        let page = &stage.page;
        page.reaches("account", &["guest"], PAGE_TIMEOUT).await?;
        ensure!(count(page, "SignIn").await? == 1, "the page did not sign in exactly once");

        let mut driver = driver(server, keys.path()).await?;
        page.books_on_the_map().await?;
        driver.is_offered().await?;
        driver.accepts().await?;
        page.reaches("ride-state", &["assigned"], PAGE_TIMEOUT).await?;
        page.says("until pickup").await.context("the page does not follow the car")?;
        stage.screenshot("assigned").await?;

        // The stored secret signs in the next time. It must not be readable in the page or its URLs.
        page.browser.client.refresh().await?;
        page.is_live().await?;
        page.reaches("ride-state", &["assigned"], PAGE_TIMEOUT).await?;
        page.reaches("account", &["guest"], PAGE_TIMEOUT).await?;
        ensure!(count(page, "SignIn").await? == 0, "the page is another guest after a reload");
        let kept = page.script("return localStorage.getItem('rides.token')").await?;
        let kept = kept.as_str().context("no token is stored")?.to_owned();
        let read = page
            .script("return [document.documentElement.outerHTML, location.href, ...performance.getEntries().map(e => e.name)].join()")
            .await?;
        ensure!(!read.as_str().context("the script returned no text")?.contains(&kept), "the token is readable in the page or in a URL");
        driver.arrives().await?;
        driver.picks_up().await?;
        driver.drops_off().await?;
        page.reaches("ride-state", &["completed"], PAGE_TIMEOUT).await?;
        stage.console_is_clean(|error| error.from_network).await
    })
    .await
}

/// A script that drops the response to the first booking and then revokes the caller's session. It records calls too.
const LOSES_A_BOOKING: &str = r"
    window.calls = [];
    const fetched = window.fetch;
    let lost = false;
    window.fetch = async (url, init) => {
        const method = url.split('/').pop();
        window.calls.push(method);
        const response = await fetched(url, init);
        if (method !== 'Book' || lost) return response;
        lost = true;
        await response.arrayBuffer();
        const end = url.replace('Rides/Book', 'Sessions/SignOut');
        await (await fetched(end, { ...init, body: new Uint8Array(5) })).arrayBuffer();
        throw new TypeError('the response is lost');
    };
";

/// Covers BAD-7 in docs/failures.md.
#[tokio::test]
#[ignore = "needs a browser: cargo xtask test e2e"]
async fn a_guest_whose_token_is_refused_between_two_tries_books_once() -> Result<()> {
    PageTest::run("refused-between", async |stage| {
        let keys = tempfile::tempdir()?;
        let server = strict_server(stage, keys.path()).await?;
        let eve = token(keys.path(), &["--role", "dispatcher", "--subject", "eve"]).await?;
        stage.page.browser.on_every_page(LOSES_A_BOOKING).await?;
        stage.page.open(&format!("http://{server}/")).await?;
        stage.page.is_live().await?;
        let page = &stage.page;
        let mut driver = driver(server, keys.path()).await?;
        page.books_on_the_map().await?;
        driver.is_offered().await?;
        driver.accepts().await?;
        page.reaches("ride-state", &["assigned"], PAGE_TIMEOUT)
            .await
            .context("the guest does not see the ride")?;

        ensure!(count(page, "SignIn").await? == 2, "the token was not refused: expected two sign-ins");
        // More than two are possible: a stream may have seen the end of the session before the second try.
        ensure!(count(page, "Book").await? > 1, "the booking was not sent again");
        let request = request_with_token(ListRequest::default(), Some(&eve))?;
        let rides = RidesClient::new(channel(server).await?).list(request).await?.into_inner().rides;
        ensure!(rides.len() == 1, "the page booked {} times", rides.len());
        stage.console_is_clean(|error| error.from_network).await
    })
    .await
}

/// A script that records the methods that had a response, and discards what the page stores: the tab is closed before
/// it stores the next guest.
const LEAVES: &str = r"
    window.calls = [];
    Storage.prototype.setItem = () => {};
    const fetched = window.fetch;
    window.fetch = async (url, init) => {
        const response = await fetched(url, init);
        window.calls.push(url.split('/').pop());
        return response;
    };
";

/// BAD-7: after a sign-out in one tab, no other tab keeps using the guest's secret.
#[tokio::test]
#[ignore = "needs a browser: cargo xtask test e2e"]
async fn a_guest_who_signed_out_in_one_tab_is_another_guest_in_all() -> Result<()> {
    PageTest::run("signed-out-elsewhere", async |stage| {
        let keys = tempfile::tempdir()?;
        let server = strict_server(stage, keys.path()).await?;
        let (page, url) = (&stage.page, format!("http://{server}/"));
        page.browser.on_every_page(CALLS).await?;
        page.open(&url).await?;
        page.is_live().await?;
        page.reaches("account", &["guest"], PAGE_TIMEOUT).await?;
        let first = page.browser.client.window().await?;
        let before = guest_secret(page).await?;
        ensure!(before.is_some(), "the browser stores no guest secret");

        page.browser.open_window().await?;
        page.browser.on_every_page(LEAVES).await?;
        page.open(&url).await?;
        page.is_live().await?;
        page.script("document.querySelector('#who').showPopover()").await?;
        page.press("sign-out").await?;
        wait::until("the response to SignOut", PAGE_TIMEOUT, async || {
            Ok((count(page, "SignOut").await? == 1).then_some(()))
        })
        .await?;
        page.browser.client.close_window().await?;

        page.browser.show(&first).await?;
        wait::until("another sign-in", PAGE_TIMEOUT, async || {
            Ok((count(page, "SignIn").await? == 2).then_some(()))
        })
        .await?;
        page.reaches("account", &["guest"], PAGE_TIMEOUT).await?;
        page.is_live().await?;
        let after = guest_secret(page).await?;
        ensure!(after.is_some() && after != before, "the page signed in again as the guest who signed out");
        stage.console_is_clean(|error| error.from_network).await
    })
    .await
}

/// Covers the part of the page in A2 of docs/edge.md.
#[tokio::test]
#[ignore = "needs a browser: cargo xtask test e2e"]
async fn a_token_is_renewed_before_its_end_and_no_event_is_missed() -> Result<()> {
    const LIFE: Duration = Duration::from_secs(20);
    PageTest::run("renewal", async |stage| {
        let keys = tempfile::tempdir()?;
        let server = strict_server(stage, keys.path()).await?;
        let eve = token(keys.path(), &["--role", "dispatcher", "--subject", "eve"]).await?;
        stage.page.browser.on_every_page(CALLS).await?;
        stage.page.open(&format!("http://{server}/")).await?;
        stage.page.is_live().await?;
        let page = &stage.page;
        let brief = ["--role", "rider", "--subject", "ada", "--expires", "20s"];
        let over_at = Instant::now() + LIFE;
        signs_in(page, &token(keys.path(), &brief).await?).await?;
        page.reaches("account", &["rider"], PAGE_TIMEOUT).await?;

        let mut driver = driver(server, keys.path()).await?;
        page.books_on_the_map().await?;
        driver.is_offered().await?;
        driver.accepts().await?;
        page.reaches("ride-state", &["assigned"], PAGE_TIMEOUT).await?;
        wait::until("the token to be renewed", LIFE, async || {
            Ok((count(page, "Renew").await? == 1).then_some(()))
        })
        .await?;
        wait::until("the first token to expire", LIFE * 2, async || {
            Ok((Instant::now() > over_at + Duration::from_secs(1)).then_some(()))
        })
        .await?;
        ensure!(page.state("connection").await?.as_deref() == Some("live"), "the page is not live");
        driver.arrives().await?;
        driver.picks_up().await?;
        driver.drops_off().await?;
        page.reaches("ride-state", &["completed"], PAGE_TIMEOUT).await?;
        let truth = history::seen_by(server, driver.ride(), Some(&eve)).await?;
        let told = page.timeline().await?;
        ensure!(told == truth, "the page shows {told:?}, the server has {truth:?}");
        ensure!(
            page.state("account").await?.as_deref() == Some("rider"),
            "the page is not signed in as a rider any more"
        );
        stage.screenshot("completed").await?;
        stage.console_is_clean(|error| error.from_network).await
    })
    .await
}

#[tokio::test]
#[ignore = "needs a browser: cargo xtask test e2e"]
async fn a_dispatchers_token_shows_all_rides_and_a_bad_one_says_so() -> Result<()> {
    PageTest::run("dispatcher", async |stage| {
        let keys = tempfile::tempdir()?;
        let server = strict_server(stage, keys.path()).await?;
        let bob = token(keys.path(), &["--role", "rider", "--subject", "bob"]).await?;
        let eve = token(keys.path(), &["--role", "dispatcher", "--subject", "eve"]).await?;
        books_natively(server, Some(&bob)).await?;
        stage.page.open(&format!("http://{server}/")).await?;
        stage.page.is_live().await?;
        let page = &stage.page;
        page.says("None yet. The next one booked").await?;

        signs_in(page, "not.a.token").await?;
        page.says("This server does not know the token.").await?;
        ensure!(
            page.attribute("token", "aria-invalid").await?.as_deref() == Some("true"),
            "the field of the token is not marked as invalid"
        );
        page.element("error-id").await?;
        stage.screenshot("bad-token").await?;
        page.reaches("account", &["guest"], PAGE_TIMEOUT).await?;

        signs_in(page, &eve).await?;
        page.reaches("account", &["dispatcher"], PAGE_TIMEOUT).await?;
        stage.screenshot("dispatcher").await?;
        rides_listed(page, 1).await?;
        page.press("sign-out").await?;
        page.reaches("account", &["guest"], PAGE_TIMEOUT).await?;
        rides_listed(page, 0).await?;
        page.is_live().await?;
        stage.console_is_clean(|error| error.from_network).await
    })
    .await
}

/// The map's stream continues, so the page is live, but the list of rides is out of date.
#[tokio::test]
#[ignore = "needs a browser: cargo xtask test e2e"]
async fn a_list_of_rides_that_cannot_be_had_is_not_shown_as_live() -> Result<()> {
    PageTest::run("list", async |stage| {
        let server = busy_server(stage).await?;
        books_natively(server, None).await?;
        stage.page.open(&format!("http://{server}/")).await?;
        stage.page.is_live().await?;
        let page = &stage.page;
        rides_listed(page, 1).await?;
        list_is_stale(page, false).await?;
        page.says("1 under way").await?;

        let held = holds_calls(server).await?;
        page.says("Not up to date: Too many open calls: the limit is 4").await?;
        page.says("1 under way, last known").await?;
        list_is_stale(page, true).await?;
        ensure!(page.state("connection").await?.as_deref() == Some("live"), "the page is not live");
        stage.screenshot("refused").await?;
        page.browser.resize(390, 844).await?;
        page.script("document.querySelector('[aria-controls=panel-rides]').click()").await?;
        stage.screenshot("refused-phone").await?;
        page.browser.resize(1440, 900).await?;

        drop(held);
        list_is_stale(page, false).await?;
        ensure!(!page.text().await?.contains("Not up to date"), "the page still says \"Not up to date\"");
        stage.kill_server().await?;
        list_is_stale(&stage.page, true).await?;
        stage.screenshot("gone").await?;
        stage.console_is_clean(|error| error.from_network).await
    })
    .await
}

/// Covers the part of the page in R2 of docs/edge.md.
#[tokio::test]
#[ignore = "needs a browser: cargo xtask test e2e"]
async fn a_server_that_is_busy_says_when_and_the_page_counts_down() -> Result<()> {
    PageTest::run("busy", async |stage| {
        let server = busy_server(stage).await?;
        stage.page.open(&format!("http://{server}/")).await?;
        stage.page.is_live().await?;
        let page = &stage.page;
        let held = holds_calls(server).await?;
        page.picks_two_places().await?;
        page.says("Try again in ").await?;
        page.says("Too many open calls: the limit is 4").await?;
        let id = page.error_id().await?;
        ensure!(
            id.starts_with("TOO_MANY_OPEN_CALLS "),
            "the error's reason and id do not start with TOO_MANY_OPEN_CALLS: {id}"
        );
        stage.screenshot("countdown").await?;

        drop(held);
        wait::until("the button to say \"Try again\"", PAGE_TIMEOUT, async || {
            Ok((page.element("book").await?.text().await? == "Try again").then_some(()))
        })
        .await?;
        page.press("book").await?;
        page.says("Book for").await?;
        stage.console_is_clean(|error| error.from_network).await
    })
    .await
}

/// Starts a server that requires tokens and has no simulated cars.
async fn strict_server(stage: &mut PageTest, keys: &Path) -> Result<SocketAddr> {
    let data_dir = keys.to_str().context("the path of the data directory is not UTF-8")?;
    stage.set_flags(NO_CARS.into_iter().chain(["--auth", "required", "--data-dir", data_dir]));
    stage.start_server(ANY_PORT).await
}

/// Starts a server that accepts four open calls per address, also from loopback.
async fn busy_server(stage: &mut PageTest) -> Result<SocketAddr> {
    let few = ["--max-calls-per-address", "4", "--exempt-addresses", "192.0.2.1"];
    stage.set_flags(NO_CARS.into_iter().chain(few));
    stage.start_server(ANY_PORT).await
}

/// Opens three streams, which leave one of the four calls to the page: its own stream. Dropping them releases the
/// calls.
async fn holds_calls(server: SocketAddr) -> Result<Vec<impl Sized>> {
    let mut client = FleetClient::new(channel(server).await?);
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(client.watch(helsinki()).await?);
    }
    Ok(held)
}

async fn driver(server: SocketAddr, keys: &Path) -> Result<Driver> {
    let token = token(keys, &["--role", "driver", "--car", "7", "--subject", "driver-7"]).await?;
    Driver::signs_on_with(server, CAR, Some(&token)).await
}

async fn books_natively(server: SocketAddr, token: Option<&str>) -> Result<()> {
    let at = |lat, lng| Some(Location { lat, lng });
    let (pickup, dropoff) = (at(60.171, 24.941), at(60.167, 24.947));
    let request = BookRequest { request_id: "a key".to_owned(), pickup, dropoff, ..Default::default() };
    RidesClient::new(channel(server).await?).book(request_with_token(request, token)?).await?;
    Ok(())
}

fn helsinki() -> WatchFleetRequest {
    let viewport = Some(Bounds { south: 60.16, west: 24.92, north: 60.18, east: 24.96 });
    WatchFleetRequest { viewport, ..Default::default() }
}

/// Signs in with a token through the page's form.
async fn signs_in(page: &Page, token: &str) -> Result<()> {
    page.script("document.querySelector('#who').showPopover()").await?;
    page.type_into("token", token).await?;
    page.press("sign-in").await
}

/// Returns the guest secret that the browser stores.
async fn guest_secret(page: &Page) -> Result<Option<String>> {
    let secret = page.script("return localStorage.getItem('rides.guest')").await?;
    Ok(secret.as_str().map(str::to_owned))
}

/// Returns the number of calls of a method since the page was loaded.
async fn count(page: &Page, method: &str) -> Result<u64> {
    let count =
        page.script(&format!("return window.calls.filter(call => call === '{method}').length")).await?;
    count.as_u64().context("the script returned no number")
}

async fn rides_listed(page: &Page, count: usize) -> Result<()> {
    wait::until(&format!("{count} rides in the list"), PAGE_TIMEOUT, async || {
        let rows = page.browser.client.find_all(Locator::Css("[data-testid=rides] .row")).await?;
        Ok((rows.len() == count).then_some(()))
    })
    .await
}

/// Waits until the list of rides is displayed as out of date, or as up to date.
async fn list_is_stale(page: &Page, stale: bool) -> Result<()> {
    wait::until(&format!("data-stale of the list of rides to be {stale}"), PAGE_TIMEOUT, async || {
        Ok((page.attribute("rides", "data-stale").await?.is_some() == stale).then_some(()))
    })
    .await
}
