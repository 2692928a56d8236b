//! The program as a child process.

use std::{
    net::{SocketAddr, TcpListener},
    process::{ExitStatus, Stdio},
};

use tokio::{
    io::{AsyncBufReadExt as _, BufReader, Lines},
    process::{Child, ChildStderr, Command},
};

use super::soon;

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_rides-server");

/// The program with these arguments, not started. It is killed when the child is dropped, and keeps nothing on
/// disk unless an argument sets the data directory.
pub(crate) fn process(args: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    command.args(args);
    without_disk(command)
}

/// The program with these arguments, and a limit of `files` open files.
#[cfg(unix)]
pub(crate) fn with_files(files: usize, args: &[&str]) -> Command {
    let mut command = Command::new("sh");
    command.arg("-c").arg(format!("ulimit -n {files} && exec \"$0\" \"$@\"")).arg(PROGRAM).args(args);
    without_disk(command)
}

/// Makes the child of `command` end when it is dropped. It keeps nothing on disk unless an argument sets the
/// data directory.
pub(crate) fn without_disk(mut command: Command) -> Command {
    command
        .env("RIDES_DATA_DIR", ":memory:")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

pub(crate) async fn first_line(child: &mut Child) -> String {
    let stdout = child.stdout.as_mut().unwrap();
    let mut line = String::new();
    soon("the first line on stdout", BufReader::new(stdout).read_line(&mut line)).await.unwrap();
    line
}

/// Returns the address of a server that was just started. It reads the first line of stdout.
pub(crate) async fn address(child: &mut Child) -> SocketAddr {
    let line = first_line(child).await;
    line.trim_end().strip_prefix("rides-server listening on http://").expect(&line).parse().unwrap()
}

/// The standard error of a program, line by line.
pub(crate) struct Log(Lines<BufReader<ChildStderr>>);

impl Log {
    pub(crate) fn of(child: &mut Child) -> Self {
        Self(BufReader::new(child.stderr.take().unwrap()).lines())
    }

    /// Waits for a line that contains `text`.
    pub(crate) async fn says(&mut self, text: &str) {
        while !self.next().await.contains(text) {}
    }

    /// The next line.
    pub(crate) async fn next(&mut self) -> String {
        self.0.next_line().await.unwrap().expect("the program closed its stderr")
    }
}

/// Returns a free port outside the range that the system gives to clients, so that the port stays free until a
/// server listens on it.
pub(crate) fn unused_port() -> u16 {
    let ports = std::iter::repeat_with(|| rand::random_range(10_000..30_000));
    let free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    ports.take(1_000).find(free).expect("a free port")
}

/// Sends `signal`, a name without `SIG`, to the child.
#[cfg(unix)]
pub(crate) async fn signal(child: &Child, signal: &str) {
    let pid = child.id().unwrap().to_string();
    assert!(Command::new("kill").args(["-s", signal, &pid]).status().await.unwrap().success());
}

/// Sends a signal and waits for the exit of the child.
#[cfg(unix)]
pub(crate) async fn end(child: &mut Child, name: &str) -> ExitStatus {
    signal(child, name).await;
    soon("the exit of the program", child.wait()).await.unwrap()
}
