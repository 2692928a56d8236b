//! A decoder for request bodies of gRPC-Web in base64 (`application/grpc-web-text`).
//!
//! Clients encode a body piece by piece. So padding may be anywhere in it, and may be missing at its end.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use axum::BoxError;
use base64::{Engine as _, prelude::BASE64_STANDARD, prelude::BASE64_STANDARD_NO_PAD};
use bytes::Bytes;
use http_body::Frame;

/// The number of characters in a group, which encodes up to three bytes.
const GROUP: usize = 4;

/// The error for a body that is not base64.
#[derive(Debug, thiserror::Error)]
#[error("the request is not base64")]
pub(super) struct NotBase64;

/// A base64 decoder for text that comes in pieces of any size. Pure.
#[derive(Default, Debug)]
pub(super) struct Base64Decoder {
    /// The characters of an incomplete group.
    open: Vec<u8>,
}

impl Base64Decoder {
    /// Adds a piece, and returns the bytes of all complete groups.
    pub(super) fn take(&mut self, piece: &[u8]) -> Result<Vec<u8>, NotBase64> {
        self.open.extend_from_slice(piece);
        let whole = self.open.len() / GROUP * GROUP;
        let mut bytes = Vec::with_capacity(whole / GROUP * 3);
        for run in runs(&self.open[..whole]) {
            BASE64_STANDARD.decode_vec(run, &mut bytes).map_err(|_| NotBase64)?;
        }
        self.open.drain(..whole);
        Ok(bytes)
    }

    /// Returns the bytes of a last group without padding.
    pub(super) fn end(&mut self) -> Result<Vec<u8>, NotBase64> {
        BASE64_STANDARD_NO_PAD.decode(std::mem::take(&mut self.open)).map_err(|_| NotBase64)
    }
}

/// Splits complete groups into runs that have padding at most in their last group.
fn runs(mut groups: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let padded = groups.iter().position(|&character| character == b'=');
        let run = padded.map_or(groups.len(), |at| (at / GROUP + 1) * GROUP);
        let (run, rest) = groups.split_at(run);
        groups = rest;
        (!run.is_empty()).then_some(run)
    })
}

/// A request body in base64, decoded.
pub(super) struct Base64Body<B> {
    body: B,
    groups: Base64Decoder,
    ended: bool,
}

impl<B> Base64Body<B> {
    pub(super) fn new(body: B) -> Self {
        Self { body, groups: Base64Decoder::default(), ended: false }
    }
}

impl<B> http_body::Body for Base64Body<B>
where
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Unpin,
{
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let decoded = match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
            Some(Ok(frame)) => match frame.into_data() {
                Ok(text) => self.groups.take(&text),
                Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
            },
            Some(Err(error)) => return Poll::Ready(Some(Err(axum::Error::new(error)))),
            None => {
                self.ended = true;
                self.groups.end()
            }
        };
        Poll::Ready(Some(decoded.map(|bytes| Frame::data(bytes.into())).map_err(axum::Error::new)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decode(pieces: &[&str]) -> Option<Vec<u8>> {
        let mut groups = Base64Decoder::default();
        let mut bytes = Vec::new();
        for piece in pieces {
            bytes.extend(groups.take(piece.as_bytes()).ok()?);
        }
        bytes.extend(groups.end().ok()?);
        Some(bytes)
    }

    #[test]
    fn padding_may_stand_anywhere() {
        for (text, bytes) in [
            ("", &b""[..]),
            ("AQI=", &[1, 2]),
            ("AQ==Ag==AwQF", &[1, 2, 3, 4, 5]),
            ("AQI", &[1, 2]),
            ("AQ==Ag", &[1, 2]),
        ] {
            assert_eq!(decode(&[text]).as_deref(), Some(bytes), "{text}");
        }
        for text in ["****", "A", "=AAA", "A=AA", "AQ=", "AQ==="] {
            assert_eq!(decode(&[text]), None, "{text}");
        }
    }

    proptest! {
        /// W17, W31
        #[test]
        fn the_cuts_do_not_matter(
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..9), 0..6),
            cut in 1..7usize,
        ) {
            let text: String = chunks.iter().map(|chunk| BASE64_STANDARD.encode(chunk)).collect();
            let pieces: Vec<&str> = text.as_bytes().chunks(cut).map(|piece| std::str::from_utf8(piece).unwrap()).collect();
            prop_assert_eq!(decode(&pieces), Some(chunks.concat()));
        }

        /// W31
        #[test]
        fn noise_breaks_nothing(text in ".{0,40}") {
            decode(&[&text]);
        }
    }
}
