//! The results of Rides relative to those of each other server, by medians.

use clap::ValueEnum as _;

use super::{nothing, row_of, table};
use crate::{
    contender::Contender,
    measure::{Fanout, Row},
    stats::Spread,
    wire::Protocol,
};

/// A result of one run.
pub(super) type RunResult = fn(&Fanout) -> f64;

/// Car updates per CPU-second with the most viewers that a server holds.
pub(super) const AT_MOST: RunResult = |run| run.at_most;
/// The same with the number of viewers that all servers hold.
pub(super) const AT_FEW: RunResult = |run| run.at_few;

/// Returns the result of Rides divided by that of `other`, or `None` if one of them was not measured.
pub(super) fn ratio(rows: &[Row], other: Contender, protocol: Protocol, figure: RunResult) -> Option<f64> {
    let median = |contender| {
        let runs = row_of(rows, contender, protocol)?.fanout.iter();
        Spread::of(runs.map(figure)).map(|spread| spread.median)
    };
    Some(median(Contender::Ours)? / median(other)?)
}

/// Returns a table of the ratios to all other servers, over both protocols.
pub(super) fn ratios(rows: &[Row], title: &str, figure: RunResult) -> String {
    let others = Contender::value_variants().iter().filter(|other| **other != Contender::Ours);
    let rows: Vec<_> = others
        .map(|other| {
            let cell = |protocol| ratio(rows, *other, protocol, figure).map_or_else(nothing, times);
            vec![other.name().to_owned(), cell(Protocol::Http1), cell(Protocol::Http2)]
        })
        .collect();
    table::table(&[title, "HTTP/1.1", "HTTP/2"], &rows)
}

/// Returns a ratio as text.
pub(super) fn times(ratio: f64) -> String {
    format!("{}×", table::number(ratio, 2))
}
