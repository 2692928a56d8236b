//! TLS: certificates, their renewal, client certificates, and the wrong protocol on a port.

use std::{fs, net::SocketAddr, path::Path, time::Duration};

use futures_util::{StreamExt as _, stream};
use http::{Request, StatusCode};
use rides_proto::{
    ids::CarId,
    v1::{
        DriveRequest, SignInRequest, SignInResponse,
        drive_request::{Message, SignOn},
        drive_response,
        fleet_client::FleetClient,
    },
};
use rides_server::{
    city::City,
    config::GeneratedCertificate,
    sim,
    tls::{CertificateFiles, development::DevelopmentCa},
};
use tempfile::{TempDir, tempdir};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status, transport::Channel};

use crate::{
    fleet::viewer::{Viewer, helsinki},
    harness::{
        Running,
        http::Http,
        process::{address, end, process},
        server, soon,
        tls::TlsClient,
        web,
        wire::{Wire, details},
    },
};

/// Returns a server with a self-signed certificate, its data directory, and a client that trusts it.
async fn development(cars: u32) -> (Running, TempDir, TlsClient) {
    let dir = tempdir().unwrap();
    let server = server()
        .with_cars(cars)
        .keeping_in(dir.path())
        .over_tls(|tls| tls.tls = Some(GeneratedCertificate::SelfSigned));
    let server = server.run().await;
    let client = TlsClient::of(server.addr, &DevelopmentCa::at(dir.path()).ca());
    (server, dir, client)
}

/// CLIENT-3: a health check that connects and sends nothing does not delay a restart.
#[tokio::test]
async fn a_client_that_never_begins_tls_does_not_hold_the_shutdown() {
    let (server, _dir, client) = development(0).await;
    let _silent = TcpStream::connect(server.addr).await.unwrap();
    // The server accepted this connection after the silent one.
    assert_eq!(client.both().await[0].get("/readyz").await.status, StatusCode::OK);
    server.stop();
    let took = server.stopped().await;
    assert!(took < Duration::from_secs(3), "the shutdown took {took:?}");
}

#[tokio::test]
async fn pages_and_programs_call_over_tls() {
    let (_server, _dir, client) = development(0).await;
    for mut http in client.both().await {
        assert_eq!(http.get("/readyz").await.status, StatusCode::OK);
        let reply =
            web::ask(&mut http, web::call("/rides.v1.Sessions/SignIn", &SignInRequest::default())).await;
        assert!(!reply.message::<SignInResponse>().token.is_empty());
    }
}

/// Built-in cars trust the server's certificate. Cars from elsewhere trust its authority.
#[tokio::test]
async fn simulated_cars_drive_over_tls_from_here_and_from_elsewhere() {
    let (server, dir, client) = development(2).await;
    let elsewhere = {
        let url = format!("https://{}", server.addr);
        sim::Server::new(&url, Some(&DevelopmentCa::at(dir.path()).ca())).unwrap()
    };
    let options = sim::SimOptions {
        cars: 1,
        first_car: 9,
        riders_per_minute: 0.0,
        speed: 1.0,
        seed: 1,
        credentials: sim::Credentials::None,
    };
    let stop = CancellationToken::new();
    let token = stop.clone();
    let driving = tokio::spawn(async move {
        sim::run(&elsewhere, &options, &City::embedded().into(), token).await;
    });
    let mut viewer = Viewer::of(&Wire::Native(client.channel().await.unwrap()), helsinki()).await;
    viewer.until_cars(3).await;
    stop.cancel();
    soon("the end of the fleet", driving).await.unwrap();
}

#[tokio::test]
async fn who_does_not_speak_tls_is_let_go() {
    let dir = tempdir().unwrap();
    let server = server()
        .keeping_in(dir.path())
        .over_tls(|tls| tls.tls = Some(GeneratedCertificate::SelfSigned))
        .limited(|limits| limits.header_timeout = Duration::from_millis(200))
        .run()
        .await;
    for beginning in ["", "\u{16}\u{3}\u{1}", "\0\0\0", "GET / HT"] {
        let answer = answer(server.addr, beginning.as_bytes()).await;
        assert!(!answer.contains("HTTP"), "{answer}");
    }
}

