//! Tokens from the command line, and the log, which contains neither tokens nor personal data.

use std::{
    fs::{self, File},
    process::Output,
};

use rides_proto::v1::{self, SignInResponse};
use tokio::process::{Child, Command};
use tonic::{Code, Status, transport::Endpoint};

use super::program;
use crate::{
    fleet::viewer::{Viewer, helsinki},
    harness::{
        process::{address, end, process},
        rider::{Rider, booking},
        soon,
        wire::Wire,
    },
};

fn requiring_tokens(data_dir: &str) -> Command {
    program(&["--listen=127.0.0.1:0", "--auth=required", data_dir])
}

async fn serving(mut program: Command) -> (Child, Wire) {
    let mut child = program.spawn().unwrap();
    let addr = address(&mut child).await;
    let channel = Endpoint::from_shared(format!("http://{addr}")).unwrap().connect().await.unwrap();
    (child, Wire::Native(channel))
}

async fn token(args: &[&str]) -> Output {
    soon("a token", process(&[&["token"], args].concat()).output()).await.unwrap()
}

fn printed(output: Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

#[tokio::test]
async fn a_token_is_printed_beside_a_running_server() {
    let dir = tempfile::tempdir().unwrap();
    let data_dir = format!("--data-dir={}", dir.path().display());
    let no_key = token(&["--role=dispatcher", "--subject=eve", &data_dir]).await;
    assert_eq!(no_key.status.code(), Some(1));
    let why = String::from_utf8(no_key.stderr).unwrap();
    assert!(
        why.contains("which the server creates when it first starts") && why.lines().count() == 1,
        "{why}"
    );
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "no key is made");

    let (_server, wire) = serving(requiring_tokens(&data_dir)).await;
    let eve = printed(token(&["--role=dispatcher", "--subject=eve", &data_dir]).await);
    let ada = printed(token(&["--role=rider", "--subject=ada", "--expires=1m", &data_dir]).await);
    let aino = printed(token(&["--role=driver", "--car=7", "--subject=aino", &data_dir]).await);
    let ride = Rider(wire.with(ada)).books("key").await;
    assert_eq!(Rider(wire.with(eve)).get(&ride.ride_id).await.unwrap().rider_id, "ada");
    assert_eq!(Rider(wire.with(aino)).get(&ride.ride_id).await.unwrap_err().code(), Code::NotFound);

    for nonsense in
        [&["--role=rider", "--subject=ada", "--car=7", &data_dir][..], &["--role=rider", "--subject=ada"]]
    {
        assert_eq!(token(nonsense).await.status.code(), Some(1), "{nonsense:?}");
    }
}

#[tokio::test]
async fn what_the_command_line_revokes_a_running_server_refuses() {
    let dir = tempfile::tempdir().unwrap();
    let data_dir = format!("--data-dir={}", dir.path().display());
    let (_server, wire) = serving(requiring_tokens(&data_dir)).await;
    let ada = wire.with(printed(token(&["--role=rider", "--subject=ada", &data_dir]).await));
    let bob = wire.with(printed(token(&["--role=rider", "--subject=bob", &data_dir]).await));
    let id = who(&bob).await.unwrap().session.unwrap().session_id;
    printed(token(&["revoke", "--subject=ada", &data_dir]).await);
    printed(token(&["revoke", &format!("--session={id}"), &data_dir]).await);
    for wire in [ada, bob] {
        let over = async {
            while who(&wire).await.is_ok() {
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        };
        soon("the end of the session", over).await;
        assert_eq!(who(&wire).await.unwrap_err().code(), Code::Unauthenticated);
    }
    let alone = String::from_utf8(token(&["revoke"]).await.stderr).unwrap();
    assert!(alone.contains("--session <ID>") && alone.contains("--subject <NAME>"), "{alone}");
    for nonsense in [&["revoke", &data_dir][..], &["revoke", "--subject=ada", "--data-dir=:memory:"]] {
        assert!(!token(nonsense).await.status.success(), "{nonsense:?}");
    }
}

async fn who(wire: &Wire) -> Result<v1::WhoAmIResponse, Status> {
    wire.ask("/rides.v1.Sessions/WhoAmI", ()).await
}

#[tokio::test]
async fn a_fleet_from_elsewhere_shows_the_token_in_its_file() {
    let dir = tempfile::tempdir().unwrap();
    let data_dir = format!("--data-dir={}", dir.path().display());
    let mut server = requiring_tokens(&data_dir).spawn().unwrap();
    let addr = address(&mut server).await;
    let eve = printed(token(&["--role=dispatcher", "--subject=eve", &data_dir]).await);
    let file = dir.path().join("token");
    fs::write(&file, format!("{eve}\n")).unwrap();

    let (url, file) = (format!("--connect=http://{addr}"), format!("--token-file={}", file.display()));
    let _fleet = process(&["sim", &url, &file, "--cars=2"]).spawn().unwrap();
    let viewer = Wire::Web(addr).with(eve);
    let there = async {
        while Viewer::of(&viewer, helsinki()).await.cars.len() < 2 {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    };
    soon("two cars", there).await;
}

/// A10: the level is debug, the lowest that is used in production, for the server and for its libraries.
#[cfg(unix)]
#[tokio::test]
async fn the_log_keeps_secrets() {
    const PHONE: &str = "+358401234567";
    let dir = tempfile::tempdir().unwrap();
    let data_dir = format!("--data-dir={}", dir.path().display());
    // The log is a file, because an unread pipe becomes full.
    let log = dir.path().join("log");
    let mut program = requiring_tokens(&data_dir);
    program.arg("--log=debug").stderr(File::create(&log).unwrap());
    let (mut server, wire) = serving(program).await;
    let signed_in: SignInResponse = wire.ask("/rides.v1.Sessions/SignIn", ()).await.unwrap();
    let (token, pickup) = (signed_in.token, booking("key").pickup.unwrap());

    let rider = Rider(wire.with(token.clone()));
    let wish = |key: &str| v1::BookRequest {
        rider_id: String::new(),
        passenger_ids: vec![PHONE.to_owned()],
        ..booking(key)
    };
    let ride = rider.book(wish("key")).await.unwrap();
    rider.book(v1::BookRequest { rider_id: PHONE.to_owned(), ..wish("another") }).await.unwrap_err();
    rider.book(v1::BookRequest { dropoff: Some(pickup), ..wish("nowhere") }).await.unwrap_err();
    rider.cancel(&ride.ride_id).await.unwrap();
    rider.get(&token).await.unwrap_err();
    let forged = format!("{token}x");
    Rider(wire.with(forged.clone())).get(&ride.ride_id).await.unwrap_err();
    let driver = printed(token_of_driver(&data_dir).await);
    Rider(wire.with(driver.clone())).list(v1::ListRequest::default()).await.unwrap_err();
    drop((rider, wire));

    // A server that ends by itself writes the rest of its log first.
    end(&mut server, "TERM").await;
    let log = fs::read_to_string(log).unwrap();
    assert!(log.contains("calls need a token"), "{log}");
    let [lat, lng] = [pickup.lat, pickup.lng].map(|degrees| format!("{degrees:.4}"));
    for secret in [token.as_str(), &forged, &driver, PHONE, &lat, &lng, &ride.pickup_name] {
        assert!(!secret.is_empty() && !log.contains(secret), "{secret:?} is in\n{log}");
    }
}

async fn token_of_driver(data_dir: &str) -> Output {
    token(&["--role=driver", "--car=7", "--subject=aino", data_dir]).await
}
