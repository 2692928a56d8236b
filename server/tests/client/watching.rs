//! `rides-server client watch`: a ride is followed across servers and tokens.

use rides_proto::v1::{SignOutResponse, drive_response::Message as Down};
use serde_json::Value;
use tokio::{
    io::AsyncReadExt as _,
    net::{TcpListener, TcpStream},
};

use super::{client, run, start, typed};
#[cfg(target_os = "linux")]
use crate::harness::terminal::Terminal;
use crate::harness::{
    car::car,
    places::place,
    process::unused_port,
    raw_h2::{HEADERS, PREFACE},
    rider::Rider,
    server, soon,
    wire::Wire,
};

/// L1, L11: each event is printed once, although two servers send them, one after the other.
#[tokio::test]
async fn a_ride_is_followed_from_one_server_to_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let first = server().keeping_in(dir.path()).run().await;
    let other = format!("127.0.0.1:{}", unused_port()).parse().unwrap();
    let rider = Rider(Wire::Web(first.addr));
    let mut taxi = car(7).at(place(1)).signs_on(&first).await;
    let ride = rider.books("key").await.ride_id;
    let mut watch = start(client(&[first.addr, other], &["watch", &ride, "--json"]));
    taxi.takes(&ride).await;
    let mut lines = vec![watch.says("\"opened\"").await];
    lines.push(watch.says("\"assigned\"").await);

    first.stop();
    first.stopped().await;
    let second = server().keeping_in(dir.path()).at(other).run().await;
    let mut taxi = car(7).at(place(1)).signs_on(&second).await;
    assert_eq!(taxi.ride, ride);
    taxi.is_assigned(&ride).await;
    taxi.arrives(&ride).await;
    taxi.picks_up(&ride).await;
    taxi.drops_off(&ride).await;
    while let Some(line) = watch.next().await {
        lines.push(line);
    }
    assert_eq!(watch.ends().await.code(), Some(0));

    let messages: Vec<Value> = lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let resumed: Vec<_> =
        messages.iter().filter_map(|message| message["opened"]["resumed"].as_bool()).collect();
    assert_eq!(resumed, [false, true]);
    let versions: Vec<_> =
        messages.iter().filter_map(|message| message["event"]["version"].as_str()).collect();
    assert_eq!(versions, ["3", "4", "5", "6"], "after the skipped events: {messages:?}");
}

#[tokio::test]
async fn a_timeline_tells_a_ride_to_its_end() {
    let server = server().run().await;
    let (from, to) = (typed(place(1)), typed(place(2)));
    let mut taxi = car(7).at(place(1)).signs_on(&server).await;
    let mut watch = start(client(&[server.addr], &["book", &from, &to, "--watch"]));
    let ride = watch.says("ride ").await.split_whitespace().last().unwrap().to_owned();
    taxi.takes(&ride).await;
    taxi.arrives(&ride).await;
    taxi.picks_up(&ride).await;
    taxi.drops_off(&ride).await;
    for event in ["0:00  requested", "offered    to car 7", "assigned", "arrived", "started", "completed"] {
        watch.says(event).await;
    }
    assert_eq!(watch.ends().await.code(), Some(0));
}

/// The status line stands below the events. It is erased before each event and at the end.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn in_a_terminal_it_says_what_it_waits_for() {
    let server = server().run().await;
    let (from, to) = (typed(place(1)), typed(place(2)));
    let mut taxi = car(7).at(place(1)).signs_on(&server).await;
    let mut terminal = Terminal::new(100, 24);
    let mut book = terminal.start(&client(&[server.addr], &["book", &from, &to, "--watch"]));
    let Down::Offer(offer) = taxi.hears().await else { panic!("no offer") };
    terminal.shows_raw("waiting for the driver").await;
    taxi.accepts(&offer.ride_id).await;
    taxi.arrives(&offer.ride_id).await;
    taxi.picks_up(&offer.ride_id).await;
    terminal.shows_raw("on the way").await;
    taxi.drops_off(&offer.ride_id).await;
    assert!(soon("the end", book.wait()).await.unwrap().success());
    terminal.shows_raw("completed").await;
    let shown = terminal.is_left_with("\r\u{1b}[2K").await;
    let lines: Vec<_> = shown.split('\n').map(|line| line.rsplit("\u{1b}[2K").next().unwrap()).collect();
    let (events, last) = (&lines[lines.len() - 7..lines.len() - 1], lines[lines.len() - 1]);
    assert!(events.iter().all(|line| line.contains("   0:0") && !line.contains("wait")), "{lines:?}");
    assert_eq!(last, "");
}

#[tokio::test]
async fn a_ride_that_never_was_is_not_waited_for() {
    let server = server().run().await;
    run(client(&[server.addr], &["watch", "nobody's"])).await.assert_error(69, "NOT_FOUND");
}

/// L11: the client also leaves a server that accepts connections and sends nothing for longer than the timeout
/// of a call.
#[tokio::test]
async fn a_ride_is_followed_past_a_server_that_hangs() {
    let dir = tempfile::tempdir().unwrap();
    let addr = format!("127.0.0.1:{}", unused_port()).parse().unwrap();
    let first = server().keeping_in(dir.path()).at(addr).run().await;
    let ride = Rider(Wire::Web(addr)).books("key").await.ride_id;
    let mut watch = start(client(&[addr], &["watch", &ride, "--timeout=1"]));
    watch.says("requested").await;
    first.stop();
    first.stopped().await;

    let hangs = TcpListener::bind(addr).await.unwrap();
    let (mut connection, _) = soon("the client", hangs.accept()).await.unwrap();
    soon("a call after the one that timed out", called(&mut connection, 2)).await;
    drop((hangs, connection));
    let _second = server().keeping_in(dir.path()).at(addr).run().await;
    Rider(Wire::Web(addr)).cancel(&ride).await.unwrap();
    watch.says("cancelled").await;
    assert_eq!(watch.ends().await.code(), Some(0));
}

/// Reads what the client sends until it has made `calls` calls.
async fn called(connection: &mut TcpStream, mut calls: usize) {
    connection.read_exact(&mut [0; PREFACE.len()]).await.unwrap();
    while calls > 0 {
        let mut head = [0; 9];
        connection.read_exact(&mut head).await.unwrap();
        let [a, b, c, kind, ..] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        connection.read_exact(&mut payload).await.unwrap();
        calls -= usize::from(kind == HEADERS);
    }
}

/// A2: the stream ends with its token, and continues with the token that its file then has.
#[tokio::test]
async fn a_ride_is_followed_from_one_token_to_the_next() {
    let server = server().requiring_tokens().run().await;
    let [first, second] = ["ada", "ada"].map(|rider| server.rider(rider));
    let wire = Wire::Web(server.addr);
    let ride = Rider(wire.with(first.clone())).books("key").await.ride_id;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &first).unwrap();
    let path = file.path().to_str().unwrap();
    let mut watch = start(client(&[server.addr], &["watch", &ride, "--json", "--token-file", path]));
    watch.says("\"requested\"").await;

    std::fs::write(file.path(), &second).unwrap();
    let _: SignOutResponse = wire.with(first).ask("/rides.v1.Sessions/SignOut", ()).await.unwrap();
    watch.says("\"resumed\":true").await;
    let _: SignOutResponse = wire.with(second).ask("/rides.v1.Sessions/SignOut", ()).await.unwrap();
    assert_eq!(watch.ends().await.code(), Some(80), "the file has no other token");
}
