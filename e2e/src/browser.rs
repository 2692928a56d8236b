//! A headless Chromium, controlled through chromedriver.

use std::{path::PathBuf, process::Stdio, time::Duration};

use anyhow::{Context, Result, anyhow};
use fantoccini::{
    Client, ClientBuilder,
    wd::{WebDriverCompatibleCommand, WindowHandle},
};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, ChildStdout, Command},
    time::timeout,
};

use crate::variable::variable;

const START_TIMEOUT: Duration = Duration::from_secs(30);
const DRIVER_STARTS: u32 = 5;

/// Chromium's flags: no screen, no background requests, WebGL2 rendered in software, and the test host name.
const FLAGS: [&str; 14] = [
    "--headless",
    "--no-sandbox",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--force-color-profile=srgb",
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    // The name in the configurations of deploy/ resolves to this machine.
    "--host-resolver-rules=MAP rides.example 127.0.0.1",
];

/// A browser with one window. Close it with [`Browser::close`]: if only the driver is killed, the browser keeps
/// running.
pub struct Browser {
    /// The WebDriver session.
    pub client: Client,
    driver: Child,
    _profile: TempDir,
}

impl Browser {
    /// Starts chromedriver and, through it, the browser.
    ///
    /// `CHROMEDRIVER` names the driver; the default is the one on `PATH`. `CHROME` names the browser; the default is
    /// the driver's choice.
    ///
    /// # Errors
    /// When the driver or the browser does not start.
    pub async fn start() -> Result<Self> {
        let (driver, port) = start_driver().await?;
        let profile = tempfile::tempdir()?;
        let mut builder = ClientBuilder::new(HttpConnector::new());
        if let Value::Object(capabilities) = capabilities(&profile) {
            builder.capabilities(capabilities);
        }
        let client = builder
            .connect(&format!("http://127.0.0.1:{port}"))
            .await
            .context("the driver started no browser")?;
        Ok(Self { client, driver, _profile: profile })
    }

    /// Sets the size of the viewport, in CSS pixels.
    ///
    /// # Errors
    /// When the browser refuses.
    pub async fn resize(&self, width: u32, height: u32) -> Result<()> {
        let metrics = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.devtools("Emulation.setDeviceMetricsOverride", metrics).await?;
        Ok(())
    }

    /// Emulates a medium (`"print"`, or `""` for the screen) and media features, each with its name and value.
    ///
    /// # Errors
    /// When the browser refuses.
    pub async fn set_media(&self, media: &str, features: Value) -> Result<()> {
        self.devtools("Emulation.setEmulatedMedia", json!({ "media": media, "features": features })).await?;
        Ok(())
    }

    /// Sets the number of device pixels per CSS pixel. The viewport becomes 1440 × 900 CSS pixels.
    ///
    /// # Errors
    /// When the browser refuses.
    pub async fn set_pixel_ratio(&self, ratio: f64) -> Result<()> {
        let metrics = json!({ "width": 1440, "height": 900, "deviceScaleFactor": ratio, "mobile": false });
        self.devtools("Emulation.setDeviceMetricsOverride", metrics).await?;
        Ok(())
    }

    /// Disconnects the browser from the network, or connects it again, as the developer tools do.
    ///
    /// # Errors
    /// When the browser refuses.
    pub async fn set_offline(&self, offline: bool) -> Result<()> {
        let conditions =
            json!({ "offline": offline, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1 });
        self.devtools("Network.enable", json!({})).await?;
        self.devtools("Network.emulateNetworkConditions", conditions).await?;
        Ok(())
    }

    /// Hides the window, or shows it again.
    ///
    /// # Errors
    /// When the browser refuses.
    pub async fn set_hidden(&self, hidden: bool) -> Result<()> {
        let done = match hidden {
            true => self.client.minimize_window().await,
            false => self.client.set_window_rect(0, 0, 1440, 900).await,
        };
        done.context("the browser did not hide or show the window")
    }

    /// Opens another window of 1440 × 900 CSS pixels and switches to it.
    ///
    /// # Errors
    /// When the browser refuses.
    pub async fn open_window(&self) -> Result<WindowHandle> {
        let window = self.client.new_window(false).await.context("the browser opened no window")?.handle;
        self.show(&window).await?;
        self.resize(1440, 900).await?;
        Ok(window)
    }

    /// Opens another window at `url`. Returns before the page is loaded, and does not switch to the window.
    ///
    /// # Errors
    /// When the browser refuses.
    pub async fn send_window(&self, url: &str) -> Result<()> {
        self.devtools("Target.createTarget", json!({ "url": url, "newWindow": true })).await?;
        Ok(())
    }

    /// Switches to another window.
    ///
    /// # Errors
    /// When the window is closed.
    pub async fn show(&self, window: &WindowHandle) -> Result<()> {
        self.client.switch_to_window(window.clone()).await.context("no such window")
    }

