//! What Trunk leaves in index.html and should not: styles within it, and addresses without quotes.
//!
//! A proxy that rewrites the document changes what stands in it, and the Content-Security-Policy forbids what was changed.
//! A style in a file of its own is not touched.

use std::{
    fs,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    path::Path,
};

use anyhow::{Context, Result};

/// Puts `dir`'s index.html right, and writes the styles beside it.
///
/// # Errors
/// When a file cannot be read or written.
pub(crate) fn finish(dir: &Path) -> Result<()> {
    let path = dir.join("index.html");
    let html = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let (html, style) = without_styles(&quoted(&html));
    if let Some(Style { name, css }) = style {
        fs::write(dir.join(&name), css).with_context(|| format!("cannot write {name}"))?;
    }
    fs::write(&path, html).with_context(|| format!("cannot write {}", path.display()))
}

/// All styles of a document.
#[derive(PartialEq, Eq, Debug)]
struct Style {
    /// The name of their file. Changes when they do, as Trunk's names.
    name: String,
    css: String,
}

/// The document with a link in the place of its first `<style>`, and without the others.
fn without_styles(html: &str) -> (String, Option<Style>) {
    const LINK: &str = "<link rel=\"stylesheet\" href=\"./NAME\">";
    let (mut rest, mut without, mut css) = (html, String::new(), String::new());
    while let Some((before, from)) = rest.split_once("<style>")
        && let Some((style, after)) = from.split_once("</style>")
    {
        without.push_str(before);
        if css.is_empty() {
            without.push_str(LINK);
        }
        css.push_str(style);
        rest = after;
    }
    without.push_str(rest);
    if css.is_empty() {
        return (without, None);
    }
    let mut hasher = DefaultHasher::new();
    css.hash(&mut hasher);
    let name = format!("style-{:016x}.css", hasher.finish());
    (without.replacen("NAME", &name, 1), Some(Style { name, css }))
}

/// The document with quotes around every address that begins with `./`.
fn quoted(html: &str) -> String {
    let mut parts = html.split("=./");
    let mut quoted = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find([' ', '>']).unwrap_or(part.len());
        let (address, rest) = part.split_at(end);
        quoted.extend(["=\"./", address, "\"", rest]);
    }
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn styles_move_into_one_file_that_is_named_by_its_content() {
        let (html, style) = without_styles("<head><style>a{}</style><b><style>b{}</style></head>");
        let style = style.unwrap();
        assert_eq!(style.css, "a{}b{}");
        assert_eq!(html, format!("<head><link rel=\"stylesheet\" href=\"./{}\"><b></head>", style.name));
        assert_eq!(style.name.len(), "style-.css".len() + 16);
        let (_, other) = without_styles("<style>a{}</style>");
        assert_ne!(other.unwrap().name, style.name);
        assert_eq!(without_styles("<head></head>"), ("<head></head>".to_owned(), None));
    }

    #[test]
    fn every_relative_address_has_quotes() {
        assert_eq!(
            quoted("<html data-base=./ lang=en><link href=./a.svg><script src=\"./b.js\">"),
            "<html data-base=\"./\" lang=en><link href=\"./a.svg\"><script src=\"./b.js\">"
        );
    }
}
