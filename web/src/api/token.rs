//! A signed token, and where it may not be seen.

use std::{fmt, rc::Rc};

/// A token as it stands in the `authorization` header. Nothing prints it: not a log, not a failure, not the tap.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(Rc<str>);

impl Token {
    /// What a person hands over, with the blanks around it that copying brings. `None` for what cannot be a token: no
    /// browser sends every text in a header, and some print the one that they refuse.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim_ascii();
        let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~+/=".contains(&byte);
        (!text.is_empty() && text.bytes().all(is_token)).then(|| Self(text.into()))
    }

    /// The token itself, for the wire and for where it is kept.
    pub(super) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_around_a_token_do_not_matter_and_those_within_do() {
        let token = Token::parse(" eyJhbGciOiJFZERTQSJ9.e30.c2ln-_\n").expect("a token");
        assert_eq!(token.reveal(), "eyJhbGciOiJFZERTQSJ9.e30.c2ln-_");
        for text in ["", "  ", "Bearer abc", "a\nb", "ä", "a\u{200b}b"] {
            assert_eq!(Token::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn nothing_prints_it() {
        assert_eq!(format!("{:?}", Token::parse("secret")), "Some(Token)");
    }
}
