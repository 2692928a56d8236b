//! A TCP proxy that simulates a bad network between page and server: it cuts connections, delays and splits data, or
//! discards it.
//!
//! Random choices come from a seed, so that a run can be repeated as far as timing allows.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context, Result};
use fastrand::Rng;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::{JoinHandle, JoinSet},
    time::sleep,
};

use crate::server::ANY_PORT;

/// The condition of the simulated network.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NetworkCondition {
    /// Bytes pass unchanged.
    Normal,
    /// Bytes pass in pieces of random size with pauses between them. Each connection is cut after a short time.
    Lossy,
    /// Connections stay open, and bytes are discarded, as on a half-open connection.
    Blackhole,
}

/// The longest lifetime of a connection in a storm, in milliseconds.
const LIFE_MS: u64 = 1_500;
/// The longest pause between two pieces, in milliseconds.
const PAUSE_MS: u64 = 15;
/// The largest piece, in bytes. Most frames are larger.
const PIECE: usize = 512;

/// A running proxy in front of a server. It stops when it is dropped.
pub struct BadNetwork {
    address: SocketAddr,
    weather: watch::Sender<NetworkCondition>,
    task: JoinHandle<()>,
}

impl BadNetwork {
    /// Starts a proxy on a free port, in [`NetworkCondition::Normal`].
    ///
    /// # Errors
    /// When no port is free.
    pub async fn start(server: SocketAddr, seed: u64) -> Result<Self> {
        let listener = TcpListener::bind(ANY_PORT).await.context("cannot bind a port for the proxy")?;
        let address = listener.local_addr()?;
        let (weather, forecast) = watch::channel(NetworkCondition::Normal);
        let task = tokio::spawn(accept(listener, server, forecast, Rng::with_seed(seed)));
        Ok(Self { address, weather, task })
    }

    /// Returns the address that the proxy listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Changes the weather, also for open connections.
    pub fn turn(&self, weather: NetworkCondition) {
        self.weather.send_replace(weather);
    }
}

impl Drop for BadNetwork {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(
    listener: TcpListener,
    server: SocketAddr,
    weather: watch::Receiver<NetworkCondition>,
    mut rng: Rng,
) {
    let mut connections = JoinSet::new();
    while let Ok((page, _)) = listener.accept().await {
        connections.spawn(connect(page, server, weather.clone(), rng.fork()));
        while connections.try_join_next().is_some() {}
    }
}

/// Proxies one connection until either end closes it or it is cut. If the server cannot be reached, the connection is
/// closed at once.
async fn connect(
    page: TcpStream,
    server: SocketAddr,
    weather: watch::Receiver<NetworkCondition>,
    mut rng: Rng,
) {
    let Ok(server) = TcpStream::connect(server).await else { return };
    let ((from_page, to_page), (from_server, to_server)) = (page.into_split(), server.into_split());
    let life = Duration::from_millis(rng.u64(1..=LIFE_MS));
    let (up, down) = (rng.fork(), rng.fork());
    tokio::select! {
        () = pass(from_page, to_server, weather.clone(), up) => {}
        () = pass(from_server, to_page, weather.clone(), down) => {}
        () = last(life, weather.clone()) => {}
    }
}

/// Returns `life` after a storm was first seen.
async fn last(life: Duration, mut weather: watch::Receiver<NetworkCondition>) {
    if weather.wait_for(|weather| *weather == NetworkCondition::Lossy).await.is_ok() {
        sleep(life).await;
    }
}

/// Copies bytes in one direction. A direction that has discarded bytes passes no more, also in better weather: a later
/// byte would not be at its place in the stream.
async fn pass(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    weather: watch::Receiver<NetworkCondition>,
    mut rng: Rng,
) {
    let mut buffer = [0; 16 * 1024];
    let mut silent = false;
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        let now = *weather.borrow();
        silent |= now == NetworkCondition::Blackhole;
        let passed = match now {
            _ if silent => Ok(()),
            NetworkCondition::Lossy => in_pieces(&buffer[..read], &mut to, &mut rng).await,
            NetworkCondition::Normal | NetworkCondition::Blackhole => to.write_all(&buffer[..read]).await,
        };
        if passed.is_err() {
            return;
        }
    }
}

async fn in_pieces(mut bytes: &[u8], to: &mut OwnedWriteHalf, rng: &mut Rng) -> std::io::Result<()> {
    while !bytes.is_empty() {
        let (piece, rest) = bytes.split_at(rng.usize(1..=PIECE).min(bytes.len()));
        to.write_all(piece).await?;
        bytes = rest;
        sleep(Duration::from_millis(rng.u64(0..=PAUSE_MS))).await;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    /// Starts a server that echoes what it receives.
    async fn echo() -> SocketAddr {
        let listener = TcpListener::bind(ANY_PORT).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut from, mut to) = stream.split();
                    // Ends when the connection is closed.
                    let _ = tokio::io::copy(&mut from, &mut to).await;
                });
            }
        });
        address
    }

    /// Sends bytes through the proxy and returns the echo. The echo is incomplete if the connection is cut.
    async fn round_trip(proxy: &BadNetwork, bytes: &[u8]) -> Vec<u8> {
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        let mut back = Vec::new();
        while back.len() < bytes.len() {
            let mut buffer = [0; 1024];
            match stream.read(&mut buffer).await {
                Ok(read @ 1..) => back.extend(&buffer[..read]),
                _ => break,
            }
        }
        back
    }

    #[tokio::test]
    async fn what_comes_through_a_storm_is_a_beginning_of_what_was_sent() {
        let proxy = BadNetwork::start(echo().await, 1).await.unwrap();
        let bytes: Vec<u8> = (0..40_000u32).map(|n| n as u8).collect();
        assert_eq!(round_trip(&proxy, &bytes).await, bytes);
        proxy.turn(NetworkCondition::Lossy);
        let back = round_trip(&proxy, &bytes).await;
        assert!(back.len() < bytes.len() && bytes.starts_with(&back), "{} bytes", back.len());
    }

    #[tokio::test]
    async fn silence_keeps_the_connection_and_loses_the_bytes_for_good() {
        let proxy = BadNetwork::start(echo().await, 1).await.unwrap();
        proxy.turn(NetworkCondition::Blackhole);
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        stream.write_all(b"lost").await.unwrap();
        let patience = Duration::from_millis(100);
        assert!(
            timeout(patience, stream.read(&mut [0; 8])).await.is_err(),
            "the connection returned bytes or was closed"
        );
        proxy.turn(NetworkCondition::Normal);
        stream.write_all(b"lost too").await.unwrap();
        assert!(timeout(patience, stream.read(&mut [0; 8])).await.is_err());
        assert_eq!(round_trip(&proxy, b"not lost").await, b"not lost");
    }
}
