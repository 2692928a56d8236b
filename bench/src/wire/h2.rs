//! HTTP/2, as much of it as a client needs that makes one call at a time and always has room.

use super::{Broken, Call, Seen, framed, grpc::Messages};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Bytes before the payload of each frame.
const HEAD: usize = 9;
/// Windows as large as they can be: what a viewer takes in a run is far less.
const WINDOW: u32 = (1 << 31) - 1;
/// What a connection's window is without a word.
const FIRST_WINDOW: u32 = 65_535;
/// The largest frame that matters whole.
const LARGEST_CONTROL: usize = 64;

mod kind {
    pub(super) const DATA: u8 = 0;
    pub(super) const HEADERS: u8 = 1;
    pub(super) const RST_STREAM: u8 = 3;
    pub(super) const SETTINGS: u8 = 4;
    pub(super) const PING: u8 = 6;
    pub(super) const GOAWAY: u8 = 7;
    pub(super) const WINDOW_UPDATE: u8 = 8;
}

mod flag {
    pub(super) const ACK: u8 = 1;
    pub(super) const END_STREAM: u8 = 1;
    pub(super) const END_HEADERS: u8 = 4;
    pub(super) const PADDED: u8 = 8;
}

/// Makes calls and reads their answers.
#[derive(Debug)]
pub(crate) struct Connection {
    keep: bool,
    /// Of the next call; 0 before the first.
    next_stream: u32,
    head: [u8; HEAD],
    /// Of the head.
    have: usize,
    /// Of the payload.
    left: usize,
    control: Vec<u8>,
    messages: Messages,
}

impl Connection {
    pub(super) fn new(keep: bool) -> Self {
        Self {
            keep,
            next_stream: 0,
            head: [0; HEAD],
            have: 0,
            left: 0,
            control: Vec::new(),
            messages: Messages::new(keep),
        }
    }

    pub(super) fn request(&mut self, call: &Call, authority: &str, out: &mut Vec<u8>) {
        if self.next_stream == 0 {
            self.next_stream = 1;
            out.extend_from_slice(PREFACE);
            let initial_window_size = [&[0, 4], &WINDOW.to_be_bytes()[..]].concat();
            frame(kind::SETTINGS, 0, 0, &initial_window_size, out);
            frame(kind::WINDOW_UPDATE, 0, 0, &(WINDOW - FIRST_WINDOW).to_be_bytes(), out);
        }
        let stream = self.next_stream;
        self.next_stream += 2;
        frame(kind::HEADERS, flag::END_HEADERS, stream, &headers(call, authority), out);
        frame(kind::DATA, flag::END_STREAM, stream, &framed(&call.message), out);
    }

