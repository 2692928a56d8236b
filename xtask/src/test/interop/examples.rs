//! The programs that people begin with, run as their README says.

use std::{fs, process::Command};

use anyhow::{Context, Result, bail, ensure};

use super::{
    endings, lateness,
    programs::{Programs, Running},
    readmes,
    servers::Servers,
};
use crate::{progress, shell};

/// Makes the command of a program by its name.
pub(super) type Program<'a> = &'a dyn Fn(&str) -> Command;

/// Runs them in both languages, and returns how many there were.
///
/// # Errors
/// When one fails, or does not say what it should.
pub(super) fn run(programs: &Programs, servers: &Servers) -> Result<u64> {
    let python = |name: &str| programs.python(&[&format!("{name}.py")]);
    let node = |name: &str| programs.node(&[&format!("{name}.mjs")]);
    let languages: [(Program, &str); 2] = [(&python, "signed_on"), (&node, "signedOn")];
    let mut count = 0;
    for (program, signed_on) in languages {
        count += a_ride(program, signed_on, &servers.open)?;
        count += elsewhere(program, servers)?;
        count += two_servers(program, servers)?;
        count += endings::failures(program, servers)?;
        #[cfg(unix)]
        {
            count += endings::ctrl_c(program, signed_on, servers)?;
        }
    }
    count += lateness::run(&python, &node, servers)?;
    Ok(count + readmes::run(programs, servers)? + board(programs, servers)?)
}

/// Somebody books, a driver takes the ride to its end, and it is looked back on.
fn a_ride(program: Program, signed_on: &str, server: &str) -> Result<u64> {
    let at = |name: &str| {
        let mut command = program(name);
        command.args(["--server", server]);
        command
    };
    let mut driver = Running::start(&mut at("bidirectional_client"))?;
    hears(&mut driver, signed_on)?;
    let booked = expect(&mut at("unary_client"), " is RIDE_STATE_")?;
    let ride =
        booked.lines().find_map(|line| line.split_once(" is RIDE_STATE_")).context("no ride")?.0.to_owned();
    hears(&mut driver, "RIDE_STATE_COMPLETED")?;
    while driver.line()?.is_some() {}
    expect(at("watch_client").args(["--ride", &ride]), "completed")?;
    expect(&mut at("track_client"), "took 100 positions")?;
    Ok(4)
}

/// Over TLS, and with a token: by stubs, and by reflection alone.
fn elsewhere(program: Program, servers: &Servers) -> Result<u64> {
    let mut over_tls = program("unary_client");
    expect(over_tls.args(["--server", &servers.tls, "--ca"]).arg(&servers.ca), " is RIDE_STATE_")?;
    for (name, what) in [("unary_client", " is RIDE_STATE_"), ("reflection_client", "EUR")] {
        let mut with_token = program(name);
        expect(
            with_token.args(["--server", &servers.strict, "--token-file"]).arg(&servers.token_file),
            what,
        )?;
    }
    Ok(3)
}

/// Two servers behind one name, of which one stops: no call fails.
fn two_servers(program: Program, servers: &Servers) -> Result<u64> {
    let (one, one_url) = servers.another(&["--cars=0"])?;
    let (_other, other_url) = servers.another(&["--cars=0"])?;
    let [first, second] = [&one_url, &other_url].map(|url| url.trim_start_matches("http://"));
    let mut client = program("two_servers_client");
    let mut calls = Running::start(client.args(["--server", &format!("ipv4:{first},{second}")]))?;
    hears(&mut calls, "EUR")?;
    drop(one);
    for _ in 0..4 {
        let said = calls.line()?.context("it ended")?;
        ensure!(said.contains("EUR"), "a call fails when one of two servers stops: {said}");
    }
    Ok(1)
}

/// The page by Connect's own client shows a fare and cars, and what went wrong where there are none.
fn board(programs: &Programs, servers: &Servers) -> Result<u64> {
    // Of what `generate` makes, and of nothing that was made for the checks.
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
        let (_server, url) = servers.another(&["--cars=30", flag, "--page", &page.to_string_lossy()])?;
        let mut look = programs.node(&["interop/board.mjs"]);
        expect(look.arg(&servers.file).arg(url), shown)?;
    }
    Ok(2)
}

/// Waits for a driver to hear of something, past all else.
fn hears(driver: &mut Running, what: &str) -> Result<()> {
    while let Some(line) = driver.line()? {
        if line.contains(what) {
            return Ok(());
        }
    }
    bail!("the driver does not hear {what}")
}

/// Runs a program that says something like it, and returns all that it says.
///
/// # Errors
/// When it fails, or does not say so.
pub(super) fn expect(command: &mut Command, what: &str) -> Result<String> {
    let mut running = Running::start(command)?;
    let mut said = String::new();
    while let Some(line) = running.line()? {
        said.push_str(&line);
        said.push('\n');
    }
    ensure!(said.contains(what), "`{}` does not say {what}: {said}", shell::words(command));
    Ok(said)
}
