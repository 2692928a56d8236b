//! The servers of the interop test: an open one, one with TLS, one with tokens and low limits, and one that is blocked
//! on its data.

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
};

use anyhow::{Context, Result, ensure};
#[cfg(unix)]
use nix::sys::signal::Signal;
use serde_json::json;

use super::programs::{self, ClientPrograms, RunningProgram};
use crate::{setup::Browser, shell};

/// The car of the driver's token.
const CAR: &str = "7";

/// The running servers. They are killed when dropped.
pub(super) struct Servers {
    /// The file for the clients: addresses, tokens and certificates in JSON.
    pub(super) file: PathBuf,
    /// The address of the open server, as HOST:PORT.
    pub(super) open: String,
    /// The address of the server with TLS.
    pub(super) tls: String,
    /// The CA certificate of the server with TLS.
    pub(super) ca: PathBuf,
    /// The address of the server that requires tokens.
    pub(super) with_tokens: String,
    /// The file with a dispatcher's token.
    pub(super) token_file: PathBuf,
    /// The file with an invalid token.
    pub(super) forged_token_file: PathBuf,
    /// A CA certificate that signed none of the servers' certificates.
    pub(super) other_ca: PathBuf,
    program: PathBuf,
    dir: PathBuf,
    _running: [Server; 4],
    /// A process that locks the revocations of the busy server: a SignOut there gets no response.
    _writer: RunningProgram,
}

impl Servers {
    /// Starts the servers with new, empty data under `dir`.
    ///
    /// # Errors
    /// When a server does not start.
    pub(super) fn start(
        program: &Path,
        programs: &ClientPrograms,
        browser: &Browser,
        dir: &Path,
    ) -> Result<Self> {
        if dir.exists() {
            fs::remove_dir_all(dir).with_context(|| format!("cannot remove {}", dir.display()))?;
        }
        fs::create_dir_all(dir)?;
        let [tls_dir, other_dir, strict_dir, busy_dir] =
            ["tls", "other", "strict", "busy"].map(|name| dir.join(name));
        for keys in [&tls_dir, &other_dir] {
            ask(program, keys, &["gen-key"])?;
        }
        let [ca, other_ca] = [&tls_dir, &other_dir].map(|dir| dir.join("tls/ca.pem"));

        // The origin of the page with the clients in a browser, which is not the servers' origin.
        let page = format!("http://{}", TcpListener::bind("127.0.0.1:0")?.local_addr()?);
        let start = |name: &str, data_dir: &Path, flags: &[&str]| {
            let flags = [&["--cars=0", "--allow-origin", &page], flags].concat();
            Server::start(program, data_dir, &flags, &dir.join(format!("{name}.log")))
        };
        let mut running = [
            // curl 7 reads a response that arrived during its upload only when more data follows: the pings.
            start(
                "open",
                Path::new(":memory:"),
                &["--max-messages-per-second=1000000", "--ping-interval=1"],
            )?,
            start("tls", &tls_dir, &["--tls=self-signed"])?,
            start(
                "strict",
                &strict_dir,
                &["--auth=required", "--max-viewers=1", "--max-messages-per-second=100"],
            )?,
            start("busy", &busy_dir, &[])?,
        ];
        let [open, tls, strict, busy] = &mut running;
        let urls = [open.url()?, tls.url()?, strict.url()?, busy.url()?];
        let [open, tls, strict, busy] =
            urls.each_ref().map(|url| url.split_once("://").map_or("", |(_, address)| address));
        let mut writer = programs.python(&["-m", "interop.hold"]);
        let mut writer = RunningProgram::start(writer.arg(busy_dir.join("revoked.db")))?;
        writer.line()?.context("interop.hold did not lock the revocations")?;

        let dispatcher = ask(program, &strict_dir, &["token", "--role=dispatcher", "--subject=eve"])?;
        let driver = ask(program, &strict_dir, &["token", "--role=driver", "--car", CAR, "--subject=aino"])?;
        let [token_file, forged_token_file] = ["token", "forged"].map(|name| dir.join(name));
        fs::write(&token_file, &dispatcher)?;
        fs::write(&forged_token_file, format!("{dispatcher}x"))?;
        let [open_url, tls_url, strict_url, busy_url] = &urls;
        let servers = json!({
            "open": { "url": open_url, "address": open },
            "tls": { "url": tls_url, "address": tls, "ca": ca },
            "distrusted": { "url": tls_url, "address": tls, "ca": other_ca },
            "strict": { "url": strict_url, "address": strict },
            "busy": { "url": busy_url, "address": busy },
            "tokens": { "dispatcher": dispatcher, "driver": driver },
            "car": CAR.parse::<u64>()?,
            "program": program,
            "page": page,
            "chrome": browser.chrome,
            "chromedriver": browser.driver,
        });
        let file = dir.join("servers.json");
        fs::write(&file, servers.to_string())?;
        let [open, tls, strict] = [open, tls, strict].map(str::to_owned);
        Ok(Self {
            file,
            open,
            tls,
            ca,
            with_tokens: strict,
            token_file,
            forged_token_file,
            other_ca,
            program: program.to_owned(),
            dir: dir.to_owned(),
            _running: running,
            _writer: writer,
        })
    }

