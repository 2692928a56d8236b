//! The page's HTML, with addresses that are right wherever it is served.
//!
//! The build writes every address as `./name`. A browser resolves that against the address of the page, which is right
//! at `/` and wrong at `/ride/7`. The server knows how deep the path is that it was asked for, and writes `../name`
//! there. So the page needs no flag behind a proxy that serves it under a path and takes that path away. Behind one that
//! leaves the path in place, `--base-path` says what to write.

use std::borrow::Cow;

use super::super::BasePath;

/// The characters before an address in HTML: a quote, or the equals sign where the quotes were left out.
const BEFORE_AN_ADDRESS: [char; 3] = ['"', '\'', '='];
const HERE: &str = "./";

/// Returns the beginning of every address on the page at `path`: the base path, or as many steps up as `path` has folders.
pub(super) fn base_of(base: Option<&BasePath>, path: &str) -> String {
    match base {
        Some(base) => base.as_str().to_owned(),
        None => match path.matches('/').count().saturating_sub(1) {
            0 => HERE.to_owned(),
            folders => "../".repeat(folders),
        },
    }
}

/// Writes `base` in the place of every `./` that begins an address.
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
        let base = "/rides/".parse().unwrap();
        assert_eq!(base_of(Some(&base), "/ride/7"), "/rides/");
    }

    #[test]
    fn every_address_and_nothing_else_is_rewritten() {
        let html =
            "<html data-base=\"./\"><link href=./a.css><script src='./b.js'></script><p>See ./README.</p>";
        let expected = "<html data-base=\"/rides/\"><link href=/rides/a.css><script src='/rides/b.js'></script><p>See ./README.</p>";
        assert_eq!(with_base(html, "/rides/"), expected);
        assert_eq!(with_base(html, "./"), html);
    }
}
