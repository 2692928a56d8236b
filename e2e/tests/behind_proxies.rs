//! The page behind a misconfigured proxy, which holds streams back, refuses calls, or serves the page below a path.
//!
//! The tests need a browser and the built page, so they are ignored unless `cargo xtask test e2e` runs them.
#![allow(clippy::print_stdout, reason = "measurements belong in the output of the test")]

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use http::StatusCode;
use rides_e2e::{
    driver::Driver,
    history,
    http_proxy::{HttpProxy, ProxyBehaviour},
    page::PAGE_TIMEOUT,
    page_test::{NO_CARS, PageTest},
    server::ANY_PORT,
    wait,
};
use serde_json::json;

/// The number of bytes that nginx buffers by default.
const BUFFER: usize = 8 * 1024;
/// The time within which the page must detect that streams are held back.
const FOUND_WITHIN: Duration = Duration::from_secs(15);
/// The greatest age of the newest frame by short calls, in milliseconds: one call, and a margin.
const FRESH_MS: f64 = 3_000.0;

/// Covers PROXY-1 in docs/failures.md.
#[tokio::test]
#[ignore = "needs a browser: cargo xtask test e2e"]
async fn a_page_whose_streams_are_held_back_goes_on_by_short_calls() -> Result<()> {
    PageTest::run("held-back", async |stage| {
        stage.set_flags(NO_CARS);
        let server = stage.start_server(ANY_PORT).await?;
        let proxy =
            HttpProxy::start(server, ProxyBehaviour { holds_back: BUFFER, ..ProxyBehaviour::default() })
                .await?;
        let page = &stage.page;
        let opened = Instant::now();
        page.open(&format!("http://{}/", proxy.address())).await?;
        page.is_live().await?;
        println!("live {:.1?} after the page was opened", opened.elapsed());
        page.element("held-back").await?;
        println!("detected {:.1?} after it was opened", opened.elapsed());
        ensure!(
            opened.elapsed() < FOUND_WITHIN,
            "the page took longer than {FOUND_WITHIN:?} to detect that streams are held back"
        );
        page.says("Live by short calls").await?;
        page.says("proxy_buffering off").await?;

        let mut driver = Driver::signs_on(server, 7).await?;
        page.books_on_the_map().await?;
        driver.is_offered().await?;
        driver.accepts().await?;
        page.reaches("ride-state", &["assigned"], PAGE_TIMEOUT).await?;
        stage.screenshot("followed").await?;
        page.browser.resize(390, 844).await?;
        stage.screenshot("phone").await?;
        page.browser.resize(1440, 900).await?;
        driver.arrives().await?;
        driver.picks_up().await?;
        page.reaches("ride-state", &["on-trip"], PAGE_TIMEOUT).await?;
        let oldest = page.script(OLDEST).await?;
        driver.drops_off().await?;
        page.reaches("ride-state", &["completed"], PAGE_TIMEOUT).await?;
        let (truth, told) = (history::of(server, driver.ride()).await?, page.timeline().await?);
        ensure!(told == truth, "the page shows {told:?}, the server has {truth:?}");
        ensure!(page.state("connection").await?.as_deref() == Some("live"), "the page is not live any more");
        let oldest = oldest.as_f64().context("the script returned no age")?;
        println!("the newest frame was never older than {oldest:.0} ms");
        ensure!(oldest < FRESH_MS, "the newest frame was {oldest:.0} ms old");

        proxy.becomes(ProxyBehaviour::default());
        page.script("window.dispatchEvent(new Event('online'))").await?;
        wait::until("the page to detect that streams pass", PAGE_TIMEOUT, async || {
            Ok(page.attribute("held-back", "role").await?.is_none().then_some(()))
        })
        .await?;
        page.is_live().await?;
        stage.screenshot("cured").await?;
        page.open("about:blank").await
    })
    .await
}

/// A script that returns the greatest age that the pill shows within 5 s, in milliseconds.
const OLDEST: &str = r"
    const pill = document.querySelector('[data-testid=connection] .pill-text');
    const age = () => {
        const [, figure, unit] = /([\d.]+) (m?s)/.exec(pill.textContent) ?? [, Infinity, 's'];
        return unit === 's' ? figure * 1000 : +figure;
    };
    return new Promise((done) => {
        let oldest = 0;
        const end = performance.now() + 5000;
        const look = () => {
            oldest = Math.max(oldest, age());
            if (performance.now() < end) setTimeout(look, 50);
            else done(oldest);
        };
        look();
    });
