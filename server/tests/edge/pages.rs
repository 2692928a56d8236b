//! The page: its files, their headers, and the paths at which it is served.

use std::fs;

use http::{Request, StatusCode};
use tempfile::TempDir;

use crate::harness::{http::FullResponse, http::Http, server};

const HASHED: &str = "rides-web-3c1e5a7f9b2d4680";

/// A page with files named as Trunk names them.
fn built_page() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, content: &str| fs::write(dir.path().join(name), content).unwrap();
    write("index.html", "<title>Rides</title><script type=module>alert(1)</script>");
    write(&format!("{HASHED}.js"), "export default 1");
    write(&format!("{HASHED}_bg.wasm"), "plain");
    write(&format!("{HASHED}_bg.wasm.br"), "in brotli");
    write(&format!("{HASHED}_bg.wasm.gz"), "in gzip");
    write("icon.svg", "<svg/>");
    dir
}

async fn navigate(http: &mut Http, path: &str) -> FullResponse {
    http.send(Request::get(path).header("accept", "text/html,*/*;q=0.8").body("").unwrap()).await
}

#[tokio::test]
async fn every_path_of_the_page_is_the_page() {
    let dir = built_page();
    let server = server().with_page(dir.path()).run().await;
    for mut http in server.both().await {
        for path in ["/", "/index.html", "/ride/7", "/ride?id=7", "/a/b/c"] {
            let answer = navigate(&mut http, path).await;
            assert_eq!(answer.status, StatusCode::OK, "{path}");
            assert!(answer.text().contains("<title>Rides"), "{path}");
            assert_eq!(answer.header("content-type"), "text/html; charset=utf-8", "{path}");
            assert_eq!(answer.header("cache-control"), "no-cache, no-transform", "{path}");
        }
    }
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let dir = built_page();
    let server = server().with_page(dir.path()).run().await;
    for mut http in server.both().await {
        for path in ["/nothing.js", "/rides/nothing.css", &format!("/{HASHED}0.js"), "/../Cargo.toml"] {
            let answer = navigate(&mut http, path).await;
            assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
            assert_eq!(answer.header("cache-control"), "no-cache, no-transform", "{path}");
        }
        let data = Request::get("/ride/7").header("accept", "application/json").body("").unwrap();
        assert_eq!(http.send(data).await.status, StatusCode::NOT_FOUND);
        let form = Request::post("/").header("content-type", "text/plain").body("a=b").unwrap();
        assert_eq!(http.send(form).await.status, StatusCode::METHOD_NOT_ALLOWED);
    }
}

#[tokio::test]
async fn files_come_compressed_typed_and_cached() {
    let dir = built_page();
    let server = server().with_page(dir.path()).run().await;
    for mut http in server.both().await {
        for (accepted, content) in [("gzip, br", "in brotli"), ("gzip", "in gzip"), ("identity", "plain")] {
            let request = Request::get(format!("/{HASHED}_bg.wasm")).header("accept-encoding", accepted);
            let answer = http.send(request.body("").unwrap()).await;
            assert_eq!(answer.text(), content);
            assert_eq!(answer.header("content-type"), "application/wasm");
            assert!(answer.header("cache-control").contains("immutable"));
        }
        let script = http.get(&format!("/{HASHED}.js")).await;
        assert_eq!(script.header("content-type"), "text/javascript; charset=utf-8");
        assert!(script.header("cache-control").contains("no-transform"));
        assert_eq!(http.get("/icon.svg").await.header("cache-control"), "no-cache, no-transform");
        let head = Request::head("/icon.svg").body("").unwrap();
        let head = http.send(head).await;
        assert_eq!((head.status, head.header("content-length"), head.text()), (StatusCode::OK, "6", ""));
    }
}

/// B1, B5: the Content-Security-Policy and the other security headers.
#[tokio::test]
async fn the_page_may_do_what_it_needs_and_no_more() {
    let dir = built_page();
    let server = server().with_page(dir.path()).run().await;
    for mut http in server.both().await {
        let answer = navigate(&mut http, "/").await;
        let policy = answer.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'; script-src 'self' 'wasm-unsafe-eval' 'sha256-"));
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.header("referrer-policy"), "no-referrer");
        assert!(policy.contains("frame-ancestors 'none'") && policy.contains("base-uri 'none'"), "{policy}");
        assert_eq!(answer.header("cross-origin-opener-policy"), "same-origin");
        assert_eq!(answer.header("cross-origin-resource-policy"), "same-origin");
        assert_eq!(answer.header("x-frame-options"), "DENY");
        assert!(answer.header("permissions-policy").contains("geolocation=()"));
        assert_eq!(answer.header("strict-transport-security"), "", "no HSTS without TLS");
    }
}

#[tokio::test]
async fn a_page_that_is_rebuilt_is_served_with_its_new_hashes() {
    let dir = built_page();
    let server = server().with_page(dir.path()).run().await;
    let [mut http, _] = server.both().await;
    let before = navigate(&mut http, "/").await;
    fs::write(dir.path().join("index.html"), "<script>alert(2)</script>").unwrap();
    let after = navigate(&mut http, "/").await;
    assert_ne!(before.header("content-security-policy"), after.header("content-security-policy"));
}

