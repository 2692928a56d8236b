//! The test of a rolling update: two servers behind one name stop and start in turn, and no client loses a call.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::{
    programs::{ClientPrograms, RunningProgram},
    servers::Servers,
};

/// The number of stops of the two servers in turn.
const STOPS: usize = 6;
/// The longest time until all clients are connected. A client retries a server that refused it after some seconds.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(60);
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Runs clients of grpc-go and grpcio with each load-balancing policy in parallel, and returns their number.
///
/// # Errors
/// When a call is lost, or a server does not stop or start.
pub(super) fn run(programs: &ClientPrograms, servers: &Servers) -> Result<u64> {
    let mut pair = [servers.rolling("127.0.0.1:0")?, servers.rolling("127.0.0.1:0")?];
    let addresses = pair.each_ref().map(|(_, address)| address.clone());
    let [first, second] = addresses.each_ref().map(String::as_str);
    let mut clients = Vec::new();
    for policy in ["round_robin", "pick_first"] {
        let in_python = ["-m", "interop.rolling", policy, first, second];
        for mut command in [programs.go(&["rolling", policy, first, second]), programs.python(&in_python)] {
            let mut client = RunningProgram::start(&mut command)?;
            let line = client.line()?;
            ensure!(
                line.as_deref() == Some("ready"),
                "`{}` printed {line:?} instead of \"ready\"",
                client.command()
            );
            clients.push(client);
        }
    }
    for stop in 0..STOPS {
        until_all_are_connected(&addresses, clients.len())?;
        let (server, address) = &mut pair[stop % 2];
        server.stop()?;
        *server = servers.rolling(address)?.0;
    }
    for client in &mut clients {
        client.interrupt()?;
        let report = client.line()?.context("a client printed no report")?;
        println!("{}: {report}", client.command());
        let counts: Value = serde_json::from_str(&report)?;
        ensure!(counts["lost"].as_array().is_none_or(Vec::is_empty), "a client lost calls: {report}");
        for (count, least) in [("calls", 1_000), ("streams", 2)] {
            ensure!(counts[count].as_u64() >= Some(least), "fewer than {least} {count}");
        }
        client.line()?;
    }
    Ok(clients.len() as u64)
}

/// Waits until all clients are connected. Half of the clients (round_robin) connect to both servers, the others
/// (pick_first) to one.
fn until_all_are_connected(addresses: &[String; 2], clients: usize) -> Result<()> {
    let wanted = clients + clients / 2;
    let begun = Instant::now();
    loop {
        let mut connected = 0;
        for address in addresses {
            connected += connections_to(address)?;
        }
        if connected >= wanted {
            return Ok(());
        }
        ensure!(begun.elapsed() < CONNECT_TIMEOUT, "only {connected} of {wanted} connections are open");
        thread::sleep(POLL_INTERVAL);
    }
}

/// Returns the number of open connections of a server, without the one of this request.
fn connections_to(address: &str) -> Result<usize> {
    let mut stream = TcpStream::connect(address)?;
    stream.write_all(b"GET /metrics HTTP/1.0\r\nhost: localhost\r\n\r\n")?;
    let mut metrics = String::new();
    stream.read_to_string(&mut metrics)?;
    let count = metrics.lines().find_map(|line| line.strip_prefix("rides_open_connections "));
    let count: usize = count.context("/metrics has no rides_open_connections")?.parse()?;
    Ok(count.saturating_sub(1))
}
