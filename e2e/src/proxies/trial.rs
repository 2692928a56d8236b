//! Trials: each runs its own proxy process with one configuration and one kind of client.

use std::{fs, path::PathBuf, time::Duration};

use anyhow::{Context, Result, ensure};
use http::{StatusCode, Uri};
use tokio::{
    sync::{OnceCell, Semaphore},
    time::Instant,
};

use super::{
    LIVE_FOR,
    backend::Backend,
    caller::Target,
    certificate::{Certificate, NAME},
    page,
    program::{Ports, Program},
    proxied_client::{Cursor, ProxiedClient},
    proxy_process::{ProxyProcess, repository},
    setup::{ClientSide, ExpectedOutcome, Path, Setup},
};
use crate::{page::PAGE_TIMEOUT, wait};

/// The number of browsers that may run at a time. Each renders its map in software.
const BROWSERS: usize = 8;

/// A kind of client.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Client {
    /// The page, in Chromium.
    Page,
    /// gRPC-Web, without a browser.
    Web,
    /// Native gRPC: streams, errors and a driver.
    Native,
    /// Native gRPC: an upload.
    Upload,
}

impl Client {
    /// All kinds, in the order of the table.
    pub const ALL: [Self; 4] = [Self::Page, Self::Web, Self::Native, Self::Upload];

    /// Returns the name of the kind in the table and in test names.
    pub fn name(self) -> &'static str {
        match self {
            Self::Page => "the page",
            Self::Web => "gRPC-Web",
            Self::Native => "gRPC",
            Self::Upload => "gRPC upload",
        }
    }

    /// Returns the outcome that is expected of `setup` with this kind of client.
    pub fn expected(self, setup: &Setup) -> ExpectedOutcome {
        match self {
            Self::Page => setup.page,
            Self::Web => setup.web,
            Self::Native => setup.native,
            Self::Upload => setup.upload,
        }
    }
}

/// The servers and the certificate that all trials share. The servers are killed when this is dropped.
pub struct TrialRunner {
    certificate: Certificate,
    /// Serves `/`.
    root: Backend,
    /// Serves `/rides/`. Started by the first trial that needs it.
    below: OnceCell<Backend>,
    /// Serves `/` without cars, so that a stream sends too little to fill a proxy's buffer. Started by the first
    /// trial that needs it.
    quiet: OnceCell<Backend>,
    browsers: Semaphore,
}

impl TrialRunner {
    /// Starts the servers.
    ///
    /// # Errors
    /// When one does not start.
    pub async fn start() -> Result<Self> {
        fs::create_dir_all(output_dir()).context("cannot make target/e2e/proxies")?;
        Ok(Self {
            certificate: Certificate::make().await?,
            root: Backend::start(&[], &output_dir().join("server.log")).await?.with_cars(),
            below: OnceCell::new(),
            quiet: OnceCell::new(),
            browsers: Semaphore::new(BROWSERS),
        })
    }

    /// Runs the trial of a setup with a kind of client, and checks that the outcome is the expected one.
    ///
    /// # Errors
    /// When it is not, or the proxy cannot be started or stopped.
    pub async fn run(&self, setup: &Setup, client: Client) -> Result<()> {
        // The permit is held until the end of the trial: each browser slows the others down.
        let _browser = match client {
            Client::Page => Some(self.browsers.acquire().await?),
            _ => None,
        };
        let backend = match (setup.path, client.expected(setup)) {
            (_, ExpectedOutcome::ShortCalls) => self.quiet.get_or_try_init(quiet).await?,
            (Path::Root | Path::Stripped, _) => &self.root,
            (Path::Kept, _) => self.below.get_or_try_init(below).await?,
        };
        let dir =
            output_dir().join(format!("{} {}", setup.name, client.name()).replace([' ', ',', '/'], "-"));
        let mut proxy =
            ProxyProcess::start(setup.program, setup.file, backend.address(), &self.certificate, &dir)
                .await?;
        let result = self.attempt(setup, client, backend, &mut proxy).await;
        result.and(proxy.stop().await)
    }