    /// Adds a script that runs in every page loaded from now on, before the scripts of the page.
    ///
    /// # Errors
    /// When the browser refuses.
    pub async fn on_every_page(&self, script: &str) -> Result<()> {
        self.devtools("Page.addScriptToEvaluateOnNewDocument", json!({ "source": script })).await?;
        Ok(())
    }

    /// Sends a command of the DevTools protocol.
    async fn devtools(&self, command: &str, parameters: Value) -> Result<Value> {
        let body = json!({ "cmd": command, "params": parameters });
        let done = self.client.issue_cmd(VendorCommand { path: "goog/cdp/execute", body }).await;
        done.with_context(|| format!("{command} failed"))
    }

    /// Returns the errors in the browser's console since the last call: errors that the page logged, uncaught
    /// exceptions, and failed requests.
    ///
    /// # Errors
    /// When the driver does not respond.
    pub async fn console_errors(&self) -> Result<Vec<ConsoleError>> {
        let body = json!({ "type": "browser" });
        let entries = self
            .client
            .issue_cmd(VendorCommand { path: "se/log", body })
            .await
            .context("cannot read the console log")?;
        let severe = |entry: &&Value| entry["level"] == "SEVERE";
        let error = |entry: &Value| ConsoleError {
            from_network: entry["source"] == "network",
            text: entry["message"].as_str().unwrap_or_default().to_owned(),
        };
        Ok(entries.as_array().into_iter().flatten().filter(severe).map(error).collect())
    }

    /// Closes the browser and kills its driver.
    ///
    /// # Errors
    /// When the browser does not respond.
    pub async fn close(mut self) -> Result<()> {
        let closed = self.client.close().await;
        self.driver.kill().await.context("cannot kill the driver")?;
        closed.context("cannot close the browser")
    }
}

/// One error in the console.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConsoleError {
    /// Is `true` for the browser's own message that a request failed. A page cannot prevent it.
    pub from_network: bool,
    /// The source and the message.
    pub text: String,
}

fn capabilities(profile: &TempDir) -> Value {
    let mut arguments: Vec<String> = FLAGS.map(str::to_owned).to_vec();
    arguments.push(format!("--user-data-dir={}", profile.path().display()));
    let mut chrome = json!({ "args": arguments });
    if let Some(binary) = variable("CHROME") {
        chrome["binary"] = binary.to_string_lossy().into();
    }
    json!({
        "browserName": "chrome",
        // The test browser does not trust the development CA.
        "acceptInsecureCerts": true,
        "goog:chromeOptions": chrome,
        "goog:loggingPrefs": { "browser": "ALL" },
    })
}

/// Starts a driver and returns it with its port.
///
/// With `--port=0` the driver takes a free IPv6 port and then the IPv4 port with the same number. It exits if that IPv4
/// port is in use. In that case this function starts it again.
async fn start_driver() -> Result<(Child, u16)> {
    let program = variable("CHROMEDRIVER").map_or_else(|| PathBuf::from("chromedriver"), PathBuf::from);
    let mut command = Command::new(&program);
    command
        .arg("--port=0")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    for _ in 0..DRIVER_STARTS {
        let mut driver = command.spawn().with_context(|| format!("cannot start {}", program.display()))?;
        let output = driver.stdout.take().context("the driver's output is not piped")?;
        let port =
            timeout(START_TIMEOUT, port_said(output)).await.context("the driver printed no port")??;
        if let Some(port) = port {
            return Ok((driver, port));
        }
    }
    Err(anyhow!("{} exited at each of {DRIVER_STARTS} starts", program.display()))
}

/// Returns the port that a driver started with `--port=0` has printed, or `None` if the driver exited without one.
/// A background task reads the rest of its output, so that the pipe does not fill.
async fn port_said(output: ChildStdout) -> Result<Option<u16>> {
    let mut lines = BufReader::new(output).lines();
    while let Some(line) = lines.next_line().await? {
        let port = line
            .strip_suffix('.')
            .and_then(|line| line.rsplit_once("on port "))
            .map(|(_, port)| port.parse());
        if let Some(Ok(port)) = port {
            tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
            return Ok(Some(port));
        }
    }
    Ok(None)
}

/// A WebDriver command that only chromedriver has.
#[derive(Debug)]
struct VendorCommand {
    path: &'static str,
    body: Value,
}

impl WebDriverCompatibleCommand for VendorCommand {
    fn endpoint(&self, base: &url::Url, session: Option<&str>) -> Result<url::Url, url::ParseError> {
        base.join(&format!("session/{}/{}", session.unwrap_or_default(), self.path))
    }

    fn method_and_body(&self, _: &url::Url) -> (http::Method, Option<String>) {
        (http::Method::POST, Some(self.body.to_string()))
    }
}
