//! Where answers go: lines on stdout, for people or as JSON; and what is going on, in a terminal, while it lasts.

use std::{
    io::{self, IsTerminal as _, Write as _},
    time::Duration,
};

use anstyle::Style;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use prost::Message;

use super::json;

/// What is less important.
pub(super) const DIM: Style = Style::new().dimmed();
/// What is looked for.
pub(super) const BOLD: Style = Style::new().bold();

/// How often the sign of life moves.
const TICK: Duration = Duration::from_millis(120);

/// A command's output. Colours are for terminals whose users want them; what is written elsewhere is plain.
pub(super) struct Output {
    json: bool,
    live: ProgressBar,
}

impl Output {
    /// For people, or as JSON.
    pub(super) fn new(json: bool) -> Self {
        // Nothing is shown before there is something to say.
        let live = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_msg}") {
            live.set_style(style);
        }
        Self { json, live }
    }

    /// Whether messages are to be printed as they are.
    pub(super) fn is_json(&self) -> bool {
        self.json
    }

    /// Prints an answer: the message, which the contract calls `name`, or what it says to people.
    pub(super) fn answer<M: Message>(
        &self,
        name: &str,
        message: &M,
        text: impl FnOnce(&M) -> String,
    ) -> anyhow::Result<()> {
        match self.json {
            true => self.message(name, message),
            false => Ok(self.say(&text(message))?),
        }
    }

    /// Prints a message as JSON.
    pub(super) fn message(&self, name: &str, message: &impl Message) -> anyhow::Result<()> {
        Ok(self.say(&json::line(name, message)?)?)
    }

    /// Prints a line, or several.
    pub(super) fn say(&self, text: &str) -> io::Result<()> {
        self.live.suspend(|| writeln!(anstream::stdout(), "{text}"))
    }

    /// Says what is going on, below all that is printed, where there is a terminal.
    pub(super) fn meanwhile(&self, text: String) {
        self.live.set_message(text);
        if self.live.is_hidden() && io::stderr().is_terminal() {
            self.live.set_draw_target(ProgressDrawTarget::stderr());
            self.live.enable_steady_tick(TICK);
        }
    }

    /// Says on stderr what is not an answer.
    pub(super) fn note(&self, text: &str) {
        // Nobody can be told that nothing can be told.
        self.live.suspend(|| writeln!(anstream::stderr(), "{DIM}{text}{DIM:#}").ok());
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        self.live.finish_and_clear();
    }
}
