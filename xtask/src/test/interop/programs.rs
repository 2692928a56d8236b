//! The programs in `clients/`: their installation and their processes.

use std::{
    env,
    io::{BufRead as _, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
#[cfg(unix)]
use nix::{sys::signal::Signal, unistd::Pid};

use crate::{packages, progress, setup, shell};

/// The longest time between two lines of a program. A check may take three minutes, and clients in a browser report all
/// checks at once.
const LINE_TIMEOUT: Duration = Duration::from_secs(300);

/// The installed clients in all languages.
pub(super) struct ClientPrograms {
    python: PathBuf,
    go: PathBuf,
    dir: PathBuf,
}

impl ClientPrograms {
    /// Installs the packages and generates the stubs.
    ///
    /// # Errors
    /// When an installation or a build fails.
    pub(super) fn install(scratch: &Path) -> Result<Self> {
        let (dir, environment) = (scratch.join("clients"), scratch.join("python"));
        packages::node(&dir.join("node"), "clients in JavaScript")?;
        packages::python(&environment, &dir.join("python/requirements.txt"), "grpcio")?;
        let python = packages::in_environment(&environment, "python");
        let programs =
            Self { python, go: scratch.join("go").with_extension(env::consts::EXE_EXTENSION), dir };

        let mut stubs = programs.python(&[
            "-m",
            "grpc_tools.protoc",
            "-I../../proto",
            "--python_out=.",
            "--grpc_python_out=.",
        ]);
        stubs.args(
            ["location", "rides", "fleet", "city", "sessions"].map(|name| format!("rides/v1/{name}.proto")),
        );
        stubs.arg("older.proto");
        progress::spin("Making stubs in Python", "seconds", stubs)?;
        let mut stubs = programs.node(&["node_modules/@bufbuild/buf/bin/buf", "generate"]);
        stubs.args(["--template", "interop/buf.gen.yaml"]);
        progress::spin("Making stubs in JavaScript", "seconds", stubs)?;
        programs.build_go()?;
        Ok(programs)
    }

    fn build_go(&self) -> Result<()> {
        let go = setup::go().context("Go is not installed")?;
        let dir = self.dir.join("go");
        // buf starts its plugins as `go tool NAME`.
        let beside = go.parent().map(Path::to_owned).into_iter();
        let path = env::var_os("PATH").unwrap_or_default();
        let path = env::join_paths(beside.chain(env::split_paths(&path)))?;
        let mut stubs = shell::command("node");
        stubs.arg(self.node_dir().join("node_modules/@bufbuild/buf/bin/buf")).arg("generate");
        stubs.current_dir(&dir).env("PATH", &path);
        progress::spin("Making stubs in Go", "seconds", stubs)?;
        let mut build = shell::command(&go);
        build.args(["build", "-o"]).arg(&self.go).arg("./interop").current_dir(dir).env("PATH", &path);
        progress::spin("Building the checks of grpc-go", "about 1 minute", build)
    }

    /// Returns the command of the checks in Go.
    pub(super) fn go(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.go);
        command.args(arguments);
        set_dead_proxy(&mut command);
        command
    }

    /// Returns the command of a program in Python, in the environment of a user.
    pub(super) fn python(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.python);
        command.args(arguments).current_dir(self.dir.join("python")).env("PYTHONUNBUFFERED", "1");
        command.env_remove("GRPC_VERBOSITY");
        set_dead_proxy(&mut command);
        command
    }

    /// Returns the copy of `clients/` in which the programs run. `proto/` is beside it.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Returns the folder of the programs in JavaScript.
    pub(super) fn node_dir(&self) -> PathBuf {
        self.dir.join("node")
    }

    /// Returns the command of a program in JavaScript.
    pub(super) fn node(&self, arguments: &[&str]) -> Command {
        let mut command = shell::command("node");
        command.args(arguments).current_dir(self.node_dir());
        set_dead_proxy(&mut command);
        command
    }

    /// Runs all clients, one after the other, and passes each line of output to `take`. They must not run in parallel,
    /// since some checks count what happens on the server.
    ///
    /// # Errors
    /// When a program cannot be started, prints nothing for too long, or fails.
    pub(super) fn run_all(&self, servers: &Path, take: &mut dyn FnMut(&str) -> Result<()>) -> Result<()> {
        // Some checks make connections fail, which grpcio would log on the terminal.
        let mut python = self.python(&["-m", "interop.run"]);
        python.env("GRPC_VERBOSITY", "NONE");
        for mut program in
            [python, self.node(&["--no-deprecation", "interop/run.mjs"]), self.node(&["interop/browser.mjs"])]
        {
            program.arg(servers);
            println!("{}", shell::command_line(&program));
            let mut running = RunningProgram::start(&mut program)?;
            while let Some(line) = running.line()? {
                take(&line)?;
            }
        }
        Ok(())
    }
}

