//! A server to test, and clients for it: `server().with_cars(3).run().await`.

pub(crate) mod authority;
pub(crate) mod car;
pub(crate) mod cuttable_stream;
pub(crate) mod http;
pub(crate) mod places;
pub(crate) mod process;
pub(crate) mod protocol;
pub(crate) mod provider;
pub(crate) mod raw_h2;
pub(crate) mod rider;
#[cfg(target_os = "linux")]
pub(crate) mod terminal;
pub(crate) mod tls;
pub(crate) mod tokens;
pub(crate) mod village;
pub(crate) mod web;
pub(crate) mod wire;

use std::{
    net::SocketAddr,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::Router;
use clap::Parser as _;
use faulty_disk::Disk;
use grpc_edge::{AllowedHosts, Contract, Health, Limits, Names, PageFiles, Port, Services};
use rides_server::{
    access::{AuthPolicy, RidesAuthenticator},
    app::App,
    config::{Cli, Config, ProviderConfig, TlsConfig},
    data_dir::DataDir,
    listen::ListenAddress,
    service_limits::ServiceLimits,
    sessions::{Sessions, TokenKeys},
    telemetry,
    tls::CertificateFiles,
};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use tonic::transport::{Channel, Endpoint};

use self::{http::Http, wire::Wire};

/// Longer than anything here takes; shorter than anyone's patience.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// An origin whose pages may call the port, where a test says so.
pub(crate) const FRIEND: &str = "https://friend.example";

/// A server as it starts by default, but for a free port, no cars, and nothing kept on disk.
pub(crate) fn server() -> Server {
    let mut config = Cli::parse_from(["rides-server", "--listen=127.0.0.1:0", "--data-dir=:memory:"]).serve;
    // No test waits two seconds for nothing.
    config.dispatch.retry_interval = Duration::from_millis(100);
    Server { config }.with_cars(0)
}

/// The answer of `future`, which must not take long.
pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(SOON, future).await.unwrap_or_else(|_| panic!("{what}: it takes too long"))
}

/// A server that is not started yet.
pub(crate) struct Server {
    config: Config,
}

impl Server {
    pub(crate) fn with_cars(mut self, cars: u32) -> Self {
        self.config.sim.cars = cars;
        self
    }

    /// Simulated riders, and how much faster than life all of it goes.
    pub(crate) fn with_riders(mut self, per_minute: f64, speed: f64) -> Self {
        self.config.sim.riders_per_minute = per_minute;
        self.config.sim.sim_speed = speed;
        self
    }

    /// How long a driver may think about an offer.
    pub(crate) fn offering_for(mut self, timeout: Duration) -> Self {
        self.config.dispatch.offer_timeout = timeout;
        self
    }

    /// How long a ride waits for a car.
    pub(crate) fn giving_up_after(mut self, timeout: Duration) -> Self {
        self.config.dispatch.search_timeout = timeout;
        self
    }

    /// How long a car whose stream broke is waited for.
    pub(crate) fn waiting_for_lost_cars(mut self, grace: Duration) -> Self {
        self.config.grace = grace;
        self
    }

    /// In another city: an .osm.pbf file.
    pub(crate) fn on_map(mut self, map: &Path) -> Self {
        self.config.map = Some(map.to_owned());
        self
    }

    /// Where a server before this one was.
    pub(crate) fn at(mut self, addr: SocketAddr) -> Self {
        self.config.listen = ListenAddress::Address(addr);
        self
    }

    /// How long a car of a server before this one is waited for.
    pub(crate) fn waiting_for_cars_of_before(mut self, grace: Duration) -> Self {
        self.config.dispatch.grace = grace;
        self
    }

    pub(crate) fn with_page(mut self, dir: &Path) -> Self {
        self.config.page = Some(dir.to_owned());
        self
    }

    /// Below a path that a proxy leaves in place.
    pub(crate) fn with_base_path(mut self, path: &str) -> Self {
        self.config.base_path = Some(path.parse().unwrap());
        self
    }

    pub(crate) fn allowing(mut self, origin: &str) -> Self {
        self.config.allow_origin.push(origin.parse().unwrap());
        self
    }

    /// Called by another name than this machine's.
    pub(crate) fn called(mut self, host: &str) -> Self {
        self.config.allow_host.push(host.to_owned());
        self
    }

    /// On a disk, with what a server before this one has kept there.
    pub(crate) fn keeping_in(mut self, dir: &Path) -> Self {
        self.config.data_dir = Some(DataDir::At(dir.to_owned()));
        self
    }

    /// On a disk that may fail.
    pub(crate) fn on_disk(mut self, disk: &Disk) -> Self {
        self.config.journal.vfs = Some(disk.vfs().to_owned());
        self
    }

    /// How long a viewer may take nothing.
    pub(crate) fn letting_viewers_go_after(mut self, timeout: Duration) -> Self {
        self.config.viewer_timeout = timeout;
        self
    }

    /// Above how many cars a viewer is told their number only.
    pub(crate) fn counting_cars_above(mut self, cars: usize) -> Self {
        self.config.viewer_cars = cars;
        self
    }

    pub(crate) fn charging_at_most(mut self, factor: f64) -> Self {
        self.config.max_fare_factor = factor;
        self
    }