    /// Starts one more server, without stored data, and returns it with its URL. It is killed when dropped.
    ///
    /// # Errors
    /// When the server does not start.
    pub(super) fn start_another(&self, flags: &[&str]) -> Result<(Server, String)> {
        let log = self.dir.join("another.log");
        let mut server = Server::start(&self.program, Path::new(":memory:"), flags, &log)?;
        let url = server.url()?;
        Ok((server, url))
    }

    /// Starts one more server at `address`, without stored data, and returns it with its address as HOST:PORT. An
    /// earlier server may have had the address. It is killed when dropped.
    ///
    /// # Errors
    /// When the server does not start.
    #[cfg(unix)]
    pub(super) fn rolling(&self, address: &str) -> Result<(Server, String)> {
        let log = self.dir.join("rolling.log");
        let mut server =
            Server::start_at(address, &self.program, Path::new(":memory:"), &["--cars=0"], &log)?;
        let url = server.url()?;
        Ok((server, url.trim_start_matches("http://").to_owned()))
    }

    /// Starts a server with TLS that requires tokens, and returns it with its address as NAME:PORT. Its keys and a
    /// dispatcher's token are in `keys`.
    ///
    /// # Errors
    /// When the server does not start.
    pub(super) fn start_with_tls_and_tokens(&self, keys: &Path) -> Result<(Server, String)> {
        if keys.exists() {
            fs::remove_dir_all(keys).with_context(|| format!("cannot remove {}", keys.display()))?;
        }
        let flags = ["--tls=self-signed", "--auth=required"];
        let mut server = Server::start(&self.program, keys, &flags, &self.dir.join("guarded.log"))?;
        let url = server.url()?;
        let token = ask(&self.program, keys, &["token", "--role=dispatcher", "--subject=eve"])?;
        fs::write(keys.join("token"), token)?;
        Ok((server, url.replace("https://127.0.0.1", "localhost")))
    }
}

/// A running server. It is killed when dropped.
pub(super) struct Server {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Server {
    fn start(program: &Path, data_dir: &Path, flags: &[&str], log: &Path) -> Result<Self> {
        Self::start_at("127.0.0.1:0", program, data_dir, flags, log)
    }

    fn start_at(address: &str, program: &Path, data_dir: &Path, flags: &[&str], log: &Path) -> Result<Self> {
        let mut command = Command::new(program);
        command.args(["--listen", address]).arg("--data-dir").arg(data_dir);
        command.args(flags).stdin(Stdio::null()).stdout(Stdio::piped());
        command.stderr(File::create(log).with_context(|| format!("cannot write {}", log.display()))?);
        let mut child = command.spawn().with_context(|| shell::not_started(&command))?;
        let output = child.stdout.take().context("no pipe")?;
        Ok(Self { child, output: BufReader::new(output) })
    }

    /// Stops the server with SIGTERM, as an update does, and waits for its end.
    ///
    /// # Errors
    /// When the server ends with a failure.
    #[cfg(unix)]
    pub(super) fn stop(&mut self) -> Result<()> {
        programs::signal(&self.child, Signal::SIGTERM)?;
        let status = self.child.wait()?;
        ensure!(status.success(), "a server ended with {status}");
        Ok(())
    }

    /// Waits for the line with the server's address, and returns the URL. The server serves requests from then on.
    fn url(&mut self) -> Result<String> {
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        let (_, url) =
            line.trim().rsplit_once(' ').context("the server ended during its start: see its log")?;
        Ok(url.trim_end_matches('/').to_owned())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail only when the process has already ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a subcommand of the server program for `data_dir`, and returns its output.
fn ask(program: &Path, data_dir: &Path, subcommand: &[&str]) -> Result<String> {
    let mut command = Command::new(program);
    let output = command.args(subcommand).arg("--data-dir").arg(data_dir).output()?;
    ensure!(
        output.status.success(),
        "`{}` failed: {}",
        shell::command_line(&command),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
