//! Input by touch, mouse and keyboard; and the page in small windows, with forced colours, and in print.
//!
//! The tests need a browser and the built page, so they are ignored unless `cargo xtask test e2e` runs them.

use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use fantoccini::{
    actions::{InputSource, MOUSE_BUTTON_LEFT, MouseActions, PointerAction},
    key::Key,
};
use rides_e2e::{
    page::{PAGE_TIMEOUT, Page},
    page_test::{NO_CARS, PageTest},
    pixels,
    server::{ANY_PORT, channel},
    wait,
};
use rides_proto::v1::{BookRequest, Location, rides_client::RidesClient};
use serde_json::{Value, json};

/// Runs a test with a page that is live, on a server without simulated cars.
async fn quiet(
    name: &'static str,
    test: impl AsyncFnOnce(&mut PageTest, SocketAddr) -> Result<()>,
) -> Result<()> {
    PageTest::run(name, async |stage| {
        stage.set_flags(NO_CARS);
        let server = stage.start_server(ANY_PORT).await?;
        stage.page.open(&format!("http://{server}/")).await?;
        stage.page.is_live().await?;
        test(stage, server).await
    })
    .await
}

/// Waits until the JavaScript expression `what` is truthy.
async fn is_so(page: &Page, what: &str) -> Result<()> {
    let script = format!("return Boolean({what})");
    wait::until(what, PAGE_TIMEOUT, async || Ok((page.script(&script).await? == json!(true)).then_some(())))
        .await
}

/// Sends keys to the element that has the focus.
async fn keys(page: &Page, keys: &str) -> Result<()> {
    page.browser
        .client
        .active_element()
        .await?
        .send_keys(keys)
        .await
        .context("the focused element does not accept keys")
}

/// Moves the mouse over the middle of an element. If `pressed`, also presses and releases the button there.
async fn mouse(page: &Page, selector: &str, pressed: bool) -> Result<()> {
    let script = format!(
        "const box = document.querySelector('{selector}').getBoundingClientRect();
         return [box.x + box.width / 2, box.y + box.height / 2]"
    );
    let at = page.script(&script).await?;
    let (x, y) = (
        at[0].as_f64().context("the script returned no x")?,
        at[1].as_f64().context("the script returned no y")?,
    );
    let mut actions = MouseActions::new("mouse".into()).then(PointerAction::MoveTo { duration: None, x, y });
    if pressed {
        actions = actions
            .then(PointerAction::Down { button: MOUSE_BUTTON_LEFT })
            .then(PointerAction::Up { button: MOUSE_BUTTON_LEFT });
    }
    page.browser.client.perform_actions(actions).await.context("cannot move the mouse over the element")
}

/// Dispatches synthetic touch events to the map: type, pointer id, whether it is primary, x, y, buttons.
async fn pointers(page: &Page, events: &[(&str, u32, bool, u32, u32, u32)]) -> Result<()> {
    let script = format!(
        "const map = document.querySelector('.map');
         for (const [type, pointerId, isPrimary, clientX, clientY, buttons] of {})
           map.dispatchEvent(new PointerEvent(type,
             {{ pointerId, isPrimary, clientX, clientY, buttons, bubbles: true, pointerType: 'touch' }}))",
        json!(events)
    );
    page.script(&script).await.map(drop)
}

const IS_DRAGGED: &str = "document.querySelector('.map').dataset.dragging !== undefined";
const IS_FREE: &str = "document.querySelector('.map').dataset.dragging === undefined";

