//! The page's `index.html`: its `data-trunk` links, and their replacements in the built page.
//!
//! The links are those of Trunk (its guide, "Assets"). The page uses three kinds of them: `copy-file`, `inline` for
//! style sheets, and `rust`. It also has one `data-trunk` script, which starts the program.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail, ensure};

/// The names of the built files that the page loads.
pub(crate) struct Assets {
    pub(crate) style: String,
    pub(crate) script: String,
    pub(crate) wasm: String,
    pub(crate) start: String,
}

/// An `index.html`, cut at its `data-trunk` links.
#[derive(Debug)]
pub(crate) struct Html {
    pieces: Vec<Piece>,
}

#[derive(PartialEq, Debug)]
enum Piece {
    /// Text that is kept.
    Text(String),
    /// A file that is copied unchanged.
    Copy(String),
    /// A style sheet.
    Style(String),
    /// The script that starts the program.
    Script(String),
    /// The program, and the flags for wasm-opt.
    Program(Vec<String>),
}

impl Html {
    /// Cuts the HTML at its `data-trunk` links.
    ///
    /// # Errors
    /// When a link has an unknown kind, or there is not exactly one link to the program and one `data-trunk` script.
    pub(crate) fn parse(html: &str) -> Result<Self> {
        let html = without_comments(html);
        let mut pieces = Vec::new();
        let mut rest = html.as_str();
        while let Some((before, tag)) = next_tag(rest) {
            let (inside, after) =
                rest[before.len() + tag.len()..].split_once('>').context("a tag in the HTML has no end")?;
            let attributes = attributes(inside.trim_end_matches('/'))?;
            pieces.push(Piece::Text(before.to_owned()));
            let is_asset = attributes.contains_key("data-trunk");
            pieces.push(match tag {
                LINK if is_asset => asset(&attributes)?,
                SCRIPT if is_asset => script(&attributes)?,
                _ => Piece::Text(format!("{tag}{inside}>")),
            });
            rest = match tag {
                SCRIPT if is_asset => {
                    after.strip_prefix("</script>").context("a data-trunk script is not empty")?
                }
                _ => after,
            };
        }
        pieces.push(Piece::Text(rest.to_owned()));
        let count = |is: fn(&Piece) -> bool| pieces.iter().filter(|piece| is(piece)).count();
        let (programs, scripts) = (
            count(|piece| matches!(piece, Piece::Program(_))),
            count(|piece| matches!(piece, Piece::Script(_))),
        );
        ensure!(programs == 1, "there must be one link with rel=\"rust\", but there are {programs}");
        ensure!(scripts == 1, "there must be one script with data-trunk, but there are {scripts}");
        Ok(Self { pieces })
    }

    /// Returns the files to copy, relative to the folder of the HTML.
    pub(crate) fn copied(&self) -> impl Iterator<Item = &str> {
        self.pieces
            .iter()
            .filter_map(|piece| if let Piece::Copy(path) = piece { Some(path.as_str()) } else { None })
    }

    /// Returns the style sheets in their order, relative to the folder of the HTML.
    pub(crate) fn styles(&self) -> impl Iterator<Item = &str> {
        self.pieces
            .iter()
            .filter_map(|piece| if let Piece::Style(path) = piece { Some(path.as_str()) } else { None })
    }

    /// Returns the script that starts the program, relative to the folder of the HTML.
    pub(crate) fn script(&self) -> &str {
        let found = self
            .pieces
            .iter()
            .find_map(|piece| if let Piece::Script(path) = piece { Some(path) } else { None });
        found.map_or("", String::as_str)
    }

    /// Returns the flags for wasm-opt.
    pub(crate) fn wasm_opt_flags(&self) -> Vec<&str> {
        let flags = self
            .pieces
            .iter()
            .filter_map(|piece| if let Piece::Program(flags) = piece { Some(flags) } else { None });
        flags.flatten().map(String::as_str).collect()
    }

    /// Returns the HTML of the built page. All its URLs are relative (`./name`). The server replaces `./` by the right
    /// prefix.
    pub(crate) fn render(&self, assets: &Assets) -> String {
        let Assets { style, script, wasm, start } = assets;
        let mut html = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => html.extend(text.lines().map(str::trim_start).filter(|line| !line.is_empty()).flat_map(
                    // Where a tag or a text continues in the next line, a space replaces the line break.
                    |line| if line.ends_with('>') { [line, ""] } else { [line, " "] },
                )),
                Piece::Copy(_) | Piece::Style(_) | Piece::Script(_) => {}
                Piece::Program(_) => html.push_str(&format!(
                    "<link rel=\"stylesheet\" href=\"./{style}\">\
                     <link rel=\"modulepreload\" crossorigin href=\"./{script}\">\
                     <link rel=\"preload\" as=\"fetch\" crossorigin type=\"application/wasm\" href=\"./{wasm}\">\
                     <script type=\"module\" src=\"./{start}\"></script>"
                )),
            }
        }
        html
    }
}

