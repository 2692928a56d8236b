//! `rides-server client` as who types it sees it: what it prints, how it ends, and that it finds another server.

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

/// The client, which knows these servers.
fn client(servers: &[SocketAddr], args: &[&str]) -> Command {
    let urls: Vec<_> = servers.iter().map(|addr| format!("http://{addr}")).collect();
    let mut command = process(&[&["client"], args].concat());
    command.env("RIDES_CONNECT", urls.join(",")).env("USER", "ada").env_remove("RIDES_TOKEN");
    command
}

/// As places are typed.
fn typed(place: Location) -> String {
    format!("{},{}", place.lat, place.lng)
}

/// What it printed, and what it ended with.
#[derive(Debug)]
struct Said {
    code: Option<i32>,
    out: String,
    err: String,
}

async fn said(mut command: Command) -> Said {
    let Output { status, stdout, stderr } = soon("the client", command.output()).await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Said { code: status.code(), out: text(stdout), err: text(stderr) }
}

impl Said {
    /// What it printed, of a client that did what it was told.
    fn well(&self) -> &str {
        assert_eq!((self.code, self.err.as_str()), (Some(0), ""), "{self:?}");
        self.out.trim_end()
    }

    /// The same, which is JSON.
    fn json(&self) -> Vec<Value> {
        self.well().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Asserts that it printed nothing but one line of what went wrong.
    #[track_caller]
    fn badly(&self, code: i32, why: &str) {
        assert_eq!((self.code, self.out.as_str()), (Some(code), ""), "{self:?}");
        assert_eq!(self.err.lines().count(), 1, "{self:?}");
        assert!(self.err.starts_with("rides-server: ") && self.err.contains(why), "{self:?}");
    }
}

/// A client that goes on for a while, line by line.
struct Talking {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

fn talking(mut command: Command) -> Talking {
    let mut child = command.spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    Talking { child, lines }
}

impl Talking {
    async fn next(&mut self) -> Option<String> {
        soon("the next line", self.lines.next_line()).await.unwrap()
    }

    /// The next line that has `text` in it.
    async fn says(&mut self, text: &str) -> String {
        while let Some(line) = self.next().await {
            if line.contains(text) {
                return line;
            }
        }
        panic!("it never says {text:?}");
    }

    async fn ends(mut self) -> ExitStatus {
        while self.next().await.is_some() {}
        soon("the end of the client", self.child.wait()).await.unwrap()
    }
}