    async fn attempt(
        &self,
        setup: &Setup,
        client: Client,
        backend: &Backend,
        proxy: &mut ProxyProcess,
    ) -> Result<()> {
        let expected = client.expected(setup);
        let target = self.target(setup, backend, proxy)?;
        if setup.program == Program::Caddy {
            // Caddy listens before it has its certificate.
            let line = ProxiedClient::new(target.web()?, target.url.clone());
            wait::until("Caddy to have a certificate", PAGE_TIMEOUT, async || {
                Ok(line.hears_of_an_error().await.ok())
            })
            .await?;
        }
        match client {
            Client::Page => {
                let url = target.url.to_string();
                page::is_live(&format!("{}/", url.trim_end_matches('/')), expected, proxy).await
            }
            Client::Web => {
                if setup.hides_metrics {
                    hides_metrics(&target).await?;
                }
                streams(expected, &ProxiedClient::new(target.web()?, target.url), proxy, backend).await
            }
            Client::Native => {
                let line = ProxiedClient::new(target.native()?, target.url);
                if expected == ExpectedOutcome::Live {
                    line.drives().await?;
                }
                streams(expected, &line, proxy, backend).await
            }
            Client::Upload => uploads(expected, &ProxiedClient::new(target.native()?, target.url)).await,
        }
    }

    fn target(&self, setup: &Setup, backend: &Backend, proxy: &ProxyProcess) -> Result<Target> {
        let path = match setup.path {
            Path::Root => "",
            Path::Stripped | Path::Kept => "/rides",
        };
        let Ports { plain, tls } = proxy.ports();
        let url = match setup.client_side {
            ClientSide::Plain => format!("http://127.0.0.1:{plain}{path}"),
            ClientSide::Named => format!("http://{NAME}:{plain}{path}"),
            ClientSide::Tls => format!("https://{NAME}:{tls}{path}"),
        };
        let ca = match (setup.client_side, setup.program) {
            (ClientSide::Plain | ClientSide::Named, _) => None,
            (ClientSide::Tls, Program::Caddy) => {
                Some(proxy.dir().join("storage/pki/authorities/local/root.crt"))
            }
            (ClientSide::Tls, _) => Some(self.certificate.ca()),
        };
        Ok(Target { url: url.parse::<Uri>()?, ca, token: backend.token().to_owned() })
    }
}

async fn below() -> Result<Backend> {
    let flags = ["--base-path", "/rides/"];
    Ok(Backend::start(&flags, &output_dir().join("server-below.log")).await?.with_cars())
}

async fn quiet() -> Result<Backend> {
    Backend::start(&[], &output_dir().join("server-quiet.log")).await
}

/// Checks that the proxy forwards probes and does not forward `/metrics`.
async fn hides_metrics(target: &Target) -> Result<()> {
    for (path, expected) in [("/readyz", StatusCode::OK), ("/metrics", StatusCode::NOT_FOUND)] {
        let status = target.get(path).await?;
        ensure!(status == expected, "{path}: status {status}, expected {expected}");
    }
    Ok(())
}

/// Checks the streams of both kinds against the expected outcome.
async fn streams(
    expected: ExpectedOutcome,
    line: &ProxiedClient,
    proxy: &mut ProxyProcess,
    backend: &Backend,
) -> Result<()> {
    match expected {
        ExpectedOutcome::Live => are_live(line, proxy, backend).await,
        ExpectedOutcome::ShortCalls => line.short_calls_pass().await,
        ExpectedOutcome::EndsAfter(seconds) => {
            for _ in 0..2 {
                line.frames().await?.end_after(Duration::from_secs(seconds)).await?;
            }
            Ok(())
        }
        ExpectedOutcome::Fails(code, why) => line.fails(code, why).await,
        ExpectedOutcome::Untried => Ok(()),
    }
}

/// Checks that streams stay live for [`LIVE_FOR`], and that a followed ride resumes after the proxy was restarted.
async fn are_live(line: &ProxiedClient, proxy: &mut ProxyProcess, backend: &Backend) -> Result<()> {
    line.hears_of_an_error().await.context("a call with an error response")?;
    let ride = backend.book().await?;
    let mut frames = line.frames().await?;
    let mut followed = line.follow(Cursor::start(&ride)).await?;
    let end = Instant::now() + LIVE_FOR;
    tokio::try_join!(frames.live_until(end), followed.live_until(end))?;

    proxy.restart().await?;
    let ((), cursor) = tokio::try_join!(frames.breaks(), followed.breaks())?;
    let again = async || Ok(line.follow(cursor.clone()).await.ok());
    let followed = wait::until("the ride's stream to resume", PAGE_TIMEOUT, again).await?;
    backend.cancel(&ride).await?;
    followed.is_cancelled().await?;
    line.frames().await?;
    Ok(())
}

async fn uploads(expected: ExpectedOutcome, line: &ProxiedClient) -> Result<()> {
    match expected {
        ExpectedOutcome::Fails(code, why) => line.upload_fails(code, why).await,
        _ => line.uploads().await,
    }
}

/// Returns the folder of logs and screenshots.
fn output_dir() -> PathBuf {
    repository().join("target/e2e/proxies")
}
