//! `bench.md`: what was measured, how, and what came out.

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

/// The whole page.
pub(super) fn page(options: &Options, plan: &Plan, answers: &Answers) -> String {
    let intro = "# Figures\n\nEverything here is written by `cargo xtask bench`, and nothing by hand.\n\n\
                 ![Car updates per second of the server's processor](bench.svg)\n\n";
    [intro.to_owned(), figures(plan, answers), method(options, plan), versions(answers)].concat()
}

/// All tables.
pub(super) fn figures(plan: &Plan, answers: &Answers) -> String {
    let few = plan.viewers;
    let mut text = String::new();
    if answers.rows.iter().any(|row| !row.fanout.is_empty() || row.problem.is_some()) {
        section(&mut text, "Fan-out", &fanout(&answers.rows));
        section(&mut text, "Rides against the others", &against(&answers.rows, few));
    }
    if answers.rows.iter().any(|row| !row.unary.is_empty()) {
        section(&mut text, "Unary calls", &unary::unary(&answers.rows));
    }
    if let Some(ours) = ours(answers, few) {
        section(&mut text, "Rides alone", &ours);
    }
    section(&mut text, "What was to be reached", &reached(answers));
    let problems = answers.rows.iter().filter_map(|row| {
        let problem = row.problem.as_ref()?;
        Some(format!("- {}, {}: {problem}\n", row.contender.name(), name(row.protocol)))
    });
    let problems: String =
        problems.chain(answers.problems.iter().map(|problem| format!("- {problem}\n"))).collect();
    if !problems.is_empty() {
        section(&mut text, "What could not be measured", &problems);
    }
    if let Some(foreign) = busiest(&answers.rows) {
        let _ = writeln!(text, "Something else used up to {:.0} % of a core meanwhile.\n", 100.0 * foreign);
    }
    text
}

/// The most that others used of a core, where it was enough to be told.
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
        "over",
        "M car updates per CPU-second",
        "the same, few viewers",
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

/// At the most that each holds, and at the same load.
fn against(rows: &[Row], few: usize) -> String {
    let title = "Car updates per CPU-second, Rides divided by";
    let at_most = ratios(rows, &format!("{title}, each with the most viewers it holds"), AT_MOST);
    let at_few = ratios(rows, &format!("{title}, each with {few} viewers"), AT_FEW);
    format!(
        "{at_most}\n{at_few}\nWith {few} viewers much of what Rides does in a tick is done once for all of them: positions \
         come in, frames are encoded. The others have no positions to take. With more viewers that is spread over more of \
         them, and each time it wakes, a server finds more to do at once.\n"
    )
}

fn reached(answers: &Answers) -> String {
    let targets = targets(answers);
    format!("{targets}\nWhat is in the way of what is not reached: [profile.md](profile.md).\n")
}

fn ours(answers: &Answers, few: usize) -> Option<String> {
    let mut rows = Vec::new();
    let mut row = |what: String, spread: Option<Spread>, decimals| {
        rows.extend(spread.map(|spread| vec![what, table::spread(spread, decimals)]));
    };
    let latency = &answers.latency;
    let what = |share| format!("position in to frame on the wire, {LATENCY_VIEWERS} viewers, {share}, ms");
    row(what("p50"), Spread::of(latency.iter().map(|run| run.p50_ms)), 0);
    row(what("p99"), Spread::of(latency.iter().map(|run| run.p99_ms)), 0);
    for fleet in answers.flatness.first().into_iter().flatten() {
        let runs = answers.flatness.iter().flatten().filter(|run| run.cars == fleet.cars);
        let cars = table::number(fleet.cars as f64, 0);
        let what = format!("cost of a viewer and tick, {IN_VIEW} cars in view of {cars}, µs of CPU");
        row(what, Spread::of(runs.map(|run| run.micros_per_viewer_tick)), 1);
    }
    let idle = answers.idle.iter().map(|run| run.memory_per_viewer / 1024.0);
    row("memory of an idle viewer, KiB".into(), Spread::of(idle), 1);
    let viewports = answers.viewports.iter().map(|run| run.at_few / 1e6);
    let what = format!("M car updates per CPU-second, {few} viewers, each with a viewport of its own");
    row(what, Spread::of(viewports), 1);
    let ingest = answers.ingest.iter().map(|run| run.positions_per_cpu_second / 1e6);
    row("M positions in per CPU-second, from one gateway".into(), Spread::of(ingest), 2);
    (!rows.is_empty()).then(|| table::table(&["", "median (least–most)"], &rows))
}

