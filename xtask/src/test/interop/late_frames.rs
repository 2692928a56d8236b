//! The test of fleet frames at a slow client.
//!
//! With the default flow-control window of its library a slow client shows late frames. The example programs set a
//! small window, and must not.

use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::{examples::CommandOf, programs::RunningProgram, servers::Servers};

/// The server's tick is 30 ms, and a slow client pauses for 100 ms after each frame.
const FLEET: [&str; 2] = ["--cars=30", "--tick=30"];
const SLOW: [&str; 2] = ["--pause", "0.1"];
/// The largest lateness of a shown frame, in seconds.
const MAX_SHOWN_LATENESS_S: f64 = 2.0;
/// The lateness, in seconds, that a client with a large window exceeds after a short time.
const LATE_AFTER_S: f64 = 4.0;
/// The flags that make a program show all frames. By default it shows no late frame.
const SHOWING_ALL: [&str; 2] = ["--latest", "3600"];

/// Runs slow clients in parallel, and returns the number of checks.
///
/// # Errors
/// When a client shows late frames, or a client that should show late frames does not.
pub(super) fn run(python: CommandOf, node: CommandOf, servers: &Servers) -> Result<u64> {
    let (_server, url) = servers.start_another(&FLEET)?;
    let start = |program: CommandOf, flags: &[&str]| {
        let mut command: Command = program("fleet_client");
        command.args(["--server", url.trim_start_matches("http://")]).args(SLOW).args(flags);
        RunningProgram::start(&mut command)
    };
    let any_window = [&["--any-window"][..], &SHOWING_ALL].concat();
    let mut keeping = [start(python, &any_window)?, start(node, &any_window)?];
    let mut prompt = [
        start(python, &[])?,
        start(node, &[])?,
        // The small window alone is enough for grpcio.
        start(python, &SHOWING_ALL)?,
        // So is the new stream that the program opens when frames are late.
        start(python, &["--any-window"])?,
    ];
    let mut kept = [0, 0];
    for (client, tick) in keeping.iter_mut().zip(&mut kept) {
        *tick = until(client, |_, late| late > LATE_AFTER_S)?;
    }
    for client in &mut prompt {
        // Read past the tick that the other clients have shown late.
        let shown = kept[0].max(kept[1]) + 60;
        let mut latest: f64 = 0.0;
        until(client, |tick, late| {
            latest = latest.max(late);
            tick > shown
        })?;
        ensure!(latest <= MAX_SHOWN_LATENESS_S, "a slow client showed a frame that is {latest} s late");
    }
    Ok((keeping.len() + prompt.len()) as u64)
}

/// Reads lines of the form `tick 7: 30 cars, 0.1 s late` until `is_enough` accepts one, and returns its tick.
fn until(client: &mut RunningProgram, mut is_enough: impl FnMut(u64, f64) -> bool) -> Result<u64> {
    loop {
        let line = client.line()?.context("the client ended early")?;
        let Some((tick, late)) = shown(&line) else { continue };
        if is_enough(tick, late) {
            return Ok(tick);
        }
    }
}

/// Returns the tick and the lateness in seconds of a shown frame.
fn shown(line: &str) -> Option<(u64, f64)> {
    let (tick, rest) = line.strip_prefix("tick ")?.split_once(": ")?;
    let late = rest.rsplit_once(", ")?.1.strip_suffix(" s late")?;
    Some((tick.parse().ok()?, late.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_the_tick_of_a_frame_and_how_late_it_is() {
        assert_eq!(shown("tick 1207: 30 cars, 2.5 s late"), Some((1_207, 2.5)));
        assert_eq!(shown("2.1 s late: opening a new stream"), None);
    }
}
