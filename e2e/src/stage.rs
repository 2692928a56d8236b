//! One test's server and page, and what is left of them when it fails.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};

use crate::{
    browser::{Browser, ConsoleError},
    page::Page,
    server::{ANY_PORT, RidesServer},
};

/// A city that lives fast, with few riders of its own to take the cars away.
pub const CITY: [&str; 6] = ["--cars", "60", "--sim-speed", "10", "--riders-per-minute", "2"];

/// No cars but those that a test drives itself.
pub const QUIET: [&str; 2] = ["--cars", "0"];

/// A page in a browser, the server it talks to, and where to put what it looks like.
pub struct Stage {
    /// The page.
    pub page: Page,
    name: &'static str,
    flags: Vec<String>,
    server: Option<RidesServer>,
}

impl Stage {
    /// Runs a test against a page that is live on a server of its own.
    ///
    /// # Errors
    /// When the test fails or the console holds an error; a screenshot, the page's text and the server's log tell
    /// more.
    pub async fn live(name: &'static str, test: impl AsyncFnOnce(&mut Stage) -> Result<()>) -> Result<()> {
        Self::run(name, async |stage| {
            let address = stage.start_server(ANY_PORT).await?;
            stage.page.open(&format!("http://{address}/")).await?;
            stage.page.is_live().await?;
            test(stage).await
        })
        .await
    }

    /// Runs a test against an empty window.
    ///
    /// # Errors
    /// As [`Stage::live`].
    pub async fn run(name: &'static str, test: impl AsyncFnOnce(&mut Stage) -> Result<()>) -> Result<()> {
        fs::create_dir_all(leavings()).context("cannot make target/e2e")?;
        let page = Page { browser: Browser::start().await? };
        let mut stage = Self { page, name, flags: CITY.map(str::to_owned).to_vec(), server: None };
        let result = stage.play(test).await;
        let result = match result {
            Ok(()) => Ok(()),
            Err(error) => Err(error.context(stage.last_look().await)),
        };
        stage.page.browser.close().await.and(result)
    }

    async fn play(&mut self, test: impl AsyncFnOnce(&mut Stage) -> Result<()>) -> Result<()> {
        self.page.browser.resize(1440, 900).await?;
        test(self).await?;
        self.console_is_clean(|_| false).await
    }

    /// What this test's servers are started with from here on, in the place of [`CITY`].
    pub fn set_flags<'a>(&mut self, flags: impl IntoIterator<Item = &'a str>) {
        self.flags = flags.into_iter().map(str::to_owned).collect();
    }

    /// Starts this test's server, which lives as long as the test, and says where it listens.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn start_server(&mut self, listen: SocketAddr) -> Result<SocketAddr> {
        let server = RidesServer::start(listen, &self.flags, &self.file("server.log")).await?;
        Ok(self.server.insert(server).address())
    }

    /// Ends the server without a word to anyone, as a crash would, and says where it listened.
    ///
    /// # Errors
    /// When there is none any more.
    pub async fn kill_server(&mut self) -> Result<SocketAddr> {
        let server = self.server.take().context("no server was started")?;
        let address = server.address();
        server.kill().await?;
        Ok(address)
    }

    /// Tells the server to end, and does not wait for it.
    ///
    /// # Errors
    /// When there is none any more.
    pub async fn drain_server(&mut self) -> Result<()> {
        self.server.as_ref().context("no server was started")?.drain().await
    }

    /// Waits until the server has ended after a drain, and says where it listened.
    ///
    /// # Errors
    /// When it does not end well.
    pub async fn server_ends(&mut self) -> Result<SocketAddr> {
        let server = self.server.take().context("no server was started")?;
        let address = server.address();
        server.ends().await?;
        Ok(address)
    }

    /// Saves what the window shows as `target/e2e/NAME-LABEL.png`.
    ///
    /// # Errors
    /// When it cannot be had or saved.
    pub async fn screenshot(&self, label: &str) -> Result<()> {
        let picture = self.page.browser.client.screenshot().await.context("no screenshot")?;
        fs::write(self.file(&format!("{label}.png")), picture).context("cannot save the screenshot")
    }

    /// Fails if the console holds an error, save those that are `expected`.
    ///
    /// # Errors
    /// When there is one.
    pub async fn console_is_clean(&self, expected: impl Fn(&ConsoleError) -> bool) -> Result<()> {
        let mut errors = self.page.browser.console_errors().await?;
        errors.retain(|error| !expected(error));
        if errors.is_empty() {
            return Ok(());
        }
        let texts: Vec<String> = errors.into_iter().map(|error| error.text).collect();
        bail!("errors in the console:\n  {}", texts.join("\n  "))
    }

    /// What can still be told after a failure.
    async fn last_look(&self) -> String {
        let picture = match self.screenshot("failed").await {
            Ok(()) => self.file("failed.png").display().to_string(),
            Err(error) => format!("{error:#}"),
        };
        let text = self.page.text().await.unwrap_or_else(|error| format!("{error:#}"));
        let console = match self.page.browser.console_errors().await {
            Ok(errors) => errors.into_iter().map(|error| error.text).collect::<Vec<_>>().join("\n"),
            Err(error) => format!("{error:#}"),
        };
        let log = self.file("server.log").display().to_string();
        format!("{} failed\npicture: {picture}\nlog: {log}\nconsole: {console}\npage:\n{text}\n", self.name)
    }

    fn file(&self, suffix: &str) -> PathBuf {
        leavings().join(format!("{}-{suffix}", self.name))
    }
}

fn leavings() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/e2e")
}
