//! Escaping of untrusted text for terminals and logs. Without I/O.

/// Returns `true` if the character controls a terminal instead of being shown: control characters, and the formatting
/// characters of the bidirectional algorithm (Unicode Standard Annex #9, section 2).
pub(crate) fn is_terminal_control(letter: char) -> bool {
    letter.is_control() || is_bidi(letter)
}

/// Returns `true` if this is a formatting character of the bidirectional algorithm.
pub(crate) fn is_bidi(letter: char) -> bool {
    matches!(
        letter,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    )
}

/// Returns the text with Rust's escapes for the characters that `is_escaped` names.
pub(crate) fn escape(text: &str, is_escaped: impl Fn(char) -> bool) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match is_escaped(letter) {
            true => escaped.extend(letter.escape_default()),
            false => escaped.push(letter),
        }
    }
    escaped
}

/// Returns `text` as one line, without characters that control a terminal.
pub(crate) fn strip_controls(text: &str) -> String {
    let spaced = text.chars().map(|letter| if letter.is_whitespace() { ' ' } else { letter });
    spaced.filter(|letter| !is_terminal_control(*letter)).collect()
}

/// Returns the same JSON with `\u` escapes for characters that control a terminal. In JSON on one line they occur in
/// strings only.
pub(crate) fn escape_json(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for letter in json.chars() {
        match is_terminal_control(letter) {
            // Each of these characters is one UTF-16 code unit.
            true => text += &format!("\\u{:04x}", u32::from(letter)),
            false => text.push(letter),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// BAD-10 in docs/failures.md: a rider's name does not reverse the text in a dispatcher's terminal.
    #[test]
    fn text_of_others_steers_no_terminal() {
        for (text, expected) in [
            ("Ada\nLovelace\tKatu", "Ada Lovelace Katu"),
            ("\u{1b}[2JAda\u{7f}\u{85}", "[2JAda "),
            ("abc\u{202e}drater\u{202c} Lane", "abcdrater Lane"),
            ("\u{61c}a\u{200e}b\u{200f}c\u{2066}d\u{2069}", "abcd"),
            ("שלום 7 👩\u{200d}🔧", "שלום 7 👩\u{200d}🔧"),
        ] {
            assert_eq!(strip_controls(text), expected, "{text:?}");
            let json = serde_json::to_string(text).unwrap();
            let escaped = escape_json(&json);
            assert!(!escaped.chars().any(is_terminal_control), "{escaped:?}");
            assert_eq!(serde_json::from_str::<String>(&escaped).unwrap(), text);
            assert!(!escape(text, is_terminal_control).chars().any(is_terminal_control));
        }
        assert_eq!(escape("a\u{202e}b\u{1b}[0m", is_bidi), "a\\u{202e}b\u{1b}[0m");
    }
}
