//! Unary calls by `rides-server client`: output, exit codes, tokens, TLS and completions.

use std::{net::TcpListener, path::Path};

use super::{client, run, servers::ok_calls, start, typed};
use crate::harness::{
    places::{place, test_map_flag},
    process::process,
    rider::Rider,
    server,
    wire::Wire,
};

#[tokio::test]
async fn a_ride_is_quoted_booked_looked_at_and_cancelled() {
    let server = server().run().await;
    let servers = [server.addr];
    let (from, to) = (typed(place(1)), typed(place(2)));

    let quote = run(client(&servers, &["quote", &from, &to])).await;
    let names: Vec<_> = quote.success_output().lines().map(|line| line.split("  ").next().unwrap()).collect();
    assert_eq!(names, ["from", "to", "fare", "trip", "pickup"]);
    assert!(!quote.out.contains('\u{1b}'), "no colours without a terminal");

    let booked =
        run(client(&servers, &["book", &from, &to, "--type=pool", "--passenger=bob", "--json"])).await;
    let [booked] = &booked.json()[..] else { panic!("{booked:?}") };
    let id = booked["ride"]["rideId"].as_str().unwrap();
    assert_eq!((&booked["ride"]["type"], &booked["ride"]["riderId"]), (&"POOL".into(), &"ada".into()));
    assert_eq!(booked["ride"]["passengerIds"][0], "bob");

    let got = run(client(&servers, &["get", id])).await;
    for fact in ["state   requested, ", "rider   ada", "with    bob", "type    pool"] {
        assert!(got.success_output().lines().any(|line| line.starts_with(fact)), "{fact:?} in {got:?}");
    }
    let cancelled = run(client(&servers, &["cancel", id, "--reason", "a tram came", "--as=rider"])).await;
    assert!(cancelled.success_output().contains("by the rider: a tram came"), "{cancelled:?}");
    let listed = run(client(&servers, &["list", "--state=cancelled", "--rider=ada"])).await;
    let [heading, line] = &listed.success_output().lines().collect::<Vec<_>>()[..] else {
        panic!("{listed:?}")
    };
    assert!(heading.starts_with("RIDE ") && line.starts_with(id) && line.contains("cancelled"), "{listed:?}");
}

#[tokio::test]
async fn places_may_be_streets() {
    let server = server().run().await;
    let quote = run(client(&[server.addr], &["quote", "mannerheimintie", "Kaisaniemenkatu", "--json"])).await;
    let [quote] = &quote.json()[..] else { panic!("{quote:?}") };
    assert_eq!(quote["pickupName"], "Mannerheimintie");
    assert_eq!(quote["dropoffName"], "Kaisaniemenkatu");
}

#[tokio::test]
async fn the_same_request_id_books_once_and_lists_are_read_to_their_end() {
    let server = server().run().await;
    let servers = [server.addr];
    let (from, to) = (typed(place(1)), typed(place(2)));
    for key in ["a", "b", "a", "c"] {
        run(client(&servers, &["book", &from, &to, "--request-id", key])).await.success_output();
    }
    let all = run(client(&servers, &["list", "-n0", "--json"])).await;
    assert_eq!(all.json().len(), 3);
    let two = run(client(&servers, &["list", "-n2", "--json"])).await;
    assert_eq!(two.json(), all.json()[..2]);
}

#[tokio::test]
async fn streets_of_one_name_are_told_apart_and_none_is_picked() {
    let path = test_map_flag("twin-streets");
    let server = server().on_map(Path::new(path.trim_start_matches("--map="))).run().await;
    let quote = run(client(&[server.addr], &["quote", "church street", "long road"])).await;
    let [line] = &quote.err.lines().collect::<Vec<_>>()[..] else { panic!("{quote:?}") };
    assert!(line.contains("several streets are called \"Church Street\": give one as LAT,LNG: "), "{line}");
    assert!(line.contains("(near North ") && line.contains("(near South "), "{line}");
    let (_, point) = line.split_once("LAT,LNG: ").unwrap();
    let (point, _) = point.split_once(' ').unwrap();
    let quote = run(client(&[server.addr], &["quote", point, "long road", "--json"])).await;
    assert_eq!(quote.json()[0]["pickupName"], "Church Street");
}

/// The client prints each page of rides before it asks for the next one.
#[tokio::test]
async fn a_long_list_is_printed_page_by_page() {
    let server = server().run().await;
    let rider = Rider(Wire::Web(server.addr));
    for key in 0..401 {
        rider.books(&key.to_string()).await;
    }
    let mut list = start(client(&[server.addr], &["list", "-n0", "--json"]));
    list.says("rideId").await;
    let pages = async || ok_calls(server.addr, &["rides.v1.Rides/List"]).await;
    let asked_for = pages().await;
    let mut rest = 0;
    while list.next().await.is_some() {
        rest += 1;
    }
    assert!(asked_for < pages().await, "the client read all pages, though the pipe was full");
    assert_eq!(rest, 400);
}