fn method(options: &Options, plan: &Plan) -> String {
    let (runs, few, window) = (plan.runs, plan.viewers, plan.window.as_secs_f64());
    let Plan { cap, idle_viewers, .. } = plan;
    let hz = 1.0 / TICK_SECONDS;
    let hasty = if options.quick { "**This was a quick run: its figures are no figures.** " } else { "" };
    format!(
        "## How\n\n{hasty}On {}. The server has one core and the load another; all is on loopback. {CARS} cars move, \
         each {hz} times a second; every viewer has a connection and a stream of its own and sees all of them. Figures \
         are medians of {runs} runs, each of a new server, with the least and the most in brackets. All contenders have \
         their first run before any has its second. A look lasts {window} s.\n\n\
         - **Car updates per CPU-second**: cars told to all viewers, divided by the processor time of the server's \
         processes (of Envoy and of what is behind it), at the most viewers it held; and with {few}, where what a \
         server does once for all counts more. How many cars a message tells of is read from the messages.\n\
         - **Most viewers**: found by bisection, to 4 %. A step holds if every stream lives, under 1 % of the gaps \
         between messages are longer than 1.5 ticks, and the mean gap is within 3 % of the tick: a server that slows \
         its own ticks is not in time. ≥: the load's core was full, or there were no more than {cap} sockets.\n\
         - **KB per viewer**: resident memory, as the slope from {} to {few} viewers; idle: from {} to {idle_viewers} \
         viewers of a place without cars. The kernel's socket buffers are not in it.\n\
         - **Bytes per update**: all that came over the sockets.\n\
         - **Unary calls**: with a deadline, from 64 connections with one call at a time each. Rides answers with every \
         layer on (deadline, limits, trace, figures); the tonic server has none but gRPC-Web. `grpc.health.v1.Health/Check` \
         is for everybody, and needs no token. `rides.v1.Sessions/WhoAmI` is called with one, of Rides with \
         `--auth required`, which has verified its signature at its first call and looks at the rest at each; the tonic \
         server has the same call, is sent the same token, and looks at nothing.\n\
         - **Cost of a viewer and tick**: the slope of the server's processor time from {few} to {} viewers. Cars out \
         of view report {hz} times a second too, but no more than {REPORTS_PER_SECOND} positions a second in all.\n\
         - **Latency**: from the moment a position is handed to the sender's socket to the moment its frame was read, \
         over 20 of the viewers. A position waits for its tick first, half a tick on the mean.\n\
         - **A viewport of its own**: all see every car, and each some other cells around them. Nothing is shared but the \
         cells: each message is put together for one viewer.\n\
         - **Positions in**: {} positions of 10,000 cars, each with its time, over one `Rides.Track` stream over HTTP/2, \
         as fast as it is read; nobody watches. The tick's work on them is in it.\n\n\
         Rides is given 8,000 positions a second over one `Rides.Track` stream, and what they cost is in its figures; \
         all others move the cars themselves. Columns is the form of `rides.v1.WatchFleetResponse`; rows are a message a \
         car, see [`board.proto`](../bench/proto/bench/v1/board.proto). Bare hyper sends recorded messages of Rides \
         or of the tonic server from one buffer to all, and does nothing else: what sending costs by itself. It is no bound on \
         how many viewers are in time: it wakes them in whatever order, so that one of thousands may wait a tick and a half, \
         where Rides wakes them in the same order each time. Rides and the peers in Rust are built alike, with thin \
         LTO and with jemalloc.\n\n",
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
    format!("## What was measured\n\n{}", seen.concat())
}