/// Covers PAGE-4 in docs/failures.md.
#[tokio::test]
#[ignore = "needs a browser: cargo xtask test e2e"]
async fn a_map_whose_fingers_were_lost_can_be_dragged_and_tapped() -> Result<()> {
    quiet("lost-fingers", async |stage, _| {
        let page = &stage.page;
        let drag = |id| [("pointerdown", id, true, 700, 500, 1), ("pointermove", id, true, 740, 540, 1)];

        // Two fingers whose pointerup events never arrive, and then another touch.
        pointers(page, &[("pointerdown", 11, true, 600, 400, 1), ("pointerdown", 12, false, 800, 400, 1)])
            .await?;
        pointers(page, &[("pointermove", 12, false, 900, 400, 1)]).await?;
        is_so(page, IS_DRAGGED).await?;
        pointers(page, &[("pointerdown", 13, true, 700, 500, 1), ("pointerup", 13, true, 700, 500, 0)])
            .await?;
        is_so(page, "document.querySelector('#pickup').value").await.context("the tap was lost")?;
        is_so(page, IS_FREE).await?;

        // Each of these events may be the only sign of a release.
        for (ending, target) in [
            ("new PointerEvent('lostpointercapture', { pointerId: 21, bubbles: true })", "map"),
            ("new PointerEvent('pointercancel', { pointerId: 21, bubbles: true })", "map"),
            ("new PointerEvent('pointermove', { pointerId: 21, bubbles: true, buttons: 0 })", "map"),
            ("new PointerEvent('contextmenu', { pointerId: -1, bubbles: true })", "map"),
            ("new Event('blur')", "window"),
        ] {
            pointers(page, &drag(21)).await?;
            is_so(page, IS_DRAGGED).await?;
            page.script(&format!(
                "const map = document.querySelector('.map'); {target}.dispatchEvent({ending})"
            ))
            .await?;
            is_so(page, IS_FREE).await.with_context(|| format!("after {ending}"))?;
        }

        let zooms_page = "const map = document.querySelector('.map');
            return ['gesturestart', 'gesturechange', 'gestureend'].filter((name) => {
              const gesture = new Event(name, { cancelable: true, bubbles: true });
              return map.dispatchEvent(Object.assign(gesture, { clientX: 700, clientY: 400, scale: 2 }));
            })";
        // The pin of the pickup is animated: without it the map comes to rest.
        page.script("document.querySelector('#pickup + .clear').click()").await?;
        let before = page.map_at_rest().await?;
        ensure!(
            page.script(zooms_page).await? == json!([]),
            "Safari would zoom the page: the map does not cancel gesture events"
        );
        let pinched = page.map_at_rest().await?;
        let moved = pixels::differing(&before, &pinched)?;
        ensure!(moved > 100_000, "a pinch in Safari changed only {moved} pixels");

        page.script(
            "document.querySelector('.map').dispatchEvent(new WheelEvent('wheel',
               { deltaY: -1, deltaMode: 2, clientX: 700, clientY: 400, cancelable: true }))",
        )
        .await?;
        let after = page.map_at_rest().await?;
        let moved = pixels::differing(&pinched, &after)?;
        ensure!(moved > 100_000, "a wheel event of one page changed only {moved} pixels");
        Ok(())
    })
    .await
}

/// Points on streets of the map that is compiled into the server.
const PLACES: [(f64, f64); 6] = [
    (60.1699, 24.9384),
    (60.1650, 24.9450),
    (60.1720, 24.9500),
    (60.1680, 24.9320),
    (60.1740, 24.9420),
    (60.1660, 24.9520),
];

/// Books a ride for another rider, from `PLACES[number]`.
async fn somebody_books(server: SocketAddr, number: usize) -> Result<()> {
    let location = |(lat, lng)| Some(Location { lat, lng });
    let request = BookRequest {
        request_id: format!("ride {number}"),
        pickup: location(PLACES[number]),
        dropoff: location((60.1710, 24.9400)),
        rider_id: "somebody".to_owned(),
        ..Default::default()
    };
    RidesClient::new(channel(server).await?).book(request).await.context("the ride was not booked")?;
    Ok(())
}

/// Returns the pickups of the listed rides, from the top.
async fn rows(page: &Page) -> Result<Value> {
    page.script("return [...document.querySelectorAll('.row-from')].map((from) => from.textContent)").await
}

fn has_rows(count: usize) -> String {
    format!("document.querySelectorAll('.row').length === {count}")
}

