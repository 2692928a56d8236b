//! The page: static files, compressed when they were built, and one HTML file under every path of the page.

use std::path::PathBuf;

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    response::{Html, IntoResponse as _, Response},
};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri,
    header::{
        ACCEPT, CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY,
        X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
    },
};
use tower::ServiceExt as _;
use tower_http::services::ServeDir;

use super::{csp, strict_transport};

const INDEX: &str = "/index.html";
const NOT_BUILT: &str = include_str!("not_built.html");

/// Its name changes when it does.
const IMMUTABLE: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
/// To be asked for again each time.
const FRESH: HeaderValue = HeaderValue::from_static("no-cache");

const FOR_A_YEAR: HeaderValue = HeaderValue::from_static("max-age=31536000");
/// The page asks for none of these, and nobody shall in its name.
const NO_DEVICES: &str = "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()";

/// Files that are built while the server runs are served as they are then.
#[derive(Clone)]
struct Pages {
    index: PathBuf,
    files: ServeDir,
    strict_transport: bool,
}

/// Serves the page built into `dir`; says how to build it when it is not there. With `strict_transport`, browsers are
/// told to come over TLS from then on.
pub(super) fn router(dir: PathBuf, strict_transport: bool) -> Router {
    let index = dir.join(INDEX.trim_start_matches('/'));
    let files = ServeDir::new(dir).precompressed_br().precompressed_gzip();
    Router::new().fallback(page).with_state(Pages { index, files, strict_transport })
}

async fn page(State(pages): State<Pages>, request: Request) -> Response {
    let strict_transport = pages.strict_transport && strict_transport::applies_to(&request);
    let mut response = if wants_index(&request) {
        pages.index(request).await
    } else {
        let cache = if is_named_by_content(request.uri().path()) { IMMUTABLE } else { FRESH };
        let mut response = pages.file(request).await;
        let cache = if response.status() == StatusCode::NOT_FOUND { FRESH } else { cache };
        response.headers_mut().insert(CACHE_CONTROL, cache);
        response
    };
    harden(response.headers_mut());
    if strict_transport {
        response.headers_mut().insert(STRICT_TRANSPORT_SECURITY, FOR_A_YEAR);
    }
    response
}

impl Pages {
    async fn index(&self, mut request: Request) -> Response {
        let Ok(html) = tokio::fs::read_to_string(&self.index).await else {
            return (StatusCode::NOT_FOUND, [(CACHE_CONTROL, FRESH)], Html(NOT_BUILT)).into_response();
        };
        *request.uri_mut() = Uri::from_static(INDEX);
        let mut response = self.file(request).await;
        response.headers_mut().insert(CACHE_CONTROL, FRESH);
        response.headers_mut().insert(CONTENT_SECURITY_POLICY, csp::policy(&html));
        response
    }

    async fn file(&self, request: Request) -> Response {
        match self.files.clone().oneshot(request).await {
            Ok(response) => response.map(Body::new),
            Err(never) => match never {},
        }
    }
}

/// A path of the page, such as `/` or `/rides/7`, and not one of a file.
fn wants_index(request: &Request) -> bool {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return false;
    }
    let path = request.uri().path();
    let is_file = path.rsplit('/').next().is_some_and(|name| name.contains('.'));
    path == INDEX || (!is_file && takes_html(request.headers()))
}

fn takes_html(headers: &HeaderMap) -> bool {
    headers.get(ACCEPT).is_none_or(|accept| {
        accept.to_str().is_ok_and(|accept| accept.contains("text/html") || accept.contains("*/*"))
    })
}

/// Whether the path has Trunk's content hash in it, as in `/style-1f0c…e4.css`: eight hex digits or more after
/// a dash. Trunk writes up to sixteen.
fn is_named_by_content(path: &str) -> bool {
    path.split('-').skip(1).any(|rest| rest.bytes().take_while(u8::is_ascii_hexdigit).count() >= 8)
}

fn harden(headers: &mut HeaderMap) {
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    for (name, value) in [
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
        ("permissions-policy", NO_DEVICES),
    ] {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashed_names_are_known() {
        for path in [
            "/rides-web-3c1e5a7f9b2d4680.js",
            "/rides-web-c1e5a7f9b2d4680_bg.wasm",
            "/snippets/rides-web-3c1e5a7f9b2d4680/inline0.js",
        ] {
            assert!(is_named_by_content(path), "{path}");
        }
        for path in ["/", "/index.html", "/icon-192.png", "/a-decade.css", "/deadbeef00.js"] {
            assert!(!is_named_by_content(path), "{path}");
        }
    }

    #[test]
    fn only_what_a_browser_navigates_to_is_the_page() {
        let wants = |path: &str, accept: &str| {
            let request = Request::builder().uri(path).header(ACCEPT, accept).body(Body::empty());
            wants_index(&request.unwrap())
        };
        assert!(wants("/", "text/html,application/xhtml+xml"));
        assert!(wants("/rides/7", "*/*"));
        assert!(wants("/index.html", "image/png"));
        assert!(!wants("/rides/7", "application/json"));
        assert!(!wants("/missing.js", "*/*"));
    }
}
