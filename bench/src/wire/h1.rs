//! HTTP/1.1: requests, and responses whose bodies are chunked or have a length.

use super::{ParserEvent, ProtocolError, RpcCall, framed, grpc::MessageParser};

/// The longest head of a response in bytes.
const LONGEST_HEAD: usize = 16 * 1024;

/// Writes a gRPC-Web request.
pub(super) fn request(call: &RpcCall, authority: &str, out: &mut Vec<u8>) {
    let body = framed(&call.message);
    let timeout = call.timeout.map_or_else(String::new, |timeout| format!("grpc-timeout: {timeout}\r\n"));
    let token = call.token.as_ref();
    let token = token.map_or_else(String::new, |token| format!("authorization: Bearer {token}\r\n"));
    let head = format!(
        "POST {} HTTP/1.1\r\nhost: {authority}\r\ncontent-type: application/grpc-web+proto\r\nx-grpc-web: 1\r\n\
         {timeout}{token}content-length: {}\r\n\r\n",
        call.path,
        body.len()
    );
    out.extend_from_slice(head.as_bytes());
    out.extend_from_slice(&body);
}

/// A parser of the responses on one connection.
#[derive(Debug)]
pub(crate) struct ResponseParser {
    keep: bool,
    at: ResponsePart,
    line: Vec<u8>,
    messages: MessageParser,
}

/// The part of a response that comes next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum ResponsePart {
    /// The head, which is collected in `proxied_client`.
    Head,
    /// This many bytes of a body with a length.
    Body(usize),
    /// The length of a chunk, which is collected in `proxied_client`.
    ChunkLine,
    /// This many bytes of a chunk.
    Chunk(usize),
    /// This many bytes of the line break after a chunk.
    ChunkEnd(usize),
    /// Trailers, line by line, until an empty line.
    Trailers,
}

impl ResponseParser {
    pub(super) fn new(keep: bool) -> Self {
        Self { keep, at: ResponsePart::Head, line: Vec::new(), messages: MessageParser::new(keep) }
    }

    pub(super) fn read(
        &mut self,
        mut bytes: &[u8],
        mut seen: impl FnMut(ParserEvent<'_>),
    ) -> Result<(), ProtocolError> {
        while !bytes.is_empty() {
            bytes = match self.at {
                ResponsePart::Head => self.head(bytes, &mut seen)?,
                ResponsePart::ChunkLine => self.chunk_line(bytes)?,
                ResponsePart::Trailers => self.trailer(bytes, &mut seen)?,
                ResponsePart::Body(left) | ResponsePart::Chunk(left) => {
                    let (body, rest) = bytes.split_at(bytes.len().min(left));
                    self.messages.read(body, &mut seen);
                    self.at = match (self.at, left - body.len()) {
                        (ResponsePart::Body(_), 0) => self.end(&mut seen),
                        (ResponsePart::Body(_), left) => ResponsePart::Body(left),
                        (_, 0) => ResponsePart::ChunkEnd(2),
                        (_, left) => ResponsePart::Chunk(left),
                    };
                    rest
                }
                ResponsePart::ChunkEnd(left) => {
                    let took = bytes.len().min(left);
                    self.at = if took == left {
                        ResponsePart::ChunkLine
                    } else {
                        ResponsePart::ChunkEnd(left - took)
                    };
                    &bytes[took..]
                }
            };
        }
        Ok(())
    }

    fn head<'a>(
        &mut self,
        bytes: &'a [u8],
        seen: &mut impl FnMut(ParserEvent<'_>),
    ) -> Result<&'a [u8], ProtocolError> {
        let (rest, complete) = self.line(bytes)?;
        if complete && self.line.ends_with(b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&self.line).to_ascii_lowercase();
            self.line.clear();
            self.at = match body(&head)? {
                ResponsePart::Body(0) => self.end(seen),
                at => at,
            };
        }
        Ok(rest)
    }

    fn chunk_line<'a>(&mut self, bytes: &'a [u8]) -> Result<&'a [u8], ProtocolError> {
        let (rest, complete) = self.line(bytes)?;
        if complete {
            let line = String::from_utf8_lossy(&self.line);
            let length = line.split(';').next().map_or("", str::trim);
            let length = usize::from_str_radix(length, 16)
                .map_err(|_| ProtocolError::because(format!("{length:?} is not the length of a chunk")))?;
            self.line.clear();
            self.at = if length == 0 { ResponsePart::Trailers } else { ResponsePart::Chunk(length) };
        }
        Ok(rest)
    }

    fn trailer<'a>(
        &mut self,
        bytes: &'a [u8],
        seen: &mut impl FnMut(ParserEvent<'_>),
    ) -> Result<&'a [u8], ProtocolError> {
        let (rest, complete) = self.line(bytes)?;
        if complete {
            if self.line == b"\r\n" {
                self.at = self.end(seen);
            }
            self.line.clear();
        }
        Ok(rest)
    }

    /// Adds bytes to `proxied_client`, up to the next line break. Returns the rest, and whether there was a line break.
    fn line<'a>(&mut self, bytes: &'a [u8]) -> Result<(&'a [u8], bool), ProtocolError> {
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let (line, rest) = bytes.split_at(end.map_or(bytes.len(), |end| end + 1));
        self.line.extend_from_slice(line);
        if self.line.len() > LONGEST_HEAD {
            return Err(ProtocolError::because("the head of a response is longer than 16 KiB"));
        }
        Ok((rest, end.is_some()))
    }

    fn end(&mut self, seen: &mut impl FnMut(ParserEvent<'_>)) -> ResponsePart {
        self.messages = MessageParser::new(self.keep);
        seen(ParserEvent::End);
        ResponsePart::Head
    }
}

