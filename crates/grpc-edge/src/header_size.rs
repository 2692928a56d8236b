//! The limit on the size of request headers, and its refusal.
//!
//! Over HTTP/1.1 the size of hyper's buffer enforces the limit, and `hyper_errors` adds a message to hyper's response.
//! Over HTTP/2 h2 would refuse without a message. So h2 is configured to read more than the limit, and the size is
//! checked here.

use http::{HeaderMap, Request, Response, StatusCode, Version};
use tonic::{Status, body::Body};

use super::status::{self, beyond_limit};

/// The number of header bytes that h2 reads beyond the limit. Browsers send cookies of about this size. h2 itself
/// refuses larger headers, without a message.
pub(super) const EXTRA_HEADER_BYTES: usize = 48 * 1024;
/// The overhead of each header over HTTP/2, in addition to its name and value (RFC 9113, section 6.5.2).
const PER_HEADER: usize = 32;

/// The limit on the headers of a request, in bytes.
#[derive(Clone, Copy)]
pub(super) struct HeaderSize(pub(super) usize);

impl HeaderSize {
    /// Returns `true` if an HTTP/2 request exceeds the limit.
    pub(super) fn is_exceeded_by<B>(self, request: &Request<B>) -> bool {
        request.version() == Version::HTTP_2
            && size_of(request.headers())
                + request.uri().path().len()
                + request.uri().query().map_or(0, str::len)
                > self.0
    }

    /// Returns RESOURCE_EXHAUSTED with cookies as the likely cause: no other header grows without a change of the
    /// client.
    pub(super) fn exceeded(self) -> Status {
        let text = format!(
            "the headers of this request are too large: the limit is {} bytes, and 100 headers over HTTP/1.1. If a browser \
             sent it, the likely cause is cookies: other programs on this host set them, and the browser sends them to \
             every port. Delete the cookies of this host, open a private window, call the server by another name \
             (127.0.0.1 instead of localhost), or start it with a larger --max-header-size",
            self.0
        );
        beyond_limit("HEADERS_TOO_LARGE", text)
    }

    pub(super) fn refusal<B>(self, request: &Request<B>, domain: &'static str) -> Response<Body> {
        status::in_protocol_of(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, &self.exceeded(), request, domain)
    }
}

fn size_of(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len() + PER_HEADER).sum()
}
