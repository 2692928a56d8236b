//! The number of tests, read from the output of test runners. `cargo test` and wasm-bindgen's runner print it in the
//! same form.

use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};

use crate::shell;

/// The numbers of passed, failed and ignored tests.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(super) struct TestCounts {
    /// Tests that passed.
    pub(super) passed: u64,
    /// Tests that failed.
    pub(super) failed: u64,
    /// Tests that did not run.
    pub(super) ignored: u64,
    /// Rows in the catalogue of cases, in docs/edge.md, that have tests.
    pub(super) rows: u64,
}

impl TestCounts {
    /// Adds the numbers of `other`.
    pub(super) fn add(&mut self, other: &TestCounts) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.ignored += other.ignored;
        self.rows += other.rows;
    }

    /// Runs a command that runs tests, copies its output to stdout, and adds the numbers in it.
    ///
    /// # Errors
    /// When the command cannot be started or fails.
    pub(super) fn count(&mut self, mut command: Command) -> Result<()> {
        command.stdout(Stdio::piped());
        let mut child = command.spawn().with_context(|| shell::not_started(&command))?;
        let output = child.stdout.take().context("cannot read the output of the tests")?;
        for line in BufReader::new(output).split(b'\n') {
            let line = String::from_utf8_lossy(&line?).into_owned();
            println!("{line}");
            if let Some(said) = summary(&line).or_else(|| catalogue(&line)) {
                self.add(&said);
            }
        }
        let status = child.wait()?;
        if !status.success() {
            bail!("`{}` failed ({status})", shell::command_line(&command));
        }
        Ok(())
    }
}

/// Reads `test result: ok. 12 passed; 0 failed; 3 ignored; …`.
fn summary(line: &str) -> Option<TestCounts> {
    let line = console::strip_ansi_codes(line);
    let (_, counts) = line.trim().strip_prefix("test result: ")?.split_once(". ")?;
    let count = |what: &str| {
        let mut counts = counts.split("; ").filter_map(|count| count.split_once(' '));
        counts.find(|(_, name)| *name == what)?.0.parse().ok()
    };
    Some(TestCounts {
        passed: count("passed")?,
        failed: count("failed")?,
        ignored: count("ignored")?,
        rows: 0,
    })
}

/// Reads `catalogue: 59 rows, each with a test`, which the test of the catalogue prints, from the end of a line.
fn catalogue(line: &str) -> Option<TestCounts> {
    let (_, rows) = line.split_once("catalogue: ")?;
    let rows = rows.trim().strip_suffix(" rows, each with a test")?.parse().ok()?;
    Some(TestCounts { rows, ..TestCounts::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summaries_are_read() {
        let line = "test result: FAILED. 12 passed; 1 failed; 3 ignored; 0 measured; 0 filtered out; finished in 0.1s";
        assert_eq!(summary(line), Some(TestCounts { passed: 12, failed: 1, ignored: 3, rows: 0 }));
        let line = "\u{1b}[1mtest result: ok. 2 passed; 0 failed; 0 ignored; 0 filtered out\u{1b}[0m";
        assert_eq!(summary(line), Some(TestCounts { passed: 2, ..TestCounts::default() }));
    }

    #[test]
    fn the_catalogue_is_counted() {
        let expected = Some(TestCounts { rows: 59, ..TestCounts::default() });
        for line in
            ["catalogue: 59 rows, each with a test", "test a::b ... catalogue: 59 rows, each with a test"]
        {
            assert_eq!(catalogue(line), expected);
        }
    }

    #[test]
    fn other_lines_are_not() {
        assert_eq!(summary("test a::b ... ok"), None);
        assert_eq!(summary("test result: ok. many passed"), None);
        assert_eq!(catalogue("catalogue: many rows, each with a test"), None);
    }

    #[cfg(unix)]
    #[test]
    fn a_runner_that_fails_is_an_error_and_is_counted() {
        let mut runner = Command::new("sh");
        runner
            .args(["-c", "echo 'test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured'; exit 101"]);
        let mut tally = TestCounts::default();
        assert!(tally.count(runner).is_err());
        assert_eq!(tally, TestCounts { passed: 1, failed: 2, ..TestCounts::default() });
    }
}
