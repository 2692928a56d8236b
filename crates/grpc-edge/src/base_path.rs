//! The path below which a reverse proxy serves the board.
//!
//! A proxy either strips the path before it forwards a request, or leaves it in place. Both work at the same time: the
//! server strips the base path from a request that still has it.

use std::str::FromStr;

use http::Uri;

/// A path that begins and ends with a slash, for example `/board/`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BasePath(String);

/// The error of a text that is not a base path.
#[derive(thiserror::Error, Clone, Copy, PartialEq, Eq, Debug)]
#[error("must be a path such as /board/, of letters, digits, '-', '_', '.' and '~'")]
pub struct BadBasePath;

impl BasePath {
    /// The path, with a slash at both ends.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Removes the base path from `uri`, if `uri` begins with it.
    pub(super) fn strip(&self, uri: &mut Uri) {
        let Some(below) = uri.path_and_query().and_then(|path| self.below(path.as_str())) else { return };
        let mut parts = uri.clone().into_parts();
        parts.path_and_query = below.parse().ok();
        if let Ok(stripped) = Uri::from_parts(parts) {
            *uri = stripped;
        }
    }

    /// Returns `path` relative to the base path: `/board/icon.svg` is `/icon.svg`, and `/board?x` is `/?x`.
    fn below(&self, path: &str) -> Option<String> {
        let base = self.0.trim_end_matches('/');
        let rest = path.strip_prefix(base)?;
        match rest.bytes().next() {
            Some(b'/') => Some(rest.to_owned()),
            None | Some(b'?') => Some(format!("/{rest}")),
            Some(_) => None,
        }
    }
}

impl FromStr for BasePath {
    type Err = BadBasePath;

    /// Parses a path with or without slashes at its ends.
    ///
    /// # Errors
    /// When the path is empty, or has a segment that a client or proxy could rewrite.
    fn from_str(text: &str) -> Result<Self, BadBasePath> {
        let inner = text.strip_prefix('/').unwrap_or(text);
        let inner = inner.strip_suffix('/').unwrap_or(inner);
        if inner.is_empty() {
            return if text == "/" { Ok(Self("/".to_owned())) } else { Err(BadBasePath) };
        }
        if inner.split('/').all(is_segment) { Ok(Self(format!("/{inner}/"))) } else { Err(BadBasePath) }
    }
}

/// Returns `true` for a segment that no client and no proxy rewrites: unreserved characters (RFC 3986, section 2.3),
/// and not `.` or `..`.
fn is_segment(segment: &str) -> bool {
    let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    !matches!(segment, "" | "." | "..") && segment.bytes().all(unreserved)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slashes_at_the_ends_make_no_difference() {
        for text in ["board", "/board", "board/", "/board/"] {
            assert_eq!(text.parse::<BasePath>().unwrap().as_str(), "/board/", "{text}");
        }
        assert_eq!("/fleet/board".parse::<BasePath>().unwrap().as_str(), "/fleet/board/");
        assert_eq!("/".parse::<BasePath>().unwrap().as_str(), "/");
    }

    #[test]
    fn what_a_proxy_could_read_differently_is_refused() {
        for text in [
            "",
            "//",
            "/a//b/",
            "/./",
            "/../",
            "/a/../b",
            "/a b/",
            "/%61/",
            "/a?b",
            "/a#b",
            "/ü/",
            "http://x/",
        ] {
            assert_eq!(text.parse::<BasePath>(), Err(BadBasePath), "{text}");
        }
    }

    #[test]
    fn a_request_is_the_same_with_and_without_the_base_path() {
        let base: BasePath = "/board/".parse().unwrap();
        for (asked, served) in [
            ("/board/", "/"),
            ("/board", "/"),
            ("/board?ride=7", "/?ride=7"),
            ("/board/icon.svg?v=1", "/icon.svg?v=1"),
            ("/board/board.v1.Board/Book", "/board.v1.Board/Book"),
            ("http://board.example/board/readyz", "http://board.example/readyz"),
            ("/", "/"),
            ("/readyz", "/readyz"),
            ("/board.v1.Board/Book", "/board.v1.Board/Book"),
            ("/boardharing", "/boardharing"),
        ] {
            let mut uri: Uri = asked.parse().unwrap();
            base.strip(&mut uri);
            assert_eq!(uri.to_string(), served, "{asked}");
        }
    }
}
