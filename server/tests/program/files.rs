//! A program that may open few files.

use std::future::pending;

use http::StatusCode;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    net::TcpStream,
    task::JoinSet,
};

use crate::harness::{
    http::Http,
    process::{address, with_files},
    soon,
};

/// R8
#[tokio::test]
async fn who_runs_out_of_files_serves_on() {
    let mut child = with_files(128, &["--cars=0", "--listen=127.0.0.1:0"]).spawn().unwrap();
    let addr = address(&mut child).await;
    let mut early = Http::h1(addr).await;
    assert_eq!(early.get("/healthz").await.status, StatusCode::OK);

    // A thousand at once: what the server cannot take waits in the kernel, or is yet to get there.
    let mut crowd = JoinSet::new();
    for _ in 0..1_000 {
        crowd.spawn(async move {
            let _held = TcpStream::connect(addr).await;
            pending::<()>().await;
        });
    }
    let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
    let out_of_files = async {
        while !log.next_line().await.unwrap().expect("it ended").contains("cannot accept connections") {}
    };
    soon("the limit", out_of_files).await;
    for _ in 0..10 {
        assert_eq!(soon("an answer in the crowd", early.get("/healthz")).await.status, StatusCode::OK);
    }
    crowd.shutdown().await;
    let mut late = Http::h1(addr).await;
    assert_eq!(soon("an answer after it", late.get("/healthz")).await.status, StatusCode::OK);
}
