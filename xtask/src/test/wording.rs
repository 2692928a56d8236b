//! The test of rules for texts that users read.

use std::{fs, path::Path};

use crate::shell;

/// Calls `look` with the path and the text of each source file below `dir`.
fn each_source(dir: &Path, look: &mut impl FnMut(&Path, &str)) {
    for entry in fs::read_dir(dir).expect("a directory") {
        let path = entry.expect("an entry").path();
        let kind = path.extension().and_then(|kind| kind.to_str());
        if path.is_dir() {
            each_source(&path, look);
        } else if matches!(kind, Some("rs" | "js" | "html" | "proto")) {
            look(&path, &fs::read_to_string(&path).expect("text"));
        }
    }
}

/// PAGE-10
#[test]
fn no_text_of_the_page_and_the_server_says_please() {
    let mut found = Vec::new();
    for part in ["crates", "web/src", "web/start.js", "web/index.html", "server/src", "proto/rides"] {
        let path = shell::root().join(part);
        let mut look = |path: &Path, text: &str| {
            let lines = text.lines().filter(|line| line.to_lowercase().contains("please"));
            found.extend(lines.map(|line| format!("{}: {}", path.display(), line.trim())));
        };
        if path.is_dir() {
            each_source(&path, &mut look);
        } else {
            look(&path, &fs::read_to_string(&path).expect("text"));
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}
