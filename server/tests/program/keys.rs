//! `rides-server gen-key` and `--tls=self-signed`: the keys, the certificates and their renewal.

use rides_server::tls::development::DevelopmentCa;
use tempfile::tempdir;

use crate::harness::{
    process::{Log, first_line, process},
    soon,
    tls::TlsClient,
};

#[tokio::test]
async fn keys_are_made_once_and_it_is_said_how_to_trust_them() {
    let dir = tempdir().unwrap();
    let data_dir = dir.path().to_str().unwrap();
    let make =
        || process(&["gen-key", "--data-dir", data_dir, "--host", "rides.test", "--car", "7"]).output();
    let made = soon("keys", make()).await.unwrap();
    assert!(made.status.success(), "{made:?}");
    let said = String::from_utf8(made.stdout).unwrap();
    for part in ["ca.pem", "car-7.pem", "update-ca-certificates", "macOS", "Windows", "--ca "] {
        assert!(said.contains(part), "{part} in {said}");
    }
    let ca = std::fs::read(DevelopmentCa::at(dir.path()).ca()).unwrap();
    assert!(soon("keys", make()).await.unwrap().status.success());
    assert_eq!(std::fs::read(DevelopmentCa::at(dir.path()).ca()).unwrap(), ca);

    let nowhere = soon("a refusal", process(&["gen-key"]).output()).await.unwrap();
    assert!(!nowhere.status.success(), "keys without a data directory");
}

#[tokio::test]
async fn it_serves_what_it_made_and_says_what_it_is_given() {
    let dir = tempdir().unwrap();
    let data_dir = dir.path().to_str().unwrap();
    let args = ["--cars=0", "--listen=127.0.0.1:0", "--tls=self-signed", "--data-dir", data_dir];
    let mut child = process(&args).spawn().unwrap();
    let line = first_line(&mut child).await;
    let addr =
        line.trim_end().strip_prefix("rides-server listening on https://").expect(&line).parse().unwrap();
    let development = DevelopmentCa::at(dir.path());
    let client = TlsClient::of(addr, &development.ca());
    client.server_certificate().await.unwrap();

    let mut log = Log::of(&mut child);
    let key = std::fs::read(development.server().key).unwrap();
    for (content, said) in [
        (&b"garbage"[..], "the old server certificate stays in use"),
        (&key, "loaded the new server certificate"),
    ] {
        std::fs::write(development.server().key, content).unwrap();
        if said.starts_with("loaded") {
            development.ensure(&["rides.test".into()]).unwrap();
        }
        soon(said, log.says(said)).await;
        client.server_certificate().await.unwrap();
    }
}
