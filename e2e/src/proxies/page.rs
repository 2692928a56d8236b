//! The page behind a proxy, in a browser.

use std::{fs, path::Path};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tokio::time::{Duration, Instant, sleep};

use super::{LIVE_FOR, proxy_process::ProxyProcess, setup::ExpectedOutcome};
use crate::{
    browser::Browser,
    page::{PAGE_TIMEOUT, Page},
    wait,
};

/// The size of the window: large enough to click the map beside the panels, and small because graphics are rendered
/// in software.
const WINDOW: (u32, u32) = (900, 600);

/// The time between two checks of the page. A script in the page records what changes between them.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The words of the page when it makes short calls because a proxy holds streams back.
const SHORT_CALLS: &str = "Live by short calls";

/// A script that records each state of the connection in `window.looks`.
const LOOKS: &str = r"
    window.looks = [];
    setInterval(() => {
        const state = document.querySelector('[data-testid=connection]')?.dataset.state;
        if (state && window.looks.at(-1) !== state) window.looks.push(state);
    }, 50);
";

/// Checks that the page at `url` is live, by streams or by short calls as `expected`, and that a followed ride
/// resumes after `bad_network` was restarted.
///
/// # Errors
/// When a check fails. A screenshot is saved beside the log of the proxy.
pub async fn is_live(url: &str, expected: ExpectedOutcome, proxy: &mut ProxyProcess) -> Result<()> {
    let page = Page { browser: Browser::start().await? };
    let result = match lives(&page, url, expected, proxy).await {
        Ok(()) => Ok(()),
        Err(error) => Err(error.context(last_look(&page, proxy.dir()).await)),
    };
    page.browser.close().await.and(result)
}

async fn lives(page: &Page, url: &str, expected: ExpectedOutcome, proxy: &mut ProxyProcess) -> Result<()> {
    let by_short_calls = expected == ExpectedOutcome::ShortCalls;
    page.browser.resize(WINDOW.0, WINDOW.1).await?;
    page.browser.on_every_page(LOOKS).await?;
    page.open(url).await?;
    page.is_live().await?;
    if by_short_calls {
        page.says(SHORT_CALLS).await?;
    }
    // Points between the panels, also when the list of rides is long.
    page.click_map(0.5, 0.3).await?;
    page.click_map(0.6, 0.7).await?;
    page.press("book").await?;
    page.reaches("ride-state", &["requested"], PAGE_TIMEOUT).await?;

    page.script("window.looks = []").await?;
    let end = Instant::now() + LIVE_FOR;
    while Instant::now() < end {
        sleep(LOOK_EVERY).await;
        let looks = looks(page).await?;
        // The page opens a stream again as soon as it ends, so other states than "stalled" may show for a moment.
        let is_fine = |look: &String| {
            look == "live" || matches!(expected, ExpectedOutcome::EndsAfter(_)) && look != "stalled"
        };
        ensure!(looks.iter().all(is_fine), "the connection was {looks:?}");
        let text = page.text().await?;
        ensure!(
            text.contains(SHORT_CALLS) == by_short_calls,
            "short calls expected: {by_short_calls}; the page says: {text}"
        );
    }

    page.script("window.looks = []").await?;
    proxy.restart().await?;
    page.says("Resumed at version 1, missed 0").await?;
    page.is_live().await?;
    page.press("cancel").await?;
    page.reaches("ride-state", &["cancelled"], PAGE_TIMEOUT).await?;
    let events = [(1, "requested".to_owned()), (2, "cancelled".to_owned())];
    wait::until("both events in the timeline", PAGE_TIMEOUT, async || {
        Ok((page.timeline().await? == events).then_some(()))
    })
    .await
}

async fn looks(page: &Page) -> Result<Vec<String>> {
    let looks = page.script("return window.looks").await?;
    let looks = looks.as_array().context("window.looks is not a list")?;
    Ok(looks.iter().filter_map(Value::as_str).map(str::to_owned).collect())
}

/// Returns the diagnostics of a failed check: a screenshot, the console, and the text of the page.
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
