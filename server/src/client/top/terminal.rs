//! The full-screen mode of the terminal, which is left also after a panic.

use std::{
    io::{self, Write as _},
    iter, panic,
};

use anstream::{AutoStream, ColorChoice, adapter::strip_str};
use crossterm::{
    cursor::{Hide, MoveTo, Show},
    execute, queue,
    style::Print,
    terminal::{
        BeginSynchronizedUpdate, Clear, ClearType, EndSynchronizedUpdate, EnterAlternateScreen,
        LeaveAlternateScreen, disable_raw_mode, enable_raw_mode, size,
    },
};
use unicode_width::UnicodeWidthStr as _;

/// A guard of the full-screen mode. Dropping it restores the terminal.
pub(super) struct Terminal {
    colours: bool,
}

impl Terminal {
    /// Enters the full-screen mode. Installs a panic hook that restores the terminal before the panic is printed.
    pub(super) fn take() -> io::Result<Self> {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            give_back();
            before(info);
        }));
        enable_raw_mode()?;
        let terminal = Self { colours: AutoStream::choice(&io::stdout()) != ColorChoice::Never };
        execute!(io::stdout(), EnterAlternateScreen, Hide)?;
        Ok(terminal)
    }

    /// Returns the numbers of columns and rows.
    pub(super) fn size(&self) -> io::Result<(usize, usize)> {
        let (columns, rows) = size()?;
        Ok((columns.into(), rows.into()))
    }

    /// Draws the whole screen, in one synchronized update if the terminal supports that.
    pub(super) fn draw(&self, lines: &[String]) -> io::Result<()> {
        let mut out = io::stdout().lock();
        queue!(out, BeginSynchronizedUpdate)?;
        let (columns, rows) = size()?;
        for (row, line) in (0..rows).zip(lines.iter().map(String::as_str).chain(iter::repeat(""))) {
            let plain = strip_str(line).to_string();
            queue!(out, MoveTo(0, row), Print(if self.colours { line } else { plain.as_str() }))?;
            // After a line of full width the cursor is still on the last column, and clearing would erase that.
            if plain.width() < columns.into() {
                queue!(out, Clear(ClearType::UntilNewLine))?;
            }
        }
        queue!(out, EndSynchronizedUpdate)?;
        out.flush()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        give_back();
    }
}

/// Restores the terminal. Errors are ignored, because they cannot be reported.
fn give_back() {
    execute!(io::stdout(), EndSynchronizedUpdate, LeaveAlternateScreen, Show).ok();
    disable_raw_mode().ok();
}
