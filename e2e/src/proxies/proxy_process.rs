//! A running proxy process, with a copy of a configuration of `deploy/`.

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

/// The time within which a proxy must accept connections, also on a busy machine.
const START_WITHIN: Duration = Duration::from_secs(30);

/// The time within which a proxy must exit after SIGTERM. Some wait for their connections first.
const END_WITHIN: Duration = Duration::from_secs(10);

/// The server's address and the certificates' folder in the configurations of `deploy/`.
const SERVER: &str = "127.0.0.1:8080";
const CERTIFICATES: &str = "/etc/ssl/rides/";

/// A running proxy in front of a server. It is killed when it is dropped.
pub struct ProxyProcess {
    program: Program,
    ports: Ports,
    dir: PathBuf,
    child: Child,
}

impl ProxyProcess {
    /// Starts `program` in front of `server` with the configuration `file`, a path in the repository. The proxy's
    /// files, its log included, are in `dir`.
    ///
    /// # Errors
    /// When the configuration does not name the server's address, or the proxy does not start.
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

    /// Returns the ports that the proxy listens on.
    pub fn ports(&self) -> Ports {
        self.ports
    }

    /// Returns the folder of the proxy's files.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Stops the proxy with SIGTERM, and starts it again on the same ports.
    ///
    /// # Errors
    /// When it has already exited, or does not start again.
    pub async fn restart(&mut self) -> Result<()> {
        self.stop().await?;
        self.child = spawn(self.program, &self.dir, self.ports)?;
        self.accepts().await
    }

    /// Stops the proxy with SIGTERM, which stops its workers too. They would outlive a proxy that is killed.
    ///
    /// # Errors
    /// When it has already exited, or does not exit in time.
    pub async fn stop(&mut self) -> Result<()> {
        if let Some(status) = self.child.try_wait()? {
            bail!(
                "{} had already exited by itself ({status}): see {}",
                self.program.name(),
                self.log().display()
            );
        }
        let pid = self.child.id().context("the proxy has no process id")?.to_string();
        let sent = Command::new("kill").args(["-s", "TERM", &pid]).status().await?;
        ensure!(sent.success(), "cannot send SIGTERM to {}", self.program.name());
        timeout(END_WITHIN, self.child.wait()).await.context("the proxy did not exit in time")??;
        Ok(())
    }

    /// Waits until one of the ports accepts connections.
    async fn accepts(&mut self) -> Result<()> {
        let Ports { plain, tls } = self.ports;
        let what = format!("{} to accept connections: see {}", self.program.name(), self.log().display());
        wait::until(&what, START_WITHIN, async || {
            if let Some(status) = self.child.try_wait()? {
                bail!(
                    "{} exited at its start ({status}): see {}",
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

/// Returns the configuration `text` of `file` with the addresses, ports and paths of this run.
fn configured(
    program: Program,
    text: &str,
    server: SocketAddr,
    certificate: &Certificate,
    ports: Ports,
    file: &str,
) -> Result<String> {
    let (host, port) = (server.ip(), server.port());
    // Envoy's configuration has host and port in separate fields.
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

/// Returns the path of the configuration. Envoy needs the extension `.yaml`; the others accept any.
fn site(dir: &Path) -> PathBuf {
    dir.join("site.yaml")
}

/// Returns the root of the repository.
pub(super) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Returns a port that is not in use. It is below the ephemeral range, so that it is still free when a proxy is
/// restarted.
fn free_port() -> Result<u16> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    const FIRST: u16 = 20_000;
    const PORTS: u16 = 10_000;
    for _ in 0..PORTS {
        // Each test process begins at another port, so that two of them rarely collide.
        let start = u16::try_from(std::process::id() % u32::from(PORTS))?;
        let port = FIRST + (start + NEXT.fetch_add(1, Ordering::Relaxed)) % PORTS;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no free port in 20000-29999")
}
