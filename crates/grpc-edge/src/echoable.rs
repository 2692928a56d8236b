//! Header values that an error message may repeat to the client that sent them.

/// The longest value that is repeated. A DNS name has at most 253 characters; a scheme and a port are added.
const MAX_LEN: usize = 300;

/// Returns `value` if it consists of the characters of hosts and origins alone. People copy messages into shells, and
/// terminals and logs show them, so nothing else is repeated.
pub(super) fn echoable(value: &[u8]) -> Option<&str> {
    let is_safe = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~:/[]".contains(byte);
    let fits = (1..=MAX_LEN).contains(&value.len());
    str::from_utf8(value).ok().filter(|_| fits && value.iter().all(is_safe))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_origins_are_repeated_and_nothing_else_is() {
        for value in
            ["board.example", "127.0.0.1:8080", "[::1]:8080", "http://board.example", "capacitor://x"]
        {
            assert_eq!(echoable(value.as_bytes()), Some(value));
        }
        let long = "a".repeat(MAX_LEN + 1);
        for value in
            ["", "a b", "x;reboot", "$(reboot)", "`x`", "<b>", "a\u{1b}[0m", "a'b", "ä", "a\"b", &long]
        {
            assert_eq!(echoable(value.as_bytes()), None, "{value}");
        }
        assert_eq!(echoable(b"\xff"), None);
    }
}