";

/// Covers PROXY-2 in docs/failures.md.
#[tokio::test]
#[ignore = "needs a browser: cargo xtask test e2e"]
async fn a_page_whose_calls_are_refused_says_why_and_what_to_do() -> Result<()> {
    PageTest::run("refused", async |stage| {
        stage.set_flags(NO_CARS);
        let server = stage.start_server(ANY_PORT).await?;
        let renames = |host: String| ProxyBehaviour { host: Some(host), ..ProxyBehaviour::default() };
        let proxy = HttpProxy::start(server, renames(server.to_string())).await?;
        let page = &stage.page;
        page.open(&format!("http://{}/", proxy.address())).await?;
        page.reaches("connection", &["refused"], PAGE_TIMEOUT).await?;
        page.says("The calls of this page are refused").await?;
        let why = page.element("refusal").await?.text().await?;
        println!("{why}");
        ensure!(why.contains("--allow-origin"), "the page does not name the flag to set: {why}");
        stage.screenshot("renamed").await?;

        proxy.becomes(ProxyBehaviour::default());
        page.press("try-now").await?;
        page.is_live().await?;
        let mut driver = Driver::signs_on(server, 7).await?;
        page.books_on_the_map().await?;
        driver.is_offered().await?;
        driver.accepts().await?;
        page.reaches("ride-state", &["assigned"], PAGE_TIMEOUT).await?;

        for (habits, words) in [
            (renames("rides.example".to_owned()), "--allow-host"),
            (
                ProxyBehaviour { refuses: Some(StatusCode::FORBIDDEN), ..ProxyBehaviour::default() },
                "HTTP 403",
            ),
            (
                ProxyBehaviour { refuses: Some(StatusCode::UNAUTHORIZED), ..ProxyBehaviour::default() },
                "Reload this page to log in",
            ),
            (ProxyBehaviour { refuses: Some(StatusCode::OK), ..ProxyBehaviour::default() }, "HTTP 200"),
        ] {
            proxy.becomes(habits);
            // The events of a laptop that sleeps and wakes: the page opens its streams again.
            page.script("window.dispatchEvent(new Event('pagehide'))").await?;
            page.script("window.dispatchEvent(new Event('pageshow'))").await?;
            page.reaches("connection", &["refused"], PAGE_TIMEOUT).await?;
            page.says(words).await?;
            stage.screenshot(&words.replace([' ', '-'], "")).await?;
            ensure!(page.state("ride-state").await?.as_deref() == Some("assigned"), "the ride was dropped");
            proxy.becomes(ProxyBehaviour::default());
            page.press("try-now").await?;
            page.is_live().await?;
        }
        driver.arrives().await?;
        page.reaches("ride-state", &["arrived"], PAGE_TIMEOUT).await?;
        page.open("about:blank").await?;
        stage.console_is_clean(|error| error.from_network).await
    })
    .await
}

/// Covers PROXY-3 in docs/failures.md.
#[tokio::test]
#[ignore = "needs a browser: cargo xtask test e2e"]
async fn a_page_below_a_path_that_the_proxy_takes_away_is_live() -> Result<()> {
    PageTest::run("below-a-path", async |stage| {
        stage.set_flags(NO_CARS);
        let server = stage.start_server(ANY_PORT).await?;
        let proxy =
            HttpProxy::start(server, ProxyBehaviour { prefix: "/rides", ..ProxyBehaviour::default() })
                .await?;
        let page = &stage.page;
        page.open(&format!("http://{}/rides/", proxy.address())).await?;
        page.is_live().await?;
        page.picks_two_places().await?;
        page.says("Book for").await?;
        let manifest = "return fetch(document.querySelector('link[rel=manifest]').href).then(m => m.json())";
        ensure!(
            page.script(manifest).await?["start_url"] == json!("./"),
            "the manifest's start_url is not ./"
        );
        let outside = "return performance.getEntriesByType('resource').map(e => new URL(e.name).pathname)\
                       .filter(path => !path.startsWith('/rides/'))";
        ensure!(
            page.script(outside).await? == json!([]),
            "the page requested a path that is not below /rides/"
        );
        page.open("about:blank").await
    })
    .await
}
