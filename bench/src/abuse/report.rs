//! The findings, written down: tables for the terminal, and `abuse.md`.

use std::{collections::BTreeMap, fmt::Write as _, time::Duration};

use super::{
    Scenario,
    judge::{Findings, MORE_BYTES, MORE_SHARE, TIMES},
};
use crate::{
    machine,
    report::table::{number, table},
    servers::CARS,
};

/// What became of one attack.
pub(super) type Outcome = Result<Findings, String>;

/// In a line, while others go on.
pub(super) fn line(scenario: Scenario, outcome: &Outcome) -> String {
    let name = scenario.name();
    match outcome {
        Err(why) => format!("{name}: {why}"),
        Ok(findings) => {
            let (quiet, during) = (findings.quiet.p99, findings.during.p99);
            let verdict = verdict(findings);
            format!("{name}: p99 {quiet:.2} → {during:.2} ms; {verdict}")
        }
    }
}

/// The whole page.
pub(super) fn page(quick: bool, outcomes: &[(Scenario, Outcome)]) -> String {
    let intro = "# Abuse\n\nWhat well-behaved pages see while others abuse the server. Everything here is written by \
                 `cargo xtask abuse`, and nothing by hand.\n\n";
    [intro.to_owned(), figures(outcomes), method(quick, outcomes)].concat()
}

/// All tables.
pub(super) fn figures(outcomes: &[(Scenario, Outcome)]) -> String {
    let findings: Vec<(Scenario, &Findings)> =
        outcomes.iter().filter_map(|(scenario, outcome)| Some((*scenario, outcome.as_ref().ok()?))).collect();
    let mut text = format!("## What the pages see\n\n{}", seen(&findings));
    let _ = write!(text, "\n## What it costs the server\n\n{}", costs(&findings));
    let _ = write!(text, "\n## What the attackers get\n\n{}\n", got(&findings));
    let faults: String = outcomes
        .iter()
        .map(|(scenario, outcome)| match outcome {
            Ok(findings) => (scenario, findings.faults()),
            Err(why) => (scenario, vec![why.clone()]),
        })
        .filter(|(_, faults)| !faults.is_empty())
        .map(|(scenario, faults)| format!("- {}: {}\n", scenario.name(), faults.join("; ")))
        .collect();
    if !faults.is_empty() {
        let _ = write!(text, "## What does not hold\n\n{faults}\n");
    }
    text
}

fn seen(findings: &[(Scenario, &Findings)]) -> String {
    let head = [
        "ms, in peace → in the attack",
        "calls p50",
        "p99",
        "",
        "max",
        "new p50",
        "max",
        "gaps p99",
        "",
        "own p99",
        "errors",
        "",
    ];
    let rows: Vec<_> = findings
        .iter()
        .map(|(scenario, findings)| {
            let Findings { quiet, during, errors, .. } = findings;
            vec![
                scenario.name(),
                change(quiet.p50, during.p50, 2),
                change(quiet.p99, during.p99, 2),
                times(quiet.p99, during.p99),
                change(quiet.max, during.max, 1),
                change(quiet.arrival_p50, during.arrival_p50, 1),
                change(quiet.arrival_max, during.arrival_max, 1),
                change(quiet.gap_p99, during.gap_p99, 0),
                times(quiet.gap_p99, during.gap_p99),
                change(quiet.own_p99, during.own_p99, 2),
                errors.len().to_string(),
                verdict(findings).into(),
            ]
        })
        .collect();
    table(&head, &rows)
}

fn costs(findings: &[(Scenario, &Findings)]) -> String {
    let head = [
        "",
        "% of its core",
        "MiB before",
        "at most",
        "after",
        "s until memory is back",
        "s until places are back",
    ];
    let rows: Vec<_> = findings
        .iter()
        .map(|(scenario, findings)| {
            let [quiet, during] = findings.cpu_share.map(|share| 100.0 * share);
            let mib = |bytes: u64| number(bytes as f64 / 1024.0 / 1024.0, 0);
            vec![
                scenario.name(),
                change(quiet, during, 0),
                mib(findings.memory.before),
                mib(findings.memory.peak),
                mib(findings.memory.after),
                back(findings.memory_back),
                back(findings.places_back),
            ]
        })
        .collect();
    table(&head, &rows)
}

