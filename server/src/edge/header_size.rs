//! The limit on the headers of a request, and what a client hears that is over it.
//!
//! Over HTTP/1.1 hyper holds requests to it, with the size of its buffer, and `refusals` gives the refusal its words. Over
//! HTTP/2 h2 would refuse without words, so it is told to read more than the limit, and requests are measured here.

use http::{HeaderMap, Request, Response, StatusCode, Version};
use tonic::{Status, body::Body};

use super::status::{self, beyond_limit};

/// Bytes of headers that are read over HTTP/2 beyond the limit: browsers send that many bytes of cookies. Whoever sends
/// more than that is refused by h2, without words.
pub(super) const READ_BEYOND: usize = 48 * 1024;
/// The size of each header over HTTP/2 beside its name and value (RFC 9113, section 6.5.2).
const PER_HEADER: usize = 32;

/// The limit on the headers of a request, in bytes.
#[derive(Clone, Copy)]
pub(super) struct HeaderSize(pub(super) usize);

impl HeaderSize {
    pub(super) fn is_exceeded_by<B>(self, request: &Request<B>) -> bool {
        request.version() == Version::HTTP_2
            && size_of(request.headers())
                + request.uri().path().len()
                + request.uri().query().map_or(0, str::len)
                > self.0
    }

    /// RESOURCE_EXHAUSTED. The likely cause is named: of all headers, only cookies grow without anybody's doing.
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

    pub(super) fn refusal<B>(self, request: &Request<B>) -> Response<Body> {
        status::to_caller(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, &self.exceeded(), request)
    }
}

fn size_of(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len() + PER_HEADER).sum()
}
