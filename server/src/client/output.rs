//! The output of a command: lines on stdout, as text or JSON, and a status line in the terminal.

use std::{
    io::{self, IsTerminal as _, Write as _},
    time::Duration,
};

use anstyle::Style;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use prost::Message;

use super::json;

/// The style of less important text.
pub(super) const DIM: Style = Style::new().dimmed();
/// The style of the most important text.
pub(super) const BOLD: Style = Style::new().bold();

/// The interval between two frames of the spinner.
const TICK: Duration = Duration::from_millis(120);

/// The output of a command. It has colours only in a terminal, and only if the user's environment permits them.
pub(super) struct Output {
    json: bool,
    /// The spinner and status line.
    live: ProgressBar,
}

impl Output {
    /// Makes an output of text or of JSON.
    pub(super) fn new(json: bool) -> Self {
        // Hidden up to the first call of `set_status`.
        let live = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_msg}") {
            live.set_style(style);
        }
        Self { json, live }
    }

    /// Returns `true` if messages are to be printed as JSON.
    pub(super) fn is_json(&self) -> bool {
        self.json
    }

    /// Prints a response: as JSON, by its type `name` in the contract, or as the text that `text` makes of it.
    pub(super) fn response<M: Message>(
        &self,
        name: &str,
        message: &M,
        text: impl FnOnce(&M) -> String,
    ) -> anyhow::Result<()> {
        match self.json {
            true => self.message(name, message),
            false => Ok(self.print(&text(message))?),
        }
    }

    /// Prints a message as JSON.
    pub(super) fn message(&self, name: &str, message: &impl Message) -> anyhow::Result<()> {
        Ok(self.print(&json::line(name, message)?)?)
    }

    /// Prints one or more lines.
    pub(super) fn print(&self, text: &str) -> io::Result<()> {
        self.live.suspend(|| writeln!(anstream::stdout(), "{text}"))
    }

    /// Shows a status line below the printed lines if stderr is a terminal.
    pub(super) fn set_status(&self, text: String) {
        self.live.set_message(text);
        if self.live.is_hidden() && io::stderr().is_terminal() {
            self.live.set_draw_target(ProgressDrawTarget::stderr());
            self.live.enable_steady_tick(TICK);
        }
    }

    /// Prints a note to stderr.
    pub(super) fn note(&self, text: &str) {
        // Ignored, because an error of stderr cannot be reported.
        self.live.suspend(|| writeln!(anstream::stderr(), "{DIM}{text}{DIM:#}").ok());
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        self.live.finish_and_clear();
    }
}