/// Returns the way in which to read the body of a response with this head.
fn body(head: &str) -> Result<ResponsePart, ProtocolError> {
    let mut lines = head.split("\r\n");
    let status = lines.next().unwrap_or_default();
    if status.split(' ').nth(1) != Some("200") {
        return Err(ProtocolError::because(format!("the response is {status:?}")));
    }
    let headers: Vec<_> = lines.filter_map(|line| line.split_once(':')).collect();
    let header = |name| headers.iter().find(|(key, _)| *key == name).map(|(_, value)| value.trim());
    if header("transfer-encoding") == Some("chunked") {
        return Ok(ResponsePart::ChunkLine);
    }
    let length = header("content-length").and_then(|length| length.parse().ok());
    length
        .map(ResponsePart::Body)
        .ok_or_else(|| ProtocolError::because("the response has neither a length nor chunks"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads `answer` in pieces of every size, and checks that the results are the same.
    fn read(answer: &[u8]) -> Result<(Vec<Vec<u8>>, usize), ProtocolError> {
        let in_pieces = |size: usize| {
            let (mut messages, mut ends) = (Vec::new(), 0);
            let mut connection = ResponseParser::new(true);
            for piece in answer.chunks(size) {
                connection.read(piece, |seen| match seen {
                    ParserEvent::Message(message) => messages.push(message.to_vec()),
                    ParserEvent::End => ends += 1,
                })?;
            }
            Ok((messages, ends))
        };
        let whole = in_pieces(answer.len());
        for size in 1..answer.len() {
            assert_eq!(in_pieces(size), whole, "in pieces of {size}");
        }
        whole
    }

    fn chunked(pieces: &[&[u8]]) -> Vec<u8> {
        let mut answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
        for piece in pieces {
            answer.extend_from_slice(format!("{:X}\r\n", piece.len()).as_bytes());
            answer.extend_from_slice(piece);
            answer.extend_from_slice(b"\r\n");
        }
        answer
    }

    #[test]
    fn messages_and_chunks_need_not_coincide() {
        let body = [framed(b"first"), framed(b"second")].concat();
        let mut answer = chunked(&[&body[..3], &body[3..12], &body[12..]]);
        assert_eq!(read(&answer), Ok((vec![b"first".to_vec(), b"second".to_vec()], 0)));
        answer.extend_from_slice(b"0\r\n\r\n");
        assert_eq!(read(&answer).map(|(_, ends)| ends), Ok(1));
    }

    #[test]
    fn answers_follow_each_other_on_a_connection() {
        let body = framed(b"yes");
        let mut answers = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()).into_bytes();
        answers.extend_from_slice(&body);
        answers.extend(chunked(&[&framed(b"no")]));
        answers.extend_from_slice(b"0\r\ngrpc-status: 0\r\n\r\n");
        answers.extend_from_slice(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        assert_eq!(read(&answers), Ok((vec![b"yes".to_vec(), b"no".to_vec()], 3)));
    }

    #[test]
    fn a_refusal_is_told() {
        let refused = read(b"HTTP/1.1 503 Service Unavailable\r\n\r\n").unwrap_err();
        assert!(refused.to_string().contains("503"), "{refused}");
        assert!(read(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
        assert!(read(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n").is_err());
    }

    #[test]
    fn the_request_is_grpc_web() {
        let (timeout, token) = (Some("5S"), Some("abc".to_owned()));
        let call = RpcCall { timeout, token, ..RpcCall::new("/a.B/C", vec![7]) };
        let mut request = Vec::new();
        super::request(&call, "localhost:1", &mut request);
        let text = String::from_utf8_lossy(&request);
        assert!(text.starts_with("POST /a.B/C HTTP/1.1\r\nhost: localhost:1\r\n"), "{text}");
        assert!(
            text.contains("\r\ngrpc-timeout: 5S\r\nauthorization: Bearer abc\r\ncontent-length: 6\r\n\r\n"),
            "{text}"
        );
        assert!(request.ends_with(&[0, 0, 0, 0, 1, 7]));
    }
}
