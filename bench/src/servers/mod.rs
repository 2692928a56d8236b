//! The peers in Rust.

mod hyper;
mod tonic_peer;

use std::{
    io::{self, Write as _},
    net::SocketAddr,
    path::PathBuf,
    time::Duration,
};

use anyhow::{Context as _, Result};
use clap::Subcommand;
use tokio::net::TcpListener;

use crate::fleet::TICK_SECONDS;

/// The generated types of `bench.v1`.
#[allow(unreachable_pub, reason = "generated")]
pub(crate) mod board {
    tonic::include_proto!("bench.v1");
}

/// The protocol of the peers, as a serialized `FileDescriptorSet`.
pub(crate) const BOARD_DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/board.bin"));

/// The number of cars in the fleet.
pub(crate) const CARS: usize = 2000;

/// The peer to run.
#[derive(Subcommand, Clone, Debug)]
pub(crate) enum Peer {
    /// Run a server with tonic and tonic-web, written in the usual way.
    Tonic,
    /// Run bare hyper, which sends recorded messages from one buffer to all viewers.
    Hyper {
        /// The file of messages, each after its length in four bytes, big-endian.
        #[arg(long, value_name = "FILE")]
        replay: PathBuf,
    },
}

/// Serves until the process is killed.
pub(crate) fn serve(peer: Peer) -> Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        match peer {
            Peer::Tonic => tonic_peer::serve().await,
            Peer::Hyper { replay } => hyper::serve(&replay).await,
        }
    })
}

fn tick() -> Duration {
    Duration::from_secs_f64(TICK_SECONDS)
}

async fn listen() -> Result<TcpListener> {
    TcpListener::bind("127.0.0.1:0").await.context("cannot listen on a port of 127.0.0.1")
}

/// Prints the line that [`Server::start`](crate::process::Server::start) waits for.
fn announce(about: &str, addr: SocketAddr) -> Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{about} listening on http://{addr}")?;
    Ok(stdout.flush()?)
}
