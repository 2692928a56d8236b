//! The name of a city, derived from a file name.

use std::path::Path;

/// Words that publishers of extracts append to names.
const ADDED: [&str; 3] = ["latest", "internal", "extract"];
/// Words that stay in lower case inside a name.
const SMALL: [&str; 14] =
    ["am", "and", "da", "de", "del", "der", "di", "do", "du", "of", "on", "sur", "the", "und"];

/// Returns, for example, "Monaco" for `maps/monaco-latest.osm.pbf` and "New York" for `new-york_2024-01-01.osm.pbf`.
pub(super) fn title_of(path: &Path) -> String {
    let file = path.file_name().unwrap_or_default().to_string_lossy();
    let stem = file.strip_suffix(".pbf").unwrap_or(&file);
    let stem = stem.strip_suffix(".osm").unwrap_or(stem);
    let all: Vec<&str> = stem.split(['-', '_', '.', ' ']).filter(|word| !word.is_empty()).collect();
    let words = match without_additions(&all) {
        [] => &all[..],
        words => words,
    };
    let titled = words
        .iter()
        .enumerate()
        .map(|(i, word)| if i > 0 && SMALL.contains(word) { (*word).to_owned() } else { capitalized(word) });
    titled.collect::<Vec<_>>().join(" ")
}

/// Removes the words after the name: words of publishers, dates, and boxes ("13.3,52.5").
fn without_additions<'a, 'b>(mut words: &'a [&'b str]) -> &'a [&'b str] {
    while let Some((last, rest)) = words.split_last() {
        let numbers = words.iter().rev().take_while(|word| is_number(word)).count();
        let is_box = words[words.len() - numbers..].concat().contains(',');
        let date = (1..=numbers).find(|count| is_date(&words[words.len() - count..].concat()));
        match date {
            _ if ADDED.contains(&last.to_ascii_lowercase().as_str()) => words = rest,
            _ if is_box => words = &words[..words.len() - numbers],
            Some(count) => words = &words[..words.len() - count],
            None => break,
        }
    }
    words
}

/// Returns `true` if a number has as many digits as a year, a date or a timestamp.
fn is_date(digits: &str) -> bool {
    matches!(digits.len(), 4 | 6 | 8 | 12 | 14)
}

fn is_number(word: &str) -> bool {
    word.bytes().all(|byte| byte.is_ascii_digit() || byte == b',')
}

fn capitalized(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_city_is_called_after_its_file() {
        for (path, expected) in [
            ("/maps/oulu.osm.pbf", "Oulu"),
            ("ångström.pbf", "Ångström"),
            ("monaco-latest.osm.pbf", "Monaco"),
            ("Monaco-latest", "Monaco"),
            ("monaco-latest-internal.osm.pbf", "Monaco"),
            ("monaco-240101.osm.pbf", "Monaco"),
            ("helsinki_2024-01-01.osm.pbf", "Helsinki"),
            ("helsinki.2024.osm.pbf", "Helsinki"),
            ("planet_13.1,52.35_13.7,52.6.osm.pbf", "Planet"),
            ("new-york.osm.pbf", "New York"),
            ("New York.osm.pbf", "New York"),
            ("rio-de-janeiro-latest.osm.pbf", "Rio de Janeiro"),
            ("NYC.osm.pbf", "NYC"),
            ("district-9.osm.pbf", "District 9"),
            ("district-9-240101.osm.pbf", "District 9"),
            ("route-66-2024.osm.pbf", "Route 66"),
            ("latest.osm.pbf", "Latest"),
            ("240101.osm.pbf", "240101"),
            ("東京-latest.osm.pbf", "東京"),
            (".osm.pbf", ""),
            ("..", ""),
        ] {
            assert_eq!(title_of(Path::new(path)), expected, "{path}");
        }
    }
}
