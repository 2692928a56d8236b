//! The page behind a proxy.

use std::{fs, path::Path};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tokio::time::{Duration, Instant, sleep};

use super::{LIFE, running::Proxy, setup::Expected};
use crate::{
    browser::Browser,
    page::{Page, SOON},
    wait,
};

/// A window large enough to click the map beside the panels. Small, since its graphics are software.
const WINDOW: (u32, u32) = (900, 600);

/// The time between two looks at the page. The page keeps what happens meanwhile.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The words by which the page says that a proxy holds streams back.
const SHORT_CALLS: &str = "Live by short calls";

/// Keeps the states of the connection as they change.
const LOOKS: &str = r"
    window.looks = [];
    setInterval(() => {
        const state = document.querySelector('[data-testid=connection]')?.dataset.state;
        if (state && window.looks.at(-1) !== state) window.looks.push(state);
    }, 50);
";

/// Holds the page at `url` to being live, by streams or by short calls, and to going on with a ride after `proxy` was
/// started again.
///
/// # Errors
/// When it does not. A picture is left beside the log of the proxy.
pub async fn is_live(url: &str, expected: Expected, proxy: &mut Proxy) -> Result<()> {
    let page = Page { browser: Browser::start().await? };
    let result = match lives(&page, url, expected, proxy).await {
        Ok(()) => Ok(()),
        Err(error) => Err(error.context(last_look(&page, proxy.dir()).await)),
    };
    page.browser.close().await.and(result)
}

async fn lives(page: &Page, url: &str, expected: Expected, proxy: &mut Proxy) -> Result<()> {
    let by_short_calls = expected == Expected::ShortCalls;
    page.browser.resize(WINDOW.0, WINDOW.1).await?;
    page.browser.on_every_page(LOOKS).await?;
    page.open(url).await?;
    page.is_live().await?;
    if by_short_calls {
        page.says(SHORT_CALLS).await?;
    }
    // Between the panels, however many rides are listed.
    page.click_map(0.5, 0.3).await?;
    page.click_map(0.6, 0.7).await?;
    page.press("book").await?;
    page.reaches("ride-state", &["requested"], SOON).await?;

    page.script("window.looks = []").await?;
    let end = Instant::now() + LIFE;
    while Instant::now() < end {
        sleep(LOOK_EVERY).await;
        let looks = looks(page).await?;
        // A stream that ends is opened again at once.
        let is_fine =
            |look: &String| look == "live" || matches!(expected, Expected::EndsAfter(_)) && look != "stalled";
        ensure!(looks.iter().all(is_fine), "the connection was {looks:?}");
        let text = page.text().await?;
        ensure!(text.contains(SHORT_CALLS) == by_short_calls, "by short calls? The page says: {text}");
    }

    page.script("window.looks = []").await?;
    proxy.restart().await?;
    page.says("Resumed at version 1, missed 0").await?;
    page.is_live().await?;
    page.press("cancel").await?;
    page.reaches("ride-state", &["cancelled"], SOON).await?;
    let events = [(1, "requested".to_owned()), (2, "cancelled".to_owned())];
    wait::until("both events in the timeline", SOON, async || {
        Ok((page.timeline().await? == events).then_some(()))
    })
    .await
}

async fn looks(page: &Page) -> Result<Vec<String>> {
    let looks = page.script("return window.looks").await?;
    let looks = looks.as_array().context("no looks")?;
    Ok(looks.iter().filter_map(Value::as_str).map(str::to_owned).collect())
}

/// Describes the page after a failure.
async fn last_look(page: &Page, dir: &Path) -> String {
    let picture = dir.join("failed.png");
    let taken = page.browser.client.screenshot().await.context("no screenshot");
    let picture = match taken.and_then(|image| fs::write(&picture, image).context("cannot save the picture"))
    {
        Ok(()) => picture.display().to_string(),
        Err(error) => format!("{error:#}"),
    };
    let text = page.text().await.unwrap_or_else(|error| format!("{error:#}"));
    let console = match page.browser.console_errors().await {
        Ok(errors) => errors.into_iter().map(|error| error.text).collect::<Vec<_>>().join("\n"),
        Err(error) => format!("{error:#}"),
    };
    format!("picture: {picture}\nconsole: {console}\npage:\n{text}\n")
}
