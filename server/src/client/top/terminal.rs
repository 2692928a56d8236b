//! A terminal's whole screen, which is given back whatever happens.

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

/// The screen, while this exists.
pub(super) struct Terminal {
    colours: bool,
}

impl Terminal {
    /// Takes the screen. A panic gives it back before it says anything.
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

    /// Columns and rows.
    pub(super) fn size(&self) -> io::Result<(usize, usize)> {
        let (columns, rows) = size()?;
        Ok((columns.into(), rows.into()))
    }

    /// Draws all of it, at once where the terminal can.
    pub(super) fn draw(&self, lines: &[String]) -> io::Result<()> {
        let mut out = io::stdout().lock();
        queue!(out, BeginSynchronizedUpdate)?;
        let (columns, rows) = size()?;
        for (row, line) in (0..rows).zip(lines.iter().map(String::as_str).chain(iter::repeat(""))) {
            let plain = strip_str(line).to_string();
            queue!(out, MoveTo(0, row), Print(if self.colours { line } else { plain.as_str() }))?;
            // Behind the last column there is nothing to clear: it would be the last column itself.
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

/// There is nobody to tell that it failed.
fn give_back() {
    execute!(io::stdout(), EndSynchronizedUpdate, LeaveAlternateScreen, Show).ok();
    disable_raw_mode().ok();
}
