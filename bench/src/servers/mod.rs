//! The peers in Rust, and their contract.

mod hyper;
mod natural;

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

/// `bench.v1`, generated.
#[allow(unreachable_pub, reason = "generated")]
pub(crate) mod board {
    tonic::include_proto!("bench.v1");
}

/// The contract of the peers, as a serialized `FileDescriptorSet`.
pub(crate) const BOARD_DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/board.bin"));

/// Cars in the fleet.
pub(crate) const CARS: usize = 2000;

/// Which peer to be.
#[derive(Subcommand, Clone, Debug)]
pub(crate) enum Peer {
    /// tonic and tonic-web, as one writes it first.
    Tonic,
    /// hyper and nothing else, which sends what it was given from one buffer to all.
    Hyper {
        /// Messages, each after its length in four bytes, big-endian.
        #[arg(long, value_name = "FILE")]
        replay: PathBuf,
    },
}

/// Serves until it is killed.
pub(crate) fn serve(peer: Peer) -> Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        match peer {
            Peer::Tonic => natural::serve().await,
            Peer::Hyper { replay } => hyper::serve(&replay).await,
        }
    })
}

fn tick() -> Duration {
    Duration::from_secs_f64(TICK_SECONDS)
}

async fn listen() -> Result<TcpListener> {
    TcpListener::bind("127.0.0.1:0").await.context("cannot listen")
}

/// The one line that whoever started us waits for.
fn announce(about: &str, addr: SocketAddr) -> Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{about} listening on http://{addr}")?;
    Ok(stdout.flush()?)
}