#[tokio::test]
async fn a_page_that_is_not_built_says_how_to_build_it() {
    let dir = built_page();
    let server = server().with_page(dir.path()).run().await;
    fs::remove_file(dir.path().join("index.html")).unwrap();
    for mut http in server.both().await {
        let answer = navigate(&mut http, "/").await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND);
        assert!(answer.text().contains("cargo xtask run"));
    }
}

/// PROXY-8: a mistyped path of a probe must not look healthy.
#[tokio::test]
async fn a_mistyped_probe_is_not_found() {
    let dir = built_page();
    let server = server().with_page(dir.path()).run().await;
    for mut http in server.both().await {
        for path in ["/health", "/metricsx", "/ready", "/healthz/", "/ride/7"] {
            for accept in ["*/*", "application/json", "application/openmetrics-text;q=1,*/*;q=0.1"] {
                let probe = Request::get(path).header("accept", accept).body("").unwrap();
                let answer = http.send(probe).await;
                assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path} {accept}");
                assert!(answer.text().contains("/readyz"), "{path} {accept}");
            }
            assert_eq!(http.get(path).await.status, StatusCode::NOT_FOUND, "{path} without accept");
        }
        for accept in ["*/*", "text/html"] {
            let page = Request::get("/").header("accept", accept).body("").unwrap();
            assert_eq!(http.send(page).await.status, StatusCode::OK, "{accept}");
        }
    }
}

/// PROXY-10: an upgrade may keep the modification time and the size of a file, so that the ETag depends on its
/// content.
#[tokio::test]
async fn a_copy_is_told_by_its_content_and_not_by_its_time_and_size() {
    let dir = built_page();
    let server = server().with_page(dir.path()).run().await;
    let path = dir.path().join("index.html");
    let modified = fs::metadata(&path).unwrap().modified().unwrap();
    for mut http in server.both().await {
        fs::write(&path, "<script>alert(1)</script>").unwrap();
        let before = navigate(&mut http, "/").await;
        let tag = before.header("etag").to_owned();
        let again = |tag: &str| {
            let again = Request::get("/").header("accept", "text/html").header("if-none-match", tag);
            again.body("").unwrap()
        };
        let same = http.send(again(&tag)).await;
        assert_eq!((same.status, same.text()), (StatusCode::NOT_MODIFIED, ""));
        assert_eq!(same.header("content-security-policy"), before.header("content-security-policy"));

        fs::write(&path, "<script>alert(2)</script>").unwrap();
        fs::File::options().write(true).open(&path).unwrap().set_modified(modified).unwrap();
        let changed = http.send(again(&tag)).await;
        assert_eq!((changed.status, changed.text()), (StatusCode::OK, "<script>alert(2)</script>"));
        assert_ne!(changed.header("etag"), tag);
    }
}

/// PROXY-3: relative addresses in the page are adjusted to the depth of its path.
#[tokio::test]
async fn addresses_in_the_page_are_right_at_every_depth() {
    let dir = built_page();
    fs::write(dir.path().join("index.html"), "<html data-base=\"./\"><script src=./a.js></script>").unwrap();
    let server = server().with_page(dir.path()).run().await;
    for mut http in server.both().await {
        for (path, expected) in [
            ("/", "<html data-base=\"./\"><script src=./a.js></script>"),
            ("/ride/7", "<html data-base=\"../\"><script src=../a.js></script>"),
        ] {
            assert_eq!(navigate(&mut http, path).await.text(), expected, "{path}");
        }
    }
}

/// PROXY-3: the proxy does not remove the base path.
#[tokio::test]
async fn everything_is_served_below_the_base_path_and_without_it() {
    let dir = built_page();
    fs::write(dir.path().join("index.html"), "<html data-base=\"./\">").unwrap();
    let server = server().with_page(dir.path()).with_base_path("/rides/").run().await;
    for mut http in server.both().await {
        for path in ["/rides/", "/rides", "/rides/ride/7", "/", "/ride/7"] {
            assert_eq!(navigate(&mut http, path).await.text(), "<html data-base=\"/rides/\">", "{path}");
        }
        for path in ["/rides/healthz", "/healthz", "/rides/icon.svg", "/icon.svg"] {
            assert_eq!(http.get(path).await.status, StatusCode::OK, "{path}");
        }
        for path in ["/rides/rides.v1.Rides/Quote", "/rides.v1.Rides/Quote"] {
            // The message is a `QuoteRequest` without places.
            let call = Request::post(path).header("content-type", "application/grpc-web+proto");
            let answer = http.send(call.body("\0\0\0\0\0").unwrap()).await;
            assert_eq!((answer.status, answer.header("grpc-status")), (StatusCode::OK, "3"), "{path}");
        }
    }
}
