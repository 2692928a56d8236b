//! The client over the `fetch`, the streams and the abort signals of a real browser. `wasm-bindgen-test-runner` serves
//! the page.
#![cfg(target_arch = "wasm32")]

use std::{cell::RefCell, rc::Rc};

use futures_util::TryStreamExt as _;
use grpc_web_fetch::{BrowserClock, Client, Clock as _, Code, Fetch, MessageStream, Method, Status};
use js_sys::{Function, Reflect, Uint8Array};
use wasm_bindgen::prelude::*;
use wasm_bindgen_test::{wasm_bindgen_test, wasm_bindgen_test_configure};

wasm_bindgen_test_configure!(run_in_browser);

const GET: Method<String, String> = Method::new("/example.v1.Example/Get");
const WATCH: Method<u64, u64> = Method::new("/example.v1.Example/Watch");

fn watch() -> MessageStream {
    Client::new(Fetch::default()).open(&WATCH, &0, None)
}

async fn get(origin: &'static str) -> Result<String, Status> {
    Client::new(Fetch::to(origin)).unary(&GET, &String::new()).await
}

/// A message, and trailers with OK.
const MESSAGE: &[u8] = b"\0\0\0\0\x02\x08\x07";
const OK: &[u8] = b"\x80\0\0\0\x0fgrpc-status:0\r\n";

/// Replaces `fetch` by one that responds with `bytes`, one byte per read, and then closes the body or leaves it open.
/// It leaves the abort signal of the request in `window.signal`.
fn respond(bytes: &[u8], closes: bool) {
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
    let signal = Reflect::get(&js_sys::global(), &"signal".into()).expect("a call was made");
    Reflect::get(&signal, &"aborted".into()).expect("an abort signal").is_truthy()
}

#[wasm_bindgen_test]
async fn a_stream_is_read_to_its_status_and_not_aborted() {
    respond(&[MESSAGE, MESSAGE, OK].concat(), false);
    let mut stream = watch();
    let mut count = 0;
    while stream.try_next().await.expect("well formed").is_some() {
        count += 1;
    }
    drop(stream);
    assert_eq!((count, aborted()), (2, false));
    real_fetch();
}

#[wasm_bindgen_test]
async fn a_dropped_stream_is_aborted() {
    respond(MESSAGE, false);
    let mut stream = watch();
    assert!(stream.try_next().await.expect("well formed").is_some());
    assert!(!aborted());
    drop(stream);
    assert!(aborted());
    real_fetch();
}

#[wasm_bindgen_test]
async fn a_body_that_ends_early_is_unavailable() {
    respond(&MESSAGE[..3], true);
    let mut stream = watch();
    assert_eq!(stream.try_next().await.expect_err("cut short").code(), Code::Unavailable);
    real_fetch();
}

/// Replaces `fetch` by one that responds like a proxy that asks for a login: with this HTTP status, until a request has
/// credentials. It leaves the credentials and the addresses of its calls in `window.asked`.
fn ask_for_login(status: u16) {
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
    let asked = Reflect::get(&js_sys::global(), &"asked".into()).expect("calls were made");
    js_sys::Array::from(&asked).join("; ").into()
}

/// PROXY-7 with its exception.
#[wasm_bindgen_test]
async fn no_cookies_are_sent_unless_a_proxy_asks_for_a_login() {
    let call = async |client: &Client| client.unary(&GET, &String::new()).await;
    let client = Client::new(Fetch::to("/base"));
    ask_for_login(401);
    call(&client).await.expect("logged in");
    call(&client).await.expect("logged in");
    let get = "/base/example.v1.Example/Get";
    assert_eq!(asked(), format!("omit {get}; same-origin {get}; same-origin {get}"));

    ask_for_login(503);
    let client = Client::new(Fetch::default());
    assert_eq!(call(&client).await.expect_err("no server").code(), Code::Unavailable);
    assert_eq!(asked(), "omit /example.v1.Example/Get");
    real_fetch();
}

/// The server of the test runner does not speak gRPC.
#[wasm_bindgen_test]
async fn a_server_without_grpc_is_an_error_by_the_table() {
    let status = get("").await.expect_err("no such page");
    assert!([Code::Unimplemented, Code::Unknown].contains(&status.code()), "{status:?}");
    assert!(status.message().contains("HTTP"), "{status:?}");
}

#[wasm_bindgen_test]
async fn an_unreachable_server_is_unavailable() {
    // Browsers refuse port 1 by themselves.
    let status = get("http://127.0.0.1:1").await.expect_err("unreachable");
    assert_eq!(status.code(), Code::Unavailable);
}

/// A stream that resumes is opened again after it broke, from its cursor.
#[wasm_bindgen_test]
async fn a_stream_that_broke_resumes_from_its_cursor() {
    respond(MESSAGE, true);
    let (numbers, record) = (Rc::new(RefCell::new(Vec::new())), Rc::new(RefCell::new(Vec::new())));
    let (asked, seen) = (numbers.clone(), record.clone());
    let stream = Client::new(Fetch::default()).resume(
        &WATCH,
        0,
        move |last| {
            asked.borrow_mut().push(*last);
            *last
        },
        move |last, number| {
            *last += number;
            seen.borrow_mut().push(number);
        },
    );
    let handle = stream.spawn();
    for _ in 0..200 {
        if record.borrow().len() >= 2 {
            break;
        }
        BrowserClock.sleep(20.0).await;
    }
    drop(handle);
    assert_eq!((&numbers.borrow()[..2], &record.borrow()[..2]), (&[0, 7][..], &[7, 7][..]));
    real_fetch();
}
