//! The composition of the server from its configuration. No other module connects the parts.

use std::{
    io,
    net::SocketAddr,
    num::NonZeroU32,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, anyhow, bail, ensure};
use futures_util::{
    FutureExt as _,
    future::{self, FusedFuture as _, select_all},
};
use rides_proto::v1::{city_server::CityServer, rides_server::RidesServer, sessions_server::SessionsServer};
use tokio::{
    sync::mpsc,
    task::{JoinError, JoinHandle, spawn, spawn_blocking},
    time::{MissedTickBehavior, interval, timeout},
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use tonic::service::Routes;
use tonic_reflection::pb::v1::server_reflection_server::ServerReflectionServer;

use crate::{
    access::{AuthPolicy, RidesAuthenticator},
    city::{City, HeaderBox, HeaderBoxUse, MapReport},
    config::{Config, GeneratedCertificate, ProviderConfig, TlsConfig},
    data_dir::{DataDir, FileLost, WatchedFiles},
    dispatch,
    fanout::{Fanout, FanoutOptions},
    files,
    fleet::{Fleet, FleetOptions},
    listen::{self, ListenAddress},
    rides::{
        Rides,
        charge::FareLimits,
        drivable_distance::DrivableDistance,
        journal::{Journal, MemoryJournal, SqliteJournal, sqlite::SqliteOptions},
    },
    service_limits::ServiceLimits,
    services::{
        city::CityService,
        fleet::{FleetService, LARGEST_REQUESTS as FLEET_LIMITS},
        rides::RidesService,
        sessions::SessionsService,
    },
    sessions::{ExpectedClaims, Provider, Revocations, Sessions, TokenKeys},
    sim::{self, Credentials, SimOptions},
    telemetry,
    tls::{self, CertificateFiles, Tls, development::DevelopmentCa},
};
use grpc_edge::{
    AllowedHosts, Contract, EmbeddedPage, Health, Limits, Listeners, MethodLimit, MethodPolicy, Names,
    Origin, PageFiles, Port, Services,
};

/// The services of the port. Reflection's v1alpha is not among them: its calls are routed to v1.
const DESCRIPTOR_SETS: [&[u8]; 3] = [
    rides_proto::FILE_DESCRIPTOR_SET,
    grpc_edge::health_v1::FILE_DESCRIPTOR_SET,
    tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
];
/// The names of the server in errors and metrics.
const NAMES: Names = Names { error_domain: "rides.v1", metrics_prefix: "rides" };
/// Paths for older clients: those of a `rides.proto` without a package, and of reflection v1alpha. Their messages have
/// the same encoding as those of today.
const ALIASES: [(&str, &str); 3] = [
    ("/Rides/Start", "/rides.v1.Rides/Start"),
    ("/Rides/Track", "/rides.v1.Rides/Track"),
    (
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    ),
];
/// The directory that `trunk build` writes the page to.
const BUILT_PAGE: &str = "dist";
/// The capacity of the channel from the fleet to the fan-out, in ticks. If it is full, the fleet merges changes.
const TICKS_CAPACITY: usize = 4;
/// The interval at which the files in the data directory are checked.
const FILE_CHECK_INTERVAL: Duration = Duration::from_millis(500);
/// The timeout for closing the journal.
const JOURNAL_CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
/// The capacity of each channel to dispatch, one for opened rides and one for cars that went away.
const OPENED_RIDES_CAPACITY: usize = 256;
/// The most names of streets in the log line about the map.
const MAX_STREETS_LOGGED: usize = 10;

/// A server that listens and does not accept connections yet.
pub struct App {
    listeners: Listeners,
    listen: ListenAddress,
    /// The bound addresses, at least one.
    addresses: Vec<SocketAddr>,
    port: Port,
    limits: Limits,
    tls: Option<Tls>,
    sessions: Arc<Sessions>,
    policy: AuthPolicy,
    /// The part of the drain timeout that is kept for closing the journal.
    closing: Duration,
    health: Health,
    journal: Arc<dyn Journal>,
    kept_files: WatchedFiles,
    shutdown: CancellationToken,
    city: Arc<City>,
    simulation: SimOptions,
    /// The tasks that own a state, with their names. The server stops if one of them ends.
    state_tasks: Vec<(&'static str, JoinHandle<()>)>,
    dispatching: JoinHandle<()>,
}

impl App {
    /// Opens files and sockets, starts the tasks, and connects them.
    ///
    /// # Errors
    /// If a part cannot be opened, for example because the port is in use or the map cannot be read. The error is one
    /// line.
    pub async fn build(config: Config) -> anyhow::Result<Self> {
        // First: metrics that are described or counted before the recorder is installed are lost.
        let metrics = telemetry::metrics();
        let page = page(config.page, config.embedded_page)?;
        let city = city(config.map).await?;
        let listeners = listen::open(&config.listen).await?;
        let addresses = listeners.addresses().context("cannot read the addresses of the sockets")?;
        let is_loopback = addresses.iter().all(|address| address.ip().is_loopback());
        let data_dir = config
            .data_dir
            .map_or_else(DataDir::of_platform, Ok)
            .context("no data directory: set --data-dir")?;
        let tls = tls(config.tls, data_dir.clone()).await?;
        let journal = journal(data_dir.clone(), config.journal).await?;
        let provider = provider(config.provider)?.map(Arc::new);
        let sessions = Arc::new(sessions(data_dir.clone()).await?.with_provider(provider));
        let kept_files = kept_files(data_dir).await?;
        let policy = config.auth.unwrap_or(match is_loopback {
            true => AuthPolicy::Open,
            false => AuthPolicy::Required,
        });
        let shutdown = CancellationToken::new();

        let tick = Duration::from_secs_f64(1.0 / config.tick);
        // Simulated cars may be faster than real ones.
        let reach = DrivableDistance::default().scaled_by(config.sim.sim_speed.max(1.0));
        let (ticks, every_tick) = mpsc::channel(TICKS_CAPACITY);
        let (gone, cars_gone) = mpsc::channel(OPENED_RIDES_CAPACITY);
        let (opened, rides_opened) = mpsc::channel(OPENED_RIDES_CAPACITY);
        let (fleet, fleet_task) =
            Fleet::spawn(FleetOptions { tick, grace: config.grace, reach }, ticks, gone);
        let viewers = FanoutOptions {
            tick,
            viewer_timeout: config.viewer_timeout,
            viewer_cars: config.viewer_cars,
            viewer_bytes_per_second: NonZeroU32::new(config.viewer_bytes_per_second),
        };
        let (fanout, fanout_task) = Fanout::spawn(every_tick, viewers);
        let (rides, rides_task) = Rides::spawn(journal.clone(), opened).await?;
        let rides = rides.with_fares(FareLimits { max_factor: config.max_fare_factor, reach });
        let dispatching = dispatch::spawn(
            city.clone(),
            fleet.clone(),
            rides.clone(),
            rides_opened,
            cars_gone,
            config.dispatch,
        );

        let largest = config.limits.max_message_size;
        let contract = Arc::new(contract(largest, &config.service_limits)?);
        let authenticator = RidesAuthenticator::new(sessions.clone(), policy, &contract)?;
        let (health, health_service) = Health::new(contract.clone());

        let reflection = grpc_edge::ReflectionService::new(&DESCRIPTOR_SETS)?;
        let sessions_service =
            SessionsServer::new(SessionsService::new(sessions.clone())).max_decoding_message_size(largest);

        let rides_service = RidesService::new(
            city.clone(),
            fleet.clone(),
            rides.clone(),
            config.service_limits.of_bookings(),
        );
        let services = Services::new(Routes::default().into_axum_router())
            .with(sessions_service)
            .with(RidesServer::new(rides_service).max_decoding_message_size(largest))
            .with(FleetService::new(fleet, fanout, rides))
            .with(CityServer::new(CityService::new(city.clone())).max_decoding_message_size(largest))
            .with(health_service)
            .with(ServerReflectionServer::new(reflection).max_decoding_message_size(largest));

        let loopback_only = policy == AuthPolicy::Open && is_loopback && tls.is_none();
        let port = Port::new(
            services,
            authenticator,
            grpc_edge::Options {
                page,
                base_path: config.base_path,
                hosts: hosts(loopback_only, config.listen.name(), config.allow_host, &config.allow_origin),
                allow_origins: config.allow_origin,
                health: health.clone(),
                contract,
                limits: config.limits.clone(),
                strict_transport: tls.as_ref().is_some_and(Tls::is_strict),
                metrics: Arc::new(move || metrics.render()),
                names: NAMES,
                aliases: &ALIASES,
            },
        );
        let closing = JOURNAL_CLOSE_TIMEOUT.min(config.limits.drain_timeout / 2);
        let limits = Limits { drain_timeout: config.limits.drain_timeout - closing, ..config.limits };
        Ok(Self {
            listeners,
            listen: config.listen,
            addresses,
            port,
            limits,
            tls,
            sessions: sessions.clone(),
            policy,
            closing,
            health,
            journal,
            kept_files,
            shutdown,
            city,
            simulation: SimOptions { credentials: Credentials::Issued(sessions), ..config.sim.fleet(1) },
            state_tasks: vec![
                ("the fleet", fleet_task),
                ("the fan-out", fanout_task),
                ("the rides", rides_task),
            ],
            dispatching,
        })
    }

    /// Returns the URL of the page.
    pub fn url(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.listen.display_address(self.addr()))
    }

    /// Returns the first address that the server listens on, with the actual port.
    pub fn addr(&self) -> SocketAddr {
        self.addresses[0]
    }

    /// Returns the sessions, which can issue a token for every subject and role.
    pub fn sessions(&self) -> Arc<Sessions> {
        self.sessions.clone()
    }

    /// Serves until `stop`. Then it tells clients to leave, lets calls end within the drain timeout, and closes the
    /// journal.
    ///
    /// # Errors
    /// If the journal fails, a file in the data directory is lost, or a task ends. The server shuts down then, too.
    pub async fn run(self, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
        let addr = self.addr();
        let Self {
            listeners,
            listen,
            addresses,
            port,
            limits,
            health,
            journal,
            kept_files,
            shutdown,
            city,
            simulation,
            ..
        } = self;
        let Self { closing, tls, sessions, policy, state_tasks: mut owners, mut dispatching, .. } = self;
        listen::warn(&addresses, tls.is_some());
        log_auth_policy(policy, &addresses);
        health.set_serving(true);
        // In its own task, so that accepting connections takes turns with the connections themselves.
        let serving = spawn(grpc_edge::serve(
            listeners,
            port,
            limits,
            tls.as_ref().map(Tls::of_port),
            shutdown.clone(),
        ));
        let mut serving = AbortOnDropHandle::new(serving).fuse();
        let stopping = async {
            let why = tokio::select! {
                () = stop => Ok(()),
                failed = journal.failed() => Err(failed.into()),
                lost = first_lost(kept_files) => Err(lost.into()),
                dead = first_ended(&mut owners) => Err(dead),
                ended = &mut dispatching => Err(died("dispatch", ended)),
                ended = &mut serving => Err(died("the port", ended)),
            };
            health.set_serving(false);
            // Dispatch stops before the streams of cars end. Otherwise it would take their rides from them.
            dispatching.abort();
            shutdown.cancel();
            match serving.is_terminated() {
                true => why,
                false => why.and(serving.await.map_err(|error| died("the port", Err(error)))),
            }
        };
        let following = follow(tls.as_ref(), &sessions, shutdown.clone());
        let simulating =
            run_simulation(listen.local_address(addr), tls.as_ref(), &simulation, &city, shutdown.clone());
        let (why, (), ()) = tokio::join!(stopping, following, simulating);
        let (journal_closed, revocations_closed) =
            tokio::join!(timeout(closing, journal.close()), timeout(closing, sessions.revocations().close()));
        if journal_closed.is_err() {
            tracing::warn!("closing the journal timed out: it is left as after a crash, and no ride is lost");
        }
        if revocations_closed.is_err() {
            tracing::warn!(
                "writing revocations timed out: the last revoked sessions may be valid at the next start"
            );
        }
        match journal.failed().now_or_never() {
            Some(failed) => Err(failed.into()),
            None => why,
        }
    }
}

/// Waits until one of `files` was deleted or replaced.
async fn first_lost(files: WatchedFiles) -> FileLost {
    let files = Arc::new(files);
    let mut every = interval(FILE_CHECK_INTERVAL);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        every.tick().await;
        let looked_at = Arc::clone(&files);
        if let Ok(Err(lost)) = spawn_blocking(move || looked_at.check()).await {
            tracing::error!(%lost, "shutting down: a file in the data directory was deleted or replaced");
            return lost;
        }
    }
}

