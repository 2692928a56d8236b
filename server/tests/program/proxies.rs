//! Proxies in the environment. They are not used.

use super::program;
use crate::{
    fleet::viewer::{Viewer, helsinki},
    harness::{
        process::{address, process},
        soon,
        wire::Wire,
    },
};

const PROXIES: [&str; 7] =
    ["http_proxy", "https_proxy", "all_proxy", "grpc_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"];

#[tokio::test]
async fn the_client_and_a_fleet_ask_no_proxy_for_a_server() {
    let mut server = program(&["--listen=127.0.0.1:0"]).spawn().unwrap();
    let addr = address(&mut server).await;
    let connect = format!("--connect=http://{addr}");
    let mut client = process(&["client", &connect, "quote", "60.171,24.941", "60.167,24.947"]);
    client.envs(PROXIES.map(|name| (name, "http://127.0.0.1:1")));
    let output = soon("a quote", client.output()).await.unwrap();
    assert!(output.status.success(), "{output:?}");

    let mut fleet = process(&["sim", &connect, "--cars=1"]);
    let _fleet = fleet.envs(PROXIES.map(|name| (name, "http://127.0.0.1:1"))).spawn().unwrap();
    let car = async {
        while Viewer::of(&Wire::Web(addr), helsinki()).await.cars.is_empty() {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    };
    soon("a car", car).await;
}
