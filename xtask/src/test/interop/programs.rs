//! The programs in `clients/`: how they are installed and run.

use std::{
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use anyhow::{Context, Result, bail};

use crate::{packages, progress, shell};

/// A check may take a minute, and those in a browser come all at once.
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
            listen(program, take)?;
        }
        Ok(())
    }
}

/// A child that does not outlive us.
pub(super) struct Running(pub(super) Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only when it is gone already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn listen(mut program: Command, take: &mut dyn FnMut(&str) -> Result<()>) -> Result<()> {
    program.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut running = Running(program.spawn().with_context(|| shell::not_started(&program))?);
    let output = running.0.stdout.take().context("no pipe")?;
    let (said, lines) = mpsc::sync_channel(64);
    thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if said.send(line).is_err() {
                return; // Nobody listens any more.
            }
        }
    });
    loop {
        match lines.recv_timeout(SILENCE) {
            Ok(line) => take(&line)?,
            Err(mpsc::RecvTimeoutError::Timeout) => bail!("it has said nothing for {} s", SILENCE.as_secs()),
            Err(mpsc::RecvTimeoutError::Disconnected) => break,
        }
    }
    let status = running.0.wait()?;
    if !status.success() {
        bail!("`{}` failed ({status})", shell::words(&program));
    }
    Ok(())
}
