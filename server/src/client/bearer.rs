//! The bearer token of calls.

use std::{
    env,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::Context as _;
use tonic::{
    Request, Status,
    metadata::{Ascii, MetadataValue},
};

use crate::{
    files,
    server_connection::{AUTHORIZATION, bearer},
};

/// The environment variable with a token. It is read if there is no token file.
const VARIABLE: &str = "RIDES_TOKEN";

type Token = MetadataValue<Ascii>;

/// The source of the token, and the token of the last stream.
#[derive(Clone)]
pub(super) struct Bearer {
    source: Source,
    /// The token with which the last stream was opened.
    opened: Arc<Mutex<Option<Token>>>,
}

/// The source of the token.
#[derive(Clone)]
enum Source {
    None,
    /// The environment, whose token does not change.
    Variable(Token),
    /// A file, which is read for each call.
    File(PathBuf),
}

impl Bearer {
    /// Takes the token from `file` if there is one, otherwise from the environment if it is set there.
    ///
    /// Fails if the file cannot be read, or if its text or that of the variable is not a token.
    pub(super) fn new(file: Option<PathBuf>) -> anyhow::Result<Self> {
        let source = match (file, env::var(VARIABLE)) {
            (Some(file), _) => {
                let text = files::read_to_string(&file).with_context(|| file.display().to_string())?;
                bearer(&text).with_context(|| format!("{} holds no token", file.display()))?;
                Source::File(file)
            }
            (None, Ok(text)) if !text.trim().is_empty() => {
                Source::Variable(bearer(&text).with_context(|| format!("{VARIABLE} holds no token"))?)
            }
            (None, _) => Source::None,
        };
        Ok(Self { source, opened: Arc::default() })
    }

    /// Returns `true` if calls have a token.
    pub(super) fn is_some(&self) -> bool {
        !matches!(self.source, Source::None)
    }

    /// Makes a request with the token. Fails with UNAUTHENTICATED if the token file cannot be read or holds no token.
    pub(super) fn request<T>(&self, message: T) -> Result<Request<T>, Status> {
        let mut request = Request::new(message);
        if let Some(token) = self.token()? {
            request.metadata_mut().insert(AUTHORIZATION, token);
        }
        Ok(request)
    }

    /// Records the token of `request`, which opens a stream.
    pub(super) fn opens<T>(&self, request: &Request<T>) {
        let shown = request.metadata().get(AUTHORIZATION).cloned();
        *self.opened.lock().unwrap_or_else(PoisonError::into_inner) = shown;
    }

    /// Returns `true` if the token is now another one than that of the last stream.
    pub(super) fn is_renewed(&self) -> bool {
        let opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        self.token().is_ok_and(|token| token != *opened)
    }

    fn token(&self) -> Result<Option<Token>, Status> {
        match &self.source {
            Source::None => Ok(None),
            Source::Variable(token) => Ok(Some(token.clone())),
            Source::File(file) => read(file).map(Some),
        }
    }
}

fn read(file: &Path) -> Result<Token, Status> {
    let none = |why: String| Status::unauthenticated(format!("{}{why}", file.display()));
    let text = files::read_to_string(file).map_err(|why| none(format!(": {why}")))?;
    bearer(&text).ok_or_else(|| none(" holds no token".to_owned()))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_stream_is_worth_opening_again_once_for_each_new_token() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let holds = |text: &str| fs::write(file.path(), text).unwrap();
        holds("one");
        let bearer = Bearer::new(Some(file.path().to_owned())).unwrap();
        let opens = || bearer.opens(&bearer.request(()).unwrap());
        opens();
        assert!(!bearer.is_renewed());
        holds("two");
        bearer.request(()).unwrap();
        assert!(bearer.is_renewed(), "also if another call has used the new token");
        opens();
        assert!(!bearer.is_renewed());
        holds("");
        assert!(!bearer.is_renewed(), "an empty file is not a new token");
    }
}
