//! The page as a person meets it: what it shows, and what can be done with it.

use std::time::Duration;

use anyhow::{Context, Result};
use fantoccini::{
    Locator,
    actions::{InputSource, MOUSE_BUTTON_LEFT, MouseActions, PointerAction},
    elements::Element,
    key::Key,
};
use serde_json::Value;

use crate::{browser::Browser, history::Happened, pixels, wait};

/// How long the page may take to show what it has been told or was asked for.
pub const SOON: Duration = Duration::from_secs(20);

/// The page in a browser.
pub struct Page {
    /// The browser it is open in.
    pub browser: Browser,
}

impl Page {
    /// Goes to an address.
    ///
    /// # Errors
    /// When nothing can be loaded from there.
    pub async fn open(&self, url: &str) -> Result<()> {
        self.browser.client.goto(url).await.with_context(|| format!("cannot open {url}"))
    }

    /// Runs a script in the page.
    ///
    /// # Errors
    /// When it throws.
    pub async fn script(&self, script: &str) -> Result<Value> {
        self.browser
            .client
            .execute(script, Vec::new())
            .await
            .with_context(|| format!("the script failed: {script}"))
    }

    /// An element by its `data-testid`, once it is there and to be seen.
    ///
    /// # Errors
    /// When it does not come.
    pub async fn element(&self, id: &str) -> Result<Element> {
        let selector = by_id(id);
        wait::until(&format!("{selector} to be seen"), SOON, async || {
            let Some(element) = self.browser.client.find_all(Locator::Css(&selector)).await?.pop() else {
                return Ok(None);
            };
            // An element that goes away meanwhile is looked for again.
            Ok(element.is_displayed().await.unwrap_or(false).then_some(element))
        })
        .await
    }

    /// What an element says of itself in `data-state`; `None` when it is not there.
    ///
    /// # Errors
    /// When the browser does not answer.
    pub async fn state(&self, id: &str) -> Result<Option<String>> {
        let script = format!("return document.querySelector('{}')?.dataset.state ?? null", by_id(id));
        Ok(self.script(&script).await?.as_str().map(str::to_owned))
    }

    /// Waits until an element is in one of these states, and says in which.
    ///
    /// # Errors
    /// When it never is; the error names the state it is in.
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

    /// What an element says of itself in an attribute; `None` when it, or the attribute, is not there.
    ///
    /// # Errors
    /// When the browser does not answer.
    pub async fn attribute(&self, id: &str, name: &str) -> Result<Option<String>> {
        let selector = by_id(id);
        let script = format!("return document.querySelector('{selector}')?.getAttribute('{name}') ?? null");
        Ok(self.script(&script).await?.as_str().map(str::to_owned))
    }

    /// The followed ride's events as they stand in its timeline, from the top.
    ///
    /// # Errors
    /// When the browser does not answer.
    pub async fn timeline(&self) -> Result<Vec<Happened>> {
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
    /// When it does not become so.
    pub async fn is_live(&self) -> Result<()> {
        self.reaches("connection", &["live"], Duration::from_secs(60)).await?;
        Ok(())
    }

    /// Clicks a button, once it can be clicked.
    ///
    /// # Errors
    /// When it does not come to that.
    pub async fn press(&self, id: &str) -> Result<()> {
        wait::until(&format!("{id} to be clickable"), SOON, async || {
            let element = self.element(id).await?;
            let clicked = element.is_enabled().await.unwrap_or(false) && element.click().await.is_ok();
            Ok(clicked.then_some(()))
        })
        .await
    }

    /// Types into a field, in the place of what is there.
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

    /// Types a street into a field and takes the first one suggested.
    ///
    /// # Errors
    /// When none is suggested.
    pub async fn choose_street(&self, id: &str, street: &str) -> Result<()> {
        self.type_into(id, street).await?;
        let suggestion = format!("#{id}-list [role=option]");
        let first = wait::until(&format!("a street like {street:?}"), SOON, async || {
            Ok(self.browser.client.find_all(Locator::Css(&suggestion)).await?.into_iter().next())
        })
        .await?;
        first.click().await.context("cannot choose the street")
    }

    /// Clicks the map with a pointer, at a part of its width and height.
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

    /// Picks two places on the map: where a ride is to begin, and where to end.
    ///
    /// # Errors
    /// When there is no map.
    pub async fn picks_two_places(&self) -> Result<()> {
        self.click_map(0.55, 0.45).await?;
        self.click_map(0.7, 0.6).await
    }

    /// Books a ride between two places on the map.
    ///
    /// # Errors
    /// When it cannot be booked.
    pub async fn books_on_the_map(&self) -> Result<()> {
        self.picks_two_places().await?;
        self.press("book").await
    }

    /// A picture of the map alone, once two in a row are the same: panels lie over it, and change too.
    ///
    /// # Errors
    /// When it goes on moving.
    pub async fn map_at_rest(&self) -> Result<Vec<u8>> {
        let show_panels = |how: &str| format!("document.querySelector('.board').style.visibility = '{how}'");
        self.script(&show_panels("hidden")).await?;
        let map = self.element("map").await?;
        let mut before = map.screenshot().await?;
        let at_rest = wait::until("the map to be still", SOON, async || {
            let after = map.screenshot().await?;
            let changed = pixels::differing(&before, &after)?;
            before.clone_from(&after);
            Ok((changed == 0).then_some(after))
        });
        let picture = at_rest.await?;
        self.script(&show_panels("")).await?;
        Ok(picture)
    }

    /// The reason and the id of an error, from behind its *Details*.
    ///
    /// # Errors
    /// When there is no error.
    pub async fn error_id(&self) -> Result<String> {
        let details = self.element("error-id").await?;
        details.find(Locator::Css("summary")).await?.click().await.context("the details do not open")?;
        self.element("error-id").await?.find(Locator::Css("code")).await?.text().await.context("no id")
    }

    /// A mark of the page's own, in milliseconds after navigation.
    ///
    /// # Errors
    /// When the page does not set it.
    pub async fn mark(&self, name: &str) -> Result<f64> {
        let script = format!("return performance.getEntriesByName('{name}')[0]?.startTime ?? null");
        wait::until(&format!("the mark {name:?}"), SOON, async || Ok(self.script(&script).await?.as_f64()))
            .await
    }

    /// What there is to read on it.
    ///
    /// # Errors
    /// When the browser does not answer.
    pub async fn text(&self) -> Result<String> {
        Ok(self.script("return document.body.innerText").await?.as_str().unwrap_or_default().to_owned())
    }

    /// Waits until some words are on the page.
    ///
    /// # Errors
    /// When they do not come.
    pub async fn says(&self, words: &str) -> Result<()> {
        wait::until(&format!("the page to say {words:?}"), SOON, async || {
            Ok(self.text().await?.contains(words).then_some(()))
        })
        .await
    }
}

fn by_id(id: &str) -> String {
    format!("[data-testid=\"{id}\"]")
}
