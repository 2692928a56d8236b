//! How the programs that people begin with end when there is no ride to be had.

use anyhow::{Context, Result, ensure};

use super::{examples::Program, servers::Servers};
use crate::shell;

/// Whatever goes wrong ends a program with 1, and with one line that says what.
///
/// # Errors
/// When one says more, or less.
pub(super) fn failures(program: Program, servers: &Servers) -> Result<u64> {
    let Servers { open, strict, .. } = servers;
    // Node has something to say where a certificate is asked of an address.
    let tls = servers.tls.replace("127.0.0.1", "localhost");
    let [forged, ca] = [&servers.forged_token_file, &servers.other_ca].map(|path| path.to_string_lossy());
    let (nobody, no_token) = ("localhost:1", "UNAUTHENTICATED: a session is needed");
    let cases: [(&str, &[&str], &str); 11] = [
        ("unary_client", &["--server", nobody], "UNAVAILABLE: "),
        ("watch_client", &["--server", nobody, "--ride", "any"], "UNAVAILABLE: "),
        ("track_client", &["--server", nobody], "UNAVAILABLE: "),
        ("bidirectional_client", &["--server", nobody], "UNAVAILABLE: "),
        ("watch_client", &["--server", open, "--ride", "none"], "NOT_FOUND: no such ride"),
        ("unary_client", &["--server", &tls, "--ca", &ca], "UNAVAILABLE: "),
        ("unary_client", &["--server", strict], no_token),
        ("track_client", &["--server", strict], no_token),
        ("bidirectional_client", &["--server", strict], no_token),
        ("unary_client", &["--server", strict, "--token-file", &forged], "UNAUTHENTICATED: the token"),
        ("unary_client", &["--server", strict, "--token-file", &ca], "holds no token"),
    ];
    for (name, arguments, what) in cases {
        let mut command = program(name);
        let output = command.args(arguments).output().with_context(|| shell::not_started(&command))?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.code() == Some(1) && said.lines().count() == 1 && said.contains(what),
            "`{}` does not end ({}) in one line that says {what:?}: {said}",
            shell::words(&command),
            output.status
        );
    }
    Ok(cases.len() as u64)
}

/// Ctrl-C ends a driver's day at once, and there is nothing to say about it.
///
/// # Errors
/// When it ends otherwise.
#[cfg(unix)]
pub(super) fn ctrl_c(program: Program, signed_on: &str, servers: &Servers) -> Result<u64> {
    use std::{
        io::{BufRead as _, BufReader},
        os::unix::process::ExitStatusExt as _,
        process::Stdio,
    };

    use nix::{
        sys::signal::{Signal, kill},
        unistd::Pid,
    };

    let mut driver = program("bidirectional_client");
    driver.args(["--server", &servers.open]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = driver.spawn().with_context(|| shell::not_started(&driver))?;
    let mut output = BufReader::new(child.stdout.take().context("no pipe")?);
    let mut line = String::new();
    output.read_line(&mut line)?;
    kill(Pid::from_raw(i32::try_from(child.id())?), Signal::SIGINT)?;
    let ended = child.wait_with_output()?;
    let (said, status) = (String::from_utf8_lossy(&ended.stderr), ended.status);
    let by_ctrl_c = status.code() == Some(130) || status.signal() == Some(Signal::SIGINT as i32);
    ensure!(
        line.trim() == signed_on && by_ctrl_c && said.is_empty(),
        "Ctrl-C ends a driver ({status}) who said {line:?} with: {said}"
    );
    Ok(1)
}
