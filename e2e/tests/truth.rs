//! Correct display in unusual conditions: large screens, translated pages, wrong clocks, rides of others, odd maps.
//!
//! The tests need a browser and the built page, so they are ignored unless `cargo xtask test e2e` runs them.
//! Names such as `L6` are rows of the tables in docs/failures.md and docs/edge.md.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use rides_e2e::{
    driver::Driver,
    gateway::place_cars,
    page::{PAGE_TIMEOUT, Page},
    page_test::{NO_CARS, PageTest},
    pixels,
    server::{ANY_PORT, channel},
    wait,
};
use rides_proto::v1::{BookRequest, Location, rides_client::RidesClient};

/// A script that limits WebGL textures to 2048 pixels, the limit that Firefox reports when it hides the device.
const SMALL_TEXTURES: &str = "
    const most = 2048, gl = WebGL2RenderingContext.prototype;
    const { getParameter } = gl;
    gl.getParameter = function (name) {
        const limits = [this.MAX_TEXTURE_SIZE, this.MAX_RENDERBUFFER_SIZE];
        return limits.includes(name) ? most : getParameter.call(this, name);
    };
    for (const name of ['texStorage2D', 'renderbufferStorageMultisample', 'texImage2D']) {
        const make = gl[name];
        gl[name] = function (...args) {
            const sides = name === 'texImage2D' ? [args.at(-1)?.width, args.at(-1)?.height] : args.slice(3, 5);
            if (!sides.some((side) => side > most)) make.apply(this, args);
        };
    }";

/// A script that changes the page as a browser's translation does: it replaces each text node by a new element, in
/// two different ways by turns. Returns the number of replaced texts.
const TRANSLATE: &str = "
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    const texts = [];
    while (walker.nextNode()) texts.push(walker.currentNode);
    let turn = 0;
    for (const text of texts) {
        if (!text.data.trim() || text.parentElement.closest('font')) continue;
        const place = document.createElement('font');
        place.append(Object.assign(document.createElement('font'), { textContent: text.data }));
        if (turn++ % 2) text.replaceWith(place);
        else { text.before(place); text.remove(); }
    }
    return turn";

/// A script that sets the clock three hours ahead.
const WRONG_CLOCK: &str = "
    const { now } = Date;
    Date.now = () => now() + 3 * 3_600_000;";

fn map(name: &str) -> Result<String> {
    let map = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("../server/tests/maps/{name}.osm.pbf"));
    Ok(map.to_str().context("the path of the map is not UTF-8")?.to_owned())
}

/// Dispatches key events to the map.
async fn presses(page: &Page, keys: &str) -> Result<()> {
    for key in keys.chars() {
        page.script(&format!(
            "document.querySelector('[data-testid=map]')
                 .dispatchEvent(new KeyboardEvent('keydown', {{ key: '{key}', bubbles: true }}))"
        ))
        .await?;
    }
    Ok(())
}

/// Waits until the text of an element is exactly `words`.
async fn reads(page: &Page, selector: &str, words: &str) -> Result<()> {
    let script = format!("return document.querySelector({selector:?})?.innerText ?? null");
    let read = wait::until(&format!("{selector} to read {words:?}"), PAGE_TIMEOUT, async || {
        Ok((page.script(&script).await?.as_str() == Some(words)).then_some(()))
    })
    .await;
    match read {
        Ok(()) => Ok(()),
        Err(error) => Err(error.context(format!("its text is {}", page.script(&script).await?))),
    }
}

/// Covers PAGE-2 in docs/failures.md.
#[tokio::test]
#[ignore = "needs a browser: cargo xtask test e2e"]
async fn a_screen_larger_than_the_devices_textures_has_its_streets_and_another_screen_its_pixels()
-> Result<()> {
    PageTest::run("textures", async |stage| {
        stage.set_flags(NO_CARS);
        let server = stage.start_server(ANY_PORT).await?;
        let page = &stage.page;
        page.browser.on_every_page(SMALL_TEXTURES).await?;
        page.open(&format!("http://{server}/")).await?;
        page.is_live().await?;
        let side = "return Math.max(...['width', 'height'].map((side) =>
                        document.querySelector('[data-testid=map] canvas')[side]))";
        for (ratio, pixels_wide) in [(1.0, 1440), (2.0, 2048), (1.0, 1440)] {
            page.browser.set_pixel_ratio(ratio).await?;
            wait::until(&format!("{pixels_wide} pixels"), PAGE_TIMEOUT, async || {
                Ok((page.script(side).await? == pixels_wide).then_some(()))
            })
            .await?;
            let colours = pixels::colours(&page.map_at_rest().await?)?;
            ensure!(colours > 100, "the map has only {colours} colours at a pixel ratio of {ratio}");
            stage.screenshot(&format!("ratio-{ratio}")).await?;
        }
        ensure!(
            page.attribute("map-failure", "role").await?.is_none(),
            "the map is drawn, but the page reports a failure"
        );
        Ok(())
    })
    .await
}

