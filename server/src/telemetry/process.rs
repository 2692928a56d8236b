//! The metrics of the process, under the standard names of Prometheus client libraries.

use std::fmt::Write as _;

use procfs::{
    ProcResult, WithCurrentSystemInfo as _, boot_time_secs,
    process::{LimitValue, Process},
    ticks_per_second,
};

/// Returns the current metrics as text. Reads `/proc`, which blocks.
///
/// # Errors
/// If `/proc` is not mounted, or does not show this process.
pub(super) fn text() -> ProcResult<String> {
    let process = Process::myself()?;
    let stat = process.stat()?;
    let seconds = |ticks: u64| ticks as f64 / ticks_per_second() as f64;
    let max_fds = match process.limits()?.max_open_files.soft_limit {
        LimitValue::Unlimited => f64::INFINITY,
        LimitValue::Value(limit) => limit as f64,
    };
    Ok(text_of(&[
        (
            "process_cpu_seconds_total",
            "counter",
            "Total user and system CPU time spent in seconds.",
            seconds(stat.utime + stat.stime),
        ),
        ("process_open_fds", "gauge", "Number of open file descriptors.", process.fd_count()? as f64),
        ("process_max_fds", "gauge", "Maximum number of open file descriptors.", max_fds),
        ("process_virtual_memory_bytes", "gauge", "Virtual memory size in bytes.", stat.vsize as f64),
        (
            "process_resident_memory_bytes",
            "gauge",
            "Resident memory size in bytes.",
            stat.rss_bytes().get() as f64,
        ),
        (
            "process_start_time_seconds",
            "gauge",
            "Start time of the process since the Unix epoch in seconds.",
            boot_time_secs()? as f64 + seconds(stat.starttime),
        ),
    ]))
}

fn text_of(metrics: &[(&str, &str, &str, f64)]) -> String {
    let mut text = String::new();
    for (name, kind, help, value) in metrics {
        // Prometheus writes `+Inf`, where Rust writes `inf`.
        let value = if value.is_infinite() { "+Inf".to_owned() } else { value.to_string() };
        // Writing to a String cannot fail.
        let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_has_its_help_text_its_type_and_a_number_as_prometheus_writes_it() {
        let max_fds = |value| text_of(&[("process_max_fds", "gauge", "Files.", value)]);
        let head = "# HELP process_max_fds Files.\n# TYPE process_max_fds gauge\nprocess_max_fds ";
        assert_eq!(max_fds(1_048_576.0), format!("{head}1048576\n\n"));
        assert_eq!(max_fds(0.25), format!("{head}0.25\n\n"));
        assert_eq!(max_fds(f64::INFINITY), format!("{head}+Inf\n\n"));
    }
}
