//! One attack on one server: the baseline, the attack, and the recovery.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};

use super::{
    attack::Attack,
    attackers::Attackers,
    gauges::ServerMetrics,
    judge::{AttackResult, Memory, PagePercentiles},
    pages::{PageMeasurements, Pages},
};
use crate::{
    contender::rides_server,
    feed::{Feed, fleet},
    machine::Cores,
    process::Server,
};

/// The addresses that are exempt from limits: the feed of positions, and the requests of `/metrics`.
const EXEMPT: &str = "127.0.0.1/32";
/// The time between two checks whether the server has recovered.
const LOOK: Duration = Duration::from_millis(250);

/// The durations and sizes of an attack's phases.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    /// The time until the server is warm.
    pub(super) settle: Duration,
    /// The duration of the baseline.
    pub(super) quiet: Duration,
    /// The longest duration of an attack.
    pub(super) longest: Duration,
    /// The divisor of the number of clients.
    pub(super) client_divisor: usize,
    /// The time after an attack within which the server must recover.
    pub(super) recovery_timeout: Duration,
}

/// Runs an attack and returns the measurements.
///
/// # Errors
/// When the server, the pages or the attackers do not start or stop. A failure of the server under attack is no
/// error: it is in the findings.
pub(super) fn play(
    attack: Box<dyn Attack>,
    plan: &Plan,
    cores: Cores,
    server: &Path,
    log: &Path,
) -> Result<AttackResult> {
    let mut command = rides_server(server);
    command.args(["--exempt-addresses", EXEMPT]).args(attack.flags());
    let server = Server::start(command, cores, log)?;
    let feed = Feed::start(server.addr, fleet());
    let mut pages = Pages::open(server.addr)?;
    pages.run_for(plan.settle)?;

    let (mut peace, quiet_cpu) = watch(&server, &mut pages, plan.quiet)?;
    ensure!(peace.errors.is_empty(), "the pages have errors before the attack: {}", peace.errors.join(", "));
    let quiet = PagePercentiles::of(&mut peace).context("the pages measured nothing before the attack")?;

    let (before, memory) = (ServerMetrics::of(server.addr)?, server.resident()?);
    server.forget_peak()?;
    // What the pages measured while the metrics were read does not count.
    pages.run_for(LOOK)?;
    let mut crowd = attack.crowd();
    crowd.lasts = crowd.lasts.min(plan.longest);
    crowd.clients = (crowd.clients / plan.client_divisor).max(1);
    let budget = attack.budget();
    let attackers = Attackers::start(attack, crowd, server.addr)?;
    let (mut sight, cpu) = watch(&server, &mut pages, crowd.lasts)?;
    let taken = attackers.stop()?;
    let peak = server.peak()?;
    let during = PagePercentiles::of(&mut sight).context("the pages measured nothing in the attack")?;

    let (after, late_errors) = aftermath(&server, &mut pages, plan, &before, memory)?;
    let failed = ServerMetrics::of(server.addr)?.failed_since(&before);
    feed.stop()?;
    Ok(AttackResult {
        quiet,
        during,
        errors: [sight.errors, late_errors].concat(),
        cpu_share: [quiet_cpu, cpu],
        memory: Memory { before: memory, peak, after: after.resident },
        budget,
        recovery_of_calls: after.places_back,
        recovery_of_memory: after.memory_back,
        taken,
        failed,
    })
}

/// Runs the pages for `window`. Returns what they measured, and the share of its core that the server used.
fn watch(server: &Server, pages: &mut Pages, window: Duration) -> Result<(PageMeasurements, f64)> {
    let (start, before) = (Instant::now(), server.cpu()?);
    let sight = pages.run_for(window)?;
    let used = server.cpu()?.saturating_sub(before);
    Ok((sight, used.as_secs_f64() / start.elapsed().as_secs_f64()))
}

/// The recovery of the server after an attack.
struct Aftermath {
    resident: u64,
    places_back: Option<Duration>,
    memory_back: Option<Duration>,
}

/// Waits until the server has recovered or the time is over. Returns also the errors of the pages meanwhile.
fn aftermath(
    server: &Server,
    pages: &mut Pages,
    plan: &Plan,
    before: &ServerMetrics,
    memory: u64,
) -> Result<(Aftermath, Vec<String>)> {
    let start = Instant::now();
    let mut errors = Vec::new();
    let mut after = Aftermath { resident: memory, places_back: None, memory_back: None };
    while start.elapsed() < plan.recovery_timeout
        && (after.places_back.is_none() || after.memory_back.is_none())
    {
        errors.append(&mut pages.run_for(LOOK)?.errors);
        after.resident = server.resident()?;
        let now = ServerMetrics::of(server.addr)?;
        let elapsed = Some(start.elapsed());
        // At any moment the pages may have calls open. The newcomer may have one too, with its connection.
        let few = now.connections <= before.connections && now.calls <= before.calls + Pages::COUNT as u64;
        after.places_back = after.places_back.or(elapsed.filter(|_| few));
        let is_back = Memory { before: memory, peak: 0, after: after.resident }.is_back();
        after.memory_back = after.memory_back.or(elapsed.filter(|_| is_back));
    }
    Ok((after, errors))
}