fn knows(count: usize) -> String {
    format!("document.querySelector('.rides-head').textContent.includes('{count} under way')")
}

/// Covers PAGE-6 in docs/failures.md.
#[tokio::test]
#[ignore = "needs a browser: cargo xtask test e2e"]
async fn rides_stay_under_the_pointer_and_the_focus() -> Result<()> {
    quiet("rows", async |stage, server| {
        let page = &stage.page;
        for number in 0..3 {
            somebody_books(server, number).await?;
        }
        is_so(page, &has_rows(3)).await?;
        let three = rows(page).await?;

        mouse(page, ".row", false).await?;
        somebody_books(server, 3).await?;
        is_so(page, &knows(4)).await?;
        // The list is rendered every second, and its order must stay.
        is_so(page, "document.querySelector('.row-state').textContent.endsWith(' s')").await?;
        ensure!(rows(page).await? == three, "rows moved under the pointer: {}", rows(page).await?);
        mouse(page, "[data-testid=book]", false).await?;
        is_so(page, &has_rows(4)).await.context("the new ride did not appear in the list")?;

        page.script("document.querySelectorAll('.row')[1].focus()").await?;
        let focused = rows(page).await?[1].clone();
        somebody_books(server, 4).await?;
        somebody_books(server, 5).await?;
        is_so(page, &knows(6)).await?;
        stage.screenshot("focused").await?;
        keys(page, &Key::Enter.to_string()).await?;
        page.element("ride-state").await?;
        let followed = page.script("return document.querySelector('.way dd').textContent").await?;
        ensure!(followed == focused, "Enter followed {followed} and not {focused}");
        is_so(page, &has_rows(6)).await?;

        let see_through = page.script(
            "return getComputedStyle(document.querySelector('.rides-head')).backgroundColor.startsWith('rgba')",
        );
        ensure!(see_through.await? == json!(false), "the head of the list is transparent: rows show through it");
        page.script("document.querySelector('#panel-rides').scrollTop = 30").await?;
        stage.screenshot("scrolled").await
    })
    .await
}

/// Returns the id, test id, label or class of the element that has the focus.
async fn focused(page: &Page) -> Result<String> {
    let script = "const { id, dataset, ariaLabel, className, tagName } = document.activeElement;
        return id || dataset.testid || ariaLabel || className || tagName";
    Ok(page.script(script).await?.as_str().unwrap_or_default().to_owned())
}

async fn has_focus(page: &Page, name: &str) -> Result<()> {
    let held = wait::until(&format!("{name} to have the focus"), PAGE_TIMEOUT, async || {
        Ok((focused(page).await? == name).then_some(()))
    })
    .await;
    match held {
        Ok(()) => Ok(()),
        Err(error) => Err(error.context(format!("the focus is on {}", focused(page).await?))),
    }
}

