//! Other programs: their paths, commands and environment.

use std::{
    env,
    ffi::{OsStr, OsString},
    io,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
};

use anyhow::{Context, Result, bail};

/// The root of the repository.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."))
}

/// Returns the folder of a profile's builds (`target/release`). It is beside the profile of xtask itself, since the
/// target directory may be anywhere.
///
/// # Errors
/// As for [`target_dir`].
pub(crate) fn build_dir(profile: &str) -> Result<PathBuf> {
    Ok(target_dir()?.join(profile))
}

/// Returns the target directory of Cargo.
///
/// # Errors
/// When the path of xtask itself is not known, or not in a target directory.
pub(crate) fn target_dir() -> Result<PathBuf> {
    let own = env::current_exe().context("cannot find the path of xtask")?;
    Ok(own.ancestors().nth(2).context("xtask is not in a target directory")?.to_owned())
}

/// Returns the folder of the tools that only this repository uses.
pub(crate) fn tools_dir() -> PathBuf {
    root().join("target/tools")
}

/// Returns a command in the root of the repository, with the tools that xtask installs on its `PATH`.
///
/// The command does not inherit the variables that `cargo run` has set for xtask. Some build scripts (ring's) watch
/// these variables, and a change would rebuild everything that depends on them.
pub(crate) fn command(program: impl AsRef<OsStr>) -> Command {
    let path = search_path();
    let program = program.as_ref();
    let program = which::which_in(program, path.as_ref(), root()).unwrap_or_else(|_| program.into());
    let mut command = Command::new(program);
    command.current_dir(root());
    for (name, _) in env::vars_os() {
        let ours = |name: &str| {
            name == "CARGO" || name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")
        };
        if name.to_str().is_some_and(ours) {
            command.env_remove(name);
        }
    }
    if let Some(path) = path {
        command.env("PATH", path);
    }
    for name in ["NO_PROXY", "no_proxy"] {
        command.env(name, no_proxy_hosts(variable(name)));
    }
    command
}

/// Returns the hosts that are reached without a proxy: those of the user, and this machine, which runs the servers and
/// browsers under test.
fn no_proxy_hosts(users: Option<OsString>) -> OsString {
    let mut hosts = users.map_or_else(OsString::new, |mut hosts| {
        hosts.push(",");
        hosts
    });
    hosts.push("localhost,127.0.0.1,::1");
    hosts
}

/// Returns the command of `cargo` with arguments.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let mut cargo = command("cargo");
    cargo.args(arguments);
    cargo
}

/// Returns the path of a program, or `None` if it is not found.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    which::which_in(program, search_path(), root()).ok()
}

/// Returns the search path: first the exact versions in `target/tools`, then the user's `PATH`, then Cargo's own
/// programs, which are not on `PATH` on some systems.
fn search_path() -> Option<OsString> {
    let user = env::var_os("PATH").unwrap_or_default();
    let exact = ["bin", "node_modules/.bin"].map(|dir| tools_dir().join(dir));
    let paths = exact.into_iter().chain(env::split_paths(&user)).chain(cargo_bin());
    env::join_paths(paths).ok()
}

fn cargo_bin() -> Option<PathBuf> {
    Some(cargo_home()?.join("bin"))
}

/// Returns the home directory of Cargo.
pub(crate) fn cargo_home() -> Option<PathBuf> {
    variable("CARGO_HOME").map(PathBuf::from).or_else(|| Some(env::home_dir()?.join(".cargo")))
}

/// Returns the value of an environment variable. An empty one counts as unset.
pub(crate) fn variable(name: &str) -> Option<OsString> {
    env::var_os(name).filter(|value| !value.is_empty())
}

/// Runs a command silently and returns its output. `None` if it cannot be started or fails.
pub(crate) fn output(mut command: Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs a command with its output on the terminal.
///
/// # Errors
/// When it cannot be started or fails.
pub(crate) fn run(mut command: Command) -> Result<()> {
    let status = command.status().with_context(|| not_started(&command))?;
    if !status.success() {
        bail!("`{}` failed ({status})", command_line(&command));
    }
    Ok(())
}

/// Runs a command with its output on the terminal, and returns success or failure as the command does.
///
/// # Errors
/// When it cannot be started.
pub(crate) fn pass_through(mut command: Command) -> Result<ExitCode> {
    let status = command.status().with_context(|| not_started(&command))?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Returns the message that a command could not be started.
pub(crate) fn not_started(command: &Command) -> String {
    format!("`{}` could not be started", command_line(command))
}

/// Returns a command as a user would type it.
pub(crate) fn command_line(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_stem().unwrap_or(command.get_program());
    let words = std::iter::once(program).chain(command.get_args()).map(OsStr::to_string_lossy);
    words.collect::<Vec<_>>().join(" ")
}

/// Merges stdout and stderr of a child into one stream. The caller must drop the command after its start, or the stream
/// never ends.
pub(crate) fn merge_output(command: &mut Command) -> io::Result<io::PipeReader> {
    let (reader, writer) = io::pipe()?;
    command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer);
    Ok(reader)
}
