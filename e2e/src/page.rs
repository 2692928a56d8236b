//! The page as its users operate it: what it displays, and the actions it offers.

use std::time::Duration;

use anyhow::{Context, Result};
use fantoccini::{
    Locator,
    actions::{InputSource, MOUSE_BUTTON_LEFT, MouseActions, PointerAction},
    elements::Element,
    key::Key,
};
use serde_json::Value;

use crate::{browser::Browser, history::TimelineEvent, pixels, wait};

/// The time within which the page must display a change or the result of an action.
pub const PAGE_TIMEOUT: Duration = Duration::from_secs(20);

/// The page in a browser.
pub struct Page {
    /// The browser that shows the page.
    pub browser: Browser,
}

impl Page {
    /// Navigates to an address.
    ///
    /// # Errors
    /// When the address cannot be loaded.
    pub async fn open(&self, url: &str) -> Result<()> {
        self.browser.client.goto(url).await.with_context(|| format!("cannot open {url}"))
    }

    /// Runs a script in the page and returns its result.
    ///
    /// # Errors
    /// When the script throws.
    pub async fn script(&self, script: &str) -> Result<Value> {
        self.browser
            .client
            .execute(script, Vec::new())
            .await
            .with_context(|| format!("the script failed: {script}"))
    }

    /// Waits for an element by its `data-testid` until it is visible, and returns it.
    ///
    /// # Errors
    /// When it is not visible within [`PAGE_TIMEOUT`].
    pub async fn element(&self, id: &str) -> Result<Element> {
        let selector = by_id(id);
        wait::until(&format!("{selector} to be visible"), PAGE_TIMEOUT, async || {
            let Some(element) = self.browser.client.find_all(Locator::Css(&selector)).await?.pop() else {
                return Ok(None);
            };
            // An element that is removed in the meantime counts as not visible, and is looked up again.
            Ok(element.is_displayed().await.unwrap_or(false).then_some(element))
        })
        .await
    }

    /// Returns the `data-state` of an element, or `None` if there is no such element.
    ///
    /// # Errors
    /// When the browser does not respond.
    pub async fn state(&self, id: &str) -> Result<Option<String>> {
        let script = format!("return document.querySelector('{}')?.dataset.state ?? null", by_id(id));
        Ok(self.script(&script).await?.as_str().map(str::to_owned))
    }

    /// Waits until an element is in one of `states`, and returns that state.
    ///
    /// # Errors
    /// When it does not reach one within `within`. The error names the state that it is in.
    pub async fn reaches(&self, id: &str, states: &[&str], within: Duration) -> Result<String> {
        let reached = wait::until(&format!("{id} to be {}", states.join(" or ")), within, async || {
            Ok(self.state(id).await?.filter(|state| states.contains(&state.as_str())))
        })
        .await;
        match reached {
            Ok(state) => Ok(state),
            Err(error) => Err(error.context(format!("{id} is {:?}", self.state(id).await?))),
        }
    }

    /// Returns an attribute of an element, or `None` if the element or the attribute is not there.
    ///
    /// # Errors
    /// When the browser does not respond.
    pub async fn attribute(&self, id: &str, name: &str) -> Result<Option<String>> {
        let selector = by_id(id);
        let script = format!("return document.querySelector('{selector}')?.getAttribute('{name}') ?? null");
        Ok(self.script(&script).await?.as_str().map(str::to_owned))
    }

    /// Returns the events in the timeline of the followed ride, from the top.
    ///
    /// # Errors
    /// When the browser does not respond.
    pub async fn timeline(&self) -> Result<Vec<TimelineEvent>> {
        let script = format!(
            "return [...document.querySelectorAll('{} > li')].map(li => [li.dataset.version, li.dataset.state])",
            by_id("timeline")
        );
        let rows = self.script(&script).await?;
        let happened = |row: &Value| Some((row[0].as_str()?.parse().ok()?, row[1].as_str()?.to_owned()));
        let rows = rows.as_array().context("no list")?;
        rows.iter().map(|row| happened(row).with_context(|| format!("not an event: {row}"))).collect()
    }

    /// Waits until the page is live.
    ///
    /// # Errors
    /// When it is not live within 60 s.
    pub async fn is_live(&self) -> Result<()> {
        self.reaches("connection", &["live"], Duration::from_secs(60)).await?;
        Ok(())
    }

    /// Clicks a button as soon as it is enabled.
    ///
    /// # Errors
    /// When it is not enabled within [`PAGE_TIMEOUT`].
    pub async fn press(&self, id: &str) -> Result<()> {
        wait::until(&format!("{id} to be clickable"), PAGE_TIMEOUT, async || {
            let element = self.element(id).await?;
            let clicked = element.is_enabled().await.unwrap_or(false) && element.click().await.is_ok();
            Ok(clicked.then_some(()))
        })
        .await
    }

