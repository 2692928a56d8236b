//! The servers that clients call: one for everybody, one over TLS, one that asks for tokens and allows little, and one that
//! is kept waiting.

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

use super::programs::{self, Programs, Running};
use crate::{setup::Browser, shell};

/// The car that the driver's token is for.
const CAR: &str = "7";

/// All of them. They are killed when dropped.
pub(super) struct Servers {
    /// Where they are, and what opens them, in JSON for the clients.
    pub(super) file: PathBuf,
    /// Where the one for everybody is, as HOST:PORT.
    pub(super) open: String,
    /// Where the one over TLS is.
    pub(super) tls: String,
    /// Whom to trust there.
    pub(super) ca: PathBuf,
    /// Where the one is that asks for tokens.
    pub(super) strict: String,
    /// Holds a dispatcher's.
    pub(super) token_file: PathBuf,
    /// Holds one that is nobody's.
    pub(super) forged_token_file: PathBuf,
    /// Whom to trust at no server of these.
    pub(super) other_ca: PathBuf,
    program: PathBuf,
    dir: PathBuf,
    _running: [Server; 4],
    /// Writes to what one of them keeps, which waits for its end: whoever signs out there is not answered.
    _writer: Running,
}

impl Servers {
    /// Starts them, from nothing, with what they keep under `dir`.
    ///
    /// # Errors
    /// When one does not start.
    pub(super) fn start(program: &Path, programs: &Programs, browser: &Browser, dir: &Path) -> Result<Self> {
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

        // Of the page with the clients that run in browsers: another origin than the servers'.
        let page = format!("http://{}", TcpListener::bind("127.0.0.1:0")?.local_addr()?);
        let start = |name: &str, data_dir: &Path, flags: &[&str]| {
            let flags = [&["--cars=0", "--allow-origin", &page], flags].concat();
            Server::start(program, data_dir, &flags, &dir.join(format!("{name}.log")))
        };
        let mut running = [
            // curl 7 looks at an answer that came during its upload only when something follows it: a ping.
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
        let mut writer = Running::start(writer.arg(busy_dir.join("revoked.db")))?;
        writer.line()?.context("nobody keeps a server waiting")?;

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
            strict,
            token_file,
            forged_token_file,
            other_ca,
            program: program.to_owned(),
            dir: dir.to_owned(),
            _running: running,
            _writer: writer,
        })
    }

    /// One more, and its URL. It keeps nothing, and is killed when dropped.
    ///
    /// # Errors
    /// When it does not start.
    pub(super) fn another(&self, flags: &[&str]) -> Result<(Server, String)> {
        let log = self.dir.join("another.log");
        let mut server = Server::start(&self.program, Path::new(":memory:"), flags, &log)?;
        let url = server.url()?;
        Ok((server, url))
    }

    /// Starts one more at `address`, where an earlier one may have been, and returns it with its address as HOST:PORT. It keeps
    /// nothing, and is killed when dropped.
    ///
    /// # Errors
    /// When it does not start.
    #[cfg(unix)]
    pub(super) fn rolling(&self, address: &str) -> Result<(Server, String)> {
        let log = self.dir.join("rolling.log");
        let mut server =
            Server::start_at(address, &self.program, Path::new(":memory:"), &["--cars=0"], &log)?;
        let url = server.url()?;
        Ok((server, url.trim_start_matches("http://").to_owned()))
    }

    /// One over TLS that asks for tokens, with its keys and a dispatcher's token in `keys`, and where it is, as NAME:PORT.
    ///
    /// # Errors
    /// When it does not start.
    pub(super) fn guarded(&self, keys: &Path) -> Result<(Server, String)> {
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

/// One that runs. It is killed when dropped.
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

    /// Stops it as an ordinary update does, and waits for its end.
    ///
    /// # Errors
    /// When it does not end well.
    #[cfg(unix)]
    pub(super) fn stop(&mut self) -> Result<()> {
        programs::signal(&self.child, Signal::SIGTERM)?;
        let status = self.child.wait()?;
        ensure!(status.success(), "a server ended with {status}");
        Ok(())
    }

    /// Waits until it says where it listens: from then on it answers.
    fn url(&mut self) -> Result<String> {
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        let (_, url) = line.trim().rsplit_once(' ').context("the server ended at its start: see its log")?;
        Ok(url.trim_end_matches('/').to_owned())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail only when it is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the program says to a subcommand about what is kept in `data_dir`.
fn ask(program: &Path, data_dir: &Path, subcommand: &[&str]) -> Result<String> {
    let mut command = Command::new(program);
    let output = command.args(subcommand).arg("--data-dir").arg(data_dir).output()?;
    ensure!(
        output.status.success(),
        "`{}` failed: {}",
        shell::words(&command),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
