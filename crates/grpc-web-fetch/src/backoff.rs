//! The waits between attempts.

use crate::clock::Millis;

/// The upper bound of the first wait. Each next one is twice as long…
pub const FIRST_BACKOFF: Millis = 250.0;
/// … up to this.
pub const MAX_BACKOFF: Millis = 10_000.0;
/// The upper bound of the wait that a server can ask for.
const MAX_ASKED: Millis = 60_000.0;

/// Returns the wait after `failures` failures in a row: the time that the server `asked` for, and a random part on top.
///
/// The random part is at most [`backoff`], or as long as the time asked for. Without it, all clients that one server
/// sent away together would return together. `random` is in [0, 1).
pub fn retry_wait(asked: Millis, failures: u32, random: f64) -> Millis {
    let asked = asked.clamp(0.0, MAX_ASKED);
    asked + random * backoff(failures).max(asked)
}

/// Returns the upper bound of the wait after `failures` failures in a row.
pub fn backoff(failures: u32) -> Millis {
    (FIRST_BACKOFF * f64::from(1u32 << failures.saturating_sub(1).min(20))).min(MAX_BACKOFF)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// L12, the client's half.
    #[test]
    fn clients_that_a_server_sends_away_together_do_not_return_together() {
        assert_eq!((retry_wait(1_000.0, 1, 0.0), retry_wait(1_000.0, 1, 1.0)), (1_000.0, 2_000.0));
        assert_eq!((retry_wait(0.0, 1, 1.0), retry_wait(f64::MAX, 1, 0.0)), (250.0, 60_000.0));
    }
}
