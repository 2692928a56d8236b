//! The gRPC-Web framing of a response: bytes in any pieces in, message bytes and trailers out.
//!
//! Message bytes pass through as they come (tonic's decoder puts messages together itself); only the frame
//! headers are looked at, and the trailer frame is gathered. Format: grpc/grpc, `doc/PROTOCOL-WEB.md`.

use bytes::{Buf, Bytes};
use http::{HeaderMap, HeaderName, HeaderValue};

/// A message longer than this, in bytes, is refused before any of it is kept. As tonic's own default.
pub const MAX_MESSAGE: u32 = 4 * 1024 * 1024;
/// Likewise for the block of trailers.
pub const MAX_TRAILERS: u32 = 64 * 1024;

const HEADER: usize = 5;
const TRAILERS_FLAG: u8 = 0x80;

/// What a response is made of.
#[derive(Debug, PartialEq)]
pub enum Piece {
    /// A message of `len` bytes begins; `header` are the five bytes that say so.
    Message {
        /// Flag and length.
        header: Bytes,
        /// Bytes that follow.
        len: u32,
    },
    /// The next bytes of the message that began last.
    Data(Bytes),
    /// The status and what comes with it. Every value of a repeated name is kept.
    Trailers(HeaderMap),
}

/// Why a response cannot be read on.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadFrame {
    /// A message or trailer block that nobody should have to hold.
    #[error("the server announced {0} bytes in one frame, which is over the limit")]
    TooLong(u32),
    /// A flag byte of no known kind; 0x81, compressed trailers, is one of these.
    #[error("the server sent a frame of unknown kind 0x{0:02x}")]
    Flag(u8),
    /// A trailer line that is no `name: value`.
    #[error("the server sent malformed trailers")]
    Trailers,
}

/// Reads frames from bytes in any pieces.
#[derive(Debug, Default)]
pub struct FrameReader {
    state: State,
}

#[derive(Debug)]
enum State {
    Header { got: [u8; HEADER], len: usize },
    Message { left: u32 },
    Trailers { got: Vec<u8>, len: usize },
}

impl Default for State {
    fn default() -> Self {
        Self::Header { got: [0; HEADER], len: 0 }
    }
}

impl FrameReader {
    /// Takes the next piece off the front of `chunk`; `None` when it is used up.
    pub fn next(&mut self, chunk: &mut Bytes) -> Result<Option<Piece>, BadFrame> {
        loop {
            match &mut self.state {
                // A frame may be empty: it ends before another byte is needed.
                State::Message { left: 0 } => self.state = State::default(),
                State::Trailers { got, len } if got.len() == *len => {
                    let trailers = parse_trailers(got)?;
                    self.state = State::default();
                    return Ok(Some(Piece::Trailers(trailers)));
                }
                _ if chunk.is_empty() => return Ok(None),
                State::Message { left } => {
                    let data = chunk.split_to(chunk.len().min(*left as usize));
                    *left -= data.len() as u32;
                    return Ok(Some(Piece::Data(data)));
                }
                State::Trailers { got, len } => {
                    let more = chunk.split_to(chunk.len().min(*len - got.len()));
                    got.extend_from_slice(&more);
                }
                State::Header { got, len } => {
                    got[*len] = chunk.get_u8();
                    *len += 1;
                    if *len == HEADER {
                        let header = *got;
                        if let Some(piece) = self.begin(header)? {
                            return Ok(Some(piece));
                        }
                    }
                }
            }
        }
    }

    /// Whether the bytes so far end where a frame ends.
    pub fn at_boundary(&self) -> bool {
        matches!(self.state, State::Header { len: 0, .. } | State::Message { left: 0 })
    }

