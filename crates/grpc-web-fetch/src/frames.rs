//! The framing of gRPC-Web: bytes in pieces of any size to messages and trailers.
//!
//! The format is `doc/PROTOCOL-WEB.md` of grpc/grpc.

use bytes::{Buf as _, Bytes, BytesMut};

use crate::metadata::Metadata;

/// The default limit of a message, in bytes. It is that of tonic.
pub const MAX_MESSAGE: u32 = 4 * 1024 * 1024;
/// The limit of a trailer block, in bytes.
pub const MAX_TRAILERS: u32 = 64 * 1024;

const HEADER: usize = 5;
const TRAILERS_FLAG: u8 = 0x80;

/// A frame of a response.
#[derive(Debug, PartialEq)]
pub enum Frame {
    /// An encoded message.
    Message(Bytes),
    /// The trailers.
    Trailers(Metadata),
}

/// An error in the framing. The rest of the response cannot be read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// A frame over its limit. It is refused before any of it is kept.
    #[error("the server announced {0} bytes in one frame, which is over the limit")]
    TooLong(u32),
    /// A flag byte of an unknown kind, or of a compressed frame, which the client does not ask for.
    #[error("the server sent a frame of unknown kind {0}")]
    Flag(u8),
    /// A trailer line that is not `name: value`.
    #[error("the server sent malformed trailers")]
    Trailers,
}

/// A reader that joins the pieces of a response to frames.
#[derive(Debug)]
pub struct FrameReader {
    buffer: BytesMut,
    max_message: u32,
}

impl Default for FrameReader {
    fn default() -> Self {
        Self::new(MAX_MESSAGE)
    }
}

impl FrameReader {
    /// Creates a reader that refuses messages of more than `max_message` bytes.
    pub fn new(max_message: u32) -> Self {
        Self { buffer: BytesMut::new(), max_message }
    }

    /// Adds the next bytes of the response.
    pub fn push(&mut self, chunk: &[u8]) {
        self.buffer.extend_from_slice(chunk);
    }

    /// Takes the next frame. Returns `None` if the frame is not complete yet.
    ///
    /// # Errors
    /// When the bytes are not gRPC-Web, or a frame is over its limit.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, FrameError> {
        let Some(&[flag, a, b, c, d]) = self.buffer.first_chunk() else { return Ok(None) };
        let len = u32::from_be_bytes([a, b, c, d]);
        let limit = match flag {
            0 => self.max_message,
            TRAILERS_FLAG => MAX_TRAILERS,
            _ => return Err(FrameError::Flag(flag)),
        };
        if len > limit {
            return Err(FrameError::TooLong(len));
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

    /// Returns `true` if no frame has begun that is not complete.
    pub fn at_boundary(&self) -> bool {
        self.buffer.is_empty()
    }
}

/// Parses lines of `name: value`. The space is optional, and empty lines are ignored.
fn parse_trailers(block: &[u8]) -> Result<Metadata, FrameError> {
    let block = str::from_utf8(block).map_err(|_| FrameError::Trailers)?;
    let mut trailers = Metadata::default();
    for line in block.split('\n').map(str::trim_ascii).filter(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':').ok_or(FrameError::Trailers)?;
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

    /// Reads `chunks` to messages and trailers.
    fn read(chunks: &[&[u8]]) -> Result<(Vec<Bytes>, Vec<Metadata>), FrameError> {
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
    fn malformed_frames_are_errors() {
        assert_eq!(read(&[&[0, 0xff, 0xff, 0xff, 0xff]]), Err(FrameError::TooLong(u32::MAX)));
        assert_eq!(read(&[&[0x80, 0xff, 0xff, 0xff, 0xff]]), Err(FrameError::TooLong(u32::MAX)));
        assert_eq!(read(&[&[0x81, 0, 0, 0, 0]]), Err(FrameError::Flag(0x81)));
        assert_eq!(read(&[&[1, 0, 0, 0, 0]]), Err(FrameError::Flag(1)));
        assert_eq!(read(&[b"<html>"]), Err(FrameError::Flag(b'<')));
        assert_eq!(read(&[&frame(0x80, b"no colon")]), Err(FrameError::Trailers));
    }

    #[test]
    fn a_message_at_the_limit_passes() {
        let [a, b, c, d] = MAX_MESSAGE.to_be_bytes();
        assert!(read(&[&[0, a, b, c, d]]).is_ok());
        let [a, b, c, d] = (MAX_MESSAGE + 1).to_be_bytes();
        assert_eq!(read(&[&[0, a, b, c, d]]), Err(FrameError::TooLong(MAX_MESSAGE + 1)));
    }

    proptest! {
        #[test]
        fn the_size_of_the_pieces_does_not_matter(
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