fn got(findings: &[(Scenario, &Findings)]) -> String {
    let head = ["", "connections", "at a time", "turns", "ended by the server", "calls that failed"];
    let rows: Vec<_> = findings
        .iter()
        .map(|(scenario, findings)| {
            let count = |n: u64| number(n as f64, 0);
            let taken = &findings.taken;
            vec![
                scenario.name(),
                count(taken.opened),
                count(taken.most as u64),
                count(taken.turns),
                counts(&taken.ended),
                counts(&findings.failed),
            ]
        })
        .collect();
    table(&head, &rows)
}

/// The most frequent first.
fn counts(counts: &BTreeMap<String, u64>) -> String {
    let mut counts: Vec<_> = counts.iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    let words: Vec<_> =
        counts.iter().map(|(what, count)| format!("{} × {what}", number(**count as f64, 0))).collect();
    if words.is_empty() { "–".into() } else { words.join(", ") }
}

fn change(quiet: f64, during: f64, decimals: usize) -> String {
    format!("{} → {}", number(quiet, decimals), number(during, decimals))
}

fn times(quiet: f64, during: f64) -> String {
    format!("{}×", number(during / quiet, 2))
}

fn back(after: Option<Duration>) -> String {
    after.map_or_else(|| "never".into(), |after| number(after.as_secs_f64(), 1))
}

fn verdict(findings: &Findings) -> &'static str {
    if findings.faults().is_empty() { "holds" } else { "**does not hold**" }
}

fn method(quick: bool, outcomes: &[(Scenario, Outcome)]) -> String {
    let hasty = if quick { "**This was a quick run: its figures are no figures.** " } else { "" };
    let mut text = format!(
        "## How\n\n{hasty}On {}. The server has one core. Pages, attackers and what reports the cars share \
         the other, where attackers run while nobody else has anything to do (`SCHED_IDLE`). All is on loopback, and no \
         address but the one that {CARS} moving cars are reported from is exempt from limits, which are the defaults \
         unless said below. Each attack has a server of its own.\n\n\
         - **Pages**: four, two over HTTP/1.1 and two over HTTP/2, each with an address, a stream of the whole city and a \
         connection for its calls: 50 a second, in rounds of four fares, a booking, its ride looked at, and its \
         cancellation. A call that had to wait for the one before it counts from when it was due. Before the attack they \
         are measured in peace, on the same server.\n\
         - **New**: from another address somebody connects five times a second, over HTTP/1.1 and HTTP/2 in turn, and asks \
         for the server's health: until the answer. It is shown, and not judged.\n\
         - **Holds**: p99 of calls and of gaps between frames stay under {TIMES:.0} times what they are in peace, no call \
         and no stream of the pages and no newcomer fails, connections and calls are as few as before again, and so is memory, but for \
         {:.0} % or {:.0} MiB.\n\
         - **Calls that failed** are counted by the server; none of them are the pages' or the newcomer's.\n\
         - **Own p99**: how late the pages' own thread woke when it had asked to be woken. So much of the figures beside it \
         may be the load's own doing.\n\n",
        machine::description(),
        100.0 * MORE_SHARE,
        MORE_BYTES / 1024.0 / 1024.0,
    );
    for (scenario, _) in outcomes {
        let attack = scenario.attack();
        let crowd = attack.crowd();
        let flags = match attack.flags() {
            [] => String::new(),
            flags => format!(" (`{}`)", flags.join(" ")),
        };
        let budget = attack.budget().map_or_else(String::new, |bytes| {
            let (mib, kib_each) = (bytes / 1024 / 1024, bytes / 1024 / crowd.clients as u64);
            format!(" The server may take {mib} MiB for them, {kib_each} KiB for each.")
        });
        let clients = number(crowd.clients as f64, 0);
        let (addresses, lasts) = (crowd.addresses, crowd.lasts.as_secs());
        let _ = writeln!(
            text,
            "- **{}**: {clients} clients of {addresses} addresses {}, for {lasts} s{flags}.{budget}",
            scenario.name(),
            attack.about(),
        );
    }
    text
}