/// Returns everything that the server sends to a client that begins with these bytes.
async fn answer(addr: SocketAddr, beginning: &[u8]) -> String {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    stream.write_all(beginning).await.unwrap();
    let mut answer = Vec::new();
    soon("the end", stream.read_to_end(&mut answer)).await.ok();
    String::from_utf8_lossy(&answer).into_owned()
}

/// PROXY-9: plain HTTP on the TLS port. The request is neither served nor redirected.
#[tokio::test]
async fn plain_http_on_the_tls_port_is_told_which_address_to_use() {
    let (server, _dir, _client) = development(0).await;
    let sign_in = web::call("/rides.v1.Sessions/SignIn", &SignInRequest::default()).into_body();
    let call = format!(
        "POST /rides.v1.Sessions/SignIn HTTP/1.1\r\nhost: rides.example\r\ncontent-type: {}",
        web::PROTO
    );
    for (head, address) in [
        ("GET / HTTP/1.1\r\nhost: rides.example:8443", "https://rides.example:8443"),
        ("GET /healthz HTTP/1.0\r\nhost: 127.0.0.1:8443", "https://127.0.0.1:8443"),
        ("GET http://rides.example/ HTTP/1.1\r\nhost: rides.example", "https://rides.example"),
        ("GET / HTTP/1.1\r\nhost: <b>", "https://HOST"),
        ("GET / HTTP/1.0", "https://HOST"),
        (&call, "https://rides.example"),
    ] {
        let body = if head.starts_with("POST") { &sign_in[..] } else { b"" };
        let request = format!("{head}\r\ncontent-length: {}\r\n\r\n", body.len());
        let answer = answer(server.addr, &[request.as_bytes(), body].concat()).await;
        let (head, text) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(" 400 Bad Request\r\n") && !head.contains("location"), "{head}");
        assert!(head.contains("grpc-status: 9\r\n"), "{head}");
        assert_eq!(
            text,
            format!("the client speaks plain HTTP, and this port speaks TLS: use {address}\n"),
            "{head}"
        );
    }
}

/// PROXY-9: HTTP/2 with prior knowledge, as a native client without TLS sends it.
#[tokio::test]
async fn a_program_without_tls_on_the_tls_port_hears_that_it_needs_tls() {
    let (server, _dir, _client) = development(0).await;
    let mut client = FleetClient::new(server.channel().await);
    let status = client.drive(stream::pending::<DriveRequest>()).await.unwrap_err();
    let (code, reason, _field) = details(&status);
    assert_eq!((code, reason.as_str()), (Code::FailedPrecondition, "NEEDS_TLS"));
    assert!(status.message().contains(&format!("https://{}", server.addr)), "{}", status.message());
    let mut http = Http::h2(server.addr).await;
    let page = http.get("/").await;
    assert_eq!((page.status, page.header("grpc-status")), (StatusCode::BAD_REQUEST, "9"));
}

/// PROXY-9: TLS on the plain port.
#[tokio::test]
async fn tls_on_the_plain_port_is_told_to_use_http() {
    let server = server().run().await;
    for beginning in [&hello([3, 3])[..], b"\x16", b"\x16\x03\x01\x02\0\x01"] {
        let answer = answer(server.addr, beginning).await;
        assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{answer}");
        assert!(answer.contains("use http:// instead of https://"), "{answer}");
    }
    let dir = tempdir().unwrap();
    let development = DevelopmentCa::at(dir.path());
    development.ensure(&[]).unwrap();
    let error = TlsClient::of(server.addr, &development.ca())
        .connect("h2")
        .await
        .expect_err("a TLS handshake with the plain port");
    assert!(error.to_string().contains("InvalidContentType"), "the error of a TLS client: {error}");
}