/// Sets an HTTP proxy that does not answer in the environment. A program that still reaches a local server uses no
/// proxy.
pub(super) fn set_dead_proxy(command: &mut Command) {
    for name in
        ["http_proxy", "https_proxy", "all_proxy", "grpc_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"]
    {
        command.env(name, "http://127.0.0.1:1");
    }
    for name in ["no_proxy", "NO_PROXY", "no_grpc_proxy"] {
        command.env_remove(name);
    }
}

/// A running program whose output is read. It is killed when dropped.
pub(super) struct RunningProgram {
    child: Child,
    lines: mpsc::Receiver<String>,
    /// The lines of stderr, if it does not go to the terminal.
    stderr: Option<mpsc::Receiver<String>>,
    /// The command as a user would type it.
    command: String,
}

impl RunningProgram {
    /// Starts a program and reads its stdout. Reads its stderr too, if the command pipes it.
    ///
    /// # Errors
    /// When the program cannot be started.
    pub(super) fn start(command: &mut Command) -> Result<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().with_context(|| shell::not_started(command))?;
        let lines = lines_of(child.stdout.take().context("cannot read the output of the program")?);
        let complaints = child.stderr.take().map(lines_of);
        Ok(Self { child, lines, stderr: complaints, command: shell::command_line(command) })
    }

    /// Returns the next line of stdout, or `None` after the program has ended with success.
    ///
    /// # Errors
    /// When the program fails, or prints nothing for too long.
    pub(super) fn line(&mut self) -> Result<Option<String>> {
        let line = self.next(&self.lines, Instant::now() + LINE_TIMEOUT)?;
        if line.is_none() {
            let status = self.child.wait()?;
            ensure!(status.success(), "`{}` failed ({status})", self.command);
        }
        Ok(line)
    }

    /// Waits for the end of the program, and returns its status and the lines of stderr.
    ///
    /// # Errors
    /// When the program does not end in time.
    pub(super) fn wait_for_exit(&mut self) -> Result<(ExitStatus, Vec<String>)> {
        let end = Instant::now() + LINE_TIMEOUT;
        let mut complaints = Vec::new();
        while self.next(&self.lines, end)?.is_some() {}
        if let Some(lines) = &self.stderr {
            while let Some(line) = self.next(lines, end)? {
                complaints.push(line);
            }
        }
        Ok((self.child.wait()?, complaints))
    }

    /// Sends SIGINT, as Ctrl-C does.
    ///
    /// # Errors
    /// When the program has ended.
    #[cfg(unix)]
    pub(super) fn interrupt(&self) -> Result<()> {
        signal(&self.child, Signal::SIGINT)
    }

    /// Returns the command as a user would type it.
    pub(super) fn command(&self) -> &str {
        &self.command
    }

    /// Returns the next line, or `None` after the last one.
    ///
    /// # Errors
    /// When there is no line until `end`.
    fn next(&self, lines: &mpsc::Receiver<String>, end: Instant) -> Result<Option<String>> {
        let left = end.saturating_duration_since(Instant::now());
        match lines.recv_timeout(left) {
            // A program that prints without pause must also end in time.
            Ok(line) if !left.is_zero() => Ok(Some(line)),
            Err(mpsc::RecvTimeoutError::Disconnected) => Ok(None),
            _ => bail!("`{}` took longer than {} s", self.command, LINE_TIMEOUT.as_secs()),
        }
    }
}

/// Sends a signal to a child process.
///
/// # Errors
/// When the process has ended.
#[cfg(unix)]
pub(super) fn signal(child: &Child, signal: Signal) -> Result<()> {
    Ok(nix::sys::signal::kill(Pid::from_raw(i32::try_from(child.id())?), signal)?)
}

/// Reads the lines of an output in a separate thread.
fn lines_of(output: impl Read + Send + 'static) -> mpsc::Receiver<String> {
    let (said, lines) = mpsc::sync_channel(64);
    thread::spawn(move || {
        // Not all output is text: curl prints messages in binary.
        for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line);
            if said.send(line.trim_end_matches('\r').to_owned()).is_err() {
                return; // The receiver is dropped.
            }
        }
    });
    lines
}

impl Drop for RunningProgram {
    fn drop(&mut self) {
        // Both fail only when the process has already ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
