//! A running proxy.

use std::{
    fs::{self, File},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU16, Ordering},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use tokio::{
    net::TcpStream,
    process::{Child, Command},
    time::timeout,
};

use super::{
    certificate::Certificate,
    program::{Ports, Program},
};
use crate::wait;

/// The longest time until a proxy accepts connections, on a busy machine.
const START_WITHIN: Duration = Duration::from_secs(30);

/// The longest time that a proxy may take to end. Some wait for their connections first.
const END_WITHIN: Duration = Duration::from_secs(10);

/// The addresses in the configurations of `deploy/`.
const SERVER: &str = "127.0.0.1:8080";
const CERTIFICATES: &str = "/etc/ssl/rides/";

/// A proxy in front of a server. It is killed when dropped.
pub struct Proxy {
    program: Program,
    ports: Ports,
    dir: PathBuf,
    child: Child,
}

impl Proxy {
    /// Starts `program` in front of `server` with the configuration `file`, a path in the repository. The proxy keeps
    /// what it writes, its log too, in `dir`.
    ///
    /// # Errors
    /// When the configuration names no address of the server, or the proxy does not start with it.
    pub async fn start(
        program: Program,
        file: &str,
        server: SocketAddr,
        certificate: &Certificate,
        dir: &Path,
    ) -> Result<Self> {
        if dir.exists() {
            fs::remove_dir_all(dir).with_context(|| format!("cannot remove {}", dir.display()))?;
        }
        fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
        let dir = dir.canonicalize()?;
        let ports = Ports { plain: free_port()?, tls: free_port()? };
        let text =
            fs::read_to_string(repository().join(file)).with_context(|| format!("cannot read {file}"))?;
        fs::write(site(&dir), configured(program, &text, server, certificate, ports, file)?)?;
        let child = spawn(program, &dir, ports)?;
        let mut proxy = Self { program, ports, dir, child };
        proxy.accepts().await?;
        Ok(proxy)
    }

    /// The ports that it listens on.
    pub fn ports(&self) -> Ports {
        self.ports
    }

    /// The folder of what it writes.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Ends the proxy as a supervisor does, and starts it again on the same ports.
    ///
    /// # Errors
    /// When it has ended before, or does not start again.
    pub async fn restart(&mut self) -> Result<()> {
        self.stop().await?;
        self.child = spawn(self.program, &self.dir, self.ports)?;
        self.accepts().await
    }

    /// Ends the proxy as a supervisor does, with its workers, which outlive a proxy that is killed.
    ///
    /// # Errors
    /// When it has ended before.
    pub async fn stop(&mut self) -> Result<()> {
        if let Some(status) = self.child.try_wait()? {
            bail!("{} has ended by itself ({status}): see {}", self.program.name(), self.log().display());
        }
        let pid = self.child.id().context("no process id")?.to_string();
        let sent = Command::new("kill").args(["-s", "TERM", &pid]).status().await?;
        ensure!(sent.success(), "cannot tell {} to end", self.program.name());
        timeout(END_WITHIN, self.child.wait()).await.context("the proxy does not end")??;
        Ok(())
    }

    /// Waits until a port accepts connections.
    async fn accepts(&mut self) -> Result<()> {
        let Ports { plain, tls } = self.ports;
        let what = format!("{} to accept connections: see {}", self.program.name(), self.log().display());
        wait::until(&what, START_WITHIN, async || {
            if let Some(status) = self.child.try_wait()? {
                bail!(
                    "{} ended at its start ({status}): see {}",
                    self.program.name(),
                    log(&self.dir).display()
                );
            }
            let mut connected = TcpStream::connect((Ipv4Addr::LOCALHOST, tls)).await;
            if connected.is_err() {
                connected = TcpStream::connect((Ipv4Addr::LOCALHOST, plain)).await;
            }
            Ok(connected.ok())
        })
        .await?;
        Ok(())
    }

    fn log(&self) -> PathBuf {
        log(&self.dir)
    }
}

/// The configuration `text` of `file` with the addresses of this run in the place of those for people.
fn configured(
    program: Program,
    text: &str,
    server: SocketAddr,
    certificate: &Certificate,
    ports: Ports,
    file: &str,
) -> Result<String> {
    let (host, port) = (server.ip(), server.port());
    // Envoy has address and port apart.
    let apart = "address: 127.0.0.1, port_value: 8080 ";
    ensure!(text.contains(SERVER) || text.contains(apart), "{file} does not name {SERVER}");
    let text =
        program.with_ports(text, ports).with_context(|| format!("{file} listens on neither 80 nor 443"))?;
    Ok(text
        .replace(SERVER, &server.to_string())
        .replace(apart, &format!("address: {host}, port_value: {port} "))
        .replace(CERTIFICATES, &certificate.dir().join("").to_string_lossy()))
}

fn spawn(program: Program, dir: &Path, ports: Ports) -> Result<Child> {
    let log = File::options().create(true).append(true).open(log(dir)).context("cannot write the log")?;
    let mut command = program.command(dir, &site(dir), ports)?;
    command.stdout(log.try_clone()?).stderr(log);
    command.spawn().with_context(|| format!("cannot start {}", program.name()))
}

fn log(dir: &Path) -> PathBuf {
    dir.join("log")
}

/// Envoy goes by the ending.
fn site(dir: &Path) -> PathBuf {
    dir.join("site.yaml")
}

/// The root of the repository.
pub(super) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A port that nobody listens on, below those that systems give to connections: a proxy that is restarted finds it free.
fn free_port() -> Result<u16> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    const FIRST: u16 = 20_000;
    const PORTS: u16 = 10_000;
    for _ in 0..PORTS {
        // Two test runs on one machine begin at different ports.
        let start = u16::try_from(std::process::id() % u32::from(PORTS))?;
        let port = FIRST + (start + NEXT.fetch_add(1, Ordering::Relaxed)) % PORTS;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no free port")
}
