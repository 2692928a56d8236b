//! The program under test. Every start uses the same directory and port.

use std::{fs, path::PathBuf};

use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::harness::{
    process::{first_line, process, unused_port},
    soon, village,
};

pub(crate) struct Server {
    dir: TempDir,
    pub(crate) port: u16,
    in_memory: bool,
}

impl Server {
    pub(crate) fn new(in_memory: bool) -> Self {
        let server = Self { dir: tempfile::tempdir().unwrap(), port: unused_port(), in_memory };
        village::build(&server.map());
        server
    }

    /// Starts the program without waiting until it listens.
    pub(crate) fn starts(&self) -> Child {
        let log = fs::File::options().create(true).append(true).open(self.log()).unwrap();
        let map = format!("--map={}", self.map().display());
        let listen = format!("--listen=127.0.0.1:{}", self.port);
        self.program(&["--cars=0", "--log=warn", &map, &listen]).stderr(log).spawn().unwrap()
    }

    pub(crate) async fn is_up(&self, child: &mut Child) {
        let line = first_line(child).await;
        assert!(line.contains("listening"), "the server ended by itself: {}", self.last_words());
    }

    /// Kills the program with SIGKILL. The program must still be running.
    pub(crate) async fn is_killed(&self, mut child: Child) {
        let ended = child.try_wait().unwrap();
        assert!(ended.is_none(), "the server ended by itself, {ended:?}: {}", self.last_words());
        soon("the end of the server", child.kill()).await.unwrap();
    }

    /// Returns the output of `journal check`, if the check fails.
    pub(crate) async fn problems(&self) -> Option<String> {
        if self.in_memory {
            return None;
        }
        let check = soon("the check", self.program(&["journal", "check"]).output()).await.unwrap();
        let said = || String::from_utf8_lossy(&[check.stdout, check.stderr].concat()).into_owned();
        (!check.status.success()).then(said)
    }

    fn program(&self, args: &[&str]) -> Command {
        let mut program = process(args);
        if !self.in_memory {
            program.env("RIDES_DATA_DIR", self.dir.path().join("data"));
        }
        program
    }

    fn map(&self) -> PathBuf {
        self.dir.path().join("village.osm.pbf")
    }

    fn log(&self) -> PathBuf {
        self.dir.path().join("log")
    }

    /// The last 20 lines of the log.
    fn last_words(&self) -> String {
        let log = fs::read_to_string(self.log()).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }
}
