//! The targets, beside the results.

use super::{
    nothing,
    ratios::{AT_MOST, ratio, times},
    row_of, table,
    unary::{HEALTH, WHO_AM_I, dearer},
};
use crate::{
    contender::Contender,
    fleet::TICK_SECONDS,
    measure::{Answers, LATENCY_VIEWERS},
    stats::Spread,
    wire::Protocol,
};

/// The longest time above one tick in which a position may reach the wire, in milliseconds.
const MAX_DELAY_MS: f64 = 10.0;
/// The largest ratio of the cost of a viewer in the largest fleet to that in the smallest.
const MAX_GROWTH: f64 = 1.1;

/// A bound on a result.
struct Target {
    what: String,
    bound: Bound,
    show: fn(f64) -> String,
    /// The results over HTTP/1.1 and over HTTP/2.
    measured: [Option<f64>; 2],
}

#[derive(Clone, Copy)]
enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

/// Returns all targets in a table.
pub(super) fn targets(answers: &Answers) -> String {
    let rows: Vec<_> = all(answers).iter().map(Target::row).collect();
    table::table(&["", "target", "HTTP/1.1", "HTTP/2"], &rows)
}

fn all(answers: &Answers) -> Vec<Target> {
    [of_rows(answers), of_ours(answers)].into_iter().flatten().collect()
}

fn of_rows(answers: &Answers) -> Vec<Target> {
    use Bound::{AtLeast, AtMost};
    let rows = &answers.rows;
    let per_cpu_second = |other: Contender, least| Target {
        what: format!("car updates per CPU-second, relative to {}", other.name()),
        bound: AtLeast(least),
        show: times,
        measured: over_both(|protocol| ratio(rows, other, protocol, AT_MOST)),
    };
    let unary = |call: &str, cost| Target {
        what: format!("{call}, extra cost over tonic + tonic-web"),
        bound: AtMost(15.0),
        show: |more| format!("{} %", table::number(more, 0)),
        measured: over_both(|protocol| dearer(rows, protocol, cost)),
    };
    vec![
        per_cpu_second(Contender::Tonic, 6.0),
        per_cpu_second(Contender::EnvoyGrpcio, 15.0),
        per_cpu_second(Contender::ConnectNode, 40.0),
        per_cpu_second(Contender::HyperColumns, 0.7),
        per_cpu_second(Contender::HyperRows, 1.0),
        Target {
            what: "bytes per car update".into(),
            bound: AtMost(7.0),
            show: |bytes| table::number(bytes, 1),
            measured: over_both(|protocol| {
                let runs = row_of(rows, Contender::Ours, protocol)?.fanout.iter();
                median(runs.map(|run| run.bytes_per_update))
            }),
        },
        unary("`Health/Check`", HEALTH),
        unary("`Sessions/WhoAmI` with a token", WHO_AM_I),
    ]
}

/// Returns the targets of Rides alone. They are measured over HTTP/1.1, except positions, which arrive over HTTP/2.
fn of_ours(answers: &Answers) -> Vec<Target> {
    use Bound::{AtLeast, AtMost};
    let latency = answers.latency.iter().map(|run| run.p99_ms);
    let idle = answers.idle.iter().map(|run| run.memory_per_viewer / 1024.0);
    let ingest = answers.ingest.iter().map(|run| run.positions_per_cpu_second / 1e6);
    let growth = answers.flatness.iter().filter_map(|fleets| {
        let (small, large) = fleets.first().zip(fleets.last())?;
        Some(large.micros_per_viewer_tick / small.micros_per_viewer_tick)
    });
    vec![
        Target {
            what: "cost per viewer, ratio for a hundredfold fleet".into(),
            bound: AtMost(MAX_GROWTH),
            show: times,
            measured: [median(growth), None],
        },
        Target {
            what: format!("latency from position to frame, {LATENCY_VIEWERS} viewers, p99, ms"),
            bound: AtMost(1e3 * TICK_SECONDS + MAX_DELAY_MS),
            show: |ms| table::number(ms, 0),
            measured: [median(latency), None],
        },
        Target {
            what: "memory per idle viewer, KiB".into(),
            bound: AtMost(24.0),
            show: |kib| table::number(kib, 1),
            measured: [median(idle), None],
        },
        Target {
            what: "M positions received per CPU-second".into(),
            bound: AtLeast(1.0),
            show: |millions| table::number(millions, 2),
            measured: [None, median(ingest)],
        },
    ]
}

impl Target {
    fn row(&self) -> Vec<String> {
        let Self { what, bound, show, measured } = self;
        let to_reach = match *bound {
            Bound::AtLeast(bound) => format!("≥ {}", show(bound)),
            Bound::AtMost(bound) => format!("≤ {}", show(bound)),
        };
        let [http1, http2] = measured.map(|measured| {
            measured.map_or_else(nothing, |value| format!("{}, {}", show(value), bound.verdict(value)))
        });
        vec![what.clone(), to_reach, http1, http2]
    }
}

impl Bound {
    fn verdict(self, value: f64) -> &'static str {
        let reached = match self {
            Self::AtLeast(bound) => value >= bound,
            Self::AtMost(bound) => value <= bound,
        };
        if reached { "reached" } else { "**not reached**" }
    }
}

fn over_both(measured: impl Fn(Protocol) -> Option<f64>) -> [Option<f64>; 2] {
    [Protocol::Http1, Protocol::Http2].map(measured)
}

fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    Spread::of(values).map(|spread| spread.median)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::{Flatness, Idle, Ingest};

    fn line<'a>(text: &'a str, what: &str) -> Vec<&'a str> {
        let line = text.lines().find(|line| line.contains(what)).unwrap();
        line.split('|').map(str::trim).collect()
    }

    #[test]
    fn what_was_measured_is_reached_or_not_and_the_rest_is_open() {
        let fleet = |cars, micros_per_viewer_tick| Flatness { cars, micros_per_viewer_tick };
        let answers = Answers {
            idle: vec![Idle { memory_per_viewer: 24.0 * 1024.0 }],
            ingest: vec![Ingest { positions_per_cpu_second: 0.9e6 }],
            flatness: vec![vec![fleet(1_000, 10.0), fleet(10_000, 99.0), fleet(100_000, 10.5)]],
            ..Answers::default()
        };
        let text = targets(&answers);
        assert_eq!(line(&text, "idle viewer")[2..5], ["≤ 24.0", "24.0, reached", "–"]);
        assert_eq!(line(&text, "positions received")[2..5], ["≥ 1.00", "–", "0.90, **not reached**"]);
        assert_eq!(line(&text, "hundredfold")[2..5], ["≤ 1.10×", "1.05×, reached", "–"]);
        assert_eq!(line(&text, "relative to connect-node")[2..5], ["≥ 40.00×", "–", "–"]);
    }
}
