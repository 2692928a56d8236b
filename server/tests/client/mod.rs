//! `rides-server client`: its output, its exit codes, and its change to another server.

mod calls;
mod driving;
mod servers;
mod top;
mod watching;

use std::{
    net::SocketAddr,
    process::{ExitStatus, Output},
};

use rides_proto::v1::Location;
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader, Lines},
    process::{Child, ChildStdout, Command},
};

use crate::harness::{process::process, soon};

/// The client with these servers and arguments.
fn client(servers: &[SocketAddr], args: &[&str]) -> Command {
    let urls: Vec<_> = servers.iter().map(|addr| format!("http://{addr}")).collect();
    let mut command = process(&[&["client"], args].concat());
    command.env("RIDES_CONNECT", urls.join(",")).env("USER", "ada").env_remove("RIDES_TOKEN");
    command
}

/// A place as arguments have it: `LAT,LNG`.
fn typed(place: Location) -> String {
    format!("{},{}", place.lat, place.lng)
}

/// The output and the exit code of a client that has ended.
#[derive(Debug)]
struct ClientOutput {
    code: Option<i32>,
    out: String,
    err: String,
}

async fn run(mut command: Command) -> ClientOutput {
    let Output { status, stdout, stderr } = soon("the client", command.output()).await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    ClientOutput { code: status.code(), out: text(stdout), err: text(stderr) }
}

impl ClientOutput {
    /// Returns the output of a client that succeeded.
    fn success_output(&self) -> &str {
        assert_eq!((self.code, self.err.as_str()), (Some(0), ""), "{self:?}");
        self.out.trim_end()
    }

    /// Returns the lines of the output as JSON. The client must have succeeded.
    fn json(&self) -> Vec<Value> {
        self.success_output().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Asserts that the client failed with this code, and printed one line of error that contains `why`.
    #[track_caller]
    fn assert_error(&self, code: i32, why: &str) {
        assert_eq!((self.code, self.out.as_str()), (Some(code), ""), "{self:?}");
        assert_eq!(self.err.lines().count(), 1, "{self:?}");
        assert!(self.err.starts_with("rides-server: ") && self.err.contains(why), "{self:?}");
    }
}

/// A client that keeps running. Its output is read line by line.
struct RunningClient {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

fn start(mut command: Command) -> RunningClient {
    let mut child = command.spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    RunningClient { child, lines }
}

impl RunningClient {
    async fn next(&mut self) -> Option<String> {
        soon("the next line", self.lines.next_line()).await.unwrap()
    }

    /// Returns the next line that contains `text`.
    async fn says(&mut self, text: &str) -> String {
        // Bounded in all, since the lines of a stream never end.
        soon(text, async {
            while let Some(line) = self.next().await {
                if line.contains(text) {
                    return line;
                }
            }
            panic!("the client ended without {text:?}");
        })
        .await
    }

    async fn ends(mut self) -> ExitStatus {
        while self.next().await.is_some() {}
        soon("the end of the client", self.child.wait()).await.unwrap()
    }
}
