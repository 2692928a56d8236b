//! The server under test, and a server that has only the page.

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

/// The time within which a server must print its address. It loads its map before.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// The time within which a server must exit after SIGTERM.
const EXIT_TIMEOUT: Duration = Duration::from_secs(15);

/// An address that binds any free port of the loopback interface.
pub const ANY_PORT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

/// Connects a native gRPC client to a server.
///
/// # Errors
/// When the server cannot be reached.
pub async fn channel(server: SocketAddr) -> Result<Channel> {
    let endpoint = Channel::from_shared(format!("http://{server}"))?;
    endpoint.connect().await.with_context(|| format!("no server at {server}"))
}

/// Returns a token signed with the key in `data_dir`, from `rides-server token` with these arguments.
///
/// # Errors
/// When the program fails.
pub async fn token(data_dir: &Path, arguments: &[&str]) -> Result<String> {
    let mut command = Command::new(program()?);
    command.arg("token").arg("--data-dir").arg(data_dir).args(arguments);
    let made = command.output().await.context("cannot make a token")?;
    ensure!(made.status.success(), "rides-server token failed: {}", String::from_utf8_lossy(&made.stderr));
    Ok(String::from_utf8(made.stdout)?.trim().to_owned())
}

/// Returns a request of `message`, with the token if there is one.
///
/// # Errors
/// When the token is not a valid header value.
pub fn request_with_token<T>(message: T, token: Option<&str>) -> Result<Request<T>> {
    let mut request = Request::new(message);
    if let Some(token) = token {
        request.metadata_mut().insert("authorization", format!("Bearer {token}").parse()?);
    }
    Ok(request)
}

/// Returns the number of open calls of a server, according to its metrics.
///
/// # Errors
/// When the metrics cannot be read, or do not have the number.
pub async fn open_calls(server: SocketAddr) -> Result<u64> {
    let mut stream = TcpStream::connect(server).await?;
    let request = format!("GET /metrics HTTP/1.1\r\nhost: {server}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut figures = String::new();
    stream.read_to_string(&mut figures).await?;
    let open = figures.lines().filter(|line| line.starts_with("rides_open_rpcs{"));
    let open = open.map(|line| line.rsplit(' ').next().unwrap_or_default().parse::<f64>());
    let open = open.collect::<Result<Vec<_>, _>>().context("a value of rides_open_rpcs is not a number")?;
    ensure!(!open.is_empty(), "the metrics have no rides_open_rpcs");
    Ok(open.iter().sum::<f64>() as u64)
}

/// A running `rides-server`. It is killed when it is dropped.
pub struct RidesServer {
    child: Child,
    address: SocketAddr,
}

impl RidesServer {
    /// Starts a server that listens on `listen`, serves the built page, and logs to the file `log`.
    ///
    /// # Errors
    /// When it is not built, exits, or does not print its address.
    pub async fn start(listen: SocketAddr, flags: &[String], log: &Path) -> Result<Self> {
        let program = program()?;
        let log = File::options().create(true).append(true).open(log).context("cannot write the log")?;
        let mut command = Command::new(&program);
        command.args(["--listen", &listen.to_string()]).arg("--page").arg(page()).args(flags);
        command.env("RIDES_DATA_DIR", ":memory:");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).kill_on_drop(true);
        let mut child = command.spawn().with_context(|| format!("cannot start {}", program.display()))?;

        let output = child.stdout.take().context("the server's output is not piped")?;
        let mut lines = BufReader::new(output).lines();
        let said = timeout(START_TIMEOUT, lines.next_line())
            .await
            .context("the server did not print its address")?;
        let Some(line) = said? else { bail!("the server exited at its start ({})", child.wait().await?) };
        // The pipe is kept open and read: a server whose standard output is closed may fail when it next writes to it.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let (_, address) = line.split_once("://").with_context(|| format!("no address in {line:?}"))?;
        Ok(Self { child, address: address.trim_end_matches('/').parse().context("not an address")? })
    }

    /// Returns the address that the server listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Kills the server, as a crash would.
    ///
    /// # Errors
    /// When it has already exited by itself.
    pub async fn kill(mut self) -> Result<()> {
        if let Some(status) = self.child.try_wait()? {
            bail!("the server had already exited by itself ({status})");
        }
        self.child.kill().await.context("cannot kill the server")
    }

    /// Sends SIGTERM to the server, as a supervisor does.
    ///
    /// # Errors
    /// When it has already exited by itself.
    pub async fn drain(&self) -> Result<()> {
        let pid = self.child.id().context("the server had already exited by itself")?.to_string();
        let sent = Command::new("kill").args(["-s", "TERM", &pid]).status().await?;
        ensure!(sent.success(), "cannot send SIGTERM to the server");
        Ok(())
    }

    /// Waits until the server has exited by itself with success.
    ///
    /// # Errors
    /// When it does not exit in time, or exits with a failure.
    pub async fn ends(mut self) -> Result<()> {
        let status =
            timeout(EXIT_TIMEOUT, self.child.wait()).await.context("the server did not exit in time")??;
        ensure!(status.success(), "the server exited with {status}");
        Ok(())
    }
}

/// Returns the path of the server: `RIDES_E2E_SERVER`, or by default the program built beside these tests.
pub(crate) fn program() -> Result<PathBuf> {
    if let Some(program) = variable("RIDES_E2E_SERVER") {
        return Ok(program.into());
    }
    let own = env::current_exe().context("cannot tell the path of this test program")?;
    let built = own.ancestors().nth(2).context("this test program is not in a target directory")?;
    Ok(built.join("rides-server").with_extension(env::consts::EXE_EXTENSION))
}

/// Returns the folder of the built page: `RIDES_E2E_PAGE`, or by default `dist/`.
fn page() -> PathBuf {
    variable("RIDES_E2E_PAGE")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../dist"), PathBuf::from)
}

/// A server of the page's files that responds to every RPC with HTTP 502, as `trunk serve` does without a server.
pub struct PageOnly {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<io::Result<()>>,
}

impl PageOnly {
    /// Starts a server on a free port.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn start() -> Result<Self> {
        let listener = TcpListener::bind(ANY_PORT).await?;
        let address = listener.local_addr()?;
        let refuse = post(|| async { StatusCode::BAD_GATEWAY });
        let app = Router::new().route("/{service}/{method}", refuse).fallback_service(ServeDir::new(page()));
        let (stop, stopped) = oneshot::channel::<()>();
        let serve = axum::serve(listener, app).with_graceful_shutdown(async move {
            // Resolves when `stop` is called, and when the sender is dropped.
            let _ = stopped.await;
        });
        Ok(Self { address, stop, task: tokio::spawn(serve.into_future()) })
    }

    /// Returns the address that the server listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Closes its connections and releases the port.
    ///
    /// # Errors
    /// When the server has failed.
    pub async fn stop(self) -> Result<()> {
        drop(self.stop);
        self.task.await?.context("the server of the page failed")
    }
}
