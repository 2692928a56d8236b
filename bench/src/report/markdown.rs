//! `bench.md`: the tables of results, the method, and the versions of the servers.

use std::fmt::Write as _;

use super::{
    most_viewers, name, nothing,
    ratios::{AT_FEW, AT_MOST, ratios},
    table,
    targets::targets,
    unary,
};
use crate::{
    Options,
    fleet::TICK_SECONDS,
    machine,
    measure::{Answers, IN_VIEW, LATENCY_VIEWERS, Plan, REPORTS_PER_SECOND, Row},
    servers::CARS,
    stats::Spread,
};

/// Returns the text of `bench.md`.
pub(super) fn page(options: &Options, plan: &Plan, answers: &Answers) -> String {
    let intro = "# Benchmarks\n\n\
                 For developers who compare servers or change Rides: the processor time and memory that Rides \
                 and its peers need for the same fleet, and how they are measured. `cargo xtask bench` writes \
                 this document; do not edit it.\n\n\
                 ![Car updates per CPU-second of each server](bench.svg)\n\n";
    [intro.to_owned(), figures(plan, answers), method(options, plan), versions(answers)].concat()
}

/// Returns all tables.
pub(super) fn figures(plan: &Plan, answers: &Answers) -> String {
    let few = plan.viewers;
    let mut text = String::new();
    if answers.rows.iter().any(|row| !row.fanout.is_empty() || row.problem.is_some()) {
        section(&mut text, "Fan-out", &fanout(&answers.rows));
        section(&mut text, "Rides compared with the others", &against(&answers.rows, few));
    }
    if answers.rows.iter().any(|row| !row.unary.is_empty()) {
        section(&mut text, "Unary calls", &unary::unary(&answers.rows));
    }
    if let Some(ours) = rides_alone(answers, few) {
        section(&mut text, "Rides alone", &ours);
    }
    section(&mut text, "Targets", &reached(answers));
    let problems = answers.rows.iter().filter_map(|row| {
        let problem = row.problem.as_ref()?;
        Some(format!("- {}, {}: {problem}\n", row.contender.name(), name(row.protocol)))
    });
    let problems: String =
        problems.chain(answers.problems.iter().map(|problem| format!("- {problem}\n"))).collect();
    if !problems.is_empty() {
        section(&mut text, "Failed measurements", &problems);
    }
    if let Some(foreign) = busiest(&answers.rows) {
        let _ = writeln!(
            text,
            "Other processes used up to {:.0} % of a core during the measurements.\n",
            100.0 * foreign
        );
    }
    text
}

/// Returns the largest share of a core that other processes used, if it is large enough to report.
fn busiest(rows: &[Row]) -> Option<f64> {
    let shares = rows.iter().flat_map(|row| &row.fanout).map(|run| run.foreign_share);
    Spread::of(shares).map(|spread| spread.max).filter(|share| *share > 0.02)
}

fn section(text: &mut String, title: &str, body: &str) {
    // Writing to a string never fails.
    let _ = write!(text, "## {title}\n\n{body}\n");
}

fn fanout(rows: &[Row]) -> String {
    let head = [
        "server",
        "protocol",
        "M car updates per CPU-second",
        "the same with few viewers",
        "most viewers",
        "KB per viewer",
        "bytes per update",
    ];
    let rows: Vec<_> = rows
        .iter()
        .map(|row| {
            let of = |value: fn(&crate::measure::Fanout) -> f64, decimals| {
                let spread = Spread::of(row.fanout.iter().map(value));
                spread.map_or_else(nothing, |spread| table::spread(spread, decimals))
            };
            vec![
                row.contender.name().into(),
                name(row.protocol).into(),
                of(|run| run.at_most / 1e6, 1),
                of(|run| run.at_few / 1e6, 1),
                most_viewers(&row.fanout),
                of(|run| run.memory_per_viewer / 1e3, 0),
                of(|run| run.bytes_per_update, 1),
            ]
        })
        .collect();
    table::table(&head, &rows)
}

/// Returns the ratios at the most viewers that each server holds, and with the same number of viewers.
fn against(rows: &[Row], few: usize) -> String {
    let title = "Rides relative to each server, car updates per CPU-second";
    let at_most = ratios(rows, &format!("{title}, each with its most viewers"), AT_MOST);
    let at_few = ratios(rows, &format!("{title}, each with {few} viewers"), AT_FEW);
    format!(
        "{at_most}\n\
         {at_few}\n\
         With {few} viewers, Rides does much of the work of a tick once for all viewers: it receives positions \
         and encodes frames. The other servers receive no positions. With more viewers this work is spread over \
         more of them, and a server has more to do each time it wakes up.\n"
    )
}

fn reached(answers: &Answers) -> String {
    let targets = targets(answers);
    format!("{targets}\n[profile.md](profile.md) explains the targets that are not reached.\n")
}

