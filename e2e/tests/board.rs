//! The main promises of the page in a real browser: live cars, booking, errors, reconnection and density.
//!
//! The tests need a browser and the built page, so they are ignored unless `cargo xtask test e2e` runs them.
//! Names such as `L6` are rows of the tables in docs/failures.md and docs/edge.md.
#![allow(clippy::print_stdout, reason = "measurements belong in the output of the test")]

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use fantoccini::{Locator, key::Key};
use rides_e2e::{
    driver::Driver,
    gateway::place_cars,
    page::{PAGE_TIMEOUT, Page},
    page_test::{NO_CARS, PageTest},
    pixels,
    server::{ANY_PORT, PageOnly, channel},
    variable::variable,
    wait,
};
use rides_proto::v1::{Actor, CancelRequest, rides_client::RidesClient};
use serde_json::json;

/// The timeout of a ride across the centre at ten times the speed of life.
const A_RIDE: Duration = Duration::from_secs(240);

#[tokio::test]
#[ignore = "needs a browser: cargo xtask test e2e"]
async fn the_page_loads_and_its_cars_move() -> Result<()> {
    PageTest::live("cars-move", async |stage| {
        let first_frame = stage.page.mark("first-frame").await?;
        println!("first frame {first_frame:.0} ms after navigation");
        if let Some(limit) = variable("RIDES_E2E_FIRST_FRAME_MS") {
            let limit: f64 =
                limit.to_string_lossy().parse().context("RIDES_E2E_FIRST_FRAME_MS is not a number")?;
            ensure!(
                first_frame <= limit,
                "the first frame came after {first_frame:.0} ms, the limit is {limit:.0} ms"
            );
        }

        // The panels lie over the map and change too, so they are hidden while the map is compared.
        stage.page.script("document.querySelector('.board').style.visibility = 'hidden'").await?;
        let map = stage.page.element("map").await?;
        let before = map.screenshot().await?;
        // The area of a few cars. They move by several times their own length within the timeout.
        wait::until("200 pixels of the map to change", PAGE_TIMEOUT, async || {
            let after = map.screenshot().await?;
            Ok((pixels::differing(&before, &after)? > 200).then_some(()))
        })
        .await?;
        stage.page.script("document.querySelector('.board').style.visibility = ''").await?;
        stage.screenshot("wide").await?;
        stage.page.browser.resize(390, 844).await?;
        stage.page.is_live().await?;
        stage.screenshot("phone").await
    })
    .await
}

#[tokio::test]
#[ignore = "needs a browser: cargo xtask test e2e"]
async fn a_ride_is_booked_by_street_and_followed_to_its_end() -> Result<()> {
    PageTest::live("ride", async |stage| {
        let page = &stage.page;
        page.choose_street("pickup", "Mannerheimintie").await?;
        page.choose_street("dropoff", "Snellmaninkatu").await?;
        page.says("€").await.context("no fare is quoted")?;
        page.element("quote").await?;
        stage.screenshot("quoted").await?;
        page.press("book").await?;

        page.reaches("ride-state", &["assigned", "arrived", "on-trip"], A_RIDE).await?;
        stage.screenshot("assigned").await?;
        page.reaches("ride-state", &["on-trip"], A_RIDE).await?;
        stage.screenshot("on-trip").await?;
        page.reaches("ride-state", &["completed"], A_RIDE).await?;
        let receipt = page.element("receipt").await?.text().await?;
        ensure!(receipt.contains('€'), "no fare on the receipt: {receipt}");
        stage.screenshot("completed").await
    })
    .await
}

#[tokio::test]
#[ignore = "needs a browser: cargo xtask test e2e"]
async fn a_ride_is_booked_on_the_map_and_cancelled() -> Result<()> {
    PageTest::live("cancel", async |stage| {
        let page = &stage.page;
        page.books_on_the_map().await?;
        page.press("cancel").await?;
        page.reaches("ride-state", &["cancelled"], PAGE_TIMEOUT).await?;
        let listed = page.element("rides").await?.text().await?.to_lowercase();
        ensure!(listed.contains("cancelled"), "the list of rides does not show the cancellation: {listed}");
        stage.screenshot("cancelled").await
    })
    .await
}

/// B4: names and reasons from other users are displayed as text, not as HTML.
#[tokio::test]
#[ignore = "needs a browser: cargo xtask test e2e"]
async fn what_others_write_is_text() -> Result<()> {
    const NAME: &str = "<img src=x onerror=window.pwned=1>";
    const REASON: &str =
        "<script>window.pwned=1</script><a href=\"javascript:window.pwned=1\">go</a> \u{202e}txet";
    PageTest::run("hostile-names", async |stage| {
        stage.set_flags(NO_CARS);
        let server = stage.start_server(ANY_PORT).await?;
        let page = &stage.page;
        page.open(&format!("http://{server}/")).await?;
        page.is_live().await?;
        let mut driver = Driver::signs_on_as(server, 7, NAME.to_owned(), None).await?;
        page.books_on_the_map().await?;
        driver.is_offered().await?;
        driver.accepts().await?;
        page.reaches("ride-state", &["assigned"], PAGE_TIMEOUT).await?;
        page.says(NAME).await.context("the page does not show the driver's name")?;

        let ride_id = driver.ride().to_owned();
        let cancel = CancelRequest { ride_id, by: Actor::Dispatcher.into(), reason: REASON.to_owned() };
        RidesClient::new(channel(server).await?).cancel(cancel).await?;
        page.reaches("ride-state", &["cancelled"], PAGE_TIMEOUT).await?;
        page.says("window.pwned=1</script>").await.context("the page does not show the reason")?;
        let made =
            "return [window.pwned, document.querySelectorAll('body img, body a[href^=javascript]').length]";
        ensure!(page.script(made).await? == json!([null, 0]), "the text of others was interpreted as HTML");
        Ok(())
    })
    .await
}

