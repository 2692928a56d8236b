//! The tables of the cost of unary calls.

use std::fmt::Write as _;

use clap::ValueEnum as _;

use super::{name, nothing, row_of, table};
use crate::{
    contender::Contender,
    measure::{Row, Unary},
    stats::Spread,
    wire::Protocol,
};

/// A cost in one run, if it was measured.
pub(super) type Cost = fn(&Unary) -> Option<f64>;

pub(super) const HEALTH: Cost = |run| Some(run.health);
pub(super) const WHO_AM_I: Cost = |run| run.who_am_i;

/// Returns a table for each call, and the cost of Rides relative to the tonic server.
pub(super) fn unary(rows: &[Row]) -> String {
    let of = |call: &str| format!("{call}, CPU-seconds per million calls");
    let health = costs(rows, &of("`Health/Check`"), HEALTH);
    let who_am_i = costs(rows, &of("`Sessions/WhoAmI` with a token"), WHO_AM_I);
    [health, who_am_i].join("\n")
}

/// Returns the extra cost of a call to Rides, in percent of its cost on the tonic server.
pub(super) fn dearer(rows: &[Row], protocol: Protocol, cost: Cost) -> Option<f64> {
    let median = |contender| spread(rows, contender, protocol, cost).map(|spread| spread.median);
    Some(100.0 * (median(Contender::Ours)? / median(Contender::Tonic)? - 1.0))
}

fn costs(rows: &[Row], title: &str, cost: Cost) -> String {
    let cells: Vec<_> = Contender::value_variants()
        .iter()
        .filter(|contender| **contender != Contender::HyperRows) // The same program as HyperColumns.
        .map(|contender| {
            let cell = |protocol| spread(rows, *contender, protocol, cost).map(|it| table::spread(it, 1));
            (contender, [cell(Protocol::Http1), cell(Protocol::Http2)])
        })
        .filter(|(_, cells)| cells.iter().any(Option::is_some))
        .map(|(contender, [http1, http2])| {
            let or_nothing = |cell: Option<String>| cell.unwrap_or_else(nothing);
            vec![contender.name().to_owned(), or_nothing(http1), or_nothing(http2)]
        })
        .collect();
    let mut text = table::table(&[title, "HTTP/1.1", "HTTP/2"], &cells);
    for protocol in [Protocol::Http1, Protocol::Http2] {
        if let Some(more) = dearer(rows, protocol, cost) {
            let over = name(protocol);
            // Writing to a string never fails.
            let _ = write!(
                text,
                "\nOver {over} a call costs Rides {more:+.0} % compared with tonic + tonic-web."
            );
        }
    }
    text + "\n"
}

fn spread(rows: &[Row], contender: Contender, protocol: Protocol, cost: Cost) -> Option<Spread> {
    Spread::of(row_of(rows, contender, protocol)?.unary.iter().filter_map(cost))
}
