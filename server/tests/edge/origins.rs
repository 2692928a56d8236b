//! Origins and CORS: the pages that may call the server, and the errors that they can read.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use bytes::Bytes;
use grpc_edge::Limits;
use http::{Request, StatusCode};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use super::services;
use crate::harness::{FRIEND, port_for_a_friend, port_with, server, web};

const WHO_AM_I: &str = "/rides.v1.Sessions/WhoAmI";

fn call_from(headers: &[(&'static str, &str)]) -> Request<Bytes> {
    let mut request = web::call(WHO_AM_I, &());
    for (name, value) in headers {
        request.headers_mut().insert(*name, value.parse().unwrap());
    }
    request
}

/// B2: the call is refused before its handler runs.
#[tokio::test]
async fn calls_of_foreign_pages_are_not_executed() {
    let executed = Arc::new(AtomicUsize::new(0));
    let server = port_with(services::counting(executed.clone()), Limits::default()).await;
    for mut http in server.both().await {
        for foreign in [
            &[("origin", "http://evil.example")][..],
            &[("origin", "null")],
            &[("sec-fetch-site", "cross-site")],
            &[("sec-fetch-site", "same-site"), ("origin", "http://127.0.0.1:1")],
        ] {
            let answer = http.send(call_from(foreign)).await;
            assert_eq!(answer.status, StatusCode::FORBIDDEN, "{foreign:?}");
            let status = Status::from_header_map(&answer.headers).expect("no status");
            assert_eq!(status.code(), Code::PermissionDenied, "{foreign:?}");
            assert_eq!(status.get_details_error_info().unwrap().reason, "FOREIGN_ORIGIN", "{foreign:?}");
            assert_eq!(answer.text(), format!("{}\n", status.message()));
        }
    }
    assert_eq!(executed.load(Ordering::Relaxed), 0);
}

/// PROXY-2: by default nginx sends the host of its upstream, which differs from the host in the page's origin.
#[tokio::test]
async fn a_page_behind_a_proxy_that_renames_the_host_hears_which_flag_to_set() {
    let server = server().run().await;
    let own = server.addr.to_string();
    for mut http in server.both().await {
        for (origin, flag) in [
            ("http://rides.example", "--allow-origin http://rides.example,"),
            ("http://rides.example:8090", "--allow-origin http://rides.example:8090,"),
            ("https://[2001:db8::1]", "--allow-origin https://[2001:db8::1],"),
        ] {
            let answer = http.send(call_from(&[("origin", origin)])).await;
            let status = Status::from_header_map(&answer.headers).expect("no status");
            for part in [origin, own.as_str(), flag, "proxy_set_header Host $http_host"] {
                assert!(status.message().contains(part), "{part}: {}", status.message());
            }
        }
    }
    let proxied = crate::harness::server().allowing("http://rides.example").run().await;
    for mut http in proxied.both().await {
        let answer = http.send(call_from(&[("origin", "http://rides.example")])).await;
        assert_eq!((answer.status, answer.header("grpc-status")), (StatusCode::OK, "16"));
    }
}

/// The message may be shown in a terminal or pasted into a shell.
#[tokio::test]
async fn an_origin_that_is_none_is_not_repeated() {
    let server = server().run().await;
    let long = format!("http://{}.example", "a".repeat(5_000));
    for mut http in server.both().await {
        for origin in ["null", "http://x;reboot", "http://$(reboot)", "http://a b", "http://<b>", &long] {
            let answer = http.send(call_from(&[("origin", origin)])).await;
            assert_eq!(answer.status, StatusCode::FORBIDDEN, "{origin}");
            assert!(answer.text().contains("another site") && !answer.text().contains(origin), "{origin}");
            assert_eq!(answer.header("access-control-allow-origin"), "");
        }
    }
}

/// PROXY-5: libraries for traces and metrics, and other gRPC-Web clients, add these headers to the calls of a
/// page.
#[tokio::test]
async fn an_allowed_origin_may_send_the_headers_of_instrumented_pages() {
    let instrumented = "authorization,baggage,connect-protocol-version,connect-timeout-ms,content-type,elastic-apm-traceparent,\
                        grpc-timeout,sentry-trace,traceparent,tracestate,x-b3-spanid,x-b3-traceid,x-datadog-trace-id,\
                        x-grpc-web,x-request-id,x-user-agent";
    let server = server().allowing(FRIEND).run().await;
    for mut http in server.both().await {
        let preflight = |origin: &str| {
            Request::options(WHO_AM_I)
                .header("origin", origin)
                .header("access-control-request-method", "POST")
                .header("access-control-request-headers", instrumented)
                .body("")
                .unwrap()
        };
        let answer = http.send(preflight(FRIEND)).await;
        assert_eq!(answer.header("access-control-allow-origin"), FRIEND);
        let allowed: Vec<_> =
            answer.header("access-control-allow-headers").split(',').map(str::trim).collect();
        for header in instrumented.split(',') {
            assert!(allowed.contains(&header), "{header}: {allowed:?}");
        }
        assert_eq!(answer.header("access-control-allow-credentials"), "");
        let stranger = http.send(preflight("https://stranger.example")).await;
        assert_eq!(stranger.header("access-control-allow-origin"), "");

        let mut call = call_from(&[("origin", FRIEND)]);
        for header in
            instrumented.split(',').filter(|header| header.contains('-') && !header.starts_with("x-grpc"))
        {
            if !call.headers().contains_key(header) && !header.starts_with("grpc-") {
                call.headers_mut().insert(header, "1".parse().unwrap());
            }
        }
        let answer = http.send(call).await;
        assert_eq!(
            (answer.status, answer.header("grpc-status")),
            (StatusCode::OK, "16"),
            "the call is executed"
        );
        let exposed = answer.header("access-control-expose-headers");
        for name in ["grpc-status", "grpc-message", "grpc-status-details-bin", "grpc-accept-encoding"] {
            assert!(exposed.contains(name), "{exposed}");
        }
    }
}

#[tokio::test]
async fn its_own_page_and_programs_may_call() {
    let server = server().run().await;
    let own = format!("http://{}", server.addr);
    for mut http in server.both().await {
        for headers in [
            &[("origin", own.as_str())][..],
            &[("origin", own.as_str()), ("sec-fetch-site", "same-origin")],
            // `trunk serve` forwards the page's origin and sends another host.
            &[("origin", "http://127.0.0.1:8081"), ("sec-fetch-site", "same-origin")],
            &[],
        ] {
            let answer = http.send(call_from(headers)).await;
            assert_eq!(answer.header("grpc-status"), "16", "{headers:?}");
            assert_eq!(answer.header("access-control-allow-origin"), "");
        }
    }
}

#[tokio::test]
async fn a_link_from_elsewhere_opens_the_page() {
    let server = server().run().await;
    for mut http in server.both().await {
        let request = Request::get("/").header("sec-fetch-site", "cross-site").header("accept", "text/html");
        assert_ne!(http.send(request.body("").unwrap()).await.status, StatusCode::FORBIDDEN);
    }
}

/// B2: the response has no CORS headers.
#[tokio::test]
async fn a_preflight_from_anywhere_else_gets_no_permission() {
    let executed = Arc::new(AtomicUsize::new(0));
    let server = port_with(services::counting(executed.clone()), Limits::default()).await;
    for mut http in server.both().await {
        let preflight = Request::options(WHO_AM_I)
            .header("origin", "https://stranger.example")
            .header("access-control-request-method", "POST");
        let answer = http.send(preflight.body("").unwrap()).await;
        assert_eq!(answer.header("access-control-allow-origin"), "");
    }
    assert_eq!(executed.load(Ordering::Relaxed), 0);
}

/// B3: the page of an allowed origin can read every kind of error.
#[tokio::test]
async fn every_class_of_error_is_readable_from_an_allowed_origin() {
    let never = services::NeverResponds::default();
    let services = services::panicking().merge(services::failing("on purpose")).merge(never.router());
    let port = port_for_a_friend(services.clone(), Limits::default()).await;
    let nobody = Limits { max_calls_per_address: 0, exempt_addresses: Vec::new(), ..Limits::default() };
    let busy = port_for_a_friend(services, nobody).await;
    let call = |path, more: &[(&'static str, &str)]| {
        let mut request = web::call(path, &());
        request.headers_mut().insert("origin", FRIEND.parse().unwrap());
        for (name, value) in more {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        request
    };
    let too_large = || call("/rides.v1.Rides/Book", &[]).map(|_| Bytes::from_static(b"\0\xff\xff\xff\xff"));
    let codec = ("content-type", "application/grpc-web+json");
    for (server, request, code) in [
        (&port, call("/test.Failing/Now", &[]), "13"),
        (&port, call("/test.Panic/Now", &[]), "13"),
        (&port, call("/test.Never/Answer", &[("grpc-timeout", "50m")]), "4"),
        (&port, call("/test.Never/Answer", &[("grpc-timeout", "soon")]), "3"),
        (&port, call("/test.Never/Answer", &[codec]), "12"),
        (&port, call("/test.Never/Answer", &[("content-type", "text/plain")]), "3"),
        (&port, too_large(), "8"),
        (&busy, call("/test.Never/Answer", &[]), "8"),
    ] {
        let requests = [request.clone(), request];
        for (mut http, request) in server.both().await.into_iter().zip(requests) {
            let answer = http.send(request).await;
            assert_eq!(answer.header("grpc-status"), code, "{answer:?}");
            assert_eq!(answer.header("access-control-allow-origin"), FRIEND);
            let exposed = answer.header("access-control-expose-headers");
            for name in ["grpc-status", "grpc-message", "grpc-status-details-bin", "grpc-retry-pushback-ms"] {
                assert!(exposed.contains(name), "{exposed}");
            }
        }
    }
}

#[tokio::test]
async fn an_allowed_origin_can_call_and_read_every_error() {
    let server = server().allowing(FRIEND).run().await;
    for mut http in server.both().await {
        let preflight = Request::options(WHO_AM_I)
            .header("origin", FRIEND)
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "content-type,x-grpc-web,grpc-timeout,authorization");
        let answer = http.send(preflight.body("").unwrap()).await;
        assert_eq!(answer.header("access-control-allow-origin"), FRIEND);
        assert!(answer.header("access-control-allow-headers").contains("grpc-timeout"));

        let mut unacceptable = call_from(&[("origin", FRIEND), ("content-type", "text/plain")]);
        unacceptable.headers_mut().insert("sec-fetch-site", "cross-site".parse().unwrap());
        for (request, status) in [
            (call_from(&[("origin", FRIEND), ("sec-fetch-site", "cross-site")]), StatusCode::OK),
            (call_from(&[("origin", FRIEND), ("grpc-timeout", "0S")]), StatusCode::OK),
            (unacceptable, StatusCode::UNSUPPORTED_MEDIA_TYPE),
        ] {
            let answer = http.send(request).await;
            assert_eq!(answer.status, status);
            assert_eq!(answer.header("access-control-allow-origin"), FRIEND);
            assert!(answer.header("access-control-expose-headers").contains("grpc-status"));
        }

        let stranger = http.send(call_from(&[("origin", "https://stranger.example")])).await;
        assert_eq!(stranger.status, StatusCode::FORBIDDEN);
        assert_eq!(stranger.header("access-control-allow-origin"), "");
    }
}

/// The flag accepts other spellings of an origin, and origins of apps.
#[tokio::test]
async fn an_origin_is_allowed_in_the_form_that_browsers_send() {
    const SENT: [&str; 4] =
        ["https://rides.example", "capacitor://localhost", "tauri://localhost", "http://[::1]:8081"];
    let named =
        ["https://Rides.Example:443/", "capacitor://localhost", "Tauri://localhost", "http://[0:0::1]:8081"];
    let server = named.into_iter().fold(server(), |server, origin| server.allowing(origin)).run().await;
    for mut http in server.both().await {
        for origin in SENT {
            let preflight = Request::options(WHO_AM_I)
                .header("origin", origin)
                .header("access-control-request-method", "POST")
                .header("access-control-request-headers", "content-type,x-grpc-web");
            let answer = http.send(preflight.body("").unwrap()).await;
            assert_eq!(answer.header("access-control-allow-origin"), origin);
            for site in ["cross-site", "same-site"] {
                let answer = http.send(call_from(&[("origin", origin), ("sec-fetch-site", site)])).await;
                assert_eq!(answer.header("grpc-status"), "16", "{origin}: the call is executed");
                assert_eq!(answer.header("access-control-allow-origin"), origin);
            }
        }
        for stranger in [
            "capacitor://elsewhere",
            "ionic://localhost",
            "https://rides.example:443",
            "http://rides.example",
            "null",
        ] {
            for site in [&[][..], &[("sec-fetch-site", "cross-site")]] {
                let answer = http.send(call_from(&[&[("origin", stranger)], site].concat())).await;
                assert_eq!(answer.status, StatusCode::FORBIDDEN, "{stranger}");
            }
        }
    }
}
