//! HTTP/2, reduced to a client that makes one call at a time and has unlimited windows.

use super::{
    ParserEvent, ProtocolError, RpcCall,
    frames::{HEAD, data, error_name, flag, frame, headers, kind, opening},
    grpc::MessageParser,
};

/// The number of bytes of a control frame that are kept.
const LARGEST_CONTROL: usize = 64;

/// A client's connection: it writes calls, and parses responses.
#[derive(Debug)]
pub(crate) struct Http2Client {
    keep: bool,
    /// The stream of the next call. 0 before the first call.
    next_stream: u32,
    head: [u8; HEAD],
    /// The number of bytes of the frame's header that have arrived.
    have: usize,
    /// The number of bytes of the payload that are missing.
    left: usize,
    control: Vec<u8>,
    messages: MessageParser,
}

impl Http2Client {
    pub(super) fn new(keep: bool) -> Self {
        Self {
            keep,
            next_stream: 0,
            head: [0; HEAD],
            have: 0,
            left: 0,
            control: Vec::new(),
            messages: MessageParser::new(keep),
        }
    }

    pub(super) fn request(&mut self, call: &RpcCall, authority: &str, out: &mut Vec<u8>) {
        if self.next_stream == 0 {
            self.next_stream = 1;
            opening(out);
        }
        let stream = self.next_stream;
        self.next_stream += 2;
        headers(call, authority, stream, out);
        data(call, stream, out);
    }

    pub(super) fn read(
        &mut self,
        mut bytes: &[u8],
        out: &mut Vec<u8>,
        mut seen: impl FnMut(ParserEvent<'_>),
    ) -> Result<(), ProtocolError> {
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

    fn payload(
        &mut self,
        payload: &[u8],
        seen: &mut impl FnMut(ParserEvent<'_>),
    ) -> Result<(), ProtocolError> {
        let [_, _, _, kind, flags, ..] = self.head;
        match kind {
            kind::DATA if flags & flag::PADDED != 0 => {
                return Err(ProtocolError::because("a padded DATA frame, which is not supported"));
            }
            kind::DATA => self.messages.read(payload, seen),
            _ if self.control.len() < LARGEST_CONTROL => self.control.extend_from_slice(payload),
            _ => {}
        }
        Ok(())
    }

    /// Handles a complete frame.
    fn complete(
        &mut self,
        out: &mut Vec<u8>,
        seen: &mut impl FnMut(ParserEvent<'_>),
    ) -> Result<(), ProtocolError> {
        let [_, _, _, kind, flags, ..] = self.head;
        let control = std::mem::take(&mut self.control);
        match kind {
            kind::DATA | kind::HEADERS if flags & flag::END_STREAM != 0 => {
                self.messages = MessageParser::new(self.keep);
                seen(ParserEvent::End);
            }
            kind::SETTINGS if flags & flag::ACK == 0 => frame(kind::SETTINGS, flag::ACK, 0, &[], out),
            kind::PING if flags & flag::ACK == 0 => frame(kind::PING, flag::ACK, 0, &control, out),
            kind::RST_STREAM => {
                return Err(ProtocolError::because(format!("RST_STREAM, {}", error_name(&control))));
            }
            kind::GOAWAY => {
                let error = error_name(control.get(4..).unwrap_or_default());
                return Err(ProtocolError::because(format!("GOAWAY, {error}")));
            }
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{framed, frames::PREFACE};

    fn frames(frames: &[(u8, u8, &[u8])]) -> Vec<u8> {
        let mut out = Vec::new();
        for (kind, flags, payload) in frames {
            frame(*kind, *flags, 1, payload, &mut out);
        }
        out
    }

    type Read = (Vec<Vec<u8>>, usize, Vec<u8>);

    /// Reads `answer` in pieces of every size, and checks that the results are the same.
    fn read(answer: &[u8]) -> Result<Read, ProtocolError> {
        let in_pieces = |size: usize| {
            let (mut messages, mut ends, mut said) = (Vec::new(), 0, Vec::new());
            let mut connection = Http2Client::new(true);
            for piece in answer.chunks(size) {
                connection.read(piece, &mut said, |seen| match seen {
                    ParserEvent::Message(message) => messages.push(message.to_vec()),
                    ParserEvent::End => ends += 1,
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
        let told = |kind, payload: &[u8]| read(&frames(&[(kind, 0, payload)])).unwrap_err().to_string();
        assert_eq!(told(kind::RST_STREAM, &[0, 0, 0, 7]), "RST_STREAM, REFUSED_STREAM");
        assert_eq!(told(kind::GOAWAY, &[0, 0, 0, 1, 0, 0, 0, 11]), "GOAWAY, ENHANCE_YOUR_CALM");
        assert_eq!(told(kind::GOAWAY, &[]), "GOAWAY, NO_ERROR");
    }

    #[test]
    fn calls_get_streams_of_their_own_after_one_preface() {
        let call = RpcCall::new("/a.B/C", Vec::new());
        let mut connection = Http2Client::new(false);
        let (mut first, mut second) = (Vec::new(), Vec::new());
        connection.request(&call, "localhost:1", &mut first);
        connection.request(&call, "localhost:1", &mut second);
        assert!(first.starts_with(PREFACE));
        assert_eq!(second[3..9], [kind::HEADERS, flag::END_HEADERS, 0, 0, 0, 3]);
    }
}
