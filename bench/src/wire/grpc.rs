//! The length-prefixed messages of gRPC: a flag, a length and a message.

use super::ParserEvent;

/// The length of the prefix in bytes.
const HEAD: usize = 5;
/// The bit in the flag that marks the trailers of gRPC-Web.
const TRAILERS: u8 = 0x80;

/// Returns `message` with its prefix.
pub(crate) fn framed(message: &[u8]) -> Vec<u8> {
    // Requests and replayed messages are far below 4 GB.
    let length = (message.len() as u32).to_be_bytes();
    [&[0], &length[..], message].concat()
}

/// A parser that finds messages in a body that arrives in pieces.
#[derive(Debug)]
pub(crate) struct MessageParser {
    keep: bool,
    head: [u8; HEAD],
    /// The number of bytes of the prefix that have arrived.
    have: usize,
    /// The number of bytes of the message that are missing.
    left: usize,
    kept: Vec<u8>,
}

impl MessageParser {
    /// Returns a parser at the start of a body. With `keep`, it passes on the contents of messages.
    pub(crate) fn new(keep: bool) -> Self {
        Self { keep, head: [0; HEAD], have: 0, left: 0, kept: Vec::new() }
    }

    /// Reads a piece of the body, and calls `seen` for each complete message.
    pub(crate) fn read(&mut self, mut bytes: &[u8], seen: &mut impl FnMut(ParserEvent<'_>)) {
        while !bytes.is_empty() {
            if self.have < HEAD {
                let (head, rest) = bytes.split_at(bytes.len().min(HEAD - self.have));
                self.head[self.have..self.have + head.len()].copy_from_slice(head);
                self.have += head.len();
                bytes = rest;
                if self.have < HEAD {
                    return;
                }
                let [_, length @ ..] = self.head;
                self.left = u32::from_be_bytes(length) as usize;
            }
            let (message, rest) = bytes.split_at(bytes.len().min(self.left));
            self.left -= message.len();
            bytes = rest;
            if self.keep {
                self.kept.extend_from_slice(message);
            }
            if self.left == 0 {
                if self.head[0] & TRAILERS == 0 {
                    seen(ParserEvent::Message(&self.kept));
                }
                self.kept.clear();
                self.have = 0;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn messages(keep: bool, pieces: &[&[u8]]) -> Vec<Vec<u8>> {
        let mut seen = Vec::new();
        let mut messages = MessageParser::new(keep);
        for piece in pieces {
            messages.read(piece, &mut |what| {
                if let ParserEvent::Message(message) = what {
                    seen.push(message.to_vec());
                }
            });
        }
        seen
    }

    proptest! {
        #[test]
        fn messages_come_whole_out_of_any_pieces(
            sent in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..6),
            size in 1usize..30,
        ) {
            let body: Vec<u8> = sent.iter().flat_map(|message| framed(message)).collect();
            let pieces: Vec<_> = body.chunks(size).collect();
            prop_assert_eq!(messages(true, &pieces), sent.clone());
            prop_assert_eq!(messages(false, &pieces).len(), sent.len());
        }
    }

    #[test]
    fn trailers_are_no_message() {
        let mut trailers = framed(b"grpc-status: 0\r\n");
        trailers[0] = TRAILERS;
        assert_eq!(messages(true, &[&framed(b"one"), &trailers]), [b"one"]);
    }

    #[test]
    fn an_empty_message_is_one_as_soon_as_its_head_is_there() {
        assert_eq!(messages(true, &[&[0, 0, 0], &[0, 0]]), [b""]);
    }
}
