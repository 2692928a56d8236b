//! The gRPC-Web framing of a response: bytes in any pieces in, messages and trailers out.
//!
//! Format: grpc/grpc, `doc/PROTOCOL-WEB.md`.

use bytes::{Buf as _, Bytes, BytesMut};

use super::status::Metadata;

/// A message longer than this, in bytes, is refused before any of it is kept. As tonic's own default.
pub const MAX_MESSAGE: u32 = 4 * 1024 * 1024;
/// Likewise for the block of trailers.
pub const MAX_TRAILERS: u32 = 64 * 1024;

const HEADER: usize = 5;
const TRAILERS_FLAG: u8 = 0x80;

/// What a response is made of.
#[derive(Debug, PartialEq)]
pub enum Frame {
    /// A message, still encoded.
    Message(Bytes),
    /// The status and what comes with it.
    Trailers(Metadata),
}

/// Why a response cannot be read on.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadFrame {
    /// A message or trailer block that nobody should have to hold.
    #[error("the server announced {0} bytes in one frame, which is over the limit")]
    TooLong(u32),
    /// A flag byte of no known kind, or of a compressed frame, which nobody asked for.
    #[error("the server sent a frame of unknown kind {0}")]
    Flag(u8),
    /// A trailer line that is no `name: value`.
    #[error("the server sent malformed trailers")]
    Trailers,
}

/// Puts frames together from bytes in any pieces.
#[derive(Debug, Default)]
pub struct FrameReader {
    buffer: BytesMut,
}

impl FrameReader {
    /// The next bytes of the response.
    pub fn push(&mut self, chunk: &[u8]) {
        self.buffer.extend_from_slice(chunk);
    }

    /// Takes the next whole frame; `None` until more bytes come.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, BadFrame> {
        let Some(&[flag, a, b, c, d]) = self.buffer.first_chunk() else { return Ok(None) };
        let len = u32::from_be_bytes([a, b, c, d]);
        let limit = match flag {
            0 => MAX_MESSAGE,
            TRAILERS_FLAG => MAX_TRAILERS,
            _ => return Err(BadFrame::Flag(flag)),
        };
        if len > limit {
            return Err(BadFrame::TooLong(len));
        }
        if self.buffer.len() - HEADER < len as usize {
            return Ok(None);
        }
        self.buffer.advance(HEADER);
        let content = self.buffer.split_to(len as usize).freeze();
        Ok(Some(match flag {
            TRAILERS_FLAG => Frame::Trailers(parse_trailers(&content)?),
            _ => Frame::Message(content),
        }))
    }

    /// Whether the bytes so far end where a frame ends.
    pub fn at_boundary(&self) -> bool {
        self.buffer.is_empty()
    }
}

/// `name: value` lines; the space is optional, the case of names does not matter, and neither does a final
/// empty line.
fn parse_trailers(block: &[u8]) -> Result<Metadata, BadFrame> {
    let block = str::from_utf8(block).map_err(|_| BadFrame::Trailers)?;
    let mut trailers = Metadata::default();
    for line in block.split('\n').map(str::trim_ascii).filter(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':').ok_or(BadFrame::Trailers)?;
        trailers.append(name, value.trim_ascii());
    }
    Ok(trailers)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(flag: u8, content: &[u8]) -> Vec<u8> {
        let mut bytes = vec![flag];
        bytes.extend((content.len() as u32).to_be_bytes());
        bytes.extend(content);
        bytes
    }

    /// Messages and trailers, however the bytes were cut.
    fn read(chunks: &[&[u8]]) -> Result<(Vec<Bytes>, Vec<Metadata>), BadFrame> {
        let mut reader = FrameReader::default();
        let (mut messages, mut trailers) = (Vec::new(), Vec::new());
        for chunk in chunks {
            reader.push(chunk);
            while let Some(frame) = reader.next_frame()? {
                match frame {
                    Frame::Message(message) => messages.push(message),
                    Frame::Trailers(block) => trailers.push(block),
                }
            }
        }
        Ok((messages, trailers))
    }

    #[test]
    fn trailers_keep_every_value_of_a_name() {
        let block = b"grpc-status:0\r\nX-Tag: a\r\nx-tag:b\r\n\r\n";
        let (_, trailers) = read(&[&frame(0x80, block)]).expect("well formed");
        assert_eq!(trailers[0].get("grpc-status"), Some("0"));
        let tags: Vec<_> = trailers[0].get_all("x-tag").collect();
        assert_eq!(tags, ["a", "b"]);
    }

    #[test]
    fn what_cannot_be_read_is_an_error() {
        assert_eq!(read(&[&[0, 0xff, 0xff, 0xff, 0xff]]), Err(BadFrame::TooLong(u32::MAX)));
        assert_eq!(read(&[&[0x80, 0xff, 0xff, 0xff, 0xff]]), Err(BadFrame::TooLong(u32::MAX)));
        assert_eq!(read(&[&[0x81, 0, 0, 0, 0]]), Err(BadFrame::Flag(0x81)));
        assert_eq!(read(&[&[1, 0, 0, 0, 0]]), Err(BadFrame::Flag(1)));
        assert_eq!(read(&[b"<html>"]), Err(BadFrame::Flag(b'<')));
        assert_eq!(read(&[&frame(0x80, b"no colon")]), Err(BadFrame::Trailers));
    }

    #[test]
    fn a_message_at_the_limit_passes() {
        let [a, b, c, d] = MAX_MESSAGE.to_be_bytes();
        assert!(read(&[&[0, a, b, c, d]]).is_ok());
        let [a, b, c, d] = (MAX_MESSAGE + 1).to_be_bytes();
        assert_eq!(read(&[&[0, a, b, c, d]]), Err(BadFrame::TooLong(MAX_MESSAGE + 1)));
    }

    proptest! {
        #[test]
        fn the_cuts_do_not_matter(
            messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..5),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
        ) {
            let framed: Vec<u8> = messages.iter().flat_map(|content| frame(0, content)).collect();
            let all = [framed, frame(0x80, b"grpc-status:5\r\n")].concat();
            let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(all.len() + 1)).collect();
            cuts.extend([0, all.len()]);
            cuts.sort_unstable();
            let chunks: Vec<_> = cuts.windows(2).map(|pair| &all[pair[0]..pair[1]]).collect();

            let (got, trailers) = read(&chunks).expect("well formed");
            prop_assert_eq!(got, messages);
            prop_assert_eq!(trailers.len(), 1);
            prop_assert_eq!(trailers[0].get("grpc-status"), Some("5"));
        }

        #[test]
        fn no_bytes_make_it_panic(chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 0..8)) {
            let chunks: Vec<_> = chunks.iter().map(Vec::as_slice).collect();
            let _ = read(&chunks);
        }
    }
}
