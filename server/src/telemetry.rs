//! Telemetry for the operator: the log on stderr, and metrics for Prometheus.

mod log;
#[cfg(target_os = "linux")]
mod process;

use std::{
    io::{self, IsTerminal as _},
    sync::LazyLock,
    thread,
    time::Duration,
};

use metrics::{describe_gauge, gauge};
use metrics_exporter_prometheus::{
    BuildError, Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder,
};
use tracing_subscriber::EnvFilter;

pub use self::log::{Log, flush};

/// The suffix of metric names that are in seconds, and the buckets of their histograms: from below a unary call to a
/// long stream.
const SECONDS: (&str, [f64; 18]) = (
    "_seconds",
    [
        0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
        600.0, 3600.0,
    ],
);
/// The buckets of all other histograms, which are of counts. Without buckets, a metric would be exported as a summary,
/// whose quantiles cannot be aggregated over servers.
const COUNTS: [f64; 11] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0];

const BUILD_INFO: &str = "rides_build_info";
/// The commit that the program was built from, set by `cargo xtask dist`.
const REVISION: Option<&str> = option_env!("RIDES_REVISION");

/// The default filter for h2. Its warnings are about clients' errors, so that a client could fill the log. `--log` can
/// turn them on.
const DEFAULT_DIRECTIVES: &str = "h2=error";

/// Starts logging with `filter`. Must be called once, after [`Log::start`].
///
/// # Errors
/// If `filter` is not valid, or logging was started before.
pub fn log(filter: &str) -> anyhow::Result<()> {
    // An empty filter lets errors through. With `DEFAULT_DIRECTIVES` before it, only those of h2 would pass.
    let filter = if filter.is_empty() { String::new() } else { format!("{DEFAULT_DIRECTIVES},{filter}") };
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::try_new(filter)?)
        .with_writer(log::writer)
        .log_internal_errors(false)
        .with_ansi(io::stderr().is_terminal())
        .try_init()
        .map_err(|error| anyhow::anyhow!("cannot start logging: {error}"))
}

/// A handle to the metrics of this process. Clones are cheap.
#[derive(Clone, Debug)]
pub struct Metrics(PrometheusHandle);

impl Metrics {
    /// Returns the current metrics in Prometheus' text format. Reads `/proc`, which blocks.
    pub fn render(&self) -> String {
        let mut text = self.0.render();
        #[cfg(target_os = "linux")]
        match process::text() {
            Ok(process) => text.push_str(&process),
            Err(error) => tracing::debug!(%error, "could not read the metrics of the process"),
        }
        text
    }
}

/// Returns the metrics of this process. The first call installs the recorder: metrics from before are lost.
pub fn metrics() -> Metrics {
    static METRICS: LazyLock<Metrics> = LazyLock::new(|| {
        let recorder = recorder().expect("the lists of buckets are not empty");
        let handle = recorder.handle();
        if metrics::set_global_recorder(recorder).is_err() {
            tracing::warn!("another metrics recorder is installed in this process: /metrics stays empty");
        }
        describe_gauge!(BUILD_INFO, "The build of this server, in the labels. Always 1.");
        let mut build = vec![("version", env!("CARGO_PKG_VERSION"))];
        build.extend(REVISION.map(|revision| ("revision", revision)));
        gauge!(BUILD_INFO, &build).set(1.0);
        log::register();
        start_upkeep(handle.clone());
        Metrics(handle)
    });
    METRICS.clone()
}

fn recorder() -> Result<PrometheusRecorder, BuildError> {
    let (ending, seconds) = SECONDS;
    let builder = PrometheusBuilder::new().set_buckets(&COUNTS)?;
    let builder = builder.set_buckets_for_metric(Matcher::Suffix(ending.to_owned()), &seconds)?;
    Ok(builder.build_recorder())
}

/// Starts a thread that aggregates recorded values every five seconds. The recorder keeps each value until then, and
/// memory would grow without it while there is no scrape.
fn start_upkeep(figures: PrometheusHandle) {
    let adding = thread::Builder::new().name("metrics".into()).spawn(move || {
        loop {
            thread::sleep(Duration::from_secs(5));
            figures.run_upkeep();
        }
    });
    if let Err(error) = adding {
        tracing::warn!(%error, "could not start the thread that aggregates metrics: only scrapes do it");
    }
}
