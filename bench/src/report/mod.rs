//! The report: tables for the terminal, `bench.md` and `bench.svg`.

mod markdown;
mod plot;
mod ratios;
pub(crate) mod table;
mod targets;
mod unary;

use std::fs;

use anyhow::{Context as _, Result};

use crate::{
    Options,
    contender::Contender,
    measure::{Answers, Fanout, Plan, Row},
    stats::Spread,
    wire::Protocol,
};

/// Prints the tables and writes both files.
pub(crate) fn write(options: &Options, plan: &Plan, answers: &Answers) -> Result<()> {
    let markdown = markdown::page(options, plan, answers);
    println!("{}", markdown::figures(plan, answers));
    let files = [("bench.md", markdown), ("bench.svg", plot::svg(answers))];
    for (name, text) in files {
        let path = options.out.join(name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        eprintln!("wrote {}", path.display());
    }
    Ok(())
}

/// Returns a one-line summary of the results of one contender.
pub(crate) fn line(row: &Row) -> String {
    let mut parts = vec![format!("{}, {}:", row.contender.name(), name(row.protocol))];
    if let Some(rate) = updates_per_cpu_second(&row.fanout) {
        parts.push(format!("{:.1} M car updates per CPU-second,", rate.median / 1e6));
        parts.push(format!("{} viewers;", most_viewers(&row.fanout)));
    }
    if let Some(cost) = Spread::of(row.unary.iter().map(|run| run.health)) {
        parts.push(format!("{:.1} CPU-seconds per million unary calls", cost.median));
    }
    parts.extend(row.problem.as_ref().map(|problem| format!("({problem})")));
    parts.join(" ")
}

fn row_of(rows: &[Row], contender: Contender, protocol: Protocol) -> Option<&Row> {
    rows.iter().find(|row| row.contender == contender && row.protocol == protocol)
}

fn name(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Http1 => "HTTP/1.1",
        Protocol::Http2 => "HTTP/2",
    }
}

fn updates_per_cpu_second(fanout: &[Fanout]) -> Option<Spread> {
    Spread::of(fanout.iter().map(|run| run.at_most))
}

fn most_viewers(fanout: &[Fanout]) -> String {
    let more = if fanout.iter().any(|run| run.at_least) { "≥ " } else { "" };
    let spread = Spread::of(fanout.iter().map(|run| run.most as f64));
    spread.map_or_else(nothing, |spread| format!("{more}{}", table::spread(spread, 0)))
}

/// Returns the text in place of a missing value.
fn nothing() -> String {
    "–".into()
}
