//! Fuzz targets of the request parsers. The same bytes in any pieces must give the same result.

use std::{convert::Infallible, num::NonZeroU32, sync::LazyLock, time::Duration};

use bytes::Bytes;
use futures_util::stream;
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use metrics::Counter;
use tokio::runtime::{self, Runtime};
use tonic::{Code, body::Body};

use super::{
    Method, MethodKind,
    base64_body::{Base64Decoder, NotBase64},
    frames::FrameParser,
    request_messages::{MessageLimits, Upload, read_one},
};

/// The largest message, smaller than the longest inputs, so that the fuzzer reaches the limit.
const LARGEST: usize = 1024;

const TERMS: MessageLimits = MessageLimits {
    body_timeout: Duration::from_secs(60),
    upload_timeout: Duration::from_secs(60),
    max_messages_per_second: NonZeroU32::MAX,
};

static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| runtime::Builder::new_current_thread().enable_time().build().expect("a runtime"));

/// Splits an input: its first byte is the size of the pieces of the rest. Returns the pieces, and the rest as one.
fn pieces(input: &[u8]) -> (impl Iterator<Item = &[u8]>, &[u8]) {
    let (size, bytes) = input.split_first().unwrap_or((&1, &[]));
    (bytes.chunks(usize::from(*size).max(1)), bytes)
}

fn body<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Body {
    let frame = |piece| Ok::<_, Infallible>(Frame::data(Bytes::copy_from_slice(piece)));
    let frames: Vec<_> = pieces.map(frame).collect();
    Body::new(StreamBody::new(stream::iter(frames)))
}

/// Parses the frames of a request.
pub fn frames(input: &[u8]) {
    fn follow<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<u64, Code> {
        let mut frames = FrameParser::new(LARGEST);
        pieces
            .into_iter()
            .try_for_each(|piece| frames.feed(piece).map(drop))
            .map_err(|status| status.code())?;
        frames.finish().map_err(|status| status.code())?;
        Ok(frames.begun())
    }
    let (pieces, whole) = pieces(input);
    assert_eq!(follow(pieces), follow([whole]));
}

/// Decodes a request in base64.
pub fn text(input: &[u8]) {
    fn decode<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<u8>, NotBase64> {
        let mut groups = Base64Decoder::default();
        let mut bytes = Vec::new();
        for piece in pieces {
            bytes.extend(groups.take(piece)?);
        }
        bytes.extend(groups.end()?);
        Ok(bytes)
    }
    let (pieces, whole) = pieces(input);
    assert_eq!(decode(pieces).ok(), decode([whole]).ok());
}

/// Reads the only message of a request, which it passes to `decode`, and the messages of an upload.
pub fn messages(input: &[u8], decode: impl Fn(&[u8])) {
    let (pieces, whole) = pieces(input);
    let pieces: Vec<_> = pieces.collect();
    RUNTIME.block_on(async {
        // Only the results are compared: if several errors are possible, the first depends on the pieces.
        let message = read_one(body(pieces.iter().copied()), LARGEST).await.ok();
        assert_eq!(message, read_one(body([whole].into_iter()), LARGEST).await.ok());
        if let Some(message) = message {
            assert_eq!(message, whole, "the bytes are forwarded unchanged");
            decode(&message[5..]);
        }

        let upload = Method::alone(MethodKind::ClientStreaming, LARGEST);
        let uploaded = Upload::new(body(pieces.into_iter()), upload, TERMS, Counter::noop());
        if let Ok(uploaded) = uploaded.collect().await {
            assert_eq!(uploaded.to_bytes(), whole, "the bytes are forwarded unchanged");
        }
    });
}

#[cfg(test)]
mod tests {
    use fuzz_replay::replay;

    /// W31
    #[test]
    fn frames_of_a_request() {
        replay("frames", super::frames);
    }

    /// W31
    #[test]
    fn a_request_in_base64() {
        replay("text", super::text);
    }
}
