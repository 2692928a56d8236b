//! The transport over the browser's own `fetch`, streams and abort signals. Runs in a real browser:
//! `wasm-bindgen-test-runner` serves the page.
#![cfg(target_arch = "wasm32")]

use futures_util::TryStreamExt as _;
use js_sys::{Function, Reflect, Uint8Array};
use rides_proto::v1::{ListRequest, ListResponse, WatchRequest};
use rides_web::{
    api::{
        client::Client,
        fetch::Fetch,
        messages::MessageStream,
        methods::{LIST, WATCH_RIDE},
    },
    browser,
};
use tonic::{Code, Status};
use wasm_bindgen::prelude::*;
use wasm_bindgen_test::{wasm_bindgen_test, wasm_bindgen_test_configure};

wasm_bindgen_test_configure!(run_in_browser);

fn watch() -> MessageStream {
    Client::new(Fetch::default()).open(&WATCH_RIDE, &WatchRequest::default(), None)
}

async fn list(origin: &'static str) -> Result<ListResponse, Status> {
    Client::new(Fetch::to(origin)).unary(&LIST, &ListRequest::default()).await
}

/// A heartbeat of Watch, and an OK.
const HEARTBEAT: &[u8] = b"\0\0\0\0\x02\x22\0";
const OK: &[u8] = b"\x80\0\0\0\x0fgrpc-status:0\r\n";

/// Puts a `fetch` in place that answers with `bytes`, one a read, and then closes or stays open. It leaves
/// the request's abort signal in `window.signal`.
fn answer(bytes: &[u8], closes: bool) {
    let fetch = Function::new_with_args(
        "bytes, closes",
        r#"
        window.realFetch ??= window.fetch;
        window.fetch = async (url, init) => {
            window.signal = init.signal;
            let at = 0;
            const body = new ReadableStream({
                pull(controller) {
                    if (at < bytes.length) controller.enqueue(bytes.slice(at, ++at));
                    else if (closes) controller.close();
                    else return new Promise(() => {});
                },
            });
            return new Response(body, { headers: { "content-type": "application/grpc-web+proto" } });
        };
        "#,
    );
    fetch.call2(&JsValue::NULL, &Uint8Array::from(bytes), &closes.into()).expect("runs");
}

fn real_fetch() {
    Function::new_no_args("window.fetch = window.realFetch ?? window.fetch")
        .call0(&JsValue::NULL)
        .expect("runs");
}

fn aborted() -> bool {
    let window = web_sys::window().expect("a window");
    let signal = Reflect::get(&window, &"signal".into()).expect("a call was made");
    Reflect::get(&signal, &"aborted".into()).expect("an abort signal").is_truthy()
}

#[wasm_bindgen_test]
async fn a_stream_is_read_to_its_status_and_not_aborted() {
    answer(&[HEARTBEAT, HEARTBEAT, OK].concat(), false);
    let mut stream = watch();
    let mut count = 0;
    while stream.try_next().await.expect("sound").is_some() {
        count += 1;
    }
    drop(stream);
    assert_eq!((count, aborted()), (2, false));
    real_fetch();
}

#[wasm_bindgen_test]
async fn a_dropped_stream_is_aborted() {
    answer(HEARTBEAT, false);
    let mut stream = watch();
    assert!(stream.try_next().await.expect("sound").is_some());
    assert!(!aborted());
    drop(stream);
    assert!(aborted());
    real_fetch();
}

#[wasm_bindgen_test]
async fn a_body_that_ends_early_is_unavailable() {
    answer(&HEARTBEAT[..3], true);
    let mut stream = watch();
    assert_eq!(stream.try_next().await.expect_err("cut short").code(), Code::Unavailable);
    real_fetch();
}

/// Puts a `fetch` in place that answers as a proxy that wants a login does, with this HTTP status, until credentials come.
/// It leaves the credentials and the addresses of its calls in `window.asked`.
fn want_login(status: u16) {
    let fetch = Function::new_with_args(
        "status",
        r#"
        window.realFetch ??= window.fetch;
        window.asked = [];
        window.fetch = async (url, init) => {
            window.asked.push(`${init.credentials} ${url}`);
            if (init.credentials === "omit") return new Response("log in", { status });
            const headers = { "content-type": "application/grpc-web+proto", "grpc-status": "0" };
            return new Response(new Uint8Array([0, 0, 0, 0, 0]), { headers });
        };
        "#,
    );
    fetch.call1(&JsValue::NULL, &status.into()).expect("runs");
}

fn asked() -> String {
    let asked = Reflect::get(&browser::window(), &"asked".into()).expect("calls were made");
    js_sys::Array::from(&asked).join("; ").into()
}

/// PROXY-7, and its exception.
#[wasm_bindgen_test]
async fn no_cookies_are_sent_unless_a_proxy_wants_a_login() {
    let call = async |client: &Client| client.unary(&LIST, &ListRequest::default()).await;
    let client = Client::new(Fetch::to("/base"));
    want_login(401);
    call(&client).await.expect("logged in");
    call(&client).await.expect("logged in");
    let list = "/base/rides.v1.Rides/List";
    assert_eq!(asked(), format!("omit {list}; same-origin {list}; same-origin {list}"));

    want_login(503);
    let client = Client::new(Fetch::default());
    assert_eq!(call(&client).await.expect_err("no server").code(), Code::Unavailable);
    assert_eq!(asked(), "omit /rides.v1.Rides/List");
    real_fetch();
}

/// PROXY-3
#[wasm_bindgen_test]
fn calls_go_below_the_base_that_the_document_names() {
    let root = browser::document().document_element().expect("a document");
    for (base, expected) in [("http://host/", "http://host"), ("http://host/a/b/", "http://host/a/b")] {
        root.set_attribute("data-base", base).expect("an attribute");
        assert_eq!(browser::base(), expected);
    }
    root.remove_attribute("data-base").expect("an attribute");
    assert_eq!(browser::base(), "", "at the root of where the page came from");
}

/// The runner's own server knows nothing of gRPC.
#[wasm_bindgen_test]
async fn a_server_without_grpc_is_an_error_by_the_table() {
    let status = list("").await.expect_err("no such page");
    assert!([Code::Unimplemented, Code::Unknown].contains(&status.code()), "{status:?}");
    assert!(status.message().contains("HTTP"), "{status:?}");
}

#[wasm_bindgen_test]
async fn nobody_there_is_unavailable() {
    // Browsers refuse port 1 themselves.
    let status = list("http://127.0.0.1:1").await.expect_err("nobody there");
    assert_eq!(status.code(), Code::Unavailable);
}
