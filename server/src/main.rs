//! rides-server: a live ride-hailing board over gRPC and gRPC-Web, on one port.

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use anyhow::Context as _;
use clap::Parser as _;
use rides_server::{
    app::App,
    config::{Cli, Command, Config},
    signals::Stop,
    telemetry,
};

#[tokio::main]
async fn main() -> ExitCode {
    match run(Cli::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("rides-server: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: Cli) -> anyhow::Result<()> {
    telemetry::log(&cli.log)?;
    match cli.command {
        None => serve(cli.serve).await,
        Some(Command::Sim(_)) => anyhow::bail!("this build has no simulator"),
    }
}

async fn serve(config: Config) -> anyhow::Result<()> {
    let stop = Stop::listen().context("cannot listen for signals")?;
    let app = App::build(config).await?;
    announce(&app).context("cannot write to stdout")?;
    app.run(stop.first()).await;
    Ok(())
}

/// The one line on stdout: from here on, connections are answered.
fn announce(app: &App) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "rides-server listening on http://{}", app.addr())?;
    stdout.flush()
}