async fn first_ended(owners: &mut [(&'static str, JoinHandle<()>)]) -> anyhow::Error {
    let ends = owners.iter_mut().map(|(name, task)| task.map(|ended| died(name, ended)));
    select_all(ends).await.0
}

fn died(name: &str, ended: Result<(), JoinError>) -> anyhow::Error {
    match ended {
        Ok(()) => anyhow!("the task of {name} ended while the server was running"),
        Err(error) => anyhow!("the task of {name} died: {error}"),
    }
}

/// Opens the journal of rides in the data directory, or one in memory.
async fn journal(data_dir: DataDir, options: SqliteOptions) -> anyhow::Result<Arc<dyn Journal>> {
    match data_dir {
        DataDir::Memory => Ok(Arc::new(MemoryJournal::new())),
        DataDir::At(dir) => {
            let open = move || SqliteJournal::open(&dir, options);
            Ok(Arc::new(spawn_blocking(open).await.context("the journal could not be opened")??))
        }
    }
}

/// Opens the signing key and the revocations in the data directory, or new ones in memory.
async fn sessions(data_dir: DataDir) -> anyhow::Result<Sessions> {
    let DataDir::At(dir) = data_dir else { return Ok(Sessions::new(TokenKeys::generate())) };
    let open = move || {
        let keys = TokenKeys::open(&dir)?;
        let revocations = Revocations::open(&dir).context("cannot open the revoked sessions")?;
        Ok(Sessions::new(keys).with_revocations(Arc::new(revocations)))
    };
    spawn_blocking(open).await.context("the signing key could not be opened")?
}

/// Notes the files in the data directory that the server has open, and the signing key.
async fn kept_files(data_dir: DataDir) -> anyhow::Result<WatchedFiles> {
    let DataDir::At(dir) = data_dir else { return Ok(WatchedFiles::default()) };
    let note = move || {
        let mut files = WatchedFiles::default();
        files.watch(SqliteJournal::files(&dir).chain([Revocations::file(&dir)]))?;
        let key = TokenKeys::file(&dir);
        files.watch_open(key.clone(), files::open(&key)?)?;
        Ok(files)
    };
    let noted: io::Result<_> =
        spawn_blocking(note).await.context("cannot check the files in the data directory")?;
    noted.context("cannot check the files in the data directory")
}

/// Returns the identity provider, if one is configured.
fn provider(config: ProviderConfig) -> anyhow::Result<Option<Provider>> {
    let ProviderConfig { keys, issuer, audience, role_claim: role, car_claim: car, ca, refresh } = config;
    let Some((source, issuer)) = keys.zip(issuer) else { return Ok(None) };
    tracing::info!(%source, issuer, audience, "tokens of an identity provider are accepted");
    Provider::new(source, ExpectedClaims { issuer, audience, role, car }, refresh, ca.as_deref()).map(Some)
}

/// Returns the host names that requests may use, against DNS rebinding. With TLS the certificate protects browsers,
/// and with required tokens a foreign page has none, so that every name is allowed by default.
fn hosts(here_alone: bool, own: Option<&str>, allowed: Vec<String>, origins: &[Origin]) -> AllowedHosts {
    if !here_alone && allowed.is_empty() {
        return AllowedHosts::any();
    }
    let named = own.into_iter().chain(origins.iter().filter_map(Origin::web_host)).map(str::to_owned);
    AllowedHosts::loopback_and(named.chain(allowed))
}

fn log_auth_policy(policy: AuthPolicy, addresses: &[SocketAddr]) {
    let beyond = addresses.iter().find(|address| !address.ip().is_loopback());
    match (policy, beyond) {
        (AuthPolicy::Open, None) => {
            tracing::info!("callers need no token: the server listens on loopback addresses only");
        }
        (AuthPolicy::Open, Some(addr)) => tracing::warn!(
            %addr,
            "OPEN TO ALL: every client that reaches this address can read and cancel every ride, drive every car and \
             read /metrics without a token; start with --auth required to prevent this"
        ),
        (AuthPolicy::Required, _) => tracing::info!(
            "calls need a token: riders get one from Sessions.SignIn, drivers and dispatchers from `rides-server token`; \
             the page, health checks and SignIn need none"
        ),
    }
}

/// Loads the city from a map file, or the one in the program.
///
/// # Errors
/// If the file cannot be read or is not a map.
pub async fn city(map: Option<PathBuf>) -> anyhow::Result<Arc<City>> {
    let is_of_user = map.is_some();
    let load = move || map.map_or_else(|| Ok(City::embedded()), City::load);
    let city = spawn_blocking(load).await.context("the map could not be read")??;
    if is_of_user {
        log_what_was_kept(&city);
    }
    Ok(Arc::new(city))
}

/// Logs the parts of the map that are used. Names come from the file, and are logged with escapes.
fn log_what_was_kept(city: &City) {
    let MapReport { header_box, kept_streets, kept_km, left_out } = city.report();
    if let HeaderBoxUse::Ignored { header_box, why } = header_box {
        let HeaderBox { south, west, north, east } = header_box;
        tracing::warn!(
            header_box = format!("{south:.4},{west:.4},{north:.4},{east:.4}"),
            "the box in the map's header {why}: it was ignored, and the view is around the streets"
        );
    }
    if left_out.across_antimeridian {
        tracing::warn!("left out the streets on the other side of the antimeridian (180° of longitude)");
    }
    let all = kept_streets + left_out.streets.len();
    let shown = &left_out.streets[..left_out.streets.len().min(MAX_STREETS_LOGGED)];
    let what = match left_out.km > 0.0 {
        true => "; no car could reach the rest and come back",
        false => "",
    };
    tracing::info!(
        city = ?city.name(),
        kept_km = rounded(*kept_km),
        left_out_km = rounded(left_out.km),
        left_out = ?shown,
        "the map was loaded: kept {kept_streets} of {all} streets{what}"
    );
}

fn rounded(km: f64) -> f64 {
    (km * 1_000.0).round() / 1_000.0
}

/// Returns the TLS of the port, if it is configured.
async fn tls(config: TlsConfig, data_dir: DataDir) -> anyhow::Result<Option<Tls>> {
    let open = move || {
        let TlsConfig { cert, key, tls: made, client_ca, client_crl } = config;
        let (files, strict) = match (cert.zip(key), made, data_dir) {
            (Some((cert, key)), ..) => (CertificateFiles { cert, key }, true),
            (None, Some(GeneratedCertificate::SelfSigned), DataDir::At(dir)) => {
                (development_certificate(&dir)?, false)
            }
            (None, Some(GeneratedCertificate::SelfSigned), DataDir::Memory) => {
                bail!("--tls self-signed needs a place for its keys: set --data-dir to a directory")
            }
            (None, None, _) => {
                ensure!(
                    client_ca.is_none(),
                    "--client-ca needs TLS: --tls-cert and --tls-key, or --tls self-signed"
                );
                return Ok(None);
            }
        };
        Tls::open(tls::Options { files, client_ca, client_crl, hsts: strict }).map(Some)
    };
    spawn_blocking(open).await.context("TLS could not be set up")?
}

fn development_certificate(data_dir: &Path) -> anyhow::Result<CertificateFiles> {
    let development = DevelopmentCa::at(data_dir);
    development.ensure(&[])?;
    tracing::info!("{development}");
    Ok(development.server())
}

/// Follows changes of certificates, of the identity provider's keys and of revocations, until shutdown.
async fn follow(tls: Option<&Tls>, sessions: &Sessions, shutdown: CancellationToken) {
    let certificates = async {
        if let Some(tls) = tls {
            tls.follow().await;
        }
    };
    shutdown.run_until_cancelled(future::join(certificates, sessions.follow())).await;
}

/// Runs the simulated fleet as clients of the public port.
async fn run_simulation(
    addr: SocketAddr,
    tls: Option<&Tls>,
    fleet: &SimOptions,
    city: &Arc<City>,
    shutdown: CancellationToken,
) {
    if fleet.cars == 0 {
        return;
    }
    let scheme = if tls.is_some() { "https" } else { "http" };
    match sim::Server::this_process(&format!("{scheme}://{addr}"), tls) {
        Ok(server) => sim::run(&server, fleet, city, shutdown).await,
        Err(error) => tracing::error!(%error, "could not start the simulation"),
    }
}

/// Returns the page: from the directory of `--page`, or from the program, or from the output of `trunk build`.
fn page(configured: Option<PathBuf>, embedded: Option<EmbeddedPage>) -> anyhow::Result<PageFiles> {
    match (configured, embedded) {
        (Some(dir), _) => {
            let index = files::open(&dir.join("index.html"));
            index.with_context(|| format!("no page in {}: index.html cannot be read", dir.display()))?;
            Ok(PageFiles::Directory(dir))
        }
        (None, Some(embedded)) => Ok(PageFiles::Embedded(embedded)),
        (None, None) => Ok(PageFiles::Directory(BUILT_PAGE.into())),
    }
}

/// Returns the methods of the port, with their limits. A request message has at most `largest` bytes. A service may
/// have a lower limit of its messages than `--max-message-size`.
fn contract(largest: usize, limits: &ServiceLimits) -> anyhow::Result<Contract> {
    let viewers = MethodLimit {
        limit: limits.max_viewers,
        reason: "TOO_MANY_VIEWERS",
        message: "the server has reached its limit of viewers".to_owned(),
    };
    let sign_outs = MethodLimit {
        limit: limits.max_sign_outs_per_hour,
        reason: "TOO_MANY_SIGN_OUTS",
        message: format!("too many sign-outs: the limit is {} per hour", limits.max_sign_outs_per_hour),
    };
    let watch = MethodPolicy { max_in_progress: Some(viewers), ..Default::default() };
    // The server remembers a session that has signed out for hours, and a limited number of them.
    let sign_out = MethodPolicy { max_per_hour: Some(sign_outs), ..Default::default() };
    let contract = Contract::new(&DESCRIPTOR_SETS, largest)?
        .with_policy("/rides.v1.Fleet/Watch", watch)?
        .with_policy("/rides.v1.Sessions/SignOut", sign_out)?;
    let mut limits = FLEET_LIMITS.iter();
    limits.try_fold(contract, |contract, &(path, largest)| contract.with_max_message_size(path, largest))
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, future::pending};

    use super::*;
    use crate::access::table::METHOD_ACCESS;

    /// A4 in docs/edge.md. The server does not start if a method has no entry, and this test finds entries without a
    /// method.
    #[test]
    fn the_table_of_access_is_of_this_contract() {
        let contract = contract(1_024, &ServiceLimits::default()).unwrap();
        let methods: BTreeSet<_> = contract.paths().collect();
        let listed: BTreeSet<_> = METHOD_ACCESS.iter().map(|(path, _)| *path).collect();
        assert_eq!(methods, listed);
        assert_eq!(listed.len(), METHOD_ACCESS.len(), "each method has one entry");
    }

    #[test]
    fn older_names_are_of_methods_that_are_still_there() {
        let contract = contract(1_024, &ServiceLimits::default()).unwrap();
        assert!(ALIASES.iter().all(|(_, now)| contract.method(now).is_some()));
        assert!(ALIASES.iter().all(|(older, _)| contract.method(older).is_none()));
    }

    #[tokio::test]
    async fn a_task_that_dies_is_named() {
        let died = tokio::spawn(async { panic!("at the disco") });
        let mut owners = [("the fleet", tokio::spawn(pending())), ("the rides", died)];
        let why = first_ended(&mut owners).await.to_string();
        assert!(why.starts_with("the task of the rides died: ") && why.contains("at the disco"), "{why}");
    }
}
