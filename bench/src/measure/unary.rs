//! The cost of unary calls with a deadline: the health check, which all servers have, and a call that needs a token.

use std::{path::Path, time::Duration};

use anyhow::Result;

use super::Bench;
use crate::{
    contender::{Contender, check_health, who_am_i},
    load::{Target, call_for},
    process::Server,
    wire::{Protocol, RpcCall},
};

/// The result of one run: seconds of the server's processor time for a million calls.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unary {
    /// `Health.Check`, without a token.
    pub(crate) health: f64,
    /// `Sessions.WhoAmI` with a token, if the server has it.
    pub(crate) who_am_i: Option<f64>,
}

/// Makes one run with new servers. `seen` is called with the first.
pub(super) fn once(
    bench: &Bench,
    contender: Contender,
    protocol: Protocol,
    replay: &Path,
    seen: impl FnOnce(&Server),
) -> Result<Unary> {
    bench.say(format!("{}: unary calls", contender.name()));
    let server = contender.start(&bench.options, bench.cores, protocol, replay)?;
    seen(&server);
    let health = cost(bench, &server, protocol, check_health())?;
    drop(server);
    let mut unary = Unary { health, who_am_i: None };
    if contender.has_who_am_i() {
        let (server, token) = contender.start_guarded(&bench.options, bench.cores)?;
        unary.who_am_i = Some(cost(bench, &server, protocol, who_am_i(token))?);
    }
    Ok(unary)
}

/// Returns the cost of a million calls, in seconds of processor time.
fn cost(bench: &Bench, server: &Server, protocol: Protocol, call: RpcCall) -> Result<f64> {
    const WARM_UP: Duration = Duration::from_secs(1);
    let path = call.path;
    let target = Target { addr: server.addr, protocol, calls: vec![call] };
    let (before, calls) = call_for(&target, WARM_UP, bench.plan.window, || server.cpu())?;
    let cpu = server.cpu()?.saturating_sub(before);
    let cost = cpu.as_secs_f64() * 1e6 / calls as f64;
    bench.log(&format!("{}, {path}: {calls} calls, {cost:.1} CPU-seconds per million", server.about));
    Ok(cost)
}
