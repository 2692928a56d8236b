//! Clients that leave without a message: case L16. The server is a separate process, because metrics are those
//! of the whole process.

use std::{net::SocketAddr, process::Stdio, time::Duration};

use bytes::Bytes;
use rides_proto::v1;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{sleep, timeout},
};
use tonic::transport::Endpoint;

use crate::{
    fleet::viewer::helsinki,
    harness::{
        http::Http,
        process::{address, process},
        rider::Rider,
        web,
        wire::Wire,
    },
};

/// Less than the time between two heartbeats, so that the server has sent nothing that could have failed.
const BEFORE_A_HEARTBEAT: Duration = Duration::from_secs(3);

/// The number of `rides.v1` calls in progress.
async fn open_calls(addr: SocketAddr) -> f64 {
    let figures = Http::h1(addr).await.get("/metrics").await;
    let open = figures.text().lines().filter(|line| line.starts_with("rides_open_rpcs{method=\"rides.v1."));
    open.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

/// Waits until `calls` calls are in progress.
pub(super) async fn until_open(addr: SocketAddr, calls: f64) {
    while open_calls(addr).await != calls {
        sleep(Duration::from_millis(10)).await;
    }
}

/// Makes a gRPC-Web call over HTTP/1.1, and returns its connection after the first byte of the response.
async fn raw(addr: SocketAddr, path: &str, message: Bytes) -> TcpStream {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: {addr}\r\ncontent-type: {}\r\ncontent-length: {}\r\n\r\n",
        web::PROTO,
        message.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&message).await.unwrap();
    assert!(stream.read_u8().await.is_ok(), "the response has begun");
    stream
}

#[tokio::test]
async fn whoever_leaves_a_quiet_stream_is_let_go_at_once() {
    let mut child = process(&["--cars=0", "--listen=127.0.0.1:0"]).stderr(Stdio::null()).spawn().unwrap();
    let addr = address(&mut child).await;
    let rider = Rider(Wire::Web(addr));
    let ride = rider.books("key").await.ride_id;
    let watch_ride = v1::WatchRequest { ride_id: ride.clone(), ..Default::default() };
    let watch_fleet = v1::WatchFleetRequest { viewport: Some(helsinki()), ..Default::default() };

    let web = async || {
        [
            raw(addr, "/rides.v1.Rides/Watch", web::frame(&watch_ride)).await,
            raw(addr, "/rides.v1.Fleet/Watch", web::frame(&watch_fleet)).await,
        ]
    };
    let native = async || {
        let endpoint = Endpoint::from_shared(format!("http://{addr}")).unwrap();
        let rider = Rider(Wire::Native(endpoint.connect().await.unwrap()));
        ([rider.watches(&ride).await, rider.watches(&ride).await], rider)
    };
    let all_let_go = async |how| {
        timeout(BEFORE_A_HEARTBEAT, until_open(addr, 0.0)).await.expect(how);
    };

    let streams = web().await;
    until_open(addr, 2.0).await;
    drop(streams);
    all_let_go("closed").await;

    let mut streams = web().await;
    until_open(addr, 2.0).await;
    for stream in &mut streams {
        stream.shutdown().await.unwrap();
    }
    all_let_go("half closed").await;

    let (streams, connection) = native().await;
    until_open(addr, 2.0).await;
    drop(streams);
    all_let_go("reset, on a connection that stays").await;
    drop(connection);

    let (streams, connection) = native().await;
    until_open(addr, 2.0).await;
    drop((streams, connection));
    all_let_go("dropped with the connection").await;
}
