//! Tables and numbers in Markdown that are also readable in a terminal.

use std::fmt::Write as _;

use crate::stats::Spread;

/// Returns the median, and the lowest and the highest result where they differ.
pub(super) fn spread(spread: Spread, decimals: usize) -> String {
    let [min, median, max] = [spread.min, spread.median, spread.max].map(|value| number(value, decimals));
    if min == max { median } else { format!("{median} ({min}–{max})") }
}

/// Returns a number with a comma between thousands.
pub(crate) fn number(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    let (whole, fraction) = text.split_at(text.find('.').unwrap_or(text.len()));
    let (sign, digits) = whole.strip_prefix('-').map_or(("", whole), |digits| ("-", digits));
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    format!("{sign}{grouped}{fraction}")
}

/// Returns a table with columns padded to their widest cell. The first column is aligned left, the others right.
pub(crate) fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let head: Vec<String> = head.iter().map(ToString::to_string).collect();
    let all = || std::iter::once(&head).chain(rows);
    let width = |column: usize| {
        all().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0).max(3)
    };
    let mut text = String::new();
    for (index, row) in all().enumerate() {
        for (column, cell) in row.iter().enumerate() {
            let width = width(column);
            // Writing to a string never fails.
            let _ = if column == 0 {
                write!(text, "| {cell:<width$} ")
            } else {
                write!(text, "| {cell:>width$} ")
            };
        }
        text.push_str("|\n");
        if index == 0 {
            for column in 0..head.len() {
                let dashes = "-".repeat(width(column));
                let _ = if column == 0 {
                    write!(text, "| {dashes} ")
                } else {
                    write!(text, "| {}: ", &dashes[1..])
                };
            }
            text.push_str("|\n");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_commas_and_as_many_decimals_as_asked_for() {
        assert_eq!(number(1_234_567.0, 0), "1,234,567");
        assert_eq!(number(123.456, 1), "123.5");
        assert_eq!(number(-1234.0, 0), "-1,234");
        assert_eq!(number(0.0, 2), "0.00");
    }

    #[test]
    fn a_spread_of_one_value_is_that_value() {
        assert_eq!(spread(Spread { min: 1.0, median: 2.0, max: 3.5 }, 1), "2.0 (1.0–3.5)");
        assert_eq!(spread(Spread { min: 2.01, median: 2.02, max: 2.03 }, 1), "2.0");
    }

    #[test]
    fn columns_are_aligned() {
        let rows = [vec!["a".into(), "10".into()], vec!["longer".into(), "–".into()]];
        let expected =
            "| who    | how much |\n| ------ | -------: |\n| a      |       10 |\n| longer |        – |\n";
        assert_eq!(table(&["who", "how much"], &rows), expected);
    }
}
