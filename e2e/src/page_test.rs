//! The server and the page of one test, and the diagnostics written when it fails.

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

/// Flags for a city ten times as fast as life, with few simulated riders, so that cars are free.
pub const BUSY_CITY: [&str; 6] = ["--cars", "60", "--sim-speed", "10", "--riders-per-minute", "2"];

/// Flags for a city without simulated cars: a test drives its own.
pub const NO_CARS: [&str; 2] = ["--cars", "0"];

/// A page in a browser, the server that it calls, and the name of the files with diagnostics.
pub struct PageTest {
    /// The page.
    pub page: Page,
    name: &'static str,
    flags: Vec<String>,
    server: Option<RidesServer>,
}

impl PageTest {
    /// Runs a test with a page that is live, on a server that only this test uses.
    ///
    /// # Errors
    /// When the test fails or the console has an error. The error names the screenshot and the server's log, and has
    /// the text of the page.
    pub async fn live(name: &'static str, test: impl AsyncFnOnce(&mut PageTest) -> Result<()>) -> Result<()> {
        Self::run(name, async |stage| {
            let address = stage.start_server(ANY_PORT).await?;
            stage.page.open(&format!("http://{address}/")).await?;
            stage.page.is_live().await?;
            test(stage).await
        })
        .await
    }

    /// Runs a test with an empty window and no server.
    ///
    /// # Errors
    /// When the test fails or the console has an error, as in [`PageTest::live`].
    pub async fn run(name: &'static str, test: impl AsyncFnOnce(&mut PageTest) -> Result<()>) -> Result<()> {
        fs::create_dir_all(output_dir()).context("cannot make target/e2e")?;
        let page = Page { browser: Browser::start().await? };
        let mut stage = Self { page, name, flags: BUSY_CITY.map(str::to_owned).to_vec(), server: None };
        let result = stage.play(test).await;
        let result = match result {
            Ok(()) => Ok(()),
            Err(error) => Err(error.context(stage.diagnostics().await)),
        };
        stage.page.browser.close().await.and(result)
    }

    async fn play(&mut self, test: impl AsyncFnOnce(&mut PageTest) -> Result<()>) -> Result<()> {
        self.page.browser.resize(1440, 900).await?;
        test(self).await?;
        self.console_is_clean(|_| false).await
    }

    /// Sets the flags of the servers started from now on. The default is [`BUSY_CITY`].
    pub fn set_flags<'a>(&mut self, flags: impl IntoIterator<Item = &'a str>) {
        self.flags = flags.into_iter().map(str::to_owned).collect();
    }

    /// Starts the test's server, and returns its address. It is killed at the end of the test.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn start_server(&mut self, listen: SocketAddr) -> Result<SocketAddr> {
        let server = RidesServer::start(listen, &self.flags, &self.file("server.log")).await?;
        Ok(self.server.insert(server).address())
    }

    /// Kills the server, as a crash would, and returns its address.
    ///
    /// # Errors
    /// When no server runs.
    pub async fn kill_server(&mut self) -> Result<SocketAddr> {
        let server = self.server.take().context("no server was started")?;
        let address = server.address();
        server.kill().await?;
        Ok(address)
    }

    /// Sends SIGTERM to the server, and does not wait for its exit.
    ///
    /// # Errors
    /// When no server runs.
    pub async fn drain_server(&mut self) -> Result<()> {
        self.server.as_ref().context("no server was started")?.drain().await
    }

    /// Waits until the server has exited after [`PageTest::drain_server`], and returns its address.
    ///
    /// # Errors
    /// When it does not exit with success.
    pub async fn server_ends(&mut self) -> Result<SocketAddr> {
        let server = self.server.take().context("no server was started")?;
        let address = server.address();
        server.ends().await?;
        Ok(address)
    }

    /// Saves a screenshot of the window as `target/e2e/NAME-LABEL.png`.
    ///
    /// # Errors
    /// When the browser refuses, or the file cannot be written.
    pub async fn screenshot(&self, label: &str) -> Result<()> {
        let picture = self.page.browser.client.screenshot().await.context("no screenshot")?;
        fs::write(self.file(&format!("{label}.png")), picture).context("cannot save the screenshot")
    }

    /// Checks that the console has no error except those for which `expected` returns `true`.
    ///
    /// # Errors
    /// When there is another error.
    pub async fn console_is_clean(&self, expected: impl Fn(&ConsoleError) -> bool) -> Result<()> {
        let mut errors = self.page.browser.console_errors().await?;
        errors.retain(|error| !expected(error));
        if errors.is_empty() {
            return Ok(());
        }
        let texts: Vec<String> = errors.into_iter().map(|error| error.text).collect();
        bail!("unexpected errors in the console:\n  {}", texts.join("\n  "))
    }

    /// Returns the diagnostics of a failed test: a screenshot, the log, the console, and the text of the page.
    async fn diagnostics(&self) -> String {
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
        output_dir().join(format!("{}-{suffix}", self.name))
    }
}

fn output_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/e2e")
}