/// Covers PAGE-3 in docs/failures.md.
#[tokio::test]
#[ignore = "needs a browser: cargo xtask test e2e"]
async fn a_translated_page_goes_on_changing() -> Result<()> {
    PageTest::run("translated", async |stage| {
        stage.set_flags(NO_CARS);
        let server = stage.start_server(ANY_PORT).await?;
        let page = &stage.page;
        page.open(&format!("http://{server}/")).await?;
        page.is_live().await?;
        ensure!(page.script(TRANSLATE).await?.as_u64() > Some(10), "nothing was translated");
        let mut driver = Driver::signs_on(server, 7).await?;
        reads(page, ".legend-total", "1 car in view").await?;
        reads(page, "[data-car=free] .figures", "1").await?;
        page.books_on_the_map().await?;
        driver.is_offered().await?;
        page.reaches("ride-state", &["offered"], PAGE_TIMEOUT).await?;
        page.script(TRANSLATE).await?;
        driver.accepts().await?;
        reads(page, "[data-testid=ride-state]", "Assigned").await?;
        reads(page, "#ride-title", "Your car is on its way").await?;
        page.script(TRANSLATE).await?;
        driver.arrives().await?;
        reads(page, "[data-testid=ride-state]", "Arrived").await?;
        reads(page, "#ride-title", "Your car is here").await?;
        reads(page, "[data-car=at-pickup] .figures", "1").await?;
        wait::until("the list to show the state", PAGE_TIMEOUT, async || {
            let state = "return document.querySelector('.row-state').innerText";
            Ok(page
                .script(state)
                .await?
                .as_str()
                .is_some_and(|text| text.starts_with("Arrived"))
                .then_some(()))
        })
        .await?;
        stage.screenshot("arrived").await?;

        page.script(TRANSLATE).await?;
        stage.kill_server().await?;
        let page = &stage.page;
        wait::until("the pill to say that it reconnects", PAGE_TIMEOUT, async || {
            let pill = "return document.querySelector('.pill-text').innerText";
            let told = page.script(pill).await?;
            Ok(told.as_str().is_some_and(|text| text.starts_with("Reconnecting")).then_some(()))
        })
        .await?;
        stage.console_is_clean(|error| error.from_network).await
    })
    .await
}

/// Covers PAGE-5 in docs/failures.md.
#[tokio::test]
#[ignore = "needs a browser: cargo xtask test e2e"]
async fn what_is_counted_named_and_timed_is_so() -> Result<()> {
    PageTest::run("true", async |stage| {
        stage.set_flags(NO_CARS);
        let server = stage.start_server(ANY_PORT).await?;
        let page = &stage.page;
        page.browser.on_every_page(WRONG_CLOCK).await?;
        page.open(&format!("http://{server}/")).await?;
        page.is_live().await?;

        // Two cars stand 200 m apart, and zooming in moves at least one out of view.
        place_cars(server, &[(60.1722, 24.9440), (60.1722, 24.9480)]).await?;
        reads(page, ".legend-total", "2 cars in view").await?;
        page.click_map(0.5, 0.5).await?;
        presses(page, "+++++++").await?;
        wait::until("fewer cars in view", PAGE_TIMEOUT, async || {
            let total = page.script("return document.querySelector('.legend-total').innerText").await?;
            Ok(matches!(total.as_str(), Some("0 cars in view" | "1 car in view")).then_some(()))
        })
        .await?;
        presses(page, "0").await?;
        reads(page, ".legend-total", "2 cars in view").await?;

        // The page shows the same names in the quote and in the booked ride.
        page.script("document.querySelector('.clear')?.click()").await?;
        page.picks_two_places().await?;
        page.says("Book for").await?;
        let names = "return ['pickup', 'dropoff'].map((id) => document.getElementById(id).value)";
        let quoted = page.script(names).await?;
        page.press("book").await?;
        page.element("ride-state").await?;
        let ways = "return [...document.querySelectorAll('.way dd')].map((way) => way.innerText)";
        ensure!(page.script(ways).await? == quoted, "quoted {quoted}, booked {}", page.script(ways).await?);
        wait::until("the ride to be in the list with the age \"now\"", PAGE_TIMEOUT, async || {
            let state = "return document.querySelector('.row-state')?.innerText ?? null";
            Ok(page.script(state).await?.as_str().is_some_and(|text| text.ends_with("now")).then_some(()))
        })
        .await?;
        stage.screenshot("booked").await
    })
    .await
}

/// Covers PAGE-5 in docs/failures.md.
#[tokio::test]
#[ignore = "needs a browser: cargo xtask test e2e"]
async fn a_strangers_car_is_not_said_to_be_mine() -> Result<()> {
    PageTest::run("stranger", async |stage| {
        stage.set_flags(NO_CARS);
        let server = stage.start_server(ANY_PORT).await?;
        let page = &stage.page;
        page.open(&format!("http://{server}/")).await?;
        page.is_live().await?;
        let mut driver = Driver::signs_on(server, 7).await?;
        let book = BookRequest {
            request_id: "strangers".to_owned(),
            rider_id: "stranger".to_owned(),
            pickup: Some(Location { lat: 60.1690, lng: 24.9390 }),
            dropoff: Some(Location { lat: 60.1750, lng: 24.9480 }),
            ..Default::default()
        };
        RidesClient::new(channel(server).await?).book(book).await?;
        driver.is_offered().await?;
        driver.accepts().await?;
        wait::until("the ride in the list", PAGE_TIMEOUT, async || {
            page.script("document.querySelector('.row')?.click()").await?;
            page.state("ride-state").await
        })
        .await?;
        reads(page, "#ride-title", "The car is on its way").await?;
        driver.arrives().await?;
        reads(page, "#ride-title", "The car waits at the pickup").await?;
        stage.screenshot("arrived").await
    })
    .await
}