    fn begin(&mut self, header: [u8; HEADER]) -> Result<Option<Piece>, BadFrame> {
        let [flag, len @ ..] = header;
        let len = u32::from_be_bytes(len);
        match flag {
            // 1 is a compressed message; whether that was agreed on is for tonic to say.
            0 | 1 if len <= MAX_MESSAGE => {
                self.state = State::Message { left: len };
                Ok(Some(Piece::Message { header: Bytes::copy_from_slice(&header), len }))
            }
            TRAILERS_FLAG if len <= MAX_TRAILERS => {
                self.state = State::Trailers { got: Vec::new(), len: len as usize };
                Ok(None)
            }
            0 | 1 | TRAILERS_FLAG => Err(BadFrame::TooLong(len)),
            _ => Err(BadFrame::Flag(flag)),
        }
    }
}

/// `name: value` lines; the space is optional, the case of names does not matter, and neither does a final
/// empty line.
fn parse_trailers(block: &[u8]) -> Result<HeaderMap, BadFrame> {
    let mut trailers = HeaderMap::new();
    for line in block.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty()) {
        let colon = line.iter().position(|byte| *byte == b':').ok_or(BadFrame::Trailers)?;
        let name = HeaderName::from_bytes(&line[..colon]).map_err(|_| BadFrame::Trailers)?;
        let value =
            HeaderValue::from_bytes(line[colon + 1..].trim_ascii()).map_err(|_| BadFrame::Trailers)?;
        trailers.append(name, value);
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

    /// Messages (frame headers included) and trailers, however the bytes were cut.
    fn read(chunks: &[&[u8]]) -> Result<(Vec<u8>, Vec<HeaderMap>), BadFrame> {
        let mut reader = FrameReader::default();
        let (mut messages, mut trailers) = (Vec::new(), Vec::new());
        for chunk in chunks {
            let mut chunk = Bytes::copy_from_slice(chunk);
            while let Some(piece) = reader.next(&mut chunk)? {
                match piece {
                    Piece::Message { header, .. } => messages.extend(header),
                    Piece::Data(data) => messages.extend(data),
                    Piece::Trailers(map) => trailers.push(map),
                }
            }
        }
        Ok((messages, trailers))
    }

    #[test]
    fn trailers_keep_every_value_of_a_name() {
        let block = b"grpc-status:0\r\nX-Tag: a\r\nx-tag:b\r\n\r\n";
        let (_, trailers) = read(&[&frame(0x80, block)]).expect("well formed");
        assert_eq!(trailers[0]["grpc-status"], "0");
        let tags: Vec<_> = trailers[0].get_all("x-tag").iter().collect();
        assert_eq!(tags, ["a", "b"]);
    }

    #[test]
    fn what_cannot_be_read_is_an_error() {
        assert_eq!(read(&[&[0, 0xff, 0xff, 0xff, 0xff]]), Err(BadFrame::TooLong(u32::MAX)));
        assert_eq!(read(&[&[0x80, 0xff, 0xff, 0xff, 0xff]]), Err(BadFrame::TooLong(u32::MAX)));
        assert_eq!(read(&[&[0x81, 0, 0, 0, 0]]), Err(BadFrame::Flag(0x81)));
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
            let messages: Vec<u8> = messages.iter().flat_map(|content| frame(0, content)).collect();
            let all = [messages.clone(), frame(0x80, b"grpc-status:5\r\n")].concat();
            let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(all.len() + 1)).collect();
            cuts.extend([0, all.len()]);
            cuts.sort_unstable();
            let chunks: Vec<_> = cuts.windows(2).map(|pair| &all[pair[0]..pair[1]]).collect();

            let (got, trailers) = read(&chunks).expect("well formed");
            prop_assert_eq!(got, messages);
            prop_assert_eq!(trailers.len(), 1);
            prop_assert_eq!(&trailers[0]["grpc-status"], "5");
        }

        #[test]
        fn no_bytes_make_it_panic(chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 0..8)) {
            let chunks: Vec<_> = chunks.iter().map(Vec::as_slice).collect();
            let _ = read(&chunks);
        }
    }
}
