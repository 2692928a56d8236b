//! The files of the built page, in a directory or compiled into the program.

use std::{
    borrow::Cow,
    io,
    path::{Path, PathBuf},
};

use http::{
    HeaderMap, HeaderValue,
    header::{ACCEPT_ENCODING, CONTENT_ENCODING},
};

/// Looks up a file of a page that is compiled into the program, by its path without a leading slash.
pub type EmbeddedPage = fn(&str) -> Option<Cow<'static, [u8]>>;

/// The location of the built page.
#[derive(Clone, Debug)]
pub enum PageFiles {
    /// A directory. Each request reads the current files, so that a new build is served without a restart.
    Directory(PathBuf),
    /// A page that is compiled into the program.
    Embedded(EmbeddedPage),
}

/// A compression that a client may accept. The build writes a compressed file for each beside the plain one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Compression {
    Brotli,
    Gzip,
}

impl Compression {
    /// All compressions, the one with the smallest files first.
    const ALL: [Self; 2] = [Self::Brotli, Self::Gzip];

    /// Returns the name in HTTP headers.
    fn name(self) -> &'static str {
        match self {
            Self::Brotli => "br",
            Self::Gzip => "gzip",
        }
    }

    /// Returns the suffix of compressed files.
    fn suffix(self) -> &'static str {
        match self {
            Self::Brotli => ".br",
            Self::Gzip => ".gz",
        }
    }
}

/// The bytes of a response, with their compression.
pub(super) struct Content {
    pub(super) bytes: Cow<'static, [u8]>,
    compression: Option<Compression>,
}

impl Content {
    /// Creates content that is not compressed.
    pub(super) fn plain(bytes: Vec<u8>) -> Self {
        Self { bytes: bytes.into(), compression: None }
    }

    /// Creates content from bytes that are compressed with gzip.
    pub(super) fn gzip(bytes: Vec<u8>) -> Self {
        Self { bytes: bytes.into(), compression: Some(Compression::Gzip) }
    }

    /// Adds `content-encoding` to `headers` if the bytes are compressed.
    pub(super) fn describe(&self, headers: &mut HeaderMap) {
        if let Some(compression) = self.compression {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static(compression.name()));
        }
    }
}

impl PageFiles {
    /// Reads the file at `path`, which has no leading slash, in the smallest form that the client accepts. `None` if
    /// there is no such file.
    ///
    /// # Errors
    /// When the file is there and cannot be read.
    pub(super) async fn read(&self, path: &str, headers: &HeaderMap) -> io::Result<Option<Content>> {
        for compression in Compression::ALL {
            if accepts(headers, compression)
                && let Some(bytes) = self.bytes(&format!("{path}{}", compression.suffix())).await?
            {
                return Ok(Some(Content { bytes, compression: Some(compression) }));
            }
        }
        Ok(self.bytes(path).await?.map(|bytes| Content { bytes, compression: None }))
    }

    /// Reads the file at `path` as it is.
    ///
    /// # Errors
    /// When the file is there and cannot be read.
    pub(super) async fn bytes(&self, path: &str) -> io::Result<Option<Cow<'static, [u8]>>> {
        if !is_below(path) {
            return Ok(None);
        }
        match self {
            Self::Embedded(look_up) => Ok(look_up(path)),
            Self::Directory(dir) => read_file(&dir.join(path)).await,
        }
    }
}

async fn read_file(path: &Path) -> io::Result<Option<Cow<'static, [u8]>>> {
    use io::ErrorKind::{IsADirectory, NotADirectory, NotFound};
    match tokio::fs::read(path).await {
        Ok(bytes) => Ok(Some(bytes.into())),
        Err(error) if matches!(error.kind(), NotFound | NotADirectory | IsADirectory) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Returns `true` if `path` names a file below the page's directory on every platform. The build uses only these
/// characters in file names.
fn is_below(path: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    path.split('/').all(|name| !name.is_empty() && !name.starts_with('.') && name.bytes().all(plain))
}

/// Returns `true` if the client accepts gzip.
pub(super) fn accepts_gzip(headers: &HeaderMap) -> bool {
    accepts(headers, Compression::Gzip)
}

/// Returns `true` if `accept-encoding` names `compression` with a weight above zero (RFC 9110, section 12.5.3).
fn accepts(headers: &HeaderMap, compression: Compression) -> bool {
    let values = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    let mut codings = values.flat_map(|value| value.split(','));
    codings.any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        let named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case(compression.name()));
        let weight = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
        named && weight.is_none_or(|weight| weight.parse::<f32>().is_ok_and(|weight| weight > 0.0))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(accept_encoding: &str) -> HeaderMap {
        HeaderMap::from_iter([(ACCEPT_ENCODING, accept_encoding.parse().unwrap())])
    }

    #[tokio::test]
    async fn a_client_gets_the_smallest_form_that_it_accepts() {
        let page = PageFiles::Embedded(|path| match path {
            "a.js" => Some(b"plain".into()),
            "a.js.br" => Some(b"brotli".into()),
            "a.js.gz" => Some(b"gzip".into()),
            "b.js" => Some(b"alone".into()),
            _ => None,
        });
        for (accepted, path, expected) in [
            ("gzip, deflate, br, zstd", "a.js", Some("brotli")),
            ("gzip;q=1.0, br;q=0", "a.js", Some("gzip")),
            ("GZIP", "a.js", Some("gzip")),
            ("br;q=nonsense", "a.js", Some("plain")),
            ("identity", "a.js", Some("plain")),
            ("", "a.js", Some("plain")),
            ("gzip, br", "b.js", Some("alone")),
            ("gzip, br", "c.js", None),
        ] {
            let found = page.read(path, &headers(accepted)).await.unwrap();
            let text = found.map(|content| String::from_utf8(content.bytes.into_owned()).unwrap());
            assert_eq!(text.as_deref(), expected, "{accepted} {path}");
        }
    }

    #[tokio::test]
    async fn nothing_outside_the_directory_is_a_file_of_the_page() {
        let dir = tempfile::tempdir().unwrap();
        let page = dir.path().join("page");
        std::fs::create_dir_all(page.join("snippets")).unwrap();
        std::fs::write(dir.path().join("secret"), "secret").unwrap();
        std::fs::write(page.join("snippets/a.js"), "a").unwrap();
        std::fs::write(page.join(".hidden"), "hidden").unwrap();
        let page = PageFiles::Directory(page);
        let secret = dir.path().join("secret");
        let outside =
            ["../secret", "snippets/../../secret", "/etc/passwd", secret.to_str().unwrap(), ".hidden"];
        for path in
            outside.into_iter().chain(["", "snippets", "snippets/", "snippets//a.js", "a\\b", "a.js/x"])
        {
            assert!(page.bytes(path).await.unwrap().is_none(), "{path}");
        }
        assert!(page.bytes("snippets/a.js").await.unwrap().is_some());
    }
}
