//! The test of the example programs in `clients/`, run as their README says.

use std::{fs, process::Command};

use anyhow::{Context, Result, bail, ensure};

use super::{
    early_exits, late_frames,
    programs::{ClientPrograms, RunningProgram},
    readmes,
    servers::Servers,
};
use crate::{progress, shell};

/// A function that returns the command of a program by its name.
pub(super) type CommandOf<'a> = &'a dyn Fn(&str) -> Command;

/// Runs the programs in both languages, and returns the number of checks.
///
/// # Errors
/// When a program fails, or does not print the expected text.
pub(super) fn run(programs: &ClientPrograms, servers: &Servers) -> Result<u64> {
    let python = |name: &str| programs.python(&[&format!("{name}.py")]);
    let node = |name: &str| programs.node(&[&format!("{name}.mjs")]);
    let languages: [(CommandOf, &str); 2] = [(&python, "signed_on"), (&node, "signedOn")];
    let mut count = 0;
    for (program, signed_on) in languages {
        count += a_ride(program, signed_on, &servers.open)?;
        count += tls_and_token(program, servers)?;
        count += two_servers(program, servers)?;
        count += early_exits::failures(program, servers)?;
        #[cfg(unix)]
        {
            count += early_exits::ctrl_c(program, signed_on, servers)?;
        }
    }
    count += late_frames::run(&python, &node, servers)?;
    Ok(count + readmes::run(programs, servers)? + connect_page(programs, servers)?)
}

/// Books a ride, completes it as a driver, watches its events afterwards, and reports positions.
fn a_ride(program: CommandOf, signed_on: &str, server: &str) -> Result<u64> {
    let at = |name: &str| {
        let mut command = program(name);
        command.args(["--server", server]);
        command
    };
    let mut driver = RunningProgram::start(&mut at("bidirectional_client"))?;
    wait_for_line(&mut driver, signed_on)?;
    let booked = expect(&mut at("unary_client"), " is RIDE_STATE_")?;
    let ride =
        booked.lines().find_map(|line| line.split_once(" is RIDE_STATE_")).context("no ride")?.0.to_owned();
    wait_for_line(&mut driver, "RIDE_STATE_COMPLETED")?;
    while driver.line()?.is_some() {}
    expect(at("watch_client").args(["--ride", &ride]), "completed")?;
    expect(&mut at("track_client"), "took 100 positions")?;
    Ok(4)
}

/// Calls a server over TLS, and one with a token: with stubs, and with reflection alone.
fn tls_and_token(program: CommandOf, servers: &Servers) -> Result<u64> {
    let mut over_tls = program("unary_client");
    expect(over_tls.args(["--server", &servers.tls, "--ca"]).arg(&servers.ca), " is RIDE_STATE_")?;
    for (name, what) in [("unary_client", " is RIDE_STATE_"), ("reflection_client", "EUR")] {
        let mut with_token = program(name);
        expect(
            with_token.args(["--server", &servers.with_tokens, "--token-file"]).arg(&servers.token_file),
            what,
        )?;
    }
    Ok(3)
}

/// Checks that no call fails when one of two servers behind one name stops.
fn two_servers(program: CommandOf, servers: &Servers) -> Result<u64> {
    let (one, one_url) = servers.start_another(&["--cars=0"])?;
    let (_other, other_url) = servers.start_another(&["--cars=0"])?;
    let [first, second] = [&one_url, &other_url].map(|url| url.trim_start_matches("http://"));
    let mut client = program("two_servers_client");
    let mut calls = RunningProgram::start(client.args(["--server", &format!("ipv4:{first},{second}")]))?;
    wait_for_line(&mut calls, "EUR")?;
    drop(one);
    for _ in 0..4 {
        let said = calls.line()?.context("the client ended early")?;
        ensure!(said.contains("EUR"), "a call failed after one of two servers stopped: {said}");
    }
    Ok(1)
}

/// Checks the page that uses Connect's client: it shows a fare and cars, and the error if the server refuses its calls.
fn connect_page(programs: &ClientPrograms, servers: &Servers) -> Result<u64> {
    // The page must work with the stubs of `generate` alone, without those that were made for the checks.
    let stubs = programs.node_dir().join("gen");
    fs::remove_dir_all(&stubs).with_context(|| format!("cannot remove {}", stubs.display()))?;
    for (script, what) in [("generate", "stubs"), ("page", "page")] {
        let mut npm = shell::command("npm");
        npm.args(["run", "--silent", script]).current_dir(programs.node_dir());
        progress::spin(&format!("Making the {what} for connect-web"), "seconds", npm)?;
    }
    let page = programs.node_dir().join("browser");
    for (flag, shown) in [("--auth=open", "EUR"), ("--auth=required", "Unauthenticated: a session is needed")]
    {
        let (_server, url) =
            servers.start_another(&["--cars=30", flag, "--page", &page.to_string_lossy()])?;
        let mut look = programs.node(&["interop/board.mjs"]);
        expect(look.arg(&servers.file).arg(url), shown)?;
    }
    Ok(2)
}

/// Reads lines of the driver until one contains `what`.
///
/// # Errors
/// When the driver ends before.
fn wait_for_line(driver: &mut RunningProgram, what: &str) -> Result<()> {
    while let Some(line) = driver.line()? {
        if line.contains(what) {
            return Ok(());
        }
    }
    bail!("the driver ended without a line that has {what}")
}

/// Runs a program, and returns its output, which must contain `what`.
///
/// # Errors
/// When the program fails, or its output does not contain `what`.
pub(super) fn expect(command: &mut Command, what: &str) -> Result<String> {
    let mut running = RunningProgram::start(command)?;
    let mut said = String::new();
    while let Some(line) = running.line()? {
        said.push_str(&line);
        said.push('\n');
    }
    ensure!(
        said.contains(what),
        "the output of `{}` does not have {what}: {said}",
        shell::command_line(command)
    );
    Ok(said)
}
