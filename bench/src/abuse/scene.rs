//! One attack on one server: peace, then the attack, then peace again.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};

use super::{
    attack::Attack,
    attackers::Attackers,
    gauges::Gauges,
    judge::{Figures, Findings, Memory},
    pages::{Pages, Sight},
};
use crate::{
    contender::rides_server,
    feed::{Feed, fleet},
    machine::Cores,
    process::Server,
};

/// For whom limits do not hold: the gateway that reports for the whole fleet, and who asks for `/metrics`.
const EXEMPT: &str = "127.0.0.1/32";
/// Between two looks at whether all is as before.
const LOOK: Duration = Duration::from_millis(250);

/// How much time there is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    /// Until the server is warm.
    pub(super) settle: Duration,
    /// In which peace is measured.
    pub(super) quiet: Duration,
    /// No attack is longer.
    pub(super) longest: Duration,
    /// Of each crowd, one in so many comes.
    pub(super) thinned: usize,
    /// After an attack, until all must be as before.
    pub(super) patience: Duration,
}

/// Plays it.
///
/// # Errors
/// When the server, the pages or the attackers cannot do their part. What a server does not stand is in the findings.
pub(super) fn play(
    attack: Box<dyn Attack>,
    plan: &Plan,
    cores: Cores,
    server: &Path,
    log: &Path,
) -> Result<Findings> {
    let mut command = rides_server(server);
    command.args(["--exempt-addresses", EXEMPT]).args(attack.flags());
    let server = Server::start(command, cores, log)?;
    let feed = Feed::start(server.addr, fleet());
    let mut pages = Pages::open(server.addr)?;
    pages.go_on(plan.settle)?;

    let (mut peace, quiet_cpu) = watch(&server, &mut pages, plan.quiet)?;
    ensure!(peace.errors.is_empty(), "even in peace there are errors: {}", peace.errors.join(", "));
    let quiet = Figures::of(&mut peace).context("the pages saw nothing in peace")?;

    let (before, memory) = (Gauges::of(server.addr)?, server.resident()?);
    server.forget_peak()?;
    // What came while we asked is not of the attack.
    pages.go_on(LOOK)?;
    let mut crowd = attack.crowd();
    crowd.lasts = crowd.lasts.min(plan.longest);
    crowd.clients = (crowd.clients / plan.thinned).max(1);
    let budget = attack.budget();
    let attackers = Attackers::start(attack, crowd, server.addr)?;
    let (mut sight, cpu) = watch(&server, &mut pages, crowd.lasts)?;
    let taken = attackers.stop()?;
    let peak = server.peak()?;
    let during = Figures::of(&mut sight).context("the pages saw nothing in the attack")?;

    let (after, late_errors) = aftermath(&server, &mut pages, plan, &before, memory)?;
    let failed = Gauges::of(server.addr)?.failed_since(&before);
    feed.stop()?;
    Ok(Findings {
        quiet,
        during,
        errors: [sight.errors, late_errors].concat(),
        cpu_share: [quiet_cpu, cpu],
        memory: Memory { before: memory, peak, after: after.resident },
        budget,
        places_back: after.places_back,
        memory_back: after.memory_back,
        taken,
        failed,
    })
}

/// What the pages see in a while, and how much of its core the server uses.
fn watch(server: &Server, pages: &mut Pages, window: Duration) -> Result<(Sight, f64)> {
    let (start, before) = (Instant::now(), server.cpu()?);
    let sight = pages.go_on(window)?;
    let used = server.cpu()?.saturating_sub(before);
    Ok((sight, used.as_secs_f64() / start.elapsed().as_secs_f64()))
}

/// What is left of an attack.
struct Aftermath {
    resident: u64,
    places_back: Option<Duration>,
    memory_back: Option<Duration>,
}

/// Looks until all is as before, or there is no more time; and what went wrong for the pages meanwhile.
fn aftermath(
    server: &Server,
    pages: &mut Pages,
    plan: &Plan,
    before: &Gauges,
    memory: u64,
) -> Result<(Aftermath, Vec<String>)> {
    let start = Instant::now();
    let mut errors = Vec::new();
    let mut after = Aftermath { resident: memory, places_back: None, memory_back: None };
    while start.elapsed() < plan.patience && (after.places_back.is_none() || after.memory_back.is_none()) {
        errors.append(&mut pages.go_on(LOOK)?.errors);
        after.resident = server.resident()?;
        let now = Gauges::of(server.addr)?;
        let elapsed = Some(start.elapsed());
        // The pages' own calls come and go, and the newcomer with its.
        let few = now.connections <= before.connections && now.calls <= before.calls + Pages::COUNT as u64;
        after.places_back = after.places_back.or(elapsed.filter(|_| few));
        let is_back = Memory { before: memory, peak: 0, after: after.resident }.is_back();
        after.memory_back = after.memory_back.or(elapsed.filter(|_| is_back));
    }
    Ok((after, errors))
}
