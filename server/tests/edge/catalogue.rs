//! The table of cases in `docs/edge.md`: each case names a test that exists.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

/// The cases of the wire (W), of access (A), of resources (R) and of the browser (B). B9 needs browsers that
/// are not available here.
fn expected() -> Vec<String> {
    let rows = |kind: &str, numbers: &[u32]| -> Vec<String> {
        numbers.iter().map(|n| format!("{kind}{n}")).collect()
    };
    let all = |last| (1..=last).collect::<Vec<_>>();
    [rows("W", &all(31)), rows("A", &all(10)), rows("R", &all(10)), rows("B", &all(8))].concat()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The tests that each case names.
fn named() -> BTreeMap<String, Vec<String>> {
    let page = fs::read_to_string(root().join("docs/edge.md")).unwrap();
    let rows = page.lines().filter_map(|line| {
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        let [_, row, _, _, tests, _] = cells[..] else { return None };
        row.starts_with(['W', 'A', 'R', 'B']).then_some(())?;
        let tests = tests.split('`').skip(1).step_by(2).map(str::to_owned).collect();
        Some((row.to_owned(), tests))
    });
    rows.collect()
}

/// Appends the text of all Rust files below `dir`.
fn sources(dir: &Path, all: &mut String) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, all);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            all.push_str(&fs::read_to_string(path).unwrap());
        }
    }
}

#[test]
fn every_row_of_the_catalogue_has_a_test() {
    let mut tests = String::new();
    for dir in ["crates", "server/src", "server/tests", "web/src", "e2e/tests"] {
        sources(&root().join(dir), &mut tests);
    }
    let mut named = named();
    let mut count = 0;
    for row in expected() {
        let of_row = named.remove(&row).unwrap_or_else(|| panic!("{row} is not in the table"));
        assert!(!of_row.is_empty(), "{row} names no test");
        for test in of_row {
            assert!(tests.contains(&format!("fn {test}(")), "{row}: there is no test {test}");
        }
        count += 1;
    }
    assert!(named.is_empty(), "rows that are not expected: {named:?}");
    // `println!` would be captured if the test passes. `cargo xtask test` repeats this line at its end.
    writeln!(io::stdout(), "catalogue: {count} rows, each with a test").unwrap();
}
