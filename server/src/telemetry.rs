//! What the server tells whoever runs it: logs on stderr, and figures for Prometheus.

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

/// Buckets of distributions whose names end in this: from less than a unary call takes to as long as a stream may last.
const SECONDS: (&str, [f64; 18]) = (
    "_seconds",
    [
        0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
        600.0, 3600.0,
    ],
);
/// Buckets of all other distributions, which count things. With buckets for each, no distribution is a summary, whose
/// quantiles are estimates and cannot be added up over servers.
const COUNTS: [f64; 11] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0];

const BUILD_INFO: &str = "rides_build_info";
/// The commit that a deployed program was built from, which `cargo xtask dist` knows.
const REVISION: Option<&str> = option_env!("RIDES_REVISION");

/// What h2 warns of is its clients' doing, who could fill the log with it. A filter may ask for it.
const UNASKED: &str = "h2=error";

/// Logs what `filter` lets through from now on. Call it once, after [`Log::start`].
pub fn log(filter: &str) -> anyhow::Result<()> {
    // An empty one lets errors through, unless there is something beside it.
    let filter = if filter.is_empty() { String::new() } else { format!("{UNASKED},{filter}") };
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::try_new(filter)?)
        .with_writer(log::writer)
        .log_internal_errors(false)
        .with_ansi(io::stderr().is_terminal())
        .try_init()
        .map_err(|error| anyhow::anyhow!("cannot start logging: {error}"))
}

/// A handle to the metrics of this process. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Metrics(PrometheusHandle);

impl Metrics {
    /// Returns all metrics as of now, in Prometheus' text format. It reads `/proc`, which blocks.
    pub fn render(&self) -> String {
        let mut text = self.0.render();
        #[cfg(target_os = "linux")]
        match process::text() {
            Ok(process) => text.push_str(&process),
            Err(error) => tracing::debug!(%error, "/metrics says nothing of the process"),
        }
        text
    }
}

/// The process's metrics. The first call starts keeping them: what was described or counted before is lost.
pub fn metrics() -> Metrics {
    static METRICS: LazyLock<Metrics> = LazyLock::new(|| {
        let recorder = recorder().expect("there are buckets");
        let handle = recorder.handle();
        if metrics::set_global_recorder(recorder).is_err() {
            tracing::warn!("figures go to another recorder in this process: /metrics stays empty");
        }
        describe_gauge!(BUILD_INFO, "The build of this server, in the labels. Always 1.");
        let mut build = vec![("version", env!("CARGO_PKG_VERSION"))];
        build.extend(REVISION.map(|revision| ("revision", revision)));
        gauge!(BUILD_INFO, &build).set(1.0);
        log::register();
        add_up(handle.clone());
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

/// Adds up what was recorded, every few seconds and for ever: a recorder keeps each single value until then, and
/// nobody may be there to ask for the sums.
fn add_up(figures: PrometheusHandle) {
    let adding = thread::Builder::new().name("metrics".into()).spawn(move || {
        loop {
            thread::sleep(Duration::from_secs(5));
            figures.run_upkeep();
        }
    });
    if let Err(error) = adding {
        tracing::warn!(%error, "figures are added up only when someone asks for them");
    }
}
