//! The only place that wires: what the flags say, made into a server.

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use anyhow::{Context as _, ensure};
use axum::Router;
use rides_proto::v1::sessions_server::SessionsServer;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

use crate::{
    config::Config,
    edge::{self, Contract, Health, Limits},
    services::sessions::SessionsService,
    sessions::{Keys, Sessions},
    telemetry,
};

/// Where `trunk build` puts the page.
const BUILT_PAGE: &str = "dist";
/// The largest request message. The contract has none that comes near.
const LARGEST_REQUEST: usize = 64 * 1024;

/// A server that listens and has not begun to answer.
pub struct App {
    listener: TcpListener,
    addr: SocketAddr,
    port: Router,
    limits: Limits,
    health: Health,
    shutdown: CancellationToken,
}

impl App {
    /// Opens everything there is to open, and wires it.
    ///
    /// Fails with one line for whoever started it: the port is taken, the page is not where it was said to be.
    pub async fn build(config: Config) -> anyhow::Result<Self> {
        let page = page(config.page)?;
        let (listener, addr) = listen(config.listen).await?;
        let shutdown = CancellationToken::new();

        let contract = Arc::new(Contract::new(&[
            rides_proto::FILE_DESCRIPTOR_SET,
            tonic_health::pb::FILE_DESCRIPTOR_SET,
            tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
            tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
        ])?);
        let (health, health_service) = Health::new(contract.clone()).await;

        let sessions = Arc::new(Sessions::new(Keys::generate()));
        let sessions_service =
            SessionsServer::new(SessionsService::new(sessions)).max_decoding_message_size(LARGEST_REQUEST);

        let services = Routes::new(sessions_service)
            .add_service(health_service)
            .add_service(reflection().build_v1()?)
            .add_service(reflection().build_v1alpha()?)
            .into_axum_router();

        let port = edge::router(
            services,
            edge::Options {
                page,
                allow_origins: config.allow_origin,
                health: health.clone(),
                contract,
                figures: telemetry::metrics(),
                shutdown: shutdown.clone(),
            },
        )?;
        let limits = Limits {
            connections: config.max_connections,
            streams: config.max_streams,
            drain: config.drain_timeout,
            ..Limits::default()
        };
        Ok(Self { listener, addr, port, limits, health, shutdown })
    }

    /// Where it listens, with the port that was picked.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Serves until `stop`, then tells clients, lets calls end within the drain timeout, and returns.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let Self { listener, port, limits, health, shutdown, .. } = self;
        health.set_serving(true).await;
        let serving = edge::serve(listener, port, limits, shutdown.clone());
        let stopping = async {
            stop.await;
            health.set_serving(false).await;
            shutdown.cancel();
        };
        tokio::join!(serving, stopping);
    }
}

fn page(configured: Option<PathBuf>) -> anyhow::Result<PathBuf> {
    let Some(dir) = configured else { return Ok(BUILT_PAGE.into()) };
    ensure!(dir.join("index.html").is_file(), "no page in {}: it has no index.html", dir.display());
    Ok(dir)
}

async fn listen(addr: SocketAddr) -> anyhow::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(addr).await.with_context(|| format!("cannot listen on {addr}"))?;
    let addr = listener.local_addr().context("the listener has no address")?;
    Ok((listener, addr))
}

fn reflection() -> tonic_reflection::server::Builder<'static> {
    tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(rides_proto::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
}
