//! The report: tables for the terminal, and `abuse.md`.

use std::{collections::BTreeMap, fmt::Write as _, time::Duration};

use super::{
    Scenario,
    judge::{AttackResult, MAX_LATENCY_RATIO, MORE_BYTES, MORE_SHARE},
};
use crate::{
    machine,
    report::table::{number, table},
    servers::CARS,
};

/// The findings of one attack, or the reason why it could not be measured.
pub(super) type Outcome = Result<AttackResult, String>;

/// Returns a one-line summary of an attack.
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

/// Returns the text of `abuse.md`.
pub(super) fn page(quick: bool, outcomes: &[(Scenario, Outcome)]) -> String {
    let intro = "# Abuse\n\n\
                 For operators and developers: the latencies that well-behaved pages see while other clients \
                 abuse the server, and the cost of each attack. `cargo xtask abuse` writes this document; do \
                 not edit it.\n\n";
    [intro.to_owned(), figures(outcomes), method(quick, outcomes)].concat()
}

/// Returns all tables.
pub(super) fn figures(outcomes: &[(Scenario, Outcome)]) -> String {
    let findings: Vec<(Scenario, &AttackResult)> =
        outcomes.iter().filter_map(|(scenario, outcome)| Some((*scenario, outcome.as_ref().ok()?))).collect();
    let mut text = format!("## Latencies of the pages\n\n{}", seen(&findings));
    let _ = write!(text, "\n## Cost to the server\n\n{}", costs(&findings));
    let _ = write!(text, "\n## Attackers\n\n{}\n", got(&findings));
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
        let _ = write!(text, "## Failures\n\n{faults}\n");
    }
    text
}

fn seen(findings: &[(Scenario, &AttackResult)]) -> String {
    let head = [
        "ms, baseline → attack",
        "call p50",
        "call p99",
        "ratio",
        "call max",
        "new connection p50",
        "new connection max",
        "frame gap p99",
        "ratio",
        "delay p99",
        "errors",
        "verdict",
    ];
    let rows: Vec<_> = findings
        .iter()
        .map(|(scenario, findings)| {
            let AttackResult { quiet, during, errors, .. } = findings;
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

fn costs(findings: &[(Scenario, &AttackResult)]) -> String {
    let head = [
        "",
        "% of its core, baseline → attack",
        "MiB before",
        "peak MiB",
        "MiB after",
        "s until memory is released",
        "s until connections and calls end",
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
                back(findings.recovery_of_memory),
                back(findings.recovery_of_calls),
            ]
        })
        .collect();
    table(&head, &rows)
}

fn got(findings: &[(Scenario, &AttackResult)]) -> String {
    let head = ["", "connections", "at a time", "writes", "ended by the server", "failed calls"];
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

/// Returns the counts as text, the largest first.
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

fn verdict(findings: &AttackResult) -> &'static str {
    if findings.faults().is_empty() { "passes" } else { "**fails**" }
}

fn method(quick: bool, outcomes: &[(Scenario, Outcome)]) -> String {
    let hasty = if quick { "**This was a quick run: do not use its results.** " } else { "" };
    let mut text = format!(
        "## Method\n\n\
         {hasty}On {}. The server has one core. The pages, the attackers and the feed of car positions share \
         the other core, where the attackers run only while nothing else has work (`SCHED_IDLE`). All traffic \
         is on loopback. Limits have their defaults unless stated below, and only the address that reports \
         {CARS} moving cars is exempt from them. Each attack runs against a new server.\n\n\
         - **Pages**: four pages, two over HTTP/1.1 and two over HTTP/2. Each has its own address, a stream of \
         the whole city, and a connection for its calls. A page makes 50 calls per second, in rounds: four \
         quotes, a booking, gets of the ride, and its cancellation. The latency of a call that had to wait for \
         the call before it counts from the time at which it was due. The baseline is measured on the same server \
         before the attack.\n\
         - **New connection**: another address connects five times per second, over HTTP/1.1 and HTTP/2 by turns, \
         and checks the server's health. The latency counts from the connect to the response. It is not part of \
         the verdict.\n\
         - **Passes**: the p99 of calls and of gaps between frames stays below {MAX_LATENCY_RATIO:.0} times the baseline. No \
         call, stream or new connection of the pages fails. After the attack connections and calls return to the \
         number before it, and memory to at most {:.0} % or {:.0} MiB more than before. During the attack memory \
         stays within the budget, if one is stated below.\n\
         - **Failed calls**: the calls that the server ended with a status other than OK. If there are no errors, \
         all of them are the attackers'.\n\
         - **Delay p99**: the time by which the pages' own thread woke later than requested. Up to this much of \
         the latencies beside it may come from the load generator and not from the server.\n\n",
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
            format!(" The server may use {mib} MiB of memory for them, {kib_each} KiB for each.")
        });
        let clients = number(crowd.clients as f64, 0);
        let (addresses, lasts) = (crowd.addresses, crowd.lasts.as_secs());
        let _ = writeln!(
            text,
            "- **{}**: {clients} clients from {addresses} addresses {}, for {lasts} s{flags}.{budget}",
            scenario.name(),
            attack.about(),
        );
    }
    text
}
