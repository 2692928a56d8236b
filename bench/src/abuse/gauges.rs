//! The server's metrics from `/metrics`: open connections, open calls and ended calls.

use std::{
    collections::BTreeMap,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};

/// The timeout of the request. Under attack a response may be slow.
const METRICS_TIMEOUT: Duration = Duration::from_secs(10);

/// The metrics at one time.
#[derive(Clone, PartialEq, Default, Debug)]
pub(super) struct ServerMetrics {
    /// Open connections to the port, including the one of this request.
    pub(super) connections: u64,
    /// Open calls, including streams.
    pub(super) calls: u64,
    /// Ended calls since the start of the server, by status.
    pub(super) ended: BTreeMap<String, u64>,
}

impl ServerMetrics {
    /// Reads the metrics of the server at `addr`.
    pub(super) fn of(addr: SocketAddr) -> Result<Self> {
        let mut stream =
            TcpStream::connect_timeout(&addr, METRICS_TIMEOUT).context("cannot connect to read /metrics")?;
        stream.set_read_timeout(Some(METRICS_TIMEOUT))?;
        write!(stream, "GET /metrics HTTP/1.1\r\nhost: {addr}\r\nconnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).context("no response from /metrics")?;
        ensure!(
            answer.starts_with("HTTP/1.1 200"),
            "/metrics: {}",
            answer.lines().next().unwrap_or_default()
        );
        Ok(Self::read(&answer))
    }

    /// Reads lines such as `rides_rpcs_total{method="…",code="Ok"} 7`.
    fn read(text: &str) -> Self {
        let mut gauges = Self::default();
        for line in text.lines() {
            let Some((name, value)) = line.rsplit_once(' ') else { continue };
            let Ok(value) = value.trim().parse::<f64>() else { continue };
            let value = value as u64;
            match name.split('{').next() {
                Some("rides_open_connections") => gauges.connections += value,
                Some("rides_open_rpcs") => gauges.calls += value,
                Some("rides_rpcs_total") => *gauges.ended.entry(code(name)).or_default() += value,
                _ => {}
            }
        }
        gauges
    }

    /// Returns the calls since `before` that ended with a status other than OK, by status.
    pub(super) fn failed_since(&self, before: &Self) -> BTreeMap<String, u64> {
        let since = |(code, now): (&String, &u64)| {
            let before = before.ended.get(code).copied().unwrap_or_default();
            (code.clone(), now - before)
        };
        self.ended.iter().map(since).filter(|(code, count)| code != "Ok" && *count > 0).collect()
    }
}

fn code(labels: &str) -> String {
    let code = labels.split_once("code=\"").and_then(|(_, rest)| rest.split('"').next());
    code.unwrap_or("unknown").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONCE: &str = "# TYPE rides_rpcs_total counter\r\n\
        rides_rpcs_total{method=\"a.B/C\",code=\"Ok\"} 7\n\
        rides_rpcs_total{method=\"a.B/D\",code=\"Internal\"} 2\n\
        rides_rpcs_total{method=\"a.B/E\",code=\"Internal\"} 1\n\
        rides_open_rpcs{method=\"a.B/C\"} 3\nrides_open_rpcs{method=\"a.B/D\"} 1\nrides_open_connections 12\n";

    #[test]
    fn figures_are_summed_over_methods() {
        let gauges = ServerMetrics::read(ONCE);
        assert_eq!((gauges.connections, gauges.calls), (12, 4));
        assert_eq!(gauges.ended, [("Internal".into(), 3), ("Ok".into(), 7)].into());
    }

    #[test]
    fn what_failed_since_is_what_did_not_end_well() {
        let (before, mut after) = (ServerMetrics::read(ONCE), ServerMetrics::read(ONCE));
        *after.ended.get_mut("Ok").unwrap() += 5;
        assert!(after.failed_since(&before).is_empty());
        after.ended.insert("Cancelled".into(), 4);
        assert_eq!(after.failed_since(&before), [("Cancelled".into(), 4)].into());
    }
}
