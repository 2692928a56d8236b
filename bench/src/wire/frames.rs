//! HTTP/2 frames that a client sends.

use super::{RpcCall, framed};

pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// The length of a frame's header in bytes.
pub(super) const HEAD: usize = 9;
/// The largest flow-control window. A viewer receives far less in a run.
const WINDOW: u32 = (1 << 31) - 1;
/// The initial flow-control window of a connection.
const FIRST_WINDOW: u32 = 65_535;

pub(crate) mod kind {
    pub(crate) const DATA: u8 = 0;
    pub(crate) const HEADERS: u8 = 1;
    pub(crate) const RST_STREAM: u8 = 3;
    pub(crate) const SETTINGS: u8 = 4;
    pub(crate) const PING: u8 = 6;
    pub(crate) const GOAWAY: u8 = 7;
    pub(crate) const WINDOW_UPDATE: u8 = 8;
    pub(crate) const CONTINUATION: u8 = 9;
}

pub(crate) mod flag {
    pub(crate) const ACK: u8 = 1;
    pub(crate) const END_STREAM: u8 = 1;
    pub(crate) const END_HEADERS: u8 = 4;
    pub(crate) const PADDED: u8 = 8;
}

/// Writes the beginning of a connection: the preface, and windows so large that they never close.
pub(crate) fn opening(out: &mut Vec<u8>) {
    out.extend_from_slice(PREFACE);
    let initial_window_size = [&[0, 4], &WINDOW.to_be_bytes()[..]].concat();
    frame(kind::SETTINGS, 0, 0, &initial_window_size, out);
    frame(kind::WINDOW_UPDATE, 0, 0, &(WINDOW - FIRST_WINDOW).to_be_bytes(), out);
}

/// Writes the HEADERS frame of a call. Its body must follow.
pub(crate) fn headers(call: &RpcCall, authority: &str, stream: u32, out: &mut Vec<u8>) {
    frame(kind::HEADERS, flag::END_HEADERS, stream, &header_block(call, authority), out);
}

/// Writes the whole body of a call.
pub(super) fn data(call: &RpcCall, stream: u32, out: &mut Vec<u8>) {
    frame(kind::DATA, flag::END_STREAM, stream, &framed(&call.message), out);
}

/// Writes a frame. `payload` must be shorter than 16 MB.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8], out: &mut Vec<u8>) {
    let [_, length @ ..] = (payload.len() as u32).to_be_bytes();
    out.extend_from_slice(&length);
    out.extend_from_slice(&[kind, flags]);
    out.extend_from_slice(&stream.to_be_bytes());
    out.extend_from_slice(payload);
}

/// Returns the name of an error code. `payload` begins with it, as in RST_STREAM and, after four bytes, in GOAWAY.
pub(super) fn error_name(payload: &[u8]) -> String {
    let code = payload.first_chunk().map_or(0, |code| u32::from_be_bytes(*code));
    match code {
        0 => "NO_ERROR".into(),
        1 => "PROTOCOL_ERROR".into(),
        7 => "REFUSED_STREAM".into(),
        8 => "CANCEL".into(),
        11 => "ENHANCE_YOUR_CALM".into(),
        code => format!("error {code}"),
    }
}

/// Returns a header block in HPACK, without Huffman coding and without the dynamic table.
fn header_block(call: &RpcCall, authority: &str) -> Vec<u8> {
    const POST: u8 = 0x83;
    const SCHEME_HTTP: u8 = 0x86;
    const AUTHORITY: &[u8] = &[0x01];
    const PATH: &[u8] = &[0x04];
    const CONTENT_TYPE: &[u8] = &[0x0f, 0x10];
    const AUTHORIZATION: &[u8] = &[0x0f, 0x08];
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
    if let Some(token) = &call.token {
        literal(AUTHORIZATION, &format!("Bearer {token}"));
    }
    block
}

/// Encodes a string literal. A length below 127 takes one byte. The excess of a longer one follows in groups of seven
/// bits.
fn string(text: &str) -> Vec<u8> {
    const FULL: usize = 127;
    let mut string = vec![text.len().min(FULL) as u8];
    if let Some(mut beyond) = text.len().checked_sub(FULL) {
        while beyond >= 0x80 {
            string.push(beyond as u8 | 0x80);
            beyond >>= 7;
        }
        string.push(beyond as u8);
    }
    string.extend_from_slice(text.as_bytes());
    string
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_strings_have_long_lengths() {
        let length = |bytes: usize| {
            let mut string = string(&"a".repeat(bytes));
            string.truncate(string.len() - bytes);
            string
        };
        assert_eq!([0, 126, 127, 254].map(length), [vec![0], vec![126], vec![127, 0], vec![127, 127]]);
        assert_eq!([255, 300].map(length), [vec![127, 0x80, 1], vec![127, 0xad, 1]]);
    }
}
