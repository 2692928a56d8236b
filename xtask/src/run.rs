//! `cargo xtask run`: builds and starts the server, and opens the page in the browser.

use std::{
    io::{BufRead, BufReader, IsTerminal},
    path::PathBuf,
    process::{Child, ChildStdout, ExitCode, ExitStatus, Stdio},
    sync::mpsc::{self, Receiver, RecvTimeoutError, Sender},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use console::style;

use crate::{
    build::{self, Profile},
    shell,
};

/// The time within which the server must be ready, with its map and its router.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// An event while the server runs.
enum Event {
    /// The server has printed the address on which it listens.
    Address(String),
    /// The server has closed its output: it has ended, or is about to.
    Ended,
    /// The user pressed Ctrl-C, or xtask got a signal to terminate.
    Stop,
}

/// Installs missing tools, builds the program with its page, and runs it with `server_flags` until it ends. With `tls`
/// it serves TLS.
///
/// # Errors
/// When a tool cannot be installed, a build fails, or the server ends before it is ready.
pub(crate) fn run(tls: bool, server_flags: &[String]) -> Result<ExitCode> {
    build::program(Profile::Release)?;
    if only_prints_info(server_flags) {
        let mut command = shell::command(program()?);
        let answered = command.args(server_flags).status().with_context(|| shell::not_started(&command))?;
        return Ok(exit_code(answered));
    }
    let (events, happened) = mpsc::channel();
    let mut server = Server::start(tls, server_flags, &events)?;
    ctrlc::set_handler(move || {
        // Fails only when the receiver is dropped. Then there is no server to stop.
        let _ = events.send(Event::Stop);
    })
    .context("cannot listen for Ctrl-C")?;

    match server.wait_until_ready(&happened)? {
        Some(address) => {
            eprintln!("\n  {}  {}\n", style("Rides is live:").bold(), style(&address).cyan().underlined());
            eprintln!("  {}\n", style("Ctrl-C ends it.").dim());
            if has_screen() {
                let _ = open::that_detached(&address); // Without a browser the user still has the printed address.
            }
            server.wait_until_stopped(&happened)
        }
        None => server.stop(&happened),
    }
}

/// Returns `true` if a flag makes the server print its help or its version and end.
fn only_prints_info(flags: &[String]) -> bool {
    flags.iter().any(|flag| matches!(flag.as_str(), "-h" | "--help" | "-V" | "--version" | "help"))
}

fn program() -> Result<PathBuf> {
    build::path_of(Profile::Release)
}

/// The running server.
struct Server {
    child: Child,
}

impl Server {
    fn start(tls: bool, flags: &[String], events: &Sender<Event>) -> Result<Self> {
        let mut command = shell::command(program()?);
        command.args(flags).stdout(Stdio::piped());
        if tls {
            command.args(["--tls", "self-signed"]);
        }
        set_process_group(&mut command);
        let mut child = command.spawn().with_context(|| shell::not_started(&command))?;
        if let Some(output) = child.stdout.take() {
            let events = events.clone();
            thread::spawn(move || relay(output, &events));
        }
        Ok(Self { child })
    }

    /// Waits until `/readyz` reports that the server is ready, and returns its address. `None` if the user stopped it
    /// before.
    ///
    /// # Errors
    /// When the server ends, or is not ready within [`READY_WITHIN`].
    fn wait_until_ready(&mut self, happened: &Receiver<Event>) -> Result<Option<String>> {
        let deadline = Instant::now() + READY_WITHIN;
        let mut address = None;
        while Instant::now() < deadline {
            match happened.recv_timeout(Duration::from_millis(50)) {
                Ok(Event::Address(said)) => address = Some(said),
                Ok(Event::Stop) => return Ok(None),
                Ok(Event::Ended) | Err(RecvTimeoutError::Disconnected) => {
                    bail!("the server ended before it was ready ({})", self.child.wait()?);
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
            if let Some(address) = address.as_deref().filter(|address| is_ready(address)) {
                return Ok(Some(address.to_owned()));
            }
        }
        self.child.kill().context("cannot end the server")?;
        bail!("the server was not ready within {} s", READY_WITHIN.as_secs())
    }

    /// Waits until the server ends, or the user stops it.
    fn wait_until_stopped(mut self, happened: &Receiver<Event>) -> Result<ExitCode> {
        while let Ok(event) = happened.recv() {
            match event {
                Event::Stop => return self.stop(happened),
                Event::Ended => break,
                Event::Address(_) => {}
            }
        }
        Ok(exit_code(self.child.wait()?))
    }

    /// Asks the server to shut down, and waits for its end. A second [`Event::Stop`] kills it.
    fn stop(mut self, happened: &Receiver<Event>) -> Result<ExitCode> {
        ask_to_end(&self.child);
        while let Ok(event) = happened.recv() {
            match event {
                Event::Stop => self.child.kill().context("cannot end the server")?,
                Event::Ended => break,
                Event::Address(_) => {}
            }
        }
        Ok(exit_code(self.child.wait()?))
    }
}

/// Copies the server's output to stdout, and sends the address that it contains.
fn relay(output: ChildStdout, events: &Sender<Event>) {
    for line in BufReader::new(output).lines().map_while(Result::ok) {
        println!("{line}");
        if let Some(address) = address_in(&line)
            && events.send(Event::Address(address)).is_err()
        {
            return;
        }
    }
    // Fails only when the receiver is dropped because xtask itself ends.
    let _ = events.send(Event::Ended);
}

/// Returns the first `http://…` or `https://…` in a line.
fn address_in(line: &str) -> Option<String> {
    let from = ["http://", "https://"].iter().find_map(|scheme| line.find(scheme))?;
    let address = line[from..].split(|end: char| end.is_whitespace() || end == '"').next()?;
    Some(address.to_owned())
}

fn is_ready(address: &str) -> bool {
    if !address.starts_with("http://") {
        return true; // xtask has no TLS client, and the server prints its address when it listens.
    }
    let url = format!("{}/readyz", address.trim_end_matches('/'));
    // The server is on this machine, so no proxy of the environment may be used.
    let get = ureq::get(url).config().proxy(None).timeout_global(Some(Duration::from_secs(2))).build();
    get.call().is_ok()
}

/// Returns `true` if this machine probably has a screen and a user for a browser.
fn has_screen() -> bool {
    let set = |name: &str| shell::variable(name).is_some();
    let display = cfg!(any(target_os = "macos", windows)) || set("DISPLAY") || set("WAYLAND_DISPLAY");
    display && std::io::stderr().is_terminal() && !set("CI") && !set("SSH_CONNECTION")
}

fn exit_code(status: ExitStatus) -> ExitCode {
    match status.code() {
        Some(code) => ExitCode::from(u8::try_from(code).unwrap_or(1)),
        None => ExitCode::FAILURE, // Ended by a signal.
    }
}

/// Starts the command in a separate process group. The terminal sends Ctrl-C to the whole group of xtask, and xtask
/// passes it on: a server in the same group would get it twice.
#[cfg(unix)]
fn set_process_group(command: &mut std::process::Command) {
    use std::os::unix::process::CommandExt;
    command.process_group(0);
}

/// Does nothing: Windows sends Ctrl-C to all programs of a console.
#[cfg(not(unix))]
fn own_process_group(_: &mut std::process::Command) {}

#[cfg(unix)]
fn ask_to_end(child: &Child) {
    use nix::{
        sys::signal::{Signal, kill},
        unistd::Pid,
    };
    let Ok(id) = i32::try_from(child.id()) else { return };
    // Fails only when the server has already ended.
    let _ = kill(Pid::from_raw(id), Signal::SIGTERM);
}

#[cfg(not(unix))]
fn ask_to_end(_: &Child) {}

#[cfg(test)]
mod tests {
    use std::{env, io::Write as _, net::TcpListener};

    use super::*;

    #[test]
    fn a_server_that_is_only_asked_need_not_get_ready() {
        let asked = |flags: &[&str]| {
            only_prints_info(&flags.iter().map(|flag| (*flag).to_owned()).collect::<Vec<_>>())
        };
        assert!(asked(&["--help"]) && asked(&["sim", "-h"]) && asked(&["--version"]));
        assert!(!asked(&["--cars", "500"]) && !asked(&[]));
    }

    #[test]
    fn the_address_is_found_in_what_the_server_says() {
        let found = |line| address_in(line).unwrap_or_default();
        assert_eq!(found("ready on http://127.0.0.1:8080"), "http://127.0.0.1:8080");
        assert_eq!(found("Rides: https://localhost:1/ (1 city)"), "https://localhost:1/");
        assert_eq!(found("rides-server listening on http://localhost:80"), "http://localhost:80");
        assert_eq!(address_in("starting"), None);
    }

    /// The test runs itself again in an environment with a proxy that does not answer.
    #[test]
    fn a_proxy_is_not_asked_whether_the_server_is_ready() {
        const NAME: &str = "run::tests::a_proxy_is_not_asked_whether_the_server_is_ready";
        const DEAD: &str = "http://127.0.0.1:1";
        let proxies = ["http_proxy", "HTTP_PROXY", "ALL_PROXY"];
        if env::var("HTTP_PROXY").as_deref() != Ok(DEAD) {
            let mut itself = std::process::Command::new(env::current_exe().unwrap());
            itself.args(["--exact", NAME]).envs(proxies.map(|name| (name, DEAD)));
            let output = itself.env_remove("NO_PROXY").env_remove("no_proxy").output().unwrap();
            assert!(output.status.success(), "{output:?}");
            return;
        }
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", server.local_addr().unwrap());
        let serving = thread::spawn(move || {
            let (mut client, _) = server.accept().unwrap();
            BufReader::new(&client).read_line(&mut String::new()).unwrap();
            client.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").unwrap();
        });
        assert!(is_ready(&address));
        serving.join().unwrap();
    }
}
