//! The programs in `clients/`: how they are installed and run.

use std::{
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};

use crate::{packages, progress, shell};

/// A check may take three minutes, and those in a browser come all at once.
const SILENCE: Duration = Duration::from_secs(300);

/// The clients in both languages, ready to run.
pub(super) struct Programs {
    python: PathBuf,
    python_dir: PathBuf,
    node_dir: PathBuf,
}

impl Programs {
    /// Installs their packages and makes their stubs.
    ///
    /// # Errors
    /// When that fails.
    pub(super) fn install(scratch: &Path) -> Result<Self> {
        let (python_dir, node_dir) = (scratch.join("clients/python"), scratch.join("clients/node"));
        packages::node(&node_dir, "clients in JavaScript")?;
        let environment = scratch.join("python");
        packages::python(&environment, &python_dir.join("requirements.txt"), "grpcio")?;
        let programs =
            Self { python: packages::in_environment(&environment, "python"), python_dir, node_dir };

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
        Ok(programs)
    }

    /// A program in Python.
    pub(super) fn python(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.python);
        command.args(arguments).current_dir(&self.python_dir).env("PYTHONUNBUFFERED", "1");
        // Some checks make connections fail: grpcio would say so on the terminal.
        command.env("GRPC_VERBOSITY", "NONE");
        command
    }

    /// Where the programs in JavaScript are.
    pub(super) fn node_dir(&self) -> &Path {
        &self.node_dir
    }

    /// A program in JavaScript.
    pub(super) fn node(&self, arguments: &[&str]) -> Command {
        let mut command = shell::command("node");
        command.args(arguments).current_dir(&self.node_dir);
        command
    }

    /// Has every client run through the list, one after the other, for what they count on the server is theirs alone.
    ///
    /// # Errors
    /// When a program cannot be started, says nothing for too long, or fails.
    pub(super) fn run_all(&self, servers: &Path, take: &mut dyn FnMut(&str) -> Result<()>) -> Result<()> {
        for mut program in [
            self.python(&["-m", "interop.run"]),
            self.node(&["--no-deprecation", "interop/run.mjs"]),
            self.node(&["interop/browser.mjs"]),
        ] {
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

/// A program that is listened to, and does not outlive us.
pub(super) struct Running {
    child: Child,
    lines: mpsc::Receiver<String>,
    /// As one would type it.
    command: String,
}

impl Running {
    /// # Errors
    /// When it cannot be started.
    pub(super) fn start(command: &mut Command) -> Result<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().with_context(|| shell::not_started(command))?;
        let output = child.stdout.take().context("no pipe")?;
        let (said, lines) = mpsc::sync_channel(64);
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if said.send(line).is_err() {
                    return; // Nobody listens any more.
                }
            }
        });
        Ok(Self { child, lines, command: shell::words(command) })
    }

    /// The next line that it says; `None` once it has ended well.
    ///
    /// # Errors
    /// When it fails, or says nothing for too long.
    pub(super) fn line(&mut self) -> Result<Option<String>> {
        match self.lines.recv_timeout(SILENCE) {
            Ok(line) => Ok(Some(line)),
            Err(mpsc::RecvTimeoutError::Timeout) => {
                bail!("`{}` has said nothing for {} s", self.command, SILENCE.as_secs())
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                let status = self.child.wait()?;
                ensure!(status.success(), "`{}` failed ({status})", self.command);
                Ok(None)
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only when it is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
