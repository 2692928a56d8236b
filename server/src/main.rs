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
    keys,
    signals::Stop,
    sim::{self, Credentials, Server, SimOptions},
    telemetry::{self, Log},
    token, upkeep,
};
use tokio::{runtime::Runtime, task::spawn_blocking};
use tokio_util::sync::CancellationToken;

/// Gives back what is freed within seconds, wherever it lies, on a thread of its own.
#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// The fewest open files that a server can do with. About 40 are open before the first connection: the journal, the page,
/// the connections of its own fleet.
#[cfg(unix)]
const FEWEST_FILES: u64 = 64;

fn main() -> ExitCode {
    let cli = Cli::of(env::args_os()).unwrap_or_else(|error| error.exit());
    let log = match Log::start() {
        Ok(log) => log,
        Err(error) => {
            // There is no other place to report this.
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
    let runtime = Runtime::new().context("cannot start")?;
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
    // A disk that hangs must not hold the process.
    runtime.shutdown_background();
    outcome
}

async fn run(cli: Cli) -> anyhow::Result<()> {
    match cli.command {
        None => Box::pin(serve(with_page(cli.serve))).await,
        Some(Command::Sim(config)) => simulate(config).await,
        Some(Command::GenKey(config)) => spawn_blocking(|| keys::run(config)).await?,
        Some(Command::Token(config)) => spawn_blocking(|| token::run(config)).await?,
        Some(Command::Journal(config)) => spawn_blocking(|| upkeep::run(config)).await?,
        Some(Command::Client(config)) => client::run(config).await,
        Some(Command::Completion { shell }) => complete(shell).context("cannot write to stdout"),
    }
}

/// Adds the page that is in the program.
#[cfg(feature = "embedded-page")]
fn with_page(config: Config) -> Config {
    Config { embedded_page: Some(page::PAGE), ..config }
}

/// Leaves the page to the flags: there is none in the program.
#[cfg(not(feature = "embedded-page"))]
fn with_page(config: Config) -> Config {
    config
}

async fn serve(config: Config) -> anyhow::Result<()> {
    let stop = Stop::listen().context("cannot listen for signals")?;
    let mut stopped = pin!(stop.first());
    let app = unless_stopped(App::build(config), stopped.as_mut()).await?;
    announce(&app);
    Box::pin(app.run(stopped)).await
}

async fn simulate(config: SimConfig) -> anyhow::Result<()> {
    let stop = Stop::listen().context("cannot listen for signals")?;
    let mut stopped = pin!(stop.first());
    let city = unless_stopped(app::city(config.map), stopped.as_mut()).await?;
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

/// Raises the limit on open files, of which every connection is one, as far as the system lets it. Systems commonly allow
/// a thousand unless asked for more.
#[cfg(unix)]
fn open_many_files() -> anyhow::Result<()> {
    let limit = match rlimit::increase_nofile_limit(u64::MAX) {
        Ok(limit) => limit,
        Err(error) => {
            tracing::warn!(%error, "the system's limit on open files stays: it limits connections");
            rlimit::Resource::NOFILE.get_soft().context("the limit on open files cannot be read")?
        }
    };
    anyhow::ensure!(
        limit >= FEWEST_FILES,
        "the limit on open files is {limit} (`ulimit -n`), and serving needs at least {FEWEST_FILES}, and one more for each \
         connection: raise it, as by `ulimit -n 4096` or LimitNOFILE= of systemd"
    );
    Ok(())
}

/// What loads before there is anything to end in good order. It has threads that nothing can cancel, so a
/// signal ends the process.
async fn unless_stopped<T>(loading: impl Future<Output = T>, stopped: impl Future<Output = ()>) -> T {
    tokio::select! {
        loaded = loading => loaded,
        () = stopped => {
            telemetry::flush();
            process::exit(0)
        }
    }
}

/// A script for `shell`.
fn complete(shell: Shell) -> io::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "rides-server", &mut script);
    // In its script for bash, clap spells a name with a hyphen in two ways, and completes nothing behind a command (its
    // issue 6421).
    let script = String::from_utf8_lossy(&script).replace("rides__subcmd__server", "rides__server");
    io::stdout().write_all(script.as_bytes())
}

/// Prints the one line on stdout: from here on, connections are answered. A thread of its own writes it, so that a reader
/// that is stuck or gone does not hold the server up.
fn announce(app: &App) {
    let line = format!("rides-server listening on {}\n", app.url());
    let print = move || {
        let mut stdout = io::stdout().lock();
        if let Err(error) = stdout.write_all(line.as_bytes()).and_then(|()| stdout.flush()) {
            tracing::warn!(%error, "the address could not be written to stdout");
        }
    };
    if let Err(error) = thread::Builder::new().name("stdout".into()).spawn(print) {
        tracing::warn!(%error, "the address could not be written to stdout");
    }
}
