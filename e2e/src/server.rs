//! The server under test, and one that has only the page.

use std::{
    env,
    fs::File,
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use axum::{Router, http::StatusCode, routing::post};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    process::{Child, Command},
    sync::oneshot,
    task::JoinHandle,
    time::timeout,
};
use tonic::{Request, transport::Channel};
use tower_http::services::ServeDir;

use crate::variable::variable;

/// How long a server may take until it says where it listens, map and router included.
const START_WITHIN: Duration = Duration::from_secs(60);

/// How long a server may take to end once it was told to.
const END_WITHIN: Duration = Duration::from_secs(15);

/// Any free port of this machine.
pub const ANY_PORT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

/// A native client's connection to a server.
///
/// # Errors
/// When there is none.
pub async fn channel(server: SocketAddr) -> Result<Channel> {
    let endpoint = Channel::from_shared(format!("http://{server}"))?;
    endpoint.connect().await.with_context(|| format!("no server at {server}"))
}

/// A token from the key in `data_dir`: `rides-server token` with these arguments.
///
/// # Errors
/// When the program does not make one.
pub async fn token(data_dir: &Path, arguments: &[&str]) -> Result<String> {
    let mut command = Command::new(program()?);
    command.arg("token").arg("--data-dir").arg(data_dir).args(arguments);
    let made = command.output().await.context("cannot make a token")?;
    ensure!(made.status.success(), "no token: {}", String::from_utf8_lossy(&made.stderr));
    Ok(String::from_utf8(made.stdout)?.trim().to_owned())
}

/// `message` with a token, if there is one.
///
/// # Errors
/// When the token cannot stand in a header.
pub fn showing<T>(message: T, token: Option<&str>) -> Result<Request<T>> {
    let mut request = Request::new(message);
    if let Some(token) = token {
        request.metadata_mut().insert("authorization", format!("Bearer {token}").parse()?);
    }
    Ok(request)
}

/// How many calls a server has open, by its own figures.
///
/// # Errors
/// When it does not tell.
pub async fn open_calls(server: SocketAddr) -> Result<u64> {
    let mut stream = TcpStream::connect(server).await?;
    let request = format!("GET /metrics HTTP/1.1\r\nhost: {server}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut figures = String::new();
    stream.read_to_string(&mut figures).await?;
    let open = figures.lines().filter(|line| line.starts_with("rides_open_rpcs{"));
    let open = open.map(|line| line.rsplit(' ').next().unwrap_or_default().parse::<f64>());
    let open = open.collect::<Result<Vec<_>, _>>().context("no number")?;
    ensure!(!open.is_empty(), "no figures");
    Ok(open.iter().sum::<f64>() as u64)
}

/// A running `rides-server`. It is killed when dropped.
pub struct RidesServer {
    child: Child,
    address: SocketAddr,
}

impl RidesServer {
    /// Starts one that listens on `listen`, serves the built page, and logs to a file.
    ///
    /// # Errors
    /// When it is not built, ends, or does not say that it listens.
    pub async fn start(listen: SocketAddr, flags: &[String], log: &Path) -> Result<Self> {
        let program = program()?;
        let log = File::options().create(true).append(true).open(log).context("cannot write the log")?;
        let mut command = Command::new(&program);
        command.args(["--listen", &listen.to_string()]).arg("--page").arg(page()).args(flags);
        command.env("RIDES_DATA_DIR", ":memory:");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).kill_on_drop(true);
        let mut child = command.spawn().with_context(|| format!("cannot start {}", program.display()))?;

        let output = child.stdout.take().context("no pipe")?;
        let mut lines = BufReader::new(output).lines();
        let said =
            timeout(START_WITHIN, lines.next_line()).await.context("the server did not say it listens")?;
        let Some(line) = said? else { bail!("the server ended at its start ({})", child.wait().await?) };
        // Kept open and read: a server whose output is closed may fail at its next word.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let (_, address) = line.split_once("://").with_context(|| format!("no address in {line:?}"))?;
        Ok(Self { child, address: address.trim_end_matches('/').parse().context("not an address")? })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends it without a word to anyone, as a crash would.
    ///
    /// # Errors
    /// When it has ended by itself before.
    pub async fn kill(mut self) -> Result<()> {
        if let Some(status) = self.child.try_wait()? {
            bail!("the server had ended by itself ({status})");
        }
        self.child.kill().await.context("cannot kill the server")
    }

    /// Asks it to end, as a supervisor does.
    ///
    /// # Errors
    /// When it has ended by itself before.
    pub async fn drain(&self) -> Result<()> {
        let pid = self.child.id().context("the server had ended by itself")?.to_string();
        let sent = Command::new("kill").args(["-s", "TERM", &pid]).status().await?;
        ensure!(sent.success(), "cannot tell the server to end");
        Ok(())
    }

    /// Waits until it has ended by itself, and well.
    ///
    /// # Errors
    /// When it does not.
    pub async fn ends(mut self) -> Result<()> {
        let status = timeout(END_WITHIN, self.child.wait()).await.context("the server does not end")??;
        ensure!(status.success(), "the server ended with {status}");
        Ok(())
    }
}

/// What RIDES_E2E_SERVER names, else the server built beside these tests.
pub(crate) fn program() -> Result<PathBuf> {
    if let Some(program) = variable("RIDES_E2E_SERVER") {
        return Ok(program.into());
    }
    let own = env::current_exe().context("cannot tell where this test is")?;
    let built = own.ancestors().nth(2).context("this test is not in a target directory")?;
    Ok(built.join("rides-server").with_extension(env::consts::EXE_EXTENSION))
}

/// What RIDES_E2E_PAGE names, else `dist/`.
fn page() -> PathBuf {
    variable("RIDES_E2E_PAGE")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../dist"), PathBuf::from)
}

/// The page on a port where no RPC answers: `trunk serve` before there is a server.
pub struct PageOnly {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<io::Result<()>>,
}

impl PageOnly {
    /// Starts one on a free port.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start() -> Result<Self> {
        let listener = TcpListener::bind(ANY_PORT).await?;
        let address = listener.local_addr()?;
        let refuse = post(|| async { StatusCode::BAD_GATEWAY });
        let app = Router::new().route("/{service}/{method}", refuse).fallback_service(ServeDir::new(page()));
        let (stop, stopped) = oneshot::channel::<()>();
        let serve = axum::serve(listener, app).with_graceful_shutdown(async move {
            // Stopped, or dropped with its test.
            let _ = stopped.await;
        });
        Ok(Self { address, stop, task: tokio::spawn(serve.into_future()) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Closes its connections and frees the port.
    ///
    /// # Errors
    /// When it had failed.
    pub async fn stop(self) -> Result<()> {
        drop(self.stop);
        self.task.await?.context("the server of the page failed")
    }
}