fn rides_alone(answers: &Answers, few: usize) -> Option<String> {
    let mut rows = Vec::new();
    let mut row = |what: String, spread: Option<Spread>, decimals| {
        rows.extend(spread.map(|spread| vec![what, table::spread(spread, decimals)]));
    };
    let latency = &answers.latency;
    let what = |share| format!("latency from position to frame, {LATENCY_VIEWERS} viewers, {share}, ms");
    row(what("p50"), Spread::of(latency.iter().map(|run| run.p50_ms)), 0);
    row(what("p99"), Spread::of(latency.iter().map(|run| run.p99_ms)), 0);
    for fleet in answers.flatness.first().into_iter().flatten() {
        let runs = answers.flatness.iter().flatten().filter(|run| run.cars == fleet.cars);
        let cars = table::number(fleet.cars as f64, 0);
        let what = format!("cost per viewer and tick, {IN_VIEW} of {cars} cars in view, µs of CPU");
        row(what, Spread::of(runs.map(|run| run.micros_per_viewer_tick)), 1);
    }
    let idle = answers.idle.iter().map(|run| run.memory_per_viewer / 1024.0);
    row("memory per idle viewer, KiB".into(), Spread::of(idle), 1);
    let viewports = answers.viewports.iter().map(|run| run.at_few / 1e6);
    let what = format!("M car updates per CPU-second, {few} viewers with different viewports");
    row(what, Spread::of(viewports), 1);
    let ingest = answers.ingest.iter().map(|run| run.positions_per_cpu_second / 1e6);
    row("M positions received per CPU-second, from one gateway".into(), Spread::of(ingest), 2);
    (!rows.is_empty()).then(|| table::table(&["", "median (min–max)"], &rows))
}

fn method(options: &Options, plan: &Plan) -> String {
    let (runs, few, window) = (plan.runs, plan.viewers, plan.window.as_secs_f64());
    let Plan { cap, idle_viewers, .. } = plan;
    let hz = 1.0 / TICK_SECONDS;
    let hasty = if options.quick { "**This was a quick run: do not use its results.** " } else { "" };
    format!(
        "## Method\n\n\
         {hasty}On {}. The server has one core and the load generator another. All traffic is on loopback. \
         {CARS} cars move, each {hz} times per second. Every viewer has its own connection and stream, and sees \
         all cars. Results are medians of {runs} runs, with the lowest and the highest in brackets; each run \
         starts a new server. All servers have their first run before any has its second. One measurement lasts \
         {window} s.\n\n\
         - **Car updates per CPU-second**: the cars in the messages to all viewers, divided by the processor time \
         of the server's processes (for Envoy, also of the server behind it). Measured with the most viewers that \
         the server holds, and with {few}, where the work that a server does once for all viewers weighs more. \
         The number of cars in a message is read from the messages.\n\
         - **Most viewers**: found by bisection, to 4 %. A number of viewers is held if no stream ends, less than \
         1 % of the gaps between messages are longer than 1.5 ticks, and the mean gap is within 3 % of the tick. \
         The last condition fails a server that slows its own ticks. ≥: the load generator's core was full, or \
         the limit of {cap} sockets was reached.\n\
         - **KB per viewer**: the slope of resident memory from {} to {few} viewers; for idle viewers, from {} to \
         {idle_viewers} viewers of an area without cars. The kernel's socket buffers are not included.\n\
         - **Bytes per update**: all bytes received on the sockets, divided by the car updates.\n\
         - **Unary calls**: with a deadline, from 64 connections with one call at a time each. Rides runs all of \
         its layers (deadlines, limits, tracing, metrics); the tonic server has only the gRPC-Web layer. \
         `grpc.health.v1.Health/Check` needs no token. `rides.v1.Sessions/WhoAmI` is called with a token. Rides \
         runs with `--auth required`: it verifies the token's signature at the first call, and everything else at \
         every call. The tonic server has the same method, gets the same token, and ignores it.\n\
         - **Cost per viewer and tick**: the slope of the server's processor time from {few} to {} viewers. Cars \
         out of view report {hz} times per second too, but at most {REPORTS_PER_SECOND} positions per second in \
         all.\n\
         - **Latency**: the time from the write of a position to the sender's socket until its frame was read, \
         over 20 of the viewers. It includes the wait for the next tick, which is half a tick on average.\n\
         - **Different viewports**: all viewers see every car, and each viewer also some other map cells. Viewers \
         share only the encoded cells: the server assembles each message for one viewer.\n\
         - **Positions received**: {} positions of 10,000 cars, each with its time, over one `Rides.Track` \
         stream over HTTP/2, as fast as the server reads them and without viewers. The work of the ticks on \
         these positions is included.\n\n\
         Rides receives 8,000 positions per second over one `Rides.Track` stream, and their cost is included in \
         its results. The other servers move the cars themselves. The messages of Rides are \
         `rides.v1.WatchFleetResponse`; the messages of the others have one row per car, see \
         [`board.proto`](../bench/proto/bench/v1/board.proto). Bare hyper sends recorded messages of Rides or \
         of the tonic server from one buffer to all viewers and does nothing else: it shows the cost of sending \
         alone. It is not an upper bound of the number of viewers served in time: it wakes viewers in an \
         arbitrary order, so one of thousands may wait 1.5 ticks. Rides wakes them in the same order each tick. \
         Rides and the peers in Rust are built alike, with thin LTO and with jemalloc.\n\n",
        machine::description(),
        few / 4,
        idle_viewers / 10,
        6 * few,
        table::number(plan.positions as f64, 0),
    )
}

fn versions(answers: &Answers) -> String {
    let mut seen: Vec<String> = Vec::new();
    for row in &answers.rows {
        let line = format!("- {}: {}\n", row.contender.name(), row.about);
        if !row.about.is_empty() && !seen.contains(&line) {
            seen.push(line);
        }
    }
    format!("## Versions\n\n{}", seen.concat())
}
