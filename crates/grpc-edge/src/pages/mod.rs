//! The service of the page: its files, which the build has compressed, and its one HTML file at each path of the page.

mod csp;
mod files;
mod index;

use std::{io::Write as _, sync::Arc};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    response::{Html, IntoResponse as _, Response},
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use flate2::{Compression, write::GzEncoder};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, StatusCode,
    header::{
        ACCEPT, ACCEPT_ENCODING, ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE,
        ETAG, IF_NONE_MATCH, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY, VARY, X_CONTENT_TYPE_OPTIONS,
        X_FRAME_OPTIONS,
    },
    request::Parts,
};
use sha2::{Digest as _, Sha256};

use self::files::{Content, accepts_gzip};
pub use self::files::{EmbeddedPage, PageFiles};
use super::{BasePath, hsts};

const INDEX: &str = "index.html";
const NOT_BUILT: &str = include_str!("not_built.html");
const NOT_FOUND: &str = "Nothing is at this path. The page is at /, the probes are /healthz and /readyz, the metrics are \
                         at /metrics, and calls are POST /package.Service/Method.\n";
const READ_ONLY: &str = "The page is read with GET. Calls are POST /package.Service/Method.\n";

/// `cache-control` of files whose name changes with their content. A proxy must not transform any file, since the page's
/// policy, scripts and WebAssembly have to match.
const IMMUTABLE: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable, no-transform");
/// `cache-control` of files that a browser must revalidate each time.
const FRESH: HeaderValue = HeaderValue::from_static("no-cache, no-transform");

/// The value of `strict-transport-security`.
const FOR_A_YEAR: HeaderValue = HeaderValue::from_static("max-age=31536000");
/// `permissions-policy` without the devices that the page does not use, so that no injected script can use them.
const NO_DEVICES: &str = "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()";

/// The options for serving the page.
pub(super) struct Options {
    /// The files of the page.
    pub(super) files: PageFiles,
    /// The path below which a proxy serves the page, if the proxy keeps that path in requests.
    pub(super) base: Option<BasePath>,
    /// Tells browsers to use TLS only (HSTS), for the hosts of [`hsts`].
    pub(super) strict_transport: bool,
}

/// Returns the routes of the page. If the page was not built, they serve instructions.
pub(super) fn router(options: Options) -> Router {
    Router::new().fallback(answer).with_state(Arc::new(options))
}

async fn answer(State(page): State<Arc<Options>>, request: Request) -> Response {
    let is_strict = page.strict_transport && hsts::applies_to(&request);
    let (request, _body) = request.into_parts();
    let mut response = page.answer(&request).await;
    harden(response.headers_mut());
    if is_strict {
        response.headers_mut().insert(STRICT_TRANSPORT_SECURITY, FOR_A_YEAR);
    }
    if request.method == Method::HEAD {
        *response.body_mut() = Body::empty();
    }
    response
}

impl Options {
    async fn answer(&self, Parts { method, uri, headers, .. }: &Parts) -> Response {
        let path = uri.path();
        if !matches!(*method, Method::GET | Method::HEAD) {
            return (StatusCode::METHOD_NOT_ALLOWED, [(ALLOW, "GET, HEAD")], READ_ONLY).into_response();
        }
        let name = path.trim_start_matches('/');
        let answered = match is_of_the_page(path, headers) {
            true => self.index(path, headers).await,
            false => self.file(name, headers).await,
        };
        answered.unwrap_or_else(|error| {
            tracing::error!(path, %error, "a file of the page could not be read");
            (StatusCode::INTERNAL_SERVER_ERROR, "A file of the page could not be read.\n").into_response()
        })
    }

    /// Returns the HTML with URLs that are correct at `path`.
    async fn index(&self, path: &str, headers: &HeaderMap) -> std::io::Result<Response> {
        let Some(plain) = self.files.bytes(INDEX).await? else {
            return Ok((StatusCode::NOT_FOUND, [(CACHE_CONTROL, FRESH)], Html(NOT_BUILT)).into_response());
        };
        let html = String::from_utf8_lossy(&plain);
        let base = index::base_of(self.base.as_ref(), path);
        let written = index::with_base(&html, &base);
        let content = match self.files.read(INDEX, headers).await? {
            Some(built) if written == html => built,
            _ if accepts_gzip(headers) => Content::gzip(gzip(written.as_bytes())?),
            _ => Content::plain(written.as_bytes().to_vec()),
        };
        let policy = csp::policy(&written);
        // An upgrade may change the policy and not the HTML. The tag changes then, so that a browser drops its old
        // copy.
        let tag = tag_of(&[written.as_bytes(), policy.as_bytes()]);
        let mut response = respond(headers, INDEX, content, &tag);
        response.headers_mut().insert(CACHE_CONTROL, FRESH);
        response.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
        Ok(response)
    }

    /// Returns the file `name`, or 404.
    async fn file(&self, name: &str, headers: &HeaderMap) -> std::io::Result<Response> {
        let Some(content) = self.files.read(name, headers).await? else {
            return Ok((StatusCode::NOT_FOUND, [(CACHE_CONTROL, FRESH)], NOT_FOUND).into_response());
        };
        let tag = tag_of(&[&content.bytes]);
        let mut response = respond(headers, name, content, &tag);
        let cache = if is_named_by_content(name) { IMMUTABLE } else { FRESH };
        response.headers_mut().insert(CACHE_CONTROL, cache);
        Ok(response)
    }
}

