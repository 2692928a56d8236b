//! Progress of long commands in the terminal: one line per command, and its whole output if it fails.

use std::{
    fmt::Display,
    io::{BufRead, BufReader, IsTerminal},
    process::Command,
    sync::LazyLock,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use console::style;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::shell;

/// The lines of all commands that run in parallel.
static LINES: LazyLock<MultiProgress> = LazyLock::new(MultiProgress::new);

/// Prints a line above the progress lines.
pub(crate) fn say(line: &dyn Display) {
    LINES.suspend(|| eprintln!("{line}"));
}

/// Prints a warning above the progress lines.
pub(crate) fn warn(text: &str) {
    say(&format!("{} {text}", style("warning:").yellow()));
}

/// Runs a command, with a spinner that shows its last line of output and its time.
///
/// # Errors
/// When the command cannot be started or fails. If it fails, its output is printed.
pub(crate) fn spin(label: &str, about: &str, mut command: Command) -> Result<()> {
    let started = Instant::now();
    let bar = spinner(label, about);
    // A stack trace of the tool would hide its error message.
    command.env("RUST_BACKTRACE", "0");
    let output = shell::merge_output(&mut command).context("cannot make a pipe")?;
    let words = shell::command_line(&command);
    let mut child = command.spawn().with_context(|| shell::not_started(&command))?;
    drop(command);

    let mut said = Vec::new();
    for line in BufReader::new(output).split(b'\n') {
        let line =
            String::from_utf8_lossy(&line.context("cannot read the output of the command")?).into_owned();
        let shown = console::strip_ansi_codes(&line).trim().to_owned();
        if !shown.is_empty() {
            bar.set_message(shown);
        }
        said.push(line);
    }
    let status = child.wait().context("cannot wait for the end of the command")?;
    bar.finish_and_clear();
    if !status.success() {
        say(&said.join("\n"));
        bail!("{label}: `{words}` failed ({status})");
    }
    done(label, started.elapsed());
    Ok(())
}

fn spinner(label: &str, about: &str) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        say(&format!("{label} ({about})…"));
        return ProgressBar::hidden();
    }
    let bar = LINES.add(ProgressBar::new_spinner().with_prefix(format!("{label} ({about})")));
    let template = "{spinner:.cyan} {prefix:.bold} {elapsed} {wide_msg:.dim}";
    bar.set_style(
        ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner()),
    );
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

/// Prints that a command is done, if it took more than two seconds.
fn done(label: &str, took: Duration) {
    if took > Duration::from_secs(2) {
        let took = style(format!("in {:.0} s", took.as_secs_f64())).dim();
        say(&format!("{} {label} {took}", style("✓").green()));
    }
}