/// Covers PAGE-7 in docs/failures.md.
#[tokio::test]
#[ignore = "needs a browser: cargo xtask test e2e"]
async fn typed_text_the_first_press_and_the_focus_are_kept() -> Result<()> {
    quiet("typing", async |stage, _| {
        let page = &stage.page;
        let (tab, enter, escape) = [Key::Tab, Key::Enter, Key::Escape].map(|key| key.to_string()).into();

        let closed =
            "[...document.querySelectorAll('.suggestions')].every((list) => list.offsetHeight === 0)";

        // A press while suggestions are open has its own effect, not only that of closing them.
        page.type_into("pickup", "Mannerh").await?;
        is_so(page, "document.querySelector('#pickup-list li')").await?;
        stage.screenshot("suggestions").await?;
        mouse(page, ".kind:nth-child(2)", true).await?;
        is_so(page, "document.querySelector('.kind:nth-child(2) input').checked").await?;
        let (value, expanded) = ("document.querySelector('#pickup').value", "aria-expanded");
        is_so(page, &format!("{value} === 'Mannerh'")).await.context("the half-typed text is gone")?;
        is_so(page, closed).await?;
        ensure!(
            page.attribute("pickup", expanded).await?.as_deref() == Some("false"),
            "the suggestions are still open"
        );
        stage.screenshot("left").await?;

        // The text also stays when Tab leaves the field.
        mouse(page, "#pickup", true).await?;
        ensure!(
            page.attribute("pickup", expanded).await?.as_deref() == Some("true"),
            "the suggestions are closed"
        );
        keys(page, &tab).await?;
        has_focus(page, "Clear the pickup").await?;
        is_so(page, &format!("{value} === 'Mannerh'")).await?;

        // Clearing a field focuses it. Enter waits for the suggestions, also when the field is left meanwhile.
        keys(page, &enter).await?;
        has_focus(page, "pickup").await?;
        keys(page, &format!("Mannerheimint{enter}{tab}")).await?;
        is_so(page, &format!("{value} === 'Mannerheimintie'")).await.context("Enter was lost")?;

        // Escape restores the chosen street.
        page.type_into("pickup", "x").await?;
        keys(page, &escape).await?;
        is_so(page, &format!("{value} === 'Mannerheimintie'")).await?;

        // The swap button swaps half-typed text too.
        page.type_into("dropoff", "Snel").await?;
        let other = "document.querySelector('#dropoff').value";
        mouse(page, ".swap", true).await?;
        is_so(page, &format!("{value} === 'Snel' && {other} === 'Mannerheimintie'")).await?;
        is_so(page, closed).await?;
        mouse(page, ".swap", true).await?;
        is_so(page, &format!("{value} === 'Mannerheimintie' && {other} === 'Snel'")).await?;

        // A button that disappears when it is pressed leaves the focus near its place.
        page.type_into("dropoff", &format!("Snellmanink{enter}")).await?;
        is_so(page, "document.querySelector('[data-testid=book]').textContent.includes('€')").await?;
        page.script("document.querySelector('[data-testid=book]').focus()").await?;
        keys(page, &enter).await?;
        page.element("cancel").await?;
        has_focus(page, "panel-ride").await?;
        page.script("document.querySelector('[data-testid=cancel]').focus()").await?;
        keys(page, &enter).await?;
        page.reaches("ride-state", &["cancelled"], PAGE_TIMEOUT).await?;
        has_focus(page, "book-another").await?;
        keys(page, &enter).await?;
        has_focus(page, "panel-ride").await
    })
    .await
}

