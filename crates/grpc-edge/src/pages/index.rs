//! The page's HTML, with URLs that are correct at every path.
//!
//! The build writes every URL as `./name`. A browser resolves it against the URL of the page, which is correct at `/`
//! and wrong at `/ride/7`. The server knows the depth of the requested path, and writes `../name` there. So the page
//! needs no flag behind a proxy that serves it under a path and removes that path. For a proxy that keeps the path,
//! `--base-path` sets the beginning of each URL.

use std::borrow::Cow;

use super::super::BasePath;

/// The characters before a URL in HTML: a quote, or the equals sign of an attribute without quotes.
const BEFORE_AN_ADDRESS: [char; 3] = ['"', '\'', '='];
const HERE: &str = "./";

/// Returns the beginning of every URL on the page at `path`: the base path, or one `../` for each folder in `path`.
pub(super) fn base_of(base: Option<&BasePath>, path: &str) -> String {
    match base {
        Some(base) => base.as_str().to_owned(),
        None => match path.matches('/').count().saturating_sub(1) {
            0 => HERE.to_owned(),
            folders => "../".repeat(folders),
        },
    }
}

/// Replaces every `./` that begins a URL with `base`.
pub(super) fn with_base<'a>(html: &'a str, base: &str) -> Cow<'a, str> {
    if base == HERE {
        return html.into();
    }
    let written = BEFORE_AN_ADDRESS.iter().fold(html.to_owned(), |html, before| {
        html.replace(&format!("{before}{HERE}"), &format!("{before}{base}"))
    });
    written.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_lead_to_the_same_place_from_every_depth() {
        for (path, base) in
            [("/", "./"), ("/index.html", "./"), ("/ride", "./"), ("/ride/7", "../"), ("/a/b/c", "../../")]
        {
            assert_eq!(base_of(None, path), base, "{path}");
        }
        let base = "/board/".parse().unwrap();
        assert_eq!(base_of(Some(&base), "/ride/7"), "/board/");
    }

    #[test]
    fn every_address_and_nothing_else_is_rewritten() {
        let html =
            "<html data-base=\"./\"><link href=./a.css><script src='./b.js'></script><p>See ./README.</p>";
        let expected = "<html data-base=\"/board/\"><link href=/board/a.css><script src='/board/b.js'></script><p>See ./README.</p>";
        assert_eq!(with_base(html, "/board/"), expected);
        assert_eq!(with_base(html, "./"), html);
    }
}