    pub(crate) fn requiring_tokens(self) -> Self {
        self.under(AuthPolicy::Required)
    }

    /// What of callers without a token, wherever it listens.
    pub(crate) fn under(mut self, policy: AuthPolicy) -> Self {
        self.config.auth = Some(policy);
        self
    }

    /// An identity provider whose tokens are good.
    pub(crate) fn taking_tokens_of(mut self, provider: ProviderConfig) -> Self {
        self.config.provider = provider;
        self
    }

    /// On other limits than by default.
    pub(crate) fn limited(mut self, limit: impl FnOnce(&mut Limits)) -> Self {
        limit(&mut self.config.limits);
        self
    }

    /// With other limits of the services than by default.
    pub(crate) fn limiting_services(mut self, limit: impl FnOnce(&mut ServiceLimits)) -> Self {
        limit(&mut self.config.service_limits);
        self
    }

    pub(crate) fn over_tls(mut self, how: impl FnOnce(&mut TlsConfig)) -> Self {
        how(&mut self.config.tls);
        self
    }

    pub(crate) fn with_files(self, CertificateFiles { cert, key }: CertificateFiles) -> Self {
        self.over_tls(|tls| (tls.cert, tls.key) = (Some(cert), Some(key)))
    }

    /// Why it does not start.
    pub(crate) async fn fails(self) -> String {
        match App::build(self.config).await {
            Ok(_) => panic!("it starts"),
            Err(why) => format!("{why:#}"),
        }
    }

    pub(crate) fn draining_for(mut self, timeout: Duration) -> Self {
        self.config.limits.drain_timeout = timeout;
        self
    }

    pub(crate) async fn run(self) -> Running {
        let app = App::build(self.config).await.unwrap();
        let (addr, sessions, stop) = (app.addr(), app.sessions(), CancellationToken::new());
        let ended = tokio::spawn(app.run(stop.clone().cancelled_owned()));
        Running { addr, sessions, stop, ended }
    }
}

/// The port alone, on `limits`, in front of `services` that only a test would have.
pub(crate) async fn port_with(services: Router, limits: Limits) -> Running {
    port(services, limits, &[]).await
}

/// The same, for pages of [`FRIEND`] too.
pub(crate) async fn port_for_a_friend(services: Router, limits: Limits) -> Running {
    port(services, limits, &[FRIEND]).await
}

async fn port(services: Router, limits: Limits, origins: &[&str]) -> Running {
    let stop = CancellationToken::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let contract =
        Arc::new(Contract::new(&[rides_proto::FILE_DESCRIPTOR_SET], limits.max_message_size).unwrap());
    let sessions = Arc::new(Sessions::new(TokenKeys::generate()));
    let authenticator = RidesAuthenticator::new(sessions.clone(), AuthPolicy::Open, &contract).unwrap();
    let (health, health_service) = Health::new(contract.clone());
    let options = grpc_edge::Options {
        page: PageFiles::Directory("/nonexistent".into()),
        base_path: None,
        allow_origins: origins.iter().map(|origin| origin.parse().unwrap()).collect(),
        hosts: AllowedHosts::any(),
        health,
        contract,
        limits: limits.clone(),
        strict_transport: false,
        metrics: Arc::new(|| telemetry::metrics().render()),
        names: Names { error_domain: "rides.v1", metrics_prefix: "rides" },
        aliases: &[],
    };
    let services = Services::new(services).with(health_service);
    let port = Port::new(services, authenticator, options);
    let serving = grpc_edge::serve(listener.into(), port, limits, None, stop.clone());
    let ended = tokio::spawn(async move {
        serving.await;
        Ok(())
    });
    Running { addr, sessions, stop, ended }
}

/// A server that runs until this is dropped.
pub(crate) struct Running {
    pub(crate) addr: SocketAddr,
    /// Gives out its tokens.
    pub(crate) sessions: Arc<Sessions>,
    stop: CancellationToken,
    ended: JoinHandle<anyhow::Result<()>>,
}

impl Running {
    /// A native gRPC client's connection.
    pub(crate) async fn channel(&self) -> Channel {
        Endpoint::from_shared(format!("http://{}", self.addr)).unwrap().connect().await.unwrap()
    }

    /// Both ways to call it: as programs do, and as pages do.
    pub(crate) async fn wires(&self) -> [Wire; 2] {
        [Wire::Native(self.channel().await), Wire::Web(self.addr)]
    }

    /// One connection of each HTTP version, to say the same thing over both.
    pub(crate) async fn both(&self) -> [Http; 2] {
        [Http::h1(self.addr).await, Http::h2(self.addr).await]
    }

    /// Begins to stop it, as a signal would.
    pub(crate) fn stop(&self) {
        self.stop.cancel();
    }

    /// Waits until it has stopped, and says how long that took.
    pub(crate) async fn stopped(mut self) -> Duration {
        let since = Instant::now();
        soon("the end of the server", &mut self.ended).await.unwrap().unwrap();
        since.elapsed()
    }

    /// Waits until it ends by itself, and says why.
    pub(crate) async fn failed(mut self) -> anyhow::Error {
        soon("the end of the server", &mut self.ended).await.unwrap().unwrap_err()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