/// Covers PAGE-8, PAGE-10 in docs/failures.md.
#[tokio::test]
#[ignore = "needs a browser: cargo xtask test e2e"]
async fn the_page_can_be_used_small_in_forced_colours_and_on_paper() -> Result<()> {
    quiet("looks", async |stage, server| {
        let page = &stage.page;
        somebody_books(server, 0).await?;
        somebody_books(server, 1).await?;
        is_so(page, &has_rows(2)).await?;
        ring_is_inside(stage).await?;

        // The viewport of a window of 1280 × 1024 at 400 % zoom.
        page.browser.resize(320, 256).await?;
        page.script("document.querySelector('#pickup').focus()").await?;
        keys(page, "Mannerh").await?;
        is_so(page, "document.querySelector('#pickup-list li')").await?;
        stage.screenshot("zoomed").await?;
        for element in ["#pickup", "#pickup-list li", "#dropoff", ".kind", "[data-testid=book]", ".account"] {
            let on_top = format!(
                "const element = document.querySelector('{element}');
                 element.scrollIntoView({{ block: 'center' }});
                 const {{ x, y, width, height, right }} = element.getBoundingClientRect();
                 const top = document.elementFromPoint(x + width / 2, y + height / 2);
                 return x >= 0 && right <= 320 && (element.contains(top) || top.matches('.book, label'))"
            );
            ensure!(page.script(&on_top).await? == json!(true), "{element} is not visible");
        }
        let room = page
            .script(
                "const panel = document.querySelector('#panel-ride');
                 panel.scrollIntoView();
                 const { top, bottom } = panel.getBoundingClientRect();
                 return Math.min(bottom, innerHeight) - Math.max(top, 0)",
            )
            .await?;
        ensure!(room.as_f64() > Some(200.0), "the form has only {room} pixels of 256");
        let apart = "const [pill, account] = ['.pill', '.account'].map((name) =>
              document.querySelector(name).getBoundingClientRect());
            const protocol = document.querySelector('.pill-protocol').getBoundingClientRect();
            return protocol.right <= pill.right && pill.right <= account.left";
        ensure!(
            page.script(apart).await? == json!(true),
            "the pill overlaps the account button or its protocol is cut off"
        );
        page.browser.resize(320, 568).await?;
        stage.screenshot("narrow").await?;

        page.browser.resize(1440, 900).await?;
        page.script("document.querySelector('.row').click()").await?;
        page.element("ride-state").await?;
        page.browser.set_media("", json!([{ "name": "forced-colors", "value": "active" }])).await?;
        stage.screenshot("forced-ride").await?;
        differ(page, ".row[aria-current]", ".row:not([aria-current])").await?;
        differ(page, ".steps [data-done]", ".steps :not([data-done])").await?;
        page.script("document.querySelector('.ride-top button').click()").await?;
        page.element("book").await?;
        differ(page, ".kind:has(:checked)", ".kind:not(:has(:checked))").await?;
        page.type_into("pickup", "Mannerh").await?;
        is_so(page, "document.querySelector('#pickup-list li')").await?;
        keys(page, &Key::Down.to_string()).await?;
        differ(page, "#pickup-list [aria-selected=true]", "#pickup-list [aria-selected=false]").await?;
        stage.screenshot("forced-form").await?;

        page.script("document.querySelector('.row').click()").await?;
        page.element("ride-state").await?;
        page.browser.set_media("print", json!([])).await?;
        let print = "const seen = (name) => document.querySelector(name).getClientRects().length > 0;
            const panel = document.querySelector('#panel-rides');
            return [['.map canvas', '.legend', '.attribution', '.ride', '.rides-list'].every(seen),
              ['.top', '.actions button', '.ride-top button'].some(seen),
              panel.scrollHeight <= panel.clientHeight]";
        ensure!(
            page.script(print).await? == json!([true, false, true]),
            "the printed page lacks something, or shows buttons"
        );
        let canvas = page.browser.client.find(fantoccini::Locator::Css(".map canvas")).await?;
        let picture = canvas.screenshot().await?;
        stage.screenshot("paper").await?;
        page.script("document.querySelector('.map canvas').style.visibility = 'hidden'").await?;
        let drawn = pixels::differing(&picture, &canvas.screenshot().await?)?;
        ensure!(drawn > 10_000, "the printed map is blank: {drawn} pixels");
        Ok(())
    })
    .await
}

/// Checks that a focused map shows a focus ring inside the window, above the canvas, also while the canvas is grey.
async fn ring_is_inside(stage: &PageTest) -> Result<()> {
    let page = &stage.page;
    page.script("document.querySelector('.map canvas').style.filter = 'grayscale(1)'").await?;
    let map = page.element("map").await?;
    let before = map.screenshot().await?;
    page.script("document.querySelector('.map').focus()").await?;
    keys(page, "a").await?;
    stage.screenshot("ring").await?;
    let ring = pixels::differing(&before, &map.screenshot().await?)?;
    ensure!(ring > 2 * (1440 + 900), "the focus ring of the map has only {ring} pixels");
    page.script("document.querySelector('.map canvas').style.filter = ''").await.map(drop)
}

/// Checks that two elements differ in the background colour of themselves or of their `::before`.
async fn differ(page: &Page, chosen: &str, other: &str) -> Result<()> {
    let script = format!(
        "const [chosen, other] = ['{chosen}', '{other}'].map((name) =>
           [null, '::before'].map((part) => getComputedStyle(document.querySelector(name), part).backgroundColor) + '');
         return chosen !== other"
    );
    ensure!(page.script(&script).await? == json!(true), "{chosen} and {other} have the same background");
    Ok(())
}
