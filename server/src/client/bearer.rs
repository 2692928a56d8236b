//! The token that calls show.

use std::{env, fs, path::PathBuf};

use anyhow::Context as _;
use tonic::{
    Request, Status,
    metadata::{Ascii, MetadataValue},
};

/// Holds a token, where no file does.
const VARIABLE: &str = "RIDES_TOKEN";

/// Where the token comes from.
#[derive(Clone)]
pub(super) struct Bearer(Source);

#[derive(Clone)]
enum Source {
    None,
    /// It never changes.
    Variable(MetadataValue<Ascii>),
    /// Read for each call.
    File(PathBuf),
}

impl Bearer {
    /// From `file`, or else the environment, or none.
    ///
    /// Fails if the file cannot be read, or what is there cannot be a token.
    pub(super) fn new(file: Option<PathBuf>) -> anyhow::Result<Self> {
        let source = match (file, env::var(VARIABLE)) {
            (Some(file), _) => {
                let text = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
                header(&text).with_context(|| format!("{} holds no token", file.display()))?;
                Source::File(file)
            }
            (None, Ok(text)) if !text.trim().is_empty() => {
                Source::Variable(header(&text).with_context(|| format!("{VARIABLE} holds no token"))?)
            }
            (None, _) => Source::None,
        };
        Ok(Self(source))
    }

    /// Whether there is one.
    pub(super) fn is_some(&self) -> bool {
        !matches!(self.0, Source::None)
    }

    /// `message` as a request that shows it.
    pub(super) fn on<T>(&self, message: T) -> Result<Request<T>, Status> {
        let token =
            match &self.0 {
                Source::None => None,
                Source::Variable(token) => Some(token.clone()),
                Source::File(file) => {
                    let text = fs::read_to_string(file);
                    let text =
                        text.map_err(|why| Status::unauthenticated(format!("{}: {why}", file.display())))?;
                    Some(header(&text).ok_or_else(|| {
                        Status::unauthenticated(format!("{} holds no token", file.display()))
                    })?)
                }
            };
        let mut request = Request::new(message);
        token.map(|token| request.metadata_mut().insert("authorization", token));
        Ok(request)
    }
}

fn header(text: &str) -> Option<MetadataValue<Ascii>> {
    let text = text.trim();
    let mut value: MetadataValue<Ascii> = format!("Bearer {text}").parse().ok()?;
    value.set_sensitive(true);
    (!text.is_empty() && !text.contains(char::is_whitespace)).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_one_word_and_nobody_sees_it() {
        let value = header(" abc.def\n").unwrap();
        assert_eq!(value, "Bearer abc.def");
        assert!(!format!("{value:?}").contains("abc"));
        for none in ["", " \n", "two words", "a\u{1}b"] {
            assert!(header(none).is_none(), "{none:?}");
        }
    }
}
