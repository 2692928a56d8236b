//! What windows of one browser, and loads of one page, leave to each other and to the server.
//!
//! Started by `cargo xtask test e2e`; ignored elsewhere, since they need a browser and the built page.
#![allow(clippy::print_stdout, reason = "what is measured belongs in the output of the test")]

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rides_e2e::{
    page::SOON,
    server::{ANY_PORT, open_calls},
    stage::{QUIET, Stage},
    wait,
};

/// The connections that a browser has for a server over HTTP/1.1, in all of its windows.
const CONNECTIONS: usize = 6;

/// B6: each window holds a stream, and the seventh waits in the browser.
#[tokio::test]
#[ignore = "needs a browser: cargo xtask test e2e"]
async fn windows_that_have_used_up_the_connections_say_so() -> Result<()> {
    Stage::run("windows", async |stage| {
        stage.set_flags(QUIET);
        let server = stage.start_server(ANY_PORT).await?;
        let (page, url) = (&stage.page, format!("http://{server}/"));
        let mut windows = vec![page.browser.client.window().await?];
        page.open(&url).await?;
        page.is_live().await?;
        page.says("HTTP/1.1").await?;
        stage.screenshot("one").await?;
        while windows.len() < CONNECTIONS {
            windows.push(page.browser.open_window().await?);
            page.open(&url).await?;
            page.is_live().await?;
        }
        page.browser.send_window(&url).await?;

        page.browser.show(&windows[0]).await?;
        page.picks_two_places().await?;
        wait::until("the quote to be given up", SOON, async || {
            Ok((page.element("book").await?.text().await? == "Try again").then_some(()))
        })
        .await?;
        page.element("crowded").await?;
        stage.screenshot("crowded").await?;
        page.browser.resize(390, 844).await?;
        stage.screenshot("crowded-phone").await?;
        page.browser.resize(1440, 900).await?;
        ensure!(page.state("connection").await?.as_deref() == Some("live"), "its stream goes on");

        for window in windows.drain(1..4) {
            page.browser.show(&window).await?;
            page.browser.client.close_window().await?;
        }
        let all = page.browser.client.windows().await?;
        let seventh = all.into_iter().find(|window| !windows.contains(window)).context("no seventh")?;
        page.browser.show(&windows[0]).await?;
        wait::until("calls to be answered again", SOON, async || {
            Ok(page.attribute("crowded", "role").await?.is_none().then_some(()))
        })
        .await?;
        page.press("book").await?;
        page.says("Book for").await?;
        page.browser.show(&seventh).await?;
        page.is_live().await
    })
    .await
}

/// B8, as often as there is time for.
#[tokio::test]
#[ignore = "needs a browser: cargo xtask test e2e"]
async fn pages_that_are_left_leave_no_call_behind() -> Result<()> {
    const TIME: Duration = Duration::from_secs(20);
    const GONE_WITHIN: Duration = Duration::from_secs(5);
    Stage::run("left", async |stage| {
        stage.set_flags(QUIET);
        let server = stage.start_server(ANY_PORT).await?;
        let (page, url) = (&stage.page, format!("http://{server}/"));
        let base = open_calls(server).await?;
        let first = page.browser.client.window().await?;
        page.open(&url).await?;
        page.is_live().await?;
        ensure!(open_calls(server).await? > base, "a live page has a call open");

        let began = Instant::now();
        let mut left = 1;
        while began.elapsed() < TIME {
            // Reloaded, closed and left for elsewhere; at once, and with its streams open.
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
        wait::until("every call to be dropped", GONE_WITHIN, async || {
            Ok((open_calls(server).await? <= base).then_some(()))
        })
        .await?;
        println!("{left} pages left, no call open {:.1?} after the last", gone.elapsed());
        Ok(())
    })
    .await
}
