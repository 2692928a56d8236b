//! Other programs: how they are found and started.

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

/// Where the builds of a profile end up (`target/release`), wherever this machine keeps its target directory:
/// beside the profile that xtask itself was built in.
pub(crate) fn build_dir(profile: &str) -> Result<PathBuf> {
    Ok(target_dir()?.join(profile))
}

/// The directory in which Cargo builds everything.
pub(crate) fn target_dir() -> Result<PathBuf> {
    let own = env::current_exe().context("cannot tell where xtask is")?;
    Ok(own.ancestors().nth(2).context("xtask is not in a target directory")?.to_owned())
}

/// Tools that only this repository uses.
pub(crate) fn tools_dir() -> PathBuf {
    root().join("target/tools")
}

/// A command at the root of the repository that finds the tools xtask installs.
///
/// What `cargo run` set for xtask itself is taken away again: some build scripts (ring's) watch these variables,
/// and would build everything above them anew.
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
        command.env(name, direct(variable(name)));
    }
    command
}

/// The hosts that are reached without a proxy: those of the user's own list, and this machine, where servers and browsers
/// under test are.
fn direct(users: Option<OsString>) -> OsString {
    let mut hosts = users.map_or_else(OsString::new, |mut hosts| {
        hosts.push(",");
        hosts
    });
    hosts.push("localhost,127.0.0.1,::1");
    hosts
}

/// `cargo` with arguments.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let mut cargo = command("cargo");
    cargo.args(arguments);
    cargo
}

/// Whether a program is there.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    which::which_in(program, search_path(), root()).ok()
}

/// The user's PATH between the exact versions kept in `target/tools`, which come first, and Cargo's own
/// programs, which some systems leave out.
fn search_path() -> Option<OsString> {
    let user = env::var_os("PATH").unwrap_or_default();
    let exact = ["bin", "node_modules/.bin"].map(|dir| tools_dir().join(dir));
    let paths = exact.into_iter().chain(env::split_paths(&user)).chain(cargo_bin());
    env::join_paths(paths).ok()
}

fn cargo_bin() -> Option<PathBuf> {
    Some(cargo_home()?.join("bin"))
}

/// Where Cargo keeps what it has.
pub(crate) fn cargo_home() -> Option<PathBuf> {
    variable("CARGO_HOME").map(PathBuf::from).or_else(|| Some(env::home_dir()?.join(".cargo")))
}

/// The value of a variable. An empty one counts as unset.
pub(crate) fn variable(name: &str) -> Option<OsString> {
    env::var_os(name).filter(|value| !value.is_empty())
}

/// Runs a command for its output, showing nothing. `None` when it cannot be started or fails.
pub(crate) fn output(mut command: Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs a command with its output on the terminal.
pub(crate) fn run(mut command: Command) -> Result<()> {
    let status = command.status().with_context(|| not_started(&command))?;
    if !status.success() {
        bail!("`{}` failed ({status})", words(&command));
    }
    Ok(())
}

/// Runs a command with its output on the terminal, and succeeds or fails as it does.
pub(crate) fn pass_through(mut command: Command) -> Result<ExitCode> {
    let status = command.status().with_context(|| not_started(&command))?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Says that a command could not be started.
pub(crate) fn not_started(command: &Command) -> String {
    format!("`{}` could not be started", words(command))
}

/// A command as one would type it.
pub(crate) fn words(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_stem().unwrap_or(command.get_program());
    let words = std::iter::once(program).chain(command.get_args()).map(OsStr::to_string_lossy);
    words.collect::<Vec<_>>().join(" ")
}

/// Both outputs of a child as one stream. The command must be dropped after it is started, or the stream never
/// ends.
pub(crate) fn merge_output(command: &mut Command) -> io::Result<io::PipeReader> {
    let (reader, writer) = io::pipe()?;
    command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer);
    Ok(reader)
}
