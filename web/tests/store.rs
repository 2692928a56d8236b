//! Tests of the store and the controller in a real browser, with a scripted `fetch`. They send commands and
//! read the store.
//!
//! There is only one test, because the tests of a file share a window, and two stores would call the same script.
#![cfg(target_arch = "wasm32")]

use js_sys::{Array, Function, Uint8Array};
use leptos::prelude::*;
use rides_proto::{
    geo::{Bounds, LatLng},
    tiles::{Cell, WorldPoint},
    v1,
};
use rides_web::{
    browser,
    model::{Connection, Link, RemoteData, RideType},
    store::{self, Command, Commands, Store},
};
use wasm_bindgen::prelude::*;
use wasm_bindgen_test::{wasm_bindgen_test, wasm_bindgen_test_configure};

wasm_bindgen_test_configure!(run_in_browser);

/// Replaces `fetch` by a script.
/// A call whose path ends with a name in `table` gets the bytes of that entry, and its stream stays open. Other
/// streams get HTTP 503, as from a proxy without a server. All other calls get HTTP 404, which the page does
/// not retry. `window.calls` lists the calls and the aborts in order.
fn answer(table: &[(&str, Vec<u8>)]) {
    let fetch = Function::new_with_args(
        "table",
        r#"
        window.calls = [];
        window.fetch = async (url, init) => {
            const entry = table.find(([name]) => url.endsWith(name));
            window.calls.push(url);
            const isStream = url.endsWith("/Watch") || url.endsWith("/GetMap");
            if (!entry) return new Response("nothing here", { status: isStream ? 503 : 404 });
            const body = new ReadableStream({ start(c) { c.enqueue(entry[1]); } });
            init.signal.onabort = () => window.calls.push("abort " + url);
            return new Response(body, { headers: { "content-type": "application/grpc-web+proto" } });
        };
        "#,
    );
    let table: Array = table
        .iter()
        .map(|(name, bytes)| Array::of2(&(*name).into(), &Uint8Array::from(&bytes[..])))
        .collect();
    fetch.call1(&JsValue::NULL, &table).expect("runs");
}

fn calls() -> Vec<String> {
    let window = web_sys::window().expect("a window");
    let calls: Array = js_sys::Reflect::get(&window, &"calls".into()).expect("set").unchecked_into();
    calls.iter().filter_map(|call| call.as_string()).collect()
}

fn frame(message: &impl prost::Message) -> Vec<u8> {
    let content = message.encode_to_vec();
    [&[0][..], &(content.len() as u32).to_be_bytes(), &content].concat()
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..100 {
        if holds() {
            return;
        }
        browser::sleep(20.0).await;
    }
    panic!("timed out waiting for {what}; calls: {:#?}", calls());
}

fn helsinki(lat: f64) -> LatLng {
    LatLng::new(lat, 24.94).expect("on Earth")
}

/// Returns a first message with one car at `at`.
fn one_car(at: LatLng) -> v1::WatchFleetResponse {
    let cell = v1::CellFrame {
        cell: Cell::of(WorldPoint::of(at)).number(),
        tick: 1,
        snapshot: true,
        cars: vec![7],
        dx: vec![0],
        dy: vec![0],
        headings: vec![0],
        states: vec![v1::CarState::Free.into()],
        ..Default::default()
    };
    v1::WatchFleetResponse { tick: 1, epoch: "e".to_owned(), cells: vec![cell], ..Default::default() }
}

#[wasm_bindgen_test]
async fn the_page_says_that_there_is_no_server_and_goes_live_once_there_is() {
    let owner = Owner::new();
    owner.set();
    answer(&[]);
    let (store, commands) = store::start();
    calls_fail_and_say_so(store, commands).await;

    answer(&[("Fleet/Watch", frame(&one_car(helsinki(60.17))))]);
    until("a live stream", || {
        matches!(store.connection.get_untracked(), Connection { link: Link::Live, .. })
    })
    .await;
    a_new_viewport_replaces_the_stream(store, commands).await;
    drop(owner);
}

async fn calls_fail_and_say_so(store: Store, commands: Commands) {
    until("a failed attempt", || {
        matches!(store.connection.get_untracked(), Connection { link: Link::Waiting { .. }, .. })
    })
    .await;

    let (pickup, dropoff, kind) = (helsinki(60.17), helsinki(60.18), RideType::Regular);
    commands.send(Command::Book { pickup, dropoff, kind });
    assert_eq!(store.action.get_untracked(), RemoteData::Loading);
    until("a failed booking", || matches!(store.action.get_untracked(), RemoteData::Failed(_))).await;
    let RemoteData::Failed(failure) = store.action.get_untracked() else { panic!("it failed") };
    assert_eq!(failure.code, i32::from(tonic::Code::Unimplemented));
    commands.send(Command::Dismiss(failure));
    assert_eq!(store.action.get_untracked(), RemoteData::Idle);

    // A failure of one identity is not shown to another.
    commands.send(Command::Book { pickup, dropoff, kind });
    until("another failed booking", || matches!(store.action.get_untracked(), RemoteData::Failed(_))).await;
    commands.send(Command::SignOut);
    assert_eq!(store.action.get_untracked(), RemoteData::Idle);

    commands.send(Command::Quote { pickup, dropoff, kind });
    until("a failed quote", || matches!(store.quote.get_untracked(), RemoteData::Failed(_))).await;
    commands.send(Command::ClearQuote);
    assert_eq!(store.quote.get_untracked(), RemoteData::Idle);
}

async fn a_new_viewport_replaces_the_stream(store: Store, commands: Commands) {
    const WATCH: &str = "/rides.v1.Fleet/Watch";
    let watched = || calls().into_iter().filter(|call| call.ends_with(WATCH)).collect::<Vec<_>>();
    assert_eq!(watched(), [WATCH]);
    commands.send(Command::WatchArea(Bounds::around([helsinki(60.17)]).expect("a point")));
    until("the old stream's end", || watched().len() == 3).await;
    assert_eq!(watched(), [WATCH, WATCH, &format!("abort {WATCH}")]);
    assert_eq!(store.fleet.with_value(|fleet| fleet.borrow().in_view().count), 1);
}
