//! The tokens of calls.

use std::{fmt, pin::Pin, rc::Rc};

use tonic::Status;

/// A bearer token for the `authorization` header. It is never printed: not by [`fmt::Debug`], in an error or by
/// the tap.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(Rc<str>);

impl Token {
    /// Reads a token, without the white space around it. Returns `None` if `text` cannot be a token (RFC 6750,
    /// section 2.1). Browsers refuse some texts in a header, and print the text in the error.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim_ascii();
        let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~+/=".contains(&byte);
        (!text.is_empty() && text.bytes().all(is_token)).then(|| Self(text.into()))
    }

    /// Returns the text of the token, for a request or a storage.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

/// The source of the tokens of a client. It also decides whether a refused call is made again.
pub trait Credentials {
    /// Returns the token for the next call, or `None` for a call without a token.
    fn token(&self) -> Option<Token>;

    /// Takes note of a call that failed before its first message. Returns `None` if the call is not to be made again.
    fn failed<'a>(&'a self, _attempt: FailedAttempt<'a>) -> Option<Decision<'a>> {
        None
    }
}

/// The decision about a call that failed. The future resolves to `true` if the call is to be made again, with the token
/// that [`Credentials::token`] returns by then. An error in it becomes the error of the call.
pub type Decision<'a> = Pin<Box<dyn Future<Output = Result<bool, Status>> + 'a>>;

/// A call that failed before its first message.
#[derive(Clone, Copy, Debug)]
pub struct FailedAttempt<'a> {
    /// The token that the call was made with.
    pub token: Option<&'a Token>,
    /// The status of the call.
    pub status: &'a Status,
    /// The number of times that the call has been repeated before.
    pub repeats: u32,
}

/// One token for all calls.
impl Credentials for Token {
    fn token(&self) -> Option<Token> {
        Some(self.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_space_around_a_token_is_removed_and_within_a_token_refused() {
        let token = Token::parse(" eyJhbGciOiJFZERTQSJ9.e30.c2ln-_\n").expect("a token");
        assert_eq!(token.reveal(), "eyJhbGciOiJFZERTQSJ9.e30.c2ln-_");
        for text in ["", "  ", "Bearer abc", "a\nb", "ä", "a\u{200b}b"] {
            assert_eq!(Token::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn debug_does_not_print_the_token() {
        assert_eq!(format!("{:?}", Token::parse("secret")), "Some(Token)");
    }
}
