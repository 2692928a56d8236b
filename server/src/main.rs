//! rides-server: a live ride-hailing board over gRPC and gRPC-Web, on one port.

#[cfg(feature = "embedded-page")]
mod page;

use std::{
    env,
    io::{self, Write as _},
    pin::pin,
    process::{self, ExitCode},
    thread,
};

use anyhow::Context as _;
use clap::CommandFactory as _;
use clap_complete::Shell;
use rides_server::{
    app::{self, App},
    client,
    config::{Cli, Command, Config, SimConfig},
    gen_key, journal_command,
    signals::StopSignals,
    sim::{self, Credentials, Server, SimOptions},
    telemetry::{self, Log},
    token,
};
use tokio::{runtime::Runtime, task::spawn_blocking};
use tokio_util::sync::CancellationToken;

/// jemalloc returns freed memory to the system within seconds, from a background thread. glibc keeps most of it after
/// many connections have closed.
#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// The smallest usable limit on open files. About 40 are open before the first client: the journal, the page, and the
/// connections of the simulated fleet.
#[cfg(unix)]
const MIN_OPEN_FILES: u64 = 64;

fn main() -> ExitCode {
    let cli = Cli::try_parse(env::args_os()).unwrap_or_else(|error| error.exit());
    let log = match Log::start() {
        Ok(log) => log,
        Err(error) => {
            // Without the log, stderr is the only place to report this.
            writeln!(io::stderr(), "rides-server: the log cannot be started: {error}").ok();
            return ExitCode::FAILURE;
        }
    };
    match start(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log.say(&format!("rides-server: {error:#}"));
            error.downcast_ref().map_or(ExitCode::FAILURE, client::Failure::exit_code)
        }
    }
}

fn start(cli: Cli) -> anyhow::Result<()> {
    let runtime = Runtime::new().context("cannot start the async runtime")?;
    #[cfg(unix)]
    {
        let _inside = runtime.enter();
        rides_server::signals::ignore_file_size_limit().context("cannot listen for signals")?;
    }
    telemetry::log(&cli.log)?;
    #[cfg(unix)]
    if cli.command.is_none() {
        open_many_files()?;
    }
    let outcome = runtime.block_on(run(cli));
    // Does not wait for blocking tasks: a disk that hangs must not keep the process alive.
    runtime.shutdown_background();
    outcome
}

async fn run(cli: Cli) -> anyhow::Result<()> {
    match cli.command {
        None => Box::pin(serve(with_page(cli.serve))).await,
        Some(Command::Sim(config)) => simulate(config).await,
        Some(Command::GenKey(config)) => spawn_blocking(|| gen_key::run(config)).await?,
        Some(Command::Token(config)) => spawn_blocking(|| token::run(config)).await?,
        Some(Command::Journal(config)) => spawn_blocking(|| journal_command::run(config)).await?,
        Some(Command::Client(config)) => client::run(config).await,
        Some(Command::Completion { shell }) => complete(shell).context("cannot write to stdout"),
    }
}

/// Adds the page in the program to the configuration.
#[cfg(feature = "embedded-page")]
fn with_page(config: Config) -> Config {
    Config { embedded_page: Some(page::PAGE), ..config }
}

/// Returns the configuration unchanged: this program has no page inside.
#[cfg(not(feature = "embedded-page"))]
fn with_page(config: Config) -> Config {
    config
}

async fn serve(config: Config) -> anyhow::Result<()> {
    let stop = StopSignals::listen().context("cannot listen for signals")?;
    let mut stopped = pin!(stop.first());
    let app = or_exit_on_signal(App::build(config), stopped.as_mut()).await?;
    announce(&app);
    Box::pin(app.run(stopped)).await
}

async fn simulate(config: SimConfig) -> anyhow::Result<()> {
    let stop = StopSignals::listen().context("cannot listen for signals")?;
    let mut stopped = pin!(stop.first());
    let city = or_exit_on_signal(app::city(config.map), stopped.as_mut()).await?;
    let shutdown = CancellationToken::new();
    let server = Server::new(&config.connect.to_string(), config.ca.as_deref())?;
    let credentials = config.token_file.map_or(Credentials::None, Credentials::File);
    let fleet = SimOptions { credentials, ..config.sim.fleet(config.first_car) };
    let stopping = async {
        stopped.await;
        shutdown.cancel();
    };
    let ((), ()) = tokio::join!(sim::run(&server, &fleet, &city, shutdown.clone()), stopping);
    Ok(())
}

/// Raises the limit on open files to the hard limit. Each connection is an open file, and the soft limit is often
/// 1,024.
///
/// # Errors
/// If the limit is below [`MIN_OPEN_FILES`].
#[cfg(unix)]
fn open_many_files() -> anyhow::Result<()> {
    let limit = match rlimit::increase_nofile_limit(u64::MAX) {
        Ok(limit) => limit,
        Err(error) => {
            tracing::warn!(%error, "could not raise the limit on open files, which limits connections");
            rlimit::Resource::NOFILE.get_soft().context("the limit on open files cannot be read")?
        }
    };
    anyhow::ensure!(
        limit >= MIN_OPEN_FILES,
        "the limit on open files is {limit} (`ulimit -n`), and the server needs at least {MIN_OPEN_FILES}, and one more for \
         each connection: raise it, for example by `ulimit -n 4096` or LimitNOFILE= of systemd"
    );
    Ok(())
}

/// Returns the result of `loading`. If `stopped` completes first, the process exits at once: nothing needs an orderly
/// shutdown yet, and loading uses threads that cannot be cancelled.
async fn or_exit_on_signal<T>(loading: impl Future<Output = T>, stopped: impl Future<Output = ()>) -> T {
    tokio::select! {
        loaded = loading => loaded,
        () = stopped => {
            telemetry::flush();
            process::exit(0)
        }
    }
}

/// Prints the completion script of `shell`.
fn complete(shell: Shell) -> io::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "rides-server", &mut script);
    // Workaround: in the script for bash, clap writes a name with a hyphen in two ways, so that nothing is completed
    // after a subcommand (https://github.com/clap-rs/clap/issues/6421).
    let script = String::from_utf8_lossy(&script).replace("rides__subcmd__server", "rides__server");
    io::stdout().write_all(script.as_bytes())
}

/// Prints the address to stdout, when connections are about to be accepted. A separate thread writes the line, so that
/// a stuck reader does not block the server.
fn announce(app: &App) {
    let line = format!("rides-server listening on {}\n", app.url());
    let print = move || {
        let mut stdout = io::stdout().lock();
        if let Err(error) = stdout.write_all(line.as_bytes()).and_then(|()| stdout.flush()) {
            tracing::warn!(%error, "could not write the address to stdout");
        }
    };
    if let Err(error) = thread::Builder::new().name("stdout".into()).spawn(print) {
        tracing::warn!(%error, "could not write the address to stdout");
    }
}
