//! What a unary call costs: the health check, which all of them answer alike, with a deadline.

use std::{path::Path, time::Duration};

use anyhow::Result;

use super::Bench;
use crate::{
    contender::{Contender, check_health},
    load::{Target, call_for},
    process::Server,
    wire::Protocol,
};

/// What one run found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unary {
    /// Of the server's time.
    pub(crate) cpu_seconds_per_million: f64,
}

/// Asks once, of a new server. `seen` gets to see it.
pub(super) fn once(
    bench: &Bench,
    contender: Contender,
    protocol: Protocol,
    replay: &Path,
    seen: impl FnOnce(&Server),
) -> Result<Unary> {
    const WARM_UP: Duration = Duration::from_secs(1);
    bench.say(format!("{}: unary calls", contender.name()));
    let server = contender.start(&bench.options, bench.cores, protocol, replay)?;
    seen(&server);
    let target = Target { addr: server.addr, protocol, call: check_health() };
    let (before, calls) = call_for(&target, WARM_UP, bench.plan.window, || server.cpu())?;
    let cpu = server.cpu()?.saturating_sub(before);
    let unary = Unary { cpu_seconds_per_million: cpu.as_secs_f64() * 1e6 / calls as f64 };
    bench.log(&format!(
        "{} {calls} calls: {:.1} CPU-seconds a million",
        contender.name(),
        unary.cpu_seconds_per_million
    ));
    Ok(unary)
}
