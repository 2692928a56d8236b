//! A pure parser of the length-prefixed messages of gRPC, which checks and counts them as their bytes arrive.

use tonic::Status;

use super::status;

/// The length of a prefix: the flag in one byte, and the length of the message in four.
const PREFIX: usize = 5;
/// The flag of a compressed message. An uncompressed one has 0.
const COMPRESSED: u8 = 1;

/// Parses a stream of length-prefixed messages in any pieces. It stores no message.
#[derive(Debug)]
pub(super) struct FrameParser {
    largest: usize,
    prefix: [u8; PREFIX],
    /// The bytes of the current prefix that have arrived.
    prefix_bytes: usize,
    /// The bytes of the current message that have not arrived.
    missing: usize,
    begun: u64,
}

impl FrameParser {
    /// A parser that accepts messages of up to `largest` bytes.
    pub(super) fn new(largest: usize) -> Self {
        Self { largest, prefix: [0; PREFIX], prefix_bytes: 0, missing: 0, begun: 0 }
    }

    /// Returns the number of messages whose prefix has arrived.
    pub(super) fn begun(&self) -> u64 {
        self.begun
    }

    /// Parses the next piece, and returns the number of prefixes that it completes.
    ///
    /// # Errors
    /// INTERNAL at a prefix with an unknown flag, and RESOURCE_EXHAUSTED at one of a message that is too large.
    pub(super) fn feed(&mut self, mut piece: &[u8]) -> Result<u64, Status> {
        let before = self.begun;
        loop {
            let skipped = self.missing.min(piece.len());
            self.missing -= skipped;
            piece = &piece[skipped..];
            if piece.is_empty() {
                return Ok(self.begun - before);
            }
            let taken = (PREFIX - self.prefix_bytes).min(piece.len());
            let (head, rest) = piece.split_at(taken);
            self.prefix[self.prefix_bytes..][..taken].copy_from_slice(head);
            self.prefix_bytes += taken;
            piece = rest;
            if self.prefix_bytes == PREFIX {
                self.begin()?;
            }
        }
    }

    /// Checks that the stream may end here.
    ///
    /// # Errors
    /// INTERNAL in the middle of a prefix or message.
    pub(super) fn finish(&self) -> Result<(), Status> {
        match (self.prefix_bytes, self.missing) {
            (0, 0) => Ok(()),
            _ => Err(status::malformed("the request ends in the middle of a message")),
        }
    }

    /// Begins the message whose prefix is complete.
    fn begin(&mut self) -> Result<(), Status> {
        let [flag, length @ ..] = self.prefix;
        if flag > COMPRESSED {
            return Err(status::malformed(format!("a request message has the invalid flag {flag:#04x}")));
        }
        let length = u32::from_be_bytes(length) as usize;
        if length > self.largest {
            return Err(status::too_large(self.largest));
        }
        self.prefix_bytes = 0;
        self.missing = length;
        self.begun += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tonic::Code;

    use super::*;

    fn frame(flag: u8, message: &[u8]) -> Vec<u8> {
        let length = u32::try_from(message.len()).unwrap();
        [&[flag][..], &length.to_be_bytes(), message].concat()
    }

    fn follow(pieces: &[&[u8]]) -> Result<u64, Code> {
        let mut frames = FrameParser::new(10);
        pieces.iter().try_for_each(|piece| frames.feed(piece).map(drop)).map_err(|status| status.code())?;
        frames.finish().map_err(|status| status.code())?;
        Ok(frames.begun())
    }

    #[test]
    fn messages_are_counted_and_measured() {
        assert_eq!(follow(&[]), Ok(0));
        assert_eq!(follow(&[&frame(0, b""), &frame(1, b"ten bytes.")]), Ok(2));
        assert_eq!(follow(&[&frame(0, b"11 bytes...")[..PREFIX]]), Err(Code::ResourceExhausted));
        assert_eq!(follow(&[b"\0\xff\xff\xff\xff"]), Err(Code::ResourceExhausted));
        for flag in [2, 0x80, 0xff] {
            assert_eq!(follow(&[&frame(flag, b"")]), Err(Code::Internal), "{flag}");
        }
        for cut in 1..8 {
            assert_eq!(follow(&[&frame(0, b"abc")[..cut]]), Err(Code::Internal), "{cut}");
        }
    }

    proptest! {
        /// W1, W31
        #[test]
        fn the_cuts_do_not_matter(
            messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..=10), 0..5),
            cuts in prop::collection::vec(0..80usize, 0..8),
        ) {
            let bytes: Vec<u8> = messages.iter().flat_map(|message| frame(0, message)).collect();
            let mut frames = FrameParser::new(10);
            let mut rest = &bytes[..];
            for cut in cuts {
                let (piece, after) = rest.split_at(cut.min(rest.len()));
                frames.feed(piece).unwrap();
                rest = after;
            }
            frames.feed(rest).unwrap();
            prop_assert!(frames.finish().is_ok());
            prop_assert_eq!(frames.begun(), messages.len() as u64);
        }

        /// W31
        #[test]
        fn noise_breaks_nothing(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 0..9)) {
            let mut frames = FrameParser::new(10);
            if pieces.iter().try_for_each(|piece| frames.feed(piece).map(drop)).is_ok() {
                frames.finish().ok();
            }
        }
    }
}