fn asset(attributes: &BTreeMap<&str, &str>) -> Result<Piece> {
    let value = |name: &str| attributes.get(name).copied();
    let known = |allowed: &[&str]| match attributes.keys().find(|name| !allowed.contains(name)) {
        Some(name) => bail!("this program does not know the attribute {name} of a data-trunk link"),
        None => Ok(()),
    };
    let href = value("href").context("a data-trunk link has no href")?.to_owned();
    match value("rel") {
        Some("copy-file") => known(&["data-trunk", "rel", "href"]).map(|()| Piece::Copy(href)),
        Some("inline") if href.ends_with(".css") => {
            known(&["data-trunk", "rel", "href"]).map(|()| Piece::Style(href))
        }
        Some("rust") => {
            known(&[
                "data-trunk",
                "rel",
                "href",
                "data-bin",
                "data-integrity",
                "data-cargo-profile-release",
                "data-wasm-no-import",
                "data-wasm-opt",
                "data-wasm-opt-params",
            ])?;
            let level = value("data-wasm-opt").map(|level| format!("-O{level}"));
            let flags = value("data-wasm-opt-params").unwrap_or_default().split_whitespace();
            Ok(Piece::Program(level.into_iter().chain(flags.map(str::to_owned)).collect()))
        }
        rel => bail!("this program does not know data-trunk links with rel={rel:?} and href={href:?}"),
    }
}

fn script(attributes: &BTreeMap<&str, &str>) -> Result<Piece> {
    let src = attributes.get("src").context("a data-trunk script has no src")?;
    ensure!(attributes.get("type") == Some(&"module"), "the script {src} must be a module");
    Ok(Piece::Script((*src).to_owned()))
}

const LINK: &str = "<link";
const SCRIPT: &str = "<script";

/// Returns the text before the next link or script, and the beginning of that tag.
fn next_tag(html: &str) -> Option<(&str, &'static str)> {
    let found = [LINK, SCRIPT].into_iter().filter_map(|tag| Some((html.find(tag)?, tag))).min()?;
    Some((&html[..found.0], found.1))
}

/// Returns the attributes of a tag. An attribute without a value has an empty one.
///
/// # Errors
/// When a value is not in double quotes.
fn attributes(tag: &str) -> Result<BTreeMap<&str, &str>> {
    let mut attributes = BTreeMap::new();
    let mut rest = tag.trim();
    while !rest.is_empty() {
        let end = rest.find(|end: char| end == '=' || end.is_whitespace()).unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        let (value, after) = match after.strip_prefix('=') {
            Some(quoted) => quoted
                .strip_prefix('"')
                .and_then(|quoted| quoted.split_once('"'))
                .with_context(|| format!("the value of {name} must be in double quotes"))?,
            None => ("", after),
        };
        attributes.insert(name, value);
        rest = after.trim_start();
    }
    Ok(attributes)
}

fn without_comments(html: &str) -> String {
    let mut rest = html;
    let mut kept = String::with_capacity(html.len());
    while let Some((before, comment)) = rest.split_once("<!--") {
        kept.push_str(before);
        rest = comment.split_once("-->").map_or("", |(_, after)| after);
    }
    kept + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = "\
<html>
  <!-- Why. -->
  <link data-trunk rel=\"copy-file\" href=\"assets/icon.svg\" />
  <link rel=\"icon\" href=\"./icon.svg\" />
  <link data-trunk rel=\"inline\" href=\"a.css\" />
  <link data-trunk rel=\"inline\" href=\"b.css\" />
  <script data-trunk type=\"module\" src=\"start.js\"></script>
  <link
    data-trunk
    rel=\"rust\"
    href=\"Cargo.toml\"
    data-wasm-opt=\"2\"
    data-wasm-opt-params=\"-Os --low-memory-unused\"
  />
  <p>Two
    lines</p>
</html>
";

    #[test]
    fn links_say_what_belongs_to_the_page() {
        let html = Html::parse(SOURCE).unwrap();
        assert_eq!(html.copied().collect::<Vec<_>>(), ["assets/icon.svg"]);
        assert_eq!(html.styles().collect::<Vec<_>>(), ["a.css", "b.css"]);
        assert_eq!(html.script(), "start.js");
        assert_eq!(html.wasm_opt_flags(), ["-O2", "-Os", "--low-memory-unused"]);
    }

    #[test]
    fn built_files_stand_where_the_program_was() {
        let [style, script, wasm, start] = ["s.css", "r.js", "r.wasm", "start.js"].map(str::to_owned);
        let built = Html::parse(SOURCE).unwrap().render(&Assets { style, script, wasm, start });
        assert_eq!(
            built,
            "<html><link rel=\"icon\" href=\"./icon.svg\" />\
             <link rel=\"stylesheet\" href=\"./s.css\">\
             <link rel=\"modulepreload\" crossorigin href=\"./r.js\">\
             <link rel=\"preload\" as=\"fetch\" crossorigin type=\"application/wasm\" href=\"./r.wasm\">\
             <script type=\"module\" src=\"./start.js\"></script>\
             <p>Two lines</p></html>"
        );
    }

    #[test]
    fn a_link_that_is_not_known_is_named() {
        let refused = |html: &str| Html::parse(html).unwrap_err().to_string();
        assert!(refused("<link data-trunk rel=\"sass\" href=\"a.scss\">").contains("sass"));
        assert!(refused("<link data-trunk rel=\"copy-file\">").contains("href"));
        assert!(
            refused("<link data-trunk rel=\"copy-file\" href=\"a\" data-target=\"b\">")
                .contains("data-target")
        );
        assert!(refused("<link data-trunk rel=rust>").contains("double quotes"));
        assert!(refused("<html></html>").contains("rel=\"rust\""));
        assert!(
            refused("<script data-trunk type=\"module\" src=\"a.js\">alert()</script>").contains("not empty")
        );
        assert!(refused("<link data-trunk rel=\"rust\" href=\"Cargo.toml\">").contains("one script"));
    }
}
