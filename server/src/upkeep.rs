//! `rides-server journal …`: what can be done to a journal from outside the server.

use std::{
    io::{self, BufWriter, ErrorKind, Write as _},
    path::PathBuf,
};

use anyhow::{Context as _, bail};

use crate::{
    config::{JournalAction, JournalConfig},
    data_dir::DataDir,
    rides::journal::sqlite::upkeep::{self, ExportError, Report},
    terminal_text::clean,
};

/// Does it. Fails with one line, also when a check finds something wrong. Blocks.
pub fn run(config: JournalConfig) -> anyhow::Result<()> {
    let dir = directory(config.data_dir)?;
    match config.action {
        JournalAction::Check => {
            let report = upkeep::check(&dir)?;
            say(&report).context("cannot write to stdout")?;
            match report.problems.len() {
                0 => Ok(()),
                n => bail!("the journal in {} is not sound: {n} problems", dir.display()),
            }
        }
        JournalAction::Rebuild => {
            upkeep::rebuild(&dir)?;
            say(&upkeep::check(&dir)?).context("cannot write to stdout")
        }
        JournalAction::Export => {
            let mut out = BufWriter::new(io::stdout().lock());
            match upkeep::export(&dir, &mut out).and_then(|_| Ok(out.flush()?)) {
                // Whoever read it, like `head`, has enough.
                Err(ExportError::Write(error)) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
                outcome => Ok(outcome?),
            }
        }
    }
}

fn directory(data_dir: Option<DataDir>) -> anyhow::Result<PathBuf> {
    match data_dir.map_or_else(DataDir::of_platform, Ok)? {
        DataDir::At(dir) => Ok(dir),
        DataDir::Memory => bail!("a journal in memory ends with its server: there is none to look at"),
    }
}

fn say(report: &Report) -> io::Result<()> {
    let Report { events, rides, unfinished, problems } = report;
    let mut out = io::stdout().lock();
    for problem in problems {
        writeln!(out, "{}", clean(problem))?;
    }
    writeln!(out, "{events} events of {rides} rides, {unfinished} of them not over")
}
