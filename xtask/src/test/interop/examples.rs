//! The programs that people begin with, run as their README says.

use std::{
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};

use super::{
    programs::{Programs, Running},
    servers::Servers,
};
use crate::shell;

/// Makes the command of a program by its name.
type Program<'a> = &'a dyn Fn(&str) -> Command;

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
    }
    let mut reflection = programs.python(&["reflection_client.py", "--server", &servers.open]);
    expect(&mut reflection, "rides.v1.Rides")?;
    expect(&mut reflection, "minorUnits")?;
    Ok(count + 1)
}

/// Somebody books, a driver takes the ride to its end, and it is looked back on.
fn a_ride(program: Program, signed_on: &str, server: &str) -> Result<u64> {
    let at = |name: &str| {
        let mut command = program(name);
        command.args(["--server", server]);
        command
    };
    let mut driving = at("bidirectional_client");
    let mut driver =
        Running(driving.stdout(Stdio::piped()).spawn().with_context(|| shell::not_started(&driving))?);
    let mut heard = BufReader::new(driver.0.stdout.take().context("no pipe")?).lines();
    let mut hears = |what: &str| -> Result<()> {
        let heard = heard.by_ref().map_while(Result::ok).any(|line| line.contains(what));
        ensure!(heard, "the driver does not hear {what}");
        Ok(())
    };
    hears(signed_on)?;
    let booked = expect(&mut at("unary_client"), " is RIDE_STATE_")?;
    let ride =
        booked.lines().find_map(|line| line.split_once(" is RIDE_STATE_")).context("no ride")?.0.to_owned();
    hears("RIDE_STATE_COMPLETED")?;
    ensure!(driver.0.wait()?.success(), "the driver's day does not end well");
    expect(at("watch_client").args(["--ride", &ride]), "completed")?;
    expect(at("track_client").args(["--car", "8"]), "took 100 positions")?;
    Ok(4)
}

/// Over TLS, and with a token.
fn elsewhere(program: Program, servers: &Servers) -> Result<u64> {
    let mut over_tls = program("unary_client");
    expect(over_tls.args(["--server", &servers.tls, "--ca"]).arg(&servers.ca), " is RIDE_STATE_")?;
    let mut with_token = program("unary_client");
    expect(
        with_token.args(["--server", &servers.strict, "--token-file"]).arg(&servers.token_file),
        " is RIDE_STATE_",
    )?;
    Ok(2)
}

/// Runs a program that says something like it, and returns all that it says.
fn expect(command: &mut Command, what: &str) -> Result<String> {
    let output = command.stdin(Stdio::null()).output().with_context(|| shell::not_started(command))?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let fine = output.status.success() && said.contains(what);
    ensure!(fine, "`{}`: {said}{}", shell::words(command), String::from_utf8_lossy(&output.stderr));
    Ok(said)
}
