//! What the server tells whoever runs it: logs on stderr, and figures for Prometheus.

use std::{
    io::{self, IsTerminal as _},
    sync::LazyLock,
    thread,
    time::Duration,
};

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;

/// Figures that end in this are histograms, of how many took up to [`SECONDS`]; other distributions are quantiles.
const DURATIONS: &str = "_duration_seconds";
/// From less than a unary call takes to as long as a stream may last.
const SECONDS: [f64; 18] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 600.0,
    3600.0,
];

/// What h2 warns of is its clients' doing, who could fill the log with it. A filter may ask for it.
const UNASKED: &str = "h2=error";

/// Starts logging to stderr what `filter` lets through. Call it once.
pub fn log(filter: &str) -> anyhow::Result<()> {
    // An empty one lets errors through, unless there is something beside it.
    let filter = if filter.is_empty() { String::new() } else { format!("{UNASKED},{filter}") };
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::try_new(filter)?)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .try_init()
        .map_err(|error| anyhow::anyhow!("cannot start logging: {error}"))
}

/// The process's figures. The first call starts keeping them.
pub fn metrics() -> PrometheusHandle {
    static METRICS: LazyLock<PrometheusHandle> = LazyLock::new(|| {
        let durations = Matcher::Suffix(DURATIONS.to_owned());
        let builder = PrometheusBuilder::new().set_buckets_for_metric(durations, &SECONDS);
        let recorder = builder.expect("there are buckets").build_recorder();
        let handle = recorder.handle();
        if metrics::set_global_recorder(recorder).is_err() {
            tracing::warn!("figures go to another recorder in this process: /metrics stays empty");
        }
        add_up(handle.clone());
        handle
    });
    METRICS.clone()
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