    /// Types into a field and replaces its content.
    ///
    /// # Errors
    /// When there is no such field.
    pub async fn type_into(&self, id: &str, text: &str) -> Result<()> {
        let field = self.element(id).await?;
        field.click().await?;
        field.send_keys(&format!("{}a{}", char::from(Key::Control), char::from(Key::Null))).await?;
        field.send_keys(text).await?;
        Ok(())
    }

    /// Types a street into a field and chooses the first suggestion.
    ///
    /// # Errors
    /// When there is no suggestion.
    pub async fn choose_street(&self, id: &str, street: &str) -> Result<()> {
        self.type_into(id, street).await?;
        let suggestion = format!("#{id}-list [role=option]");
        let first = wait::until(&format!("a suggestion for {street:?}"), PAGE_TIMEOUT, async || {
            Ok(self.browser.client.find_all(Locator::Css(&suggestion)).await?.into_iter().next())
        })
        .await?;
        first.click().await.context("cannot choose the street")
    }

    /// Clicks the map with the mouse, at a fraction (0 to 1) of its width and height.
    ///
    /// # Errors
    /// When there is no map.
    pub async fn click_map(&self, across: f64, down: f64) -> Result<()> {
        let (left, top, width, height) = self.element("map").await?.rectangle().await?;
        let pause = |millis| PointerAction::Pause { duration: Duration::from_millis(millis) };
        let (x, y) = (left + width * across, top + height * down);
        let click = MouseActions::new("pointer".into())
            .then(PointerAction::MoveTo { duration: None, x, y })
            .then(PointerAction::Down { button: MOUSE_BUTTON_LEFT })
            .then(pause(50))
            .then(PointerAction::Up { button: MOUSE_BUTTON_LEFT });
        self.browser.client.perform_actions(click).await.context("cannot click the map")
    }

    /// Clicks two points on the map: the pickup and the dropoff of a ride.
    ///
    /// # Errors
    /// When there is no map.
    pub async fn picks_two_places(&self) -> Result<()> {
        self.click_map(0.55, 0.45).await?;
        self.click_map(0.7, 0.6).await
    }

    /// Books a ride between two points on the map.
    ///
    /// # Errors
    /// When it cannot be booked.
    pub async fn books_on_the_map(&self) -> Result<()> {
        self.picks_two_places().await?;
        self.press("book").await
    }

    /// Returns a screenshot of the map without the panels, as soon as two in a row are equal.
    ///
    /// The panels are hidden meanwhile, because they lie over the map and change too.
    ///
    /// # Errors
    /// When the map keeps changing.
    pub async fn map_at_rest(&self) -> Result<Vec<u8>> {
        let show_panels = |how: &str| format!("document.querySelector('.board').style.visibility = '{how}'");
        self.script(&show_panels("hidden")).await?;
        let map = self.element("map").await?;
        let mut before = map.screenshot().await?;
        let at_rest = wait::until("the map to be still", PAGE_TIMEOUT, async || {
            let after = map.screenshot().await?;
            let changed = pixels::differing(&before, &after)?;
            before.clone_from(&after);
            Ok((changed == 0).then_some(after))
        });
        let picture = at_rest.await?;
        self.script(&show_panels("")).await?;
        Ok(picture)
    }

    /// Returns the reason and the id of an error, which are below its *Details*.
    ///
    /// # Errors
    /// When the page shows no error.
    pub async fn error_id(&self) -> Result<String> {
        let details = self.element("error-id").await?;
        details.find(Locator::Css("summary")).await?.click().await.context("the details do not open")?;
        self.element("error-id").await?.find(Locator::Css("code")).await?.text().await.context("no id")
    }

    /// Returns a performance mark that the page sets, in milliseconds after navigation.
    ///
    /// # Errors
    /// When the page does not set it within [`PAGE_TIMEOUT`].
    pub async fn mark(&self, name: &str) -> Result<f64> {
        let script = format!("return performance.getEntriesByName('{name}')[0]?.startTime ?? null");
        wait::until(&format!("the mark {name:?}"), PAGE_TIMEOUT, async || {
            Ok(self.script(&script).await?.as_f64())
        })
        .await
    }

    /// Returns the visible text of the page.
    ///
    /// # Errors
    /// When the browser does not respond.
    pub async fn text(&self) -> Result<String> {
        Ok(self.script("return document.body.innerText").await?.as_str().unwrap_or_default().to_owned())
    }

    /// Waits until the page contains `state_text`.
    ///
    /// # Errors
    /// When they do not appear within [`PAGE_TIMEOUT`].
    pub async fn says(&self, words: &str) -> Result<()> {
        wait::until(&format!("the page to say {words:?}"), PAGE_TIMEOUT, async || {
            Ok(self.text().await?.contains(words).then_some(()))
        })
        .await
    }
}

fn by_id(id: &str) -> String {
    format!("[data-testid=\"{id}\"]")
}
