//! Frames of the fleet at a client that is slow: late in a window of its library's own size, and not in the programs that
//! people begin with.

use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::{examples::Program, programs::Running, servers::Servers};

/// A slow client takes three times as long over a frame as the server.
const FLEET: [&str; 2] = ["--cars=30", "--tick=30"];
const SLOW: [&str; 2] = ["--pause", "0.1"];
/// No frame that is later than this is shown.
const LATEST: f64 = 2.0;
/// A client that keeps what comes shows frames that are later than this after some seconds.
const LATE: f64 = 4.0;
/// By default a program shows no frame that is late. With this it shows all.
const SHOWING_ALL: [&str; 2] = ["--latest", "3600"];

/// Runs slow clients side by side, and returns how many checks they are.
///
/// # Errors
/// When one shows frames that are late, or one that should show them does not.
pub(super) fn run(python: Program, node: Program, servers: &Servers) -> Result<u64> {
    let (_server, url) = servers.another(&FLEET)?;
    let start = |program: Program, flags: &[&str]| {
        let mut command: Command = program("fleet_client");
        command.args(["--server", url.trim_start_matches("http://")]).args(SLOW).args(flags);
        Running::start(&mut command)
    };
    let any_window = [&["--any-window"][..], &SHOWING_ALL].concat();
    let mut keeping = [start(python, &any_window)?, start(node, &any_window)?];
    let mut prompt = [
        start(python, &[])?,
        start(node, &[])?,
        // The window alone is enough for grpcio.
        start(python, &SHOWING_ALL)?,
        // And so is what the program does about late frames.
        start(python, &["--any-window"])?,
    ];
    let mut kept = [0, 0];
    for (client, tick) in keeping.iter_mut().zip(&mut kept) {
        *tick = until(client, |_, late| late > LATE)?;
    }
    for client in &mut prompt {
        // Read up to what was shown late elsewhere, and beyond.
        let shown = kept[0].max(kept[1]) + 60;
        let mut latest: f64 = 0.0;
        until(client, |tick, late| {
            latest = latest.max(late);
            tick > shown
        })?;
        ensure!(latest <= LATEST, "a slow client shows a frame that is {latest} s late");
    }
    Ok((keeping.len() + prompt.len()) as u64)
}

/// Reads lines like `tick 7: 30 cars, 0.1 s late` until one is as it should be, and returns its tick.
fn until(client: &mut Running, mut is_enough: impl FnMut(u64, f64) -> bool) -> Result<u64> {
    loop {
        let line = client.line()?.context("it ended")?;
        let Some((tick, late)) = shown(&line) else { continue };
        if is_enough(tick, late) {
            return Ok(tick);
        }
    }
}

/// The tick and the lateness of a frame that is shown.
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
        assert_eq!(shown("2.1 s late: another stream begins with what is there now"), None);
    }
}
