//! `rides-server journal`: checks, repairs and exports a journal.

use std::{
    io::{self, BufWriter, ErrorKind, Write as _},
    path::PathBuf,
};

use anyhow::{Context as _, bail};

use crate::{
    config::{JournalAction, JournalConfig},
    data_dir::DataDir,
    rides::journal::sqlite::maintenance::{self, ExportError, Report},
    terminal_text::strip_controls,
};

/// Runs the subcommand. Blocks.
///
/// # Errors
/// If the journal cannot be opened or written, or the check finds a problem.
pub fn run(config: JournalConfig) -> anyhow::Result<()> {
    let dir = directory(config.data_dir)?;
    match config.action {
        JournalAction::Check => {
            let report = maintenance::check(&dir)?;
            say(&report).context("cannot write to stdout")?;
            match report.problems.len() {
                0 => Ok(()),
                n => bail!("the journal in {} has {n} problems", dir.display()),
            }
        }
        JournalAction::Rebuild => {
            maintenance::rebuild(&dir)?;
            say(&maintenance::check(&dir)?).context("cannot write to stdout")
        }
        JournalAction::Export => {
            let mut out = BufWriter::new(io::stdout().lock());
            match maintenance::export(&dir, &mut out).and_then(|_| Ok(out.flush()?)) {
                // The reader of the pipe, for example `head`, has closed it.
                Err(ExportError::Write(error)) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
                outcome => Ok(outcome?),
            }
        }
    }
}

fn directory(data_dir: Option<DataDir>) -> anyhow::Result<PathBuf> {
    match data_dir.map_or_else(DataDir::of_platform, Ok)? {
        DataDir::At(dir) => Ok(dir),
        DataDir::Memory => bail!("a journal in memory ends with its server: set --data-dir to a directory"),
    }
}

fn say(report: &Report) -> io::Result<()> {
    let Report { events, rides, unfinished, problems } = report;
    let mut out = io::stdout().lock();
    for problem in problems {
        writeln!(out, "{}", strip_controls(problem))?;
    }
    writeln!(out, "{events} events of {rides} rides, {unfinished} of them not over")
}