#[tokio::test]
#[ignore = "needs a browser: cargo xtask test e2e"]
async fn bad_input_is_told_at_the_field() -> Result<()> {
    PageTest::live("bad-input", async |stage| {
        let page = &stage.page;
        page.type_into("pickup", "no such street, surely").await?;
        page.says("No street of that name").await?;
        page.type_into("pickup", &Key::Escape.to_string()).await?;

        // A point far from any street: the map is zoomed out, and no panel is there.
        page.choose_street("pickup", "Mannerheimintie").await?;
        zoom(page, &"-".repeat(12)).await?;
        page.click_map(0.9, 0.85).await?;
        let invalid = "[data-testid=dropoff][aria-invalid=true]";
        page.browser
            .client
            .wait()
            .at_most(PAGE_TIMEOUT)
            .for_element(Locator::Css(invalid))
            .await
            .context("the field is not marked as invalid")?;
        let error = page.browser.client.find(Locator::Css("#dropoff-error")).await?.text().await?;
        ensure!(!error.trim().is_empty(), "the invalid field has no message");
        println!("at the field: {error}");
        let described = page.attribute("dropoff", "aria-describedby").await?;
        ensure!(
            described.as_deref() == Some("dropoff-error"),
            "aria-describedby of the field does not name its message"
        );
        let id = page.error_id().await?;
        ensure!(id.starts_with("OFF_MAP "), "the error's reason and id do not start with OFF_MAP: {id}");
        stage.screenshot("at-the-field").await
    })
    .await
}

#[tokio::test]
#[ignore = "needs a browser: cargo xtask test e2e"]
async fn the_page_is_live_again_after_the_server_was_killed() -> Result<()> {
    PageTest::live("restart", async |stage| {
        stage.page.script("window.sameDocument = true").await?;
        let address = stage.kill_server().await?;
        stage.page.reaches("connection", &["reconnecting", "connecting"], PAGE_TIMEOUT).await?;
        stage.screenshot("gone").await?;

        stage.start_server(address).await?;
        stage.page.is_live().await?;
        ensure!(
            stage.page.script("return window.sameDocument === true").await?.as_bool() == Some(true),
            "the page was reloaded"
        );
        stage.screenshot("back").await?;
        stage.console_is_clean(|error| error.from_network).await
    })
    .await
}

#[tokio::test]
#[ignore = "needs a browser: cargo xtask test e2e"]
async fn a_page_without_a_server_says_so_and_goes_live_by_itself() -> Result<()> {
    PageTest::run("no-server", async |stage| {
        let alone = PageOnly::start().await?;
        let address = alone.address();
        stage.page.open(&format!("http://{address}/")).await?;
        stage.page.says("No server yet").await?;
        stage.page.says("cargo run -p rides-server").await?;
        stage.screenshot("alone").await?;

        alone.stop().await?;
        stage.start_server(address).await?;
        stage.page.is_live().await?;
        stage.screenshot("live").await?;
        stage.console_is_clean(|error| error.from_network).await
    })
    .await
}

/// The positions of one car in the middle of the map and of one car in each of the four adjacent map cells.
const CROWD: [(f64, f64); 5] =
    [(60.1716, 24.9443), (60.1755, 24.942), (60.1645, 24.942), (60.17, 24.953), (60.17, 24.931)];

#[tokio::test]
#[ignore = "needs a browser: cargo xtask test e2e"]
async fn a_crowd_is_shown_as_density_and_as_cars_again_when_it_is_none() -> Result<()> {
    PageTest::run("density", async |stage| {
        stage.set_flags(NO_CARS.into_iter().chain(["--viewer-cars", "4"]));
        let server = stage.start_server(ANY_PORT).await?;
        place_cars(server, &CROWD).await?;
        stage.page.open(&format!("http://{server}/")).await?;
        stage.page.is_live().await?;
        stage.page.reaches("legend", &["densities"], PAGE_TIMEOUT).await?;
        zoom(&stage.page, "0").await?;
        stage.page.says("5 cars in view, shown as density").await?;
        let crowd = stage.page.map_at_rest().await?;
        stage.screenshot("crowd").await?;

        let elsewhere = [(61.5, 23.76); 3];
        place_cars(server, &elsewhere).await?;
        stage.page.reaches("legend", &["cars"], PAGE_TIMEOUT).await?;
        stage.page.says("2 cars in view").await?;
        let few = stage.page.map_at_rest().await?;
        stage.screenshot("few").await?;
        let tiles = pixels::differing(&crowd, &few)?;
        ensure!(tiles > 100_000, "only {tiles} pixels of the map changed");

        place_cars(server, &CROWD).await?;
        stage.page.reaches("legend", &["densities"], PAGE_TIMEOUT).await?;
        zoom(&stage.page, "+++").await?;
        stage.page.reaches("legend", &["cars"], PAGE_TIMEOUT).await?;
        stage.page.says("1 car in view").await?;
        stage.screenshot("from-close-by").await
    })
    .await
}

/// Sends keys to the map: `+` and `-` zoom, `0` shows the whole map.
async fn zoom(page: &Page, keys: &str) -> Result<()> {
    page.script("document.querySelector('[data-testid=map] [tabindex], [data-testid=map]').focus()").await?;
    let focused = page.browser.client.active_element().await?;
    focused.send_keys(keys).await.context("the map does not accept keys")
}