/// Returns a response with `content`, or 304 if the client has a copy with this `tag`.
fn respond(request: &HeaderMap, name: &str, content: Content, tag: &str) -> Response {
    let mut headers = HeaderMap::new();
    if let Ok(tag) = HeaderValue::from_str(tag) {
        headers.insert(ETAG, tag);
    }
    headers.insert(VARY, HeaderValue::from(ACCEPT_ENCODING));
    if has_already(request, tag) {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    content.describe(&mut headers);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type(name)));
    headers.insert(CONTENT_LENGTH, content.bytes.len().into());
    (headers, Body::from(content.bytes)).into_response()
}

/// Returns a weak `etag` of the content alone, since time and size may be the same after an upgrade.
fn tag_of(parts: &[&[u8]]) -> String {
    let hash = parts.iter().fold(Sha256::new(), |hash, part| hash.chain_update(part)).finalize();
    format!("W/\"{}\"", BASE64_URL_SAFE_NO_PAD.encode(&hash[..15]))
}

/// Returns `true` if `if-none-match` names `tag`. The comparison is weak (RFC 9110, section 13.1.2).
fn has_already(request: &HeaderMap, tag: &str) -> bool {
    let opaque = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    let values = request.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|named| named.trim() == "*" || opaque(named) == opaque(tag))
}

fn gzip(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes)?;
    encoder.finish()
}

/// Returns `true` if `path` is served as the page: `/`, and every path that does not look like a file, for a client
/// that accepts `text/html` by name. Browsers do so when a person opens a link. A probe or a program with a wrong path
/// gets 404.
fn is_of_the_page(path: &str, headers: &HeaderMap) -> bool {
    let takes = |what: &str| {
        let mut accepted = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
        accepted.any(|accepted| accepted.contains(what))
    };
    let is_file = path.rsplit('/').next().is_some_and(|name| name.contains('.'));
    match path {
        "/index.html" => true,
        "/" => !headers.contains_key(ACCEPT) || takes("text/html") || takes("*/*"),
        _ => !is_file && takes("text/html"),
    }
}

/// Returns `true` if the name contains a hash of the content, which is eight hex digits or more after a dash. An
/// example is `style-1f0c2d3e4.css`.
fn is_named_by_content(name: &str) -> bool {
    name.split('-').skip(1).any(|rest| rest.bytes().take_while(u8::is_ascii_hexdigit).count() >= 8)
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map(|(_, extension)| extension) {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("wasm") => "application/wasm",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("ico") => "image/x-icon",
        Some("json") => "application/json",
        Some("webmanifest") => "application/manifest+json",
        Some("txt") => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

/// Adds the security headers that every response of the page has.
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
            "board-web-3c1e5a7f9b2d4680.js",
            "board-web-c1e5a7f9b2d4680_bg.wasm",
            "snippets/board-web-3c1e5a7f9b2d4680/inline0.js",
        ] {
            assert!(is_named_by_content(path), "{path}");
        }
        for path in ["", "index.html", "icon-192.png", "a-decade.css", "deadbeef00.js"] {
            assert!(!is_named_by_content(path), "{path}");
        }
    }

    #[test]
    fn only_what_a_browser_navigates_to_is_the_page() {
        let is_page = |path: &str, accept: &[&'static str]| {
            let accepted = accept.iter().map(|value| (ACCEPT, HeaderValue::from_static(value)));
            is_of_the_page(path, &HeaderMap::from_iter(accepted))
        };
        let browser = ["text/html,application/xhtml+xml,*/*;q=0.8"];
        for (path, accept) in [
            ("/", &browser[..]),
            ("/", &["*/*"]),
            ("/", &[]),
            ("/ride/7", &browser),
            ("/health", &browser),
            ("/index.html", &["image/png"]),
        ] {
            assert!(is_page(path, accept), "{path} {accept:?}");
        }
        for (path, accept) in [
            ("/health", &["*/*"][..]),
            ("/health", &[]),
            ("/metricsx", &["application/openmetrics-text,*/*;q=0.1"]),
            ("/ride/7", &["*/*"]),
            ("/ride/7", &["application/json"]),
            ("/", &["application/json"]),
            ("/missing.js", &browser),
        ] {
            assert!(!is_page(path, accept), "{path} {accept:?}");
        }
    }

    #[test]
    fn a_copy_is_good_while_its_tag_is_named() {
        let asks = |value: &str| HeaderMap::from_iter([(IF_NONE_MATCH, value.parse().unwrap())]);
        for value in ["W/\"a\"", "\"a\"", "\"b\", W/\"a\"", "*"] {
            assert!(has_already(&asks(value), "W/\"a\""), "{value}");
        }
        for value in ["W/\"b\"", "a", ""] {
            assert!(!has_already(&asks(value), "W/\"a\""), "{value}");
        }
        assert!(!has_already(&HeaderMap::new(), "W/\"a\""));
    }
}