#[tokio::test]
async fn errors_are_one_line_and_an_exit_code_that_scripts_know() {
    let server = server().run().await;
    let servers = [server.addr];
    let (from, sea) = (typed(place(1)), "0,0");
    run(client(&servers, &["get", "nobody's"])).await.assert_error(69, "NOT_FOUND: ");
    let off_map = run(client(&servers, &["quote", &from, sea])).await;
    off_map.assert_error(67, "INVALID_ARGUMENT: dropoff: ");
    assert!(off_map.err.contains(" (OFF_MAP) [trace "), "{off_map:?}");
    run(client(&servers, &["quote", "No Such Street", &from])).await.assert_error(1, "\"No Such Street\"");
    let usage = run(client(&servers, &["quote", "91,0", &from])).await;
    assert_eq!(usage.code, Some(2), "{usage:?}");
    run(client(&servers, &["get", "r", "--token-file=/nonexistent"])).await.assert_error(1, "/nonexistent: ");

    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let why = format!("UNAVAILABLE: cannot reach http://{nobody}: ");
    run(client(&[nobody], &["get", "r"])).await.assert_error(78, &why);
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = [silent.local_addr().unwrap()];
    run(client(&silent, &["get", "r", "--timeout=0.3"]))
        .await
        .assert_error(68, "DEADLINE_EXCEEDED: no response within");
}

#[tokio::test]
async fn a_token_comes_from_a_file_or_the_environment() {
    let server = server().requiring_tokens().run().await;
    let servers = [server.addr];
    run(client(&servers, &["list"])).await.assert_error(80, "(NO_TOKEN)");

    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("token");
    std::fs::write(&file, server.rider("bob") + "\n").unwrap();
    let (from, to) = (typed(place(1)), typed(place(2)));
    let book = ["book", &from, &to, "--json", "--token-file", file.to_str().unwrap()];
    assert_eq!(run(client(&servers, &book)).await.json()[0]["ride"]["riderId"], "bob");
    let mut list = client(&servers, &["list"]);
    list.env("RIDES_JSON", "1").env("RIDES_TOKEN", server.dispatcher());
    assert_eq!(run(list).await.json()[0]["riderId"], "bob");
}

#[tokio::test]
async fn over_tls_the_server_is_who_its_certificate_says() {
    let dir = tempfile::tempdir().unwrap();
    let server = server()
        .keeping_in(dir.path())
        .over_tls(|tls| tls.tls = Some(rides_server::config::GeneratedCertificate::SelfSigned))
        .run()
        .await;
    let list = |args: &[&str]| {
        let mut list = client(&[], &[&["list"], args].concat());
        list.env("RIDES_CONNECT", format!("https://{}", server.addr));
        list
    };
    let ca = rides_server::tls::development::DevelopmentCa::at(dir.path()).ca();
    let trusting = run(list(&["--ca", ca.to_str().unwrap()])).await;
    assert_eq!((trusting.code, trusting.err.as_str()), (Some(0), "no rides\n"));
    run(list(&[])).await.assert_error(78, "invalid peer certificate");
}

#[tokio::test]
async fn shells_complete_its_commands() {
    for (shell, knows) in [("bash", "rides__server"), ("zsh", "#compdef rides-server"), ("fish", "quote")] {
        let script = run(process(&["completion", shell])).await;
        assert!(script.success_output().contains(knows) && script.out.contains("request-id"), "{shell}");
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn bash_completes_what_stands_behind_a_command() {
    let script = run(process(&["completion", "bash"])).await.out;
    for (typed, last, offered) in [
        ("", "cl", "client"),
        ("client", "", "quote"),
        ("client list", "--st", "--state"),
        ("client list --state", "on", "on-trip"),
        ("gen-key", "--da", "--data-dir"),
        ("token revoke", "--se", "--session"),
    ] {
        // The variables that bash sets: the words and the index of the word at the cursor.
        let press_tab = format!(
            "{script}
             COMP_WORDS=(rides-server {typed} '{last}'); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
             _rides__server rides-server '{last}' \"${{COMP_WORDS[COMP_CWORD - 1]}}\"; echo \"${{COMPREPLY[@]}}\""
        );
        let mut bash = tokio::process::Command::new("bash");
        bash.args(["--norc", "-c", &press_tab]);
        let reply = run(bash).await;
        assert!(reply.success_output().split(' ').any(|word| word == offered), "{typed} {last}: {reply:?}");
    }
}

#[tokio::test]
async fn its_help_says_what_exit_codes_mean() {
    let help = run(process(&["client", "--help"])).await;
    for text in ["69 NOT_FOUND", "RIDES_TOKEN", "--connect", "drive", "top"] {
        assert!(help.success_output().contains(text), "{text} in {help:?}");
    }
}