/// PROXY-9: the warning is logged once for several attempts, because browsers try https:// by themselves.
#[cfg(unix)]
#[tokio::test]
async fn the_wrong_protocol_is_in_the_log_once_in_a_while() {
    const LINE: &str = "a client spoke TLS to this port, which speaks plain HTTP";
    let dir = tempdir().unwrap();
    let log = dir.path().join("log");
    let mut program = process(&["--listen=127.0.0.1:0", "--cars=0"]);
    let mut server = program.stderr(fs::File::create(&log).unwrap()).spawn().unwrap();
    let addr = address(&mut server).await;
    for _ in 0..5 {
        answer(addr, &hello([3, 3])).await;
    }
    // A server that ends by itself writes the rest of its log first.
    end(&mut server, "TERM").await;
    let log = fs::read_to_string(log).unwrap();
    let lines: Vec<_> = log.lines().filter(|line| line.contains(LINE)).collect();
    assert_eq!(lines.len(), 1, "{log}");
    for part in ["WARN", "address=127.0.0.1", "--tls-cert"] {
        assert!(lines[0].contains(part), "{part}: {}", lines[0]);
    }
}

/// HSTS is for a certificate of the operator, not for one for development. Names and addresses of this machine
/// never get it, because it would apply to every other server on them.
#[tokio::test]
async fn browsers_are_told_to_insist_on_a_certificate_of_ones_own_and_a_name_of_ones_own() {
    let (_made, dir, client) = development(0).await;
    let page =
        |host: &str| Request::get("/").header("host", host).header("accept", "text/html").body("").unwrap();
    for mut http in client.both().await {
        assert_eq!(http.send(page("rides.example")).await.header("strict-transport-security"), "");
    }
    let development = DevelopmentCa::at(dir.path());
    let given = server().with_files(development.server()).run().await;
    for mut http in TlsClient::of(given.addr, &development.ca()).both().await {
        for (host, header) in [
            ("rides.example", "max-age=31536000"),
            ("rides.example:8443", "max-age=31536000"),
            ("localhost", ""),
            ("localhost:8443", ""),
            ("rides.localhost:8443", ""),
            ("127.0.0.1:8443", ""),
            ("[::1]:8443", ""),
            ("10.0.0.5", ""),
        ] {
            let answer = http.send(page(host)).await;
            assert_eq!(answer.header("strict-transport-security"), header, "{host}");
        }
    }
}

fn copy(from: &CertificateFiles, to: &CertificateFiles) {
    fs::copy(&from.cert, &to.cert).unwrap();
    fs::copy(&from.key, &to.key).unwrap();
}

