//! The test of how the example programs end early: after a failed call, and by Ctrl-C.

use std::process::Stdio;

use anyhow::{Result, ensure};

use super::{examples::CommandOf, programs::RunningProgram, servers::Servers};
use crate::shell;

/// Checks that a failed call ends a program with exit code 1 and one line that describes the error. Returns the number
/// of cases.
///
/// # Errors
/// When a program ends in another way, or prints more or less.
pub(super) fn failures(program: CommandOf, servers: &Servers) -> Result<u64> {
    let Servers { open, with_tokens: strict, .. } = servers;
    // Node prints a warning when the server name for TLS is an IP address.
    let tls = servers.tls.replace("127.0.0.1", "localhost");
    let [forged, ca] = [&servers.forged_token_file, &servers.other_ca].map(|path| path.to_string_lossy());
    let (nobody, no_token) = ("localhost:1", "UNAUTHENTICATED: a session is needed");
    let cases: [(&str, &[&str], &str); 15] = [
        ("unary_client", &["--server", nobody], "UNAVAILABLE: "),
        ("watch_client", &["--server", nobody, "--ride", "any"], "UNAVAILABLE: "),
        ("fleet_client", &["--server", nobody], "UNAVAILABLE: "),
        ("track_client", &["--server", nobody], "UNAVAILABLE: "),
        ("bidirectional_client", &["--server", nobody], "UNAVAILABLE: "),
        ("reflection_client", &["--server", nobody], "UNAVAILABLE: "),
        ("watch_client", &["--server", open, "--ride", "none"], "NOT_FOUND: there is no such ride"),
        ("unary_client", &["--server", &tls, "--ca", &ca], "UNAVAILABLE: "),
        ("unary_client", &["--server", strict], no_token),
        ("fleet_client", &["--server", strict], no_token),
        ("track_client", &["--server", strict], no_token),
        ("bidirectional_client", &["--server", strict], no_token),
        ("reflection_client", &["--server", strict], no_token),
        ("unary_client", &["--server", strict, "--token-file", &forged], "UNAUTHENTICATED: the token"),
        ("unary_client", &["--server", strict, "--token-file", &ca], "holds no token"),
    ];
    for (name, arguments, what) in cases {
        let mut command = program(name);
        command.args(arguments).stderr(Stdio::piped());
        let (status, said) = RunningProgram::start(&mut command)?.wait_for_exit()?;
        ensure!(
            status.code() == Some(1) && said.len() == 1 && said[0].contains(what),
            "`{}` ended ({status}) without exactly one line that has {what:?}: {said:?}",
            shell::command_line(&command)
        );
    }
    Ok(cases.len() as u64)
}

/// Checks that Ctrl-C ends the driver's program at once and without a message. Returns the number of cases.
///
/// # Errors
/// When it ends in another way.
#[cfg(unix)]
pub(super) fn ctrl_c(program: CommandOf, signed_on: &str, servers: &Servers) -> Result<u64> {
    use std::os::unix::process::ExitStatusExt as _;

    use nix::sys::signal::Signal;

    let mut command = program("bidirectional_client");
    command.args(["--server", &servers.open]);
    let mut driver = RunningProgram::start(with_default_sigint(&command).stderr(Stdio::piped()))?;
    let line = driver.line()?;
    ensure!(line.as_deref() == Some(signed_on), "the driver printed {line:?} instead of {signed_on:?}");
    driver.interrupt()?;
    let (status, said) = driver.wait_for_exit()?;
    let by_ctrl_c = status.code() == Some(130) || status.signal() == Some(Signal::SIGINT as i32);
    ensure!(by_ctrl_c && said.is_empty(), "Ctrl-C ended the driver ({status}), which printed {said:?}");
    Ok(1)
}

/// Returns the command with the default reaction to Ctrl-C, as in a terminal. A process in the background may ignore
/// SIGINT, and its children inherit that.
#[cfg(unix)]
fn with_default_sigint(program: &std::process::Command) -> std::process::Command {
    use std::process::Command;

    let mut command = match cfg!(target_os = "linux") {
        true => {
            let mut env = Command::new("env");
            env.arg("--default-signal=INT").arg(program.get_program());
            env
        }
        false => Command::new(program.get_program()),
    };
    command.args(program.get_args());
    for (name, value) in program.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    if let Some(dir) = program.get_current_dir() {
        command.current_dir(dir);
    }
    command
}
