//! Clients that read nothing of a response on a connection that is otherwise healthy. The server is a separate
//! process, because metrics are those of the whole process.

use std::{net::SocketAddr, process::Stdio, time::Duration};

use rides_proto::v1;
use tokio::{
    net::{TcpSocket, TcpStream},
    process::Child,
    time::sleep,
};
use tonic::Code;

use super::closed_streams::until_open;
use crate::{
    fleet::viewer::{helsinki, watch},
    harness::{
        http::Http,
        places::place,
        process::{address, process},
        raw_h2, soon, web,
        wire::{Wire, details},
    },
};

/// The ACK flag of a PING.
const ACK: u8 = 1;

async fn serving(flags: &[&str]) -> (SocketAddr, Child) {
    let mut program = process(&[&["--listen=127.0.0.1:0"], flags].concat());
    let mut child = program.stderr(Stdio::null()).spawn().unwrap();
    (address(&mut child).await, child)
}

fn view() -> v1::WatchFleetRequest {
    v1::WatchFleetRequest { viewport: Some(helsinki()), ..Default::default() }
}

/// Opens a connection with a small receive buffer.
async fn narrow(addr: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(8_192).unwrap();
    socket.connect(addr).await.unwrap()
}

/// L17: the stuck viewer is the only one allowed. Over HTTP/1.1 it takes many cars to fill the buffers of the
/// kernel.
#[tokio::test]
async fn a_stuck_viewer_gives_its_place_back_in_time() {
    for (is_h2, cars) in [(true, "--cars=0"), (false, "--cars=500")] {
        let (addr, _child) = serving(&[cars, "--viewer-timeout=1", "--max-viewers=1"]).await;
        let mut http = match is_h2 {
            true => Http::h2_with_window(addr, 10).await,
            false => Http::h1_over(addr, narrow(addr).await).await.unwrap(),
        };
        let mut stuck = web::open(&mut http, web::call("/rides.v1.Fleet/Watch", &view())).await;
        let page = Wire::Web(addr);
        let is_free = async || {
            let mut frames = watch(&page, view()).await.unwrap();
            frames.next().await.expect("a frame or a status").is_ok()
        };
        assert!(!is_free().await, "HTTP/2: {is_h2}");
        let freed = async {
            while !is_free().await {
                sleep(Duration::from_millis(50)).await;
            }
        };
        soon("the slot of the viewer", freed).await;

        let rest = async { while stuck.next().await.is_some() {} };
        soon("the rest of the stream", rest).await;
        let (code, reason, _) = details(&stuck.status());
        assert_eq!((code, reason.as_str()), (Code::ResourceExhausted, "VIEWER_TOO_SLOW"));
    }
}

/// W28: this holds for each kind of call, after its deadline.
#[tokio::test]
async fn whoever_takes_nothing_of_an_answer_has_no_call_open() {
    let (addr, _child) = serving(&["--cars=0", "--ping-interval=1"]).await;
    let (mut up, mut down) = raw_h2::connect(addr).await;
    let no_window = [&raw_h2::INITIAL_WINDOW_SIZE.to_be_bytes()[..], &0u32.to_be_bytes()].concat();
    up.send(raw_h2::SETTINGS, 0, 0, &no_window).await.unwrap();
    let position = v1::TrackRequest { car_id: 1, time: None, location: Some(place(1)) };
    for (stream, path, message) in [
        (1, "/rides.v1.Sessions/SignIn", web::frame(&v1::SignInRequest::default())),
        (3, "/rides.v1.Rides/Track", web::frame(&position)),
        (5, "/rides.v1.Fleet/Watch", web::frame(&view())),
    ] {
        let head = [raw_h2::call(path), raw_h2::header("grpc-timeout", "1S")].concat();
        up.send(raw_h2::HEADERS, raw_h2::END_HEADERS, stream, &head).await.unwrap();
        up.send(raw_h2::DATA, raw_h2::END_STREAM, stream, &message).await.unwrap();
    }
    let answering_pings = async {
        while let Some(ping) = down.next_of(raw_h2::PING).await {
            up.send(raw_h2::PING, ACK, 0, &ping.payload).await.unwrap();
        }
    };
    let closing = async {
        until_open(addr, 3.0).await;
        until_open(addr, 0.0).await;
    };
    tokio::select! {
        () = answering_pings => panic!("the connection has ended"),
        () = soon("the end of the calls", closing) => {}
    }
}