#[tokio::test]
async fn a_new_certificate_is_served_without_a_restart() {
    let (dir, other) = (tempdir().unwrap(), tempdir().unwrap());
    let (first, second) = (DevelopmentCa::at(dir.path()), DevelopmentCa::at(other.path()));
    first.ensure(&[]).unwrap();
    second.ensure(&[]).unwrap();
    let files = first.server();
    let server = server().with_files(files.clone()).run().await;
    let (before, after) = (TlsClient::of(server.addr, &first.ca()), TlsClient::of(server.addr, &second.ca()));
    before.server_certificate().await.unwrap();
    copy(&second.server(), &files);
    let changed = async {
        while after.server_certificate().await.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    soon("the new certificate", changed).await;
    assert!(before.server_certificate().await.is_err(), "the old certificate is still served");
}

/// Signs on as `car`. Fails with the status of the stream.
async fn sign_on(channel: Channel, car: i64) -> Result<(), Status> {
    let driver_id = "driver".to_owned();
    let sign_on = SignOn { car_id: car, driver_id, ..Default::default() };
    let up =
        stream::iter([DriveRequest { message: Some(Message::SignOn(sign_on)) }]).chain(stream::pending());
    let mut down = FleetClient::new(channel).drive(up).await?.into_inner();
    let said = soon("the response", down.message()).await?.expect("an end without a status");
    assert!(matches!(said.message, Some(drive_response::Message::SignedOn(_))), "{said:?}");
    Ok(())
}

fn driver_of(data_dir: &Path, car: i64) -> CertificateFiles {
    let car = CarId::new(car).unwrap();
    let development = DevelopmentCa::at(data_dir);
    development.ensure(&[]).unwrap();
    development.ensure_driver(car).unwrap();
    development.driver(car)
}

#[tokio::test]
async fn a_certificate_that_names_a_car_drives_that_car_alone() {
    let (dir, elsewhere) = (tempdir().unwrap(), tempdir().unwrap());
    let seven = driver_of(dir.path(), 7);
    let stranger = driver_of(elsewhere.path(), 7);
    let development = DevelopmentCa::at(dir.path());
    let server = server()
        .with_files(development.server())
        .over_tls(|tls| tls.client_ca = Some(development.ca()))
        .run()
        .await;
    let client = |own| TlsClient::with(server.addr, &development.ca(), own);

    let channel = client(Some(seven)).channel().await.unwrap();
    let refused = sign_on(channel.clone(), 8).await.unwrap_err();
    assert_eq!(details(&refused).0, Code::PermissionDenied);
    assert_eq!(details(&refused).1, "NOT_YOUR_CAR");
    sign_on(channel, 7).await.unwrap();
    // A client without a certificate is not limited to a car by it.
    sign_on(client(None).channel().await.unwrap(), 8).await.unwrap();

    let unknown = async {
        let channel = client(Some(stranger)).channel().await?;
        Ok::<_, crate::harness::http::ConnectError>(sign_on(channel, 7).await?)
    };
    assert!(unknown.await.is_err(), "a certificate of an unknown authority");
}

#[tokio::test]
async fn what_cannot_be_served_is_said_at_once() {
    let dir = tempdir().unwrap();
    let missing = CertificateFiles { cert: dir.path().join("no.pem"), key: dir.path().join("no-key.pem") };
    let error = server().with_files(missing).fails().await;
    assert!(error.contains("no.pem"), "{error}");
    let seven = driver_of(dir.path(), 7);
    let mixed = CertificateFiles { cert: seven.cert, key: DevelopmentCa::at(dir.path()).server().key };
    let error = server().with_files(mixed).fails().await;
    assert!(error.contains("cannot be served with its key"), "{error}");
    let error = server().over_tls(|tls| tls.client_ca = Some(dir.path().join("ca.pem"))).fails().await;
    assert!(error.contains("--client-ca needs TLS"), "{error}");
}

/// A ClientHello with this version. It is made by hand, because rustls does not offer such old versions.
fn hello(version: [u8; 2]) -> Vec<u8> {
    let list = |content: &[u8]| [&u16::try_from(content.len()).unwrap().to_be_bytes(), content].concat();
    let extension = |kind: u16, content: &[u8]| [&kind.to_be_bytes()[..], &list(content)].concat();
    let extensions = [
        extension(10, &list(&[0, 0x1d, 0, 0x17])), // X25519 and P-256,
        extension(11, &[1, 0]),                    // uncompressed,
        extension(13, &list(&[4, 3, 8, 4])),       // signatures by P-256 and RSA,
        extension(23, &[]),                        // and the extended master secret.
    ];
    // Suites with AES-GCM are for TLS 1.2, and those with AES-CBC for older versions too.
    let suites = [0xc0, 0x2b, 0xc0, 0x2f, 0xc0, 0x09, 0xc0, 0x13, 0, 0x2f];
    let body = [&version[..], &[7; 32], &[0], &list(&suites), &[1, 0], &list(&extensions.concat())].concat();
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    let handshake = [&[1], &length[1..], &body].concat();
    [&[22, 3, 1][..], &list(&handshake)].concat()
}

#[tokio::test]
async fn tls_begins_at_1_2() {
    const ALERT: u8 = 21;
    const HANDSHAKE: u8 = 22;
    const SERVER_HELLO: u8 = 2;
    const PROTOCOL_VERSION: u8 = 70;
    let (server, _dir, _client) = development(0).await;
    for (version, is_served) in [([3, 1], false), ([3, 2], false), ([3, 3], true)] {
        let mut stream = TcpStream::connect(server.addr).await.unwrap();
        stream.write_all(&hello(version)).await.unwrap();
        let mut answer = [0; 7];
        soon("a response", stream.read_exact(&mut answer)).await.unwrap();
        let expected = if is_served { (HANDSHAKE, SERVER_HELLO) } else { (ALERT, 2) };
        assert_eq!((answer[0], answer[5]), expected, "{version:?}: {answer:?}");
        assert!(is_served || answer[6] == PROTOCOL_VERSION, "{answer:?}");
    }
}