/// Covers PAGE-9 in docs/failures.md.
#[tokio::test]
#[ignore = "needs a browser: cargo xtask test e2e"]
async fn the_protocol_is_told_after_a_reload_too() -> Result<()> {
    PageTest::run("reload", async |stage| {
        stage.set_flags(NO_CARS);
        let server = stage.start_server(ANY_PORT).await?;
        let page = &stage.page;
        page.open(&format!("http://{server}/")).await?;
        reads(page, ".pill-protocol", "HTTP/1.1").await?;
        for _ in 0..2 {
            page.browser.client.refresh().await?;
            page.is_live().await?;
            reads(page, ".pill-protocol", "HTTP/1.1").await?;
        }
        Ok(())
    })
    .await
}

/// MAP-1, MAP-5, MAP-6: all cars are in view of the whole map, and of some maps also at first.
#[tokio::test]
#[ignore = "needs a browser: cargo xtask test e2e"]
async fn every_car_of_a_map_of_any_shape_is_in_view() -> Result<()> {
    for (name, cars, at_first) in [
        ("wide-66-km", "60", true),
        ("twin-streets", "20", false),
        ("one-street", "3", false),
        ("bbox-world", "20", false),
    ] {
        PageTest::run(name, async |stage| {
            let file = map(name)?;
            stage.set_flags(["--map", &file, "--cars", cars, "--riders-per-minute", "0"]);
            let server = stage.start_server(ANY_PORT).await?;
            let page = &stage.page;
            page.open(&format!("http://{server}/")).await?;
            page.is_live().await?;
            let all = format!("{cars} cars in view");
            if at_first {
                reads(page, ".legend-total", &all).await?;
            }
            stage.screenshot("first").await?;
            presses(page, "0").await?;
            reads(page, ".legend-total", &all).await?;
            stage.screenshot("whole").await
        })
        .await?;
    }
    Ok(())
}

/// MAP-6: more cars than `--viewer-cars`, on a map too wide for cells of the usual size.
#[tokio::test]
#[ignore = "needs a browser: cargo xtask test e2e"]
async fn a_crowd_on_a_wide_map_is_counted_by_coarser_tiles() -> Result<()> {
    PageTest::run("wide-crowd", async |stage| {
        let file = map("wide-66-km")?;
        stage.set_flags(["--map", &file, "--cars", "60", "--riders-per-minute", "0", "--viewer-cars", "10"]);
        let server = stage.start_server(ANY_PORT).await?;
        let page = &stage.page;
        page.open(&format!("http://{server}/")).await?;
        page.is_live().await?;
        page.reaches("legend", &["densities"], PAGE_TIMEOUT).await?;
        reads(page, ".legend-total", "60 cars in view, shown as density").await?;
        stage.screenshot("whole").await
    })
    .await
}

/// MAP-4: connected and right-to-left scripts are drawn as whole names, other scripts letter by letter from the
/// atlas.
#[tokio::test]
#[ignore = "needs a browser: cargo xtask test e2e"]
async fn names_are_drawn_as_the_browser_writes_them() -> Result<()> {
    PageTest::run("names", async |stage| {
        let file = map("names")?;
        stage.set_flags(["--map", &file, "--cars", "0"]);
        let server = stage.start_server(ANY_PORT).await?;
        let page = &stage.page;
        page.browser
            .on_every_page(
                "window.drawn = [];
                 const { fillText } = CanvasRenderingContext2D.prototype;
                 CanvasRenderingContext2D.prototype.fillText = function (text, ...place) {
                     window.drawn.push(text);
                     return fillText.call(this, text, ...place);
                 };",
            )
            .await?;
        page.open(&format!("http://{server}/")).await?;
        page.is_live().await?;
        presses(page, "0").await?;
        for whole in ["דרך השלום", "شارع الملك فيصل", "महात्मा गांधी मार्ग", "ถนนสุขุมวิท"]
        {
            wait::until(&format!("{whole} to be drawn as a whole"), PAGE_TIMEOUT, async || {
                let drawn = page.script(&format!("return window.drawn.includes({whole:?})")).await?;
                Ok((drawn == true).then_some(()))
            })
            .await?;
        }
        let letters =
            page.script("return ['Т', '北', '강'].map((letter) => window.drawn.includes(letter))").await?;
        ensure!(
            letters == serde_json::json!([true, true, true]),
            "other scripts are not drawn letter by letter: {letters}"
        );
        page.map_at_rest().await?;
        stage.screenshot("whole").await
    })
    .await
}
