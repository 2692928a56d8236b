//! The protocol and codec of a call, read from its content type.

use http::HeaderValue;

/// The protocol that carries messages and the final status.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Framing {
    /// gRPC: needs HTTP/2. The status is in HTTP trailers.
    Native,
    /// gRPC-Web over any HTTP version. The status is the last frame of the body.
    Web,
    /// gRPC-Web in base64 (`grpc-web-text`).
    WebText,
}

/// The protocol and codec of a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum CallType {
    /// Messages are protobuf.
    Proto(Framing),
    /// Messages have a codec that this server does not support, for example JSON.
    OtherCodec(Framing),
}

const PROTOCOLS: [(&[u8], Framing); 3] = [
    (b"application/grpc", Framing::Native),
    (b"application/grpc-web", Framing::Web),
    (b"application/grpc-web-text", Framing::WebText),
];

impl Framing {
    /// Returns the content type in the only spelling that the inner layers accept.
    pub(super) fn content_type(self) -> HeaderValue {
        const NATIVE: HeaderValue = HeaderValue::from_static("application/grpc");
        const WEB: HeaderValue = HeaderValue::from_static("application/grpc-web+proto");
        const WEB_TEXT: HeaderValue = HeaderValue::from_static("application/grpc-web-text+proto");
        match self {
            Self::Native => NATIVE,
            Self::Web => WEB,
            Self::WebText => WEB_TEXT,
        }
    }
}

impl CallType {
    /// Parses a content type. Returns `None` if it is not one of a call. Parameters and case do not matter.
    pub(super) fn parse(content_type: &HeaderValue) -> Option<Self> {
        let essence = content_type.as_bytes().split(|&byte| byte == b';').next()?.trim_ascii();
        let mut parts = essence.splitn(2, |&byte| byte == b'+');
        let protocol = parts.next()?;
        let (_, framing) = PROTOCOLS.iter().find(|(name, _)| protocol.eq_ignore_ascii_case(name))?;
        let is_proto = parts.next().is_none_or(|codec| codec.eq_ignore_ascii_case(b"proto"));
        Some(if is_proto { Self::Proto(*framing) } else { Self::OtherCodec(*framing) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Option<CallType> {
        CallType::parse(&HeaderValue::from_bytes(text.as_bytes()).unwrap())
    }

    #[test]
    fn calls_are_known_in_every_spelling() {
        for (text, framing) in [
            ("application/grpc", Framing::Native),
            ("application/grpc+proto", Framing::Native),
            ("application/grpc-web", Framing::Web),
            ("application/grpc-web+proto; charset=utf-8", Framing::Web),
            ("Application/GRPC-Web+Proto ;a=b;c=d", Framing::Web),
            ("application/grpc-web-text+proto", Framing::WebText),
            ("application/grpc; by=Äiti", Framing::Native),
        ] {
            assert_eq!(parse(text), Some(CallType::Proto(framing)), "{text}");
        }
    }

    #[test]
    fn other_codecs_are_calls_we_cannot_read() {
        assert_eq!(parse("application/grpc+json"), Some(CallType::OtherCodec(Framing::Native)));
        assert_eq!(parse("application/grpc-web+"), Some(CallType::OtherCodec(Framing::Web)));
    }

    #[test]
    fn anything_else_is_no_call() {
        for text in ["", "text/plain", "application/json", "application/grpcfoo", "application/grpc-web-foo"]
        {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
