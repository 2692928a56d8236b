//! The connections and calls of several windows and repeated loads of the page.
//!
//! The tests need a browser and the built page, so they are ignored unless `cargo xtask test e2e` runs them.
//! Names such as `L6` are rows of the tables in docs/failures.md and docs/edge.md.
#![allow(clippy::print_stdout, reason = "measurements belong in the output of the test")]

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rides_e2e::{
    page::PAGE_TIMEOUT,
    page_test::{NO_CARS, PageTest},
    server::{ANY_PORT, open_calls},
    wait,
};

/// The number of HTTP/1.1 connections that a browser opens to one server, for all windows together.
const CONNECTIONS: usize = 6;

/// The number of windows that have a stream each. Further windows make short calls.
const STREAMS: usize = 4;

/// A script that opens five streams. With the page's own stream they use all connections, as another program's page
/// on the same port could.
const HOLD: &str = "
    const viewport = [60.16, 24.92, 60.18, 24.96].flatMap((degrees, field) => {
        const value = new DataView(new ArrayBuffer(8));
        value.setFloat64(0, degrees, true);
        return [((field + 1) << 3) | 1, ...new Uint8Array(value.buffer)];
    });
    window.held = new AbortController();
    // Keeps references to the calls: the browser may cancel a fetch whose response is collected.
    window.calls = Array.from({ length: 5 }, () =>
        fetch('/rides.v1.Fleet/Watch', {
            method: 'POST',
            // As in the page's calls: requests with credentials use other connections.
            credentials: 'omit',
            headers: { 'content-type': 'application/grpc-web+proto' },
            body: new Uint8Array([0, 0, 0, 0, 2 + viewport.length, 10, viewport.length, ...viewport]),
            signal: window.held.signal,
        }).catch(() => {}));
    window.calls.map(async (call) => window.calls.push(await call))";

/// B6: calls wait in the browser for a free connection.
#[tokio::test]
#[ignore = "needs a browser: cargo xtask test e2e"]
async fn a_page_whose_connections_are_used_up_says_so() -> Result<()> {
    PageTest::run("crowded", async |stage| {
        stage.set_flags(NO_CARS);
        let server = stage.start_server(ANY_PORT).await?;
        let page = &stage.page;
        page.open(&format!("http://{server}/")).await?;
        page.is_live().await?;
        page.says("HTTP/1.1").await?;
        stage.screenshot("one").await?;

        page.script(HOLD).await?;
        page.picks_two_places().await?;
        wait::until("the page to give up the quote", PAGE_TIMEOUT, async || {
            Ok((page.element("book").await?.text().await? == "Try again").then_some(()))
        })
        .await?;
        page.element("crowded").await?;
        stage.screenshot("said").await?;
        page.browser.resize(390, 844).await?;
        stage.screenshot("phone").await?;
        page.browser.resize(1440, 900).await?;
        ensure!(page.state("connection").await?.as_deref() == Some("live"), "the page is not live any more");

        page.script("window.held.abort()").await?;
        wait::until("calls to get responses again", PAGE_TIMEOUT, async || {
            Ok(page.attribute("crowded", "role").await?.is_none().then_some(()))
        })
        .await?;
        page.press("book").await?;
        page.says("Book for").await
    })
    .await
}

/// PAGE-9: a browser has six connections to a server, and seven windows show the map.
#[tokio::test]
#[ignore = "needs a browser: cargo xtask test e2e"]
async fn windows_leave_connections_to_each_other() -> Result<()> {
    PageTest::run("windows", async |stage| {
        stage.set_flags(NO_CARS);
        let server = stage.start_server(ANY_PORT).await?;
        let (page, url) = (&stage.page, format!("http://{server}/"));
        let mut windows = vec![page.browser.client.window().await?];
        page.open(&url).await?;
        page.is_live().await?;
        while windows.len() <= CONNECTIONS {
            windows.push(page.browser.open_window().await?);
            page.open(&url).await?;
            page.is_live().await?;
        }
        for (number, window) in windows.iter().enumerate() {
            page.browser.show(window).await?;
            let is_one_too_many = number >= STREAMS;
            wait::until(
                &format!("window {number} to have a stream or make short calls"),
                PAGE_TIMEOUT,
                async || {
                    let crowded = page.attribute("many-windows", "role").await?.is_some();
                    Ok((crowded == is_one_too_many).then_some(()))
                },
            )
            .await?;
        }
        stage.screenshot("seventh").await?;
        page.picks_two_places().await?;
        page.says("Book for").await?;

        let newest = windows.pop().context("there are no windows")?;
        for window in windows.drain(..CONNECTIONS - STREAMS + 1) {
            page.browser.show(&window).await?;
            page.browser.client.close_window().await?;
        }
        page.browser.show(&newest).await?;
        wait::until("the window to have a stream instead of short calls", PAGE_TIMEOUT, async || {
            Ok(page.attribute("many-windows", "role").await?.is_none().then_some(()))
        })
        .await?;
        page.is_live().await
    })
    .await
}

/// B8, repeated for 20 s.
#[tokio::test]
#[ignore = "needs a browser: cargo xtask test e2e"]
async fn pages_that_are_left_leave_no_call_behind() -> Result<()> {
    const TIME: Duration = Duration::from_secs(20);
    const GONE_WITHIN: Duration = Duration::from_secs(5);
    PageTest::run("left", async |stage| {
        stage.set_flags(NO_CARS);
        let server = stage.start_server(ANY_PORT).await?;
        let (page, url) = (&stage.page, format!("http://{server}/"));
        let base = open_calls(server).await?;
        let first = page.browser.client.window().await?;
        page.open(&url).await?;
        page.is_live().await?;
        ensure!(open_calls(server).await? > base, "the live page has no open call");

        let began = Instant::now();
        let mut left = 1;
        while began.elapsed() < TIME {
            // The page is reloaded, closed and navigated away, both while it loads and with its streams open.
            page.browser.client.refresh().await?;
            page.browser.open_window().await?;
            page.open(&url).await?;
            page.is_live().await?;
            page.browser.client.close_window().await?;
            page.browser.show(&first).await?;
            page.open("about:blank").await?;
            page.open(&url).await?;
            left += 3;
        }
        page.is_live().await?;
        page.open("about:blank").await?;
        let gone = Instant::now();
        wait::until("all calls to end", GONE_WITHIN, async || {
            Ok((open_calls(server).await? <= base).then_some(()))
        })
        .await?;
        println!("{left} pages left, no call open {:.1?} after the last", gone.elapsed());
        Ok(())
    })
    .await
}
