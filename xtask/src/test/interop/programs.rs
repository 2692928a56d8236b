//! The programs in `clients/`: how they are installed and run.

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

/// A check may take three minutes, and those in a browser come all at once.
const PATIENCE: Duration = Duration::from_secs(300);

/// The clients in all languages, ready to run.
pub(super) struct Programs {
    python: PathBuf,
    go: PathBuf,
    dir: PathBuf,
}

impl Programs {
    /// Installs their packages and makes their stubs.
    ///
    /// # Errors
    /// When that fails.
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
        let go = setup::go().context("there is no Go here")?;
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

    /// The checks in Go.
    pub(super) fn go(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.go);
        command.args(arguments);
        behind_a_dead_proxy(&mut command);
        command
    }

    /// A program in Python, as people run it.
    pub(super) fn python(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.python);
        command.args(arguments).current_dir(self.dir.join("python")).env("PYTHONUNBUFFERED", "1");
        command.env_remove("GRPC_VERBOSITY");
        behind_a_dead_proxy(&mut command);
        command
    }

    /// Where `clients/` is, as it is run: what is made there is in nobody's way. `proto/` is beside it.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Where the programs in JavaScript are.
    pub(super) fn node_dir(&self) -> PathBuf {
        self.dir.join("node")
    }

    /// A program in JavaScript.
    pub(super) fn node(&self, arguments: &[&str]) -> Command {
        let mut command = shell::command("node");
        command.args(arguments).current_dir(self.node_dir());
        behind_a_dead_proxy(&mut command);
        command
    }

    /// Has every client run through the list, one after the other, for what they count on the server is theirs alone.
    ///
    /// # Errors
    /// When a program cannot be started, says nothing for too long, or fails.
    pub(super) fn run_all(&self, servers: &Path, take: &mut dyn FnMut(&str) -> Result<()>) -> Result<()> {
        // Some checks make connections fail: grpcio would say so on the terminal.
        let mut python = self.python(&["-m", "interop.run"]);
        python.env("GRPC_VERBOSITY", "NONE");
        for mut program in
            [python, self.node(&["--no-deprecation", "interop/run.mjs"]), self.node(&["interop/browser.mjs"])]
        {
            program.arg(servers);
            println!("{}", shell::words(&program));
            let mut running = Running::start(&mut program)?;
            while let Some(line) = running.line()? {
                take(&line)?;
            }
        }
        Ok(())
    }
}

/// Has the environment name a proxy that does not answer. A program that reaches a server of this machine did not ask it.
pub(super) fn behind_a_dead_proxy(command: &mut Command) {
    for name in
        ["http_proxy", "https_proxy", "all_proxy", "grpc_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"]
    {
        command.env(name, "http://127.0.0.1:1");
    }
    for name in ["no_proxy", "NO_PROXY", "no_grpc_proxy"] {
        command.env_remove(name);
    }
}

/// A program that is listened to, and does not outlive us.
pub(super) struct Running {
    child: Child,
    lines: mpsc::Receiver<String>,
    /// What it says on standard error, where that does not go to the terminal.
    complaints: Option<mpsc::Receiver<String>>,
    /// As one would type it.
    command: String,
}

impl Running {
    /// Its standard error is heard, too, if the command pipes it.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(super) fn start(command: &mut Command) -> Result<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().with_context(|| shell::not_started(command))?;
        let lines = lines_of(child.stdout.take().context("no pipe")?);
        let complaints = child.stderr.take().map(lines_of);
        Ok(Self { child, lines, complaints, command: shell::words(command) })
    }

    /// The next line that it says; `None` once it has ended well.
    ///
    /// # Errors
    /// When it fails, or says nothing for too long.
    pub(super) fn line(&mut self) -> Result<Option<String>> {
        let line = self.next(&self.lines, Instant::now() + PATIENCE)?;
        if line.is_none() {
            let status = self.child.wait()?;
            ensure!(status.success(), "`{}` failed ({status})", self.command);
        }
        Ok(line)
    }

    /// How it ends, well or not, and what it has said on standard error by then.
    ///
    /// # Errors
    /// When it does not end for too long.
    pub(super) fn ending(&mut self) -> Result<(ExitStatus, Vec<String>)> {
        let end = Instant::now() + PATIENCE;
        let mut complaints = Vec::new();
        while self.next(&self.lines, end)?.is_some() {}
        if let Some(lines) = &self.complaints {
            while let Some(line) = self.next(lines, end)? {
                complaints.push(line);
            }
        }
        Ok((self.child.wait()?, complaints))
    }

    /// What Ctrl-C does.
    ///
    /// # Errors
    /// When it is gone.
    #[cfg(unix)]
    pub(super) fn interrupt(&self) -> Result<()> {
        signal(&self.child, Signal::SIGINT)
    }

    /// The command, as one would type it.
    pub(super) fn command(&self) -> &str {
        &self.command
    }

    /// A line; `None` when there are no more.
    fn next(&self, lines: &mpsc::Receiver<String>, end: Instant) -> Result<Option<String>> {
        let left = end.saturating_duration_since(Instant::now());
        match lines.recv_timeout(left) {
            // One that never falls silent has no more time either.
            Ok(line) if !left.is_zero() => Ok(Some(line)),
            Err(mpsc::RecvTimeoutError::Disconnected) => Ok(None),
            _ => bail!("`{}` has kept us waiting for {} s", self.command, PATIENCE.as_secs()),
        }
    }
}

/// Sends a signal to a child.
///
/// # Errors
/// When it is gone.
#[cfg(unix)]
pub(super) fn signal(child: &Child, signal: Signal) -> Result<()> {
    Ok(nix::sys::signal::kill(Pid::from_raw(i32::try_from(child.id())?), signal)?)
}

/// What is said there, line by line.
fn lines_of(output: impl Read + Send + 'static) -> mpsc::Receiver<String> {
    let (said, lines) = mpsc::sync_channel(64);
    thread::spawn(move || {
        // Not all of it is text: curl prints messages as they are.
        for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line);
            if said.send(line.trim_end_matches('\r').to_owned()).is_err() {
                return; // Nobody listens any more.
            }
        }
    });
    lines
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only when it is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
