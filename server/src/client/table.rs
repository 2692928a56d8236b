//! Tables with aligned columns. Pure.

use anstyle::Style;
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use super::output::DIM;

/// The number of spaces between two columns.
const GAP: usize = 2;
/// The minimum width of a column that is cut.
const LEAST: usize = 8;

/// One cell of a table.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Cell {
    text: String,
    style: Style,
}

impl Cell {
    /// Makes a cell without a style.
    pub(super) fn plain(text: impl Into<String>) -> Self {
        Self::styled(text, Style::new())
    }

    /// Makes a cell with a style.
    pub(super) fn styled(text: impl Into<String>, style: Style) -> Self {
        Self { text: text.into(), style }
    }
}

/// Returns a line of headings and a line for each row. Each column is as wide as its widest cell. If the table is
/// wider than `width`, the last columns are left out, and the one before them is cut.
pub(super) fn table<const N: usize>(
    headings: [&str; N],
    rows: &[[Cell; N]],
    width: Option<usize>,
) -> Vec<String> {
    let mut widths = headings.map(str::width);
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.text.width());
        }
    }
    let widths = fitted(&widths, width.unwrap_or(usize::MAX));
    let headings = headings.map(|heading| Cell::styled(heading, DIM));
    std::iter::once(&headings).chain(rows).map(|row| line(row, &widths)).collect()
}

/// Returns the widths of the columns that fit into `width`. The first is never cut, because it identifies the row.
fn fitted(widths: &[usize], width: usize) -> Vec<usize> {
    let mut left = width;
    let mut fitted = Vec::with_capacity(widths.len());
    for &column in widths {
        match fitted.is_empty() {
            true => fitted.push(column),
            false if left >= column.min(LEAST) => fitted.push(column.min(left)),
            false => break,
        }
        left = left.saturating_sub(column + GAP);
    }
    fitted
}

fn line(cells: &[Cell], widths: &[usize]) -> String {
    let mut line = String::new();
    let mut columns = cells.iter().zip(widths).peekable();
    while let Some((Cell { text, style }, &width)) = columns.next() {
        let text = cut(text, width);
        let padding = match columns.peek() {
            Some(_) => width - text.width() + GAP,
            None => 0,
        };
        line += &format!("{style}{text}{style:#}{:padding$}", "");
    }
    line
}

/// Returns as much of `text` as fits into `width` columns of a terminal. A text that is cut ends with `…`.
pub(super) fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let Some(mut left) = width.checked_sub(1) else { return String::new() };
    let fits = |character: &char| {
        let wide = character.width().unwrap_or_default();
        let fits = wide <= left;
        left = left.saturating_sub(wide);
        fits
    };
    let mut cut: String = text.chars().take_while(fits).collect();
    cut.push('…');
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(lines: &[String]) -> Vec<String> {
        lines.iter().map(|line| anstream::adapter::strip_str(line).to_string()).collect()
    }

    #[test]
    fn columns_are_as_wide_as_what_is_in_them() {
        let row = |a: &str, b: &str| [Cell::plain(a), Cell::styled(b, DIM)];
        let rows = [row("7", "Mäkelänkatu → Töölö"), row("1234", "東京")];
        let table = |width| plain(&super::table(["N", "WAY"], &rows, width));
        assert_eq!(table(None), ["N     WAY", "7     Mäkelänkatu → Töölö", "1234  東京"]);
        assert_eq!(table(Some(16)), ["N     WAY", "7     Mäkelänka…", "1234  東京"]);
        assert_eq!(table(Some(13)), ["N", "7", "1234"]);
        assert_eq!(table(Some(3)), ["N", "7", "1234"], "the first column is never cut");
    }

    #[test]
    fn what_is_cut_says_so() {
        assert_eq!(cut("Esplanadi", 9), "Esplanadi");
        assert_eq!(cut("Esplanadi", 5), "Espl…");
        assert_eq!(cut("東京都", 5), "東京…");
        assert_eq!(cut("東京都", 4), "東…");
        assert_eq!(cut("Esplanadi", 0), "");
    }
}