    pub(super) fn read(
        &mut self,
        mut bytes: &[u8],
        out: &mut Vec<u8>,
        mut seen: impl FnMut(Seen<'_>),
    ) -> Result<(), Broken> {
        while !bytes.is_empty() {
            if self.have < HEAD {
                let (head, rest) = bytes.split_at(bytes.len().min(HEAD - self.have));
                self.head[self.have..self.have + head.len()].copy_from_slice(head);
                self.have += head.len();
                bytes = rest;
                if self.have < HEAD {
                    return Ok(());
                }
                let [a, b, c, ..] = self.head;
                self.left = u32::from_be_bytes([0, a, b, c]) as usize;
            }
            let (payload, rest) = bytes.split_at(bytes.len().min(self.left));
            self.left -= payload.len();
            bytes = rest;
            self.payload(payload, &mut seen)?;
            if self.left == 0 {
                self.have = 0;
                self.complete(out, &mut seen)?;
            }
        }
        Ok(())
    }

    fn payload(&mut self, payload: &[u8], seen: &mut impl FnMut(Seen<'_>)) -> Result<(), Broken> {
        let [_, _, _, kind, flags, ..] = self.head;
        match kind {
            kind::DATA if flags & flag::PADDED != 0 => return Err(Broken::because("padded data")),
            kind::DATA => self.messages.read(payload, seen),
            _ if self.control.len() < LARGEST_CONTROL => self.control.extend_from_slice(payload),
            _ => {}
        }
        Ok(())
    }

    /// A frame is complete.
    fn complete(&mut self, out: &mut Vec<u8>, seen: &mut impl FnMut(Seen<'_>)) -> Result<(), Broken> {
        let [_, _, _, kind, flags, ..] = self.head;
        let control = std::mem::take(&mut self.control);
        match kind {
            kind::DATA | kind::HEADERS if flags & flag::END_STREAM != 0 => {
                self.messages = Messages::new(self.keep);
                seen(Seen::End);
            }
            kind::SETTINGS if flags & flag::ACK == 0 => frame(kind::SETTINGS, flag::ACK, 0, &[], out),
            kind::PING if flags & flag::ACK == 0 => frame(kind::PING, flag::ACK, 0, &control, out),
            kind::RST_STREAM => return Err(Broken::because("the stream was reset")),
            kind::GOAWAY => return Err(Broken::because("the peer is going away")),
            _ => {}
        }
        Ok(())
    }
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8], out: &mut Vec<u8>) {
    // Frames of requests are far below 16 MB.
    let [_, length @ ..] = (payload.len() as u32).to_be_bytes();
    out.extend_from_slice(&length);
    out.extend_from_slice(&[kind, flags]);
    out.extend_from_slice(&stream.to_be_bytes());
    out.extend_from_slice(payload);
}

/// HPACK without Huffman and without the dynamic table.
fn headers(call: &Call, authority: &str) -> Vec<u8> {
    const POST: u8 = 0x83;
    const SCHEME_HTTP: u8 = 0x86;
    const AUTHORITY: &[u8] = &[0x01];
    const PATH: &[u8] = &[0x04];
    const CONTENT_TYPE: &[u8] = &[0x0f, 0x10];
    let mut block = vec![POST, SCHEME_HTTP];
    let mut literal = |name: &[u8], value: &str| {
        block.extend_from_slice(name);
        block.extend(string(value));
    };
    let named = |name: &str| [vec![0], string(name)].concat();
    literal(PATH, call.path);
    literal(AUTHORITY, authority);
    literal(CONTENT_TYPE, "application/grpc");
    literal(&named("te"), "trailers");
    if let Some(timeout) = call.timeout {
        literal(&named("grpc-timeout"), timeout);
    }
    block
}

/// Every string here is shorter than the 127 bytes up to which a length is one byte.
fn string(text: &str) -> Vec<u8> {
    [&[text.len() as u8], text.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(frames: &[(u8, u8, &[u8])]) -> Vec<u8> {
        let mut out = Vec::new();
        for (kind, flags, payload) in frames {
            frame(*kind, *flags, 1, payload, &mut out);
        }
        out
    }

    type Read = (Vec<Vec<u8>>, usize, Vec<u8>);

    /// Reads `answer` in pieces of every size, and requires them all to say the same.
    fn read(answer: &[u8]) -> Result<Read, Broken> {
        let in_pieces = |size: usize| {
            let (mut messages, mut ends, mut said) = (Vec::new(), 0, Vec::new());
            let mut connection = Connection::new(true);
            for piece in answer.chunks(size) {
                connection.read(piece, &mut said, |seen| match seen {
                    Seen::Message(message) => messages.push(message.to_vec()),
                    Seen::End => ends += 1,
                })?;
            }
            Ok((messages, ends, said))
        };
        let whole = in_pieces(answer.len());
        for size in 1..answer.len() {
            assert_eq!(in_pieces(size), whole, "in pieces of {size}");
        }
        whole
    }

    #[test]
    fn messages_and_frames_need_not_coincide() {
        let body = [framed(b"first"), framed(b"second")].concat();
        let answer = frames(&[
            (kind::HEADERS, flag::END_HEADERS, b"\x88"),
            (kind::DATA, 0, &body[..7]),
            (kind::DATA, 0, &body[7..]),
            (kind::HEADERS, flag::END_HEADERS | flag::END_STREAM, b"\x88"),
        ]);
        assert_eq!(read(&answer), Ok((vec![b"first".to_vec(), b"second".to_vec()], 1, Vec::new())));
    }

    #[test]
    fn settings_and_pings_are_acknowledged() {
        let asked = frames(&[(kind::SETTINGS, 0, b"\0\x03\0\0\0\x64"), (kind::PING, 0, b"12345678")]);
        let mut answer = Vec::new();
        frame(kind::SETTINGS, flag::ACK, 0, b"", &mut answer);
        frame(kind::PING, flag::ACK, 0, b"12345678", &mut answer);
        assert_eq!(read(&asked), Ok((Vec::new(), 0, answer)));
        assert_eq!(read(&frames(&[(kind::SETTINGS, flag::ACK, b"")])), Ok((Vec::new(), 0, Vec::new())));
    }

    #[test]
    fn a_reset_is_told() {
        assert!(read(&frames(&[(kind::RST_STREAM, 0, &[0; 4])])).is_err());
        assert!(read(&frames(&[(kind::GOAWAY, 0, &[0; 8])])).is_err());
    }

    #[test]
    fn calls_get_streams_of_their_own_after_one_preface() {
        let call = Call { path: "/a.B/C", message: Vec::new(), timeout: None };
        let mut connection = Connection::new(false);
        let (mut first, mut second) = (Vec::new(), Vec::new());
        connection.request(&call, "localhost:1", &mut first);
        connection.request(&call, "localhost:1", &mut second);
        assert!(first.starts_with(PREFACE));
        assert_eq!(second[3..9], [kind::HEADERS, flag::END_HEADERS, 0, 0, 0, 3]);
    }
}
