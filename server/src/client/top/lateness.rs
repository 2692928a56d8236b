//! The age of frames, without two clocks that agree. Pure.

use std::time::Duration;

/// The lateness of frames: how much later than the promptest one of their stream they are read.
///
/// The difference between the server's clock and ours is in every frame alike, so it does not count.
#[derive(Default)]
pub(super) struct Lateness {
    /// The least time from a frame's to its reading, in seconds.
    least: Option<f64>,
}

impl Lateness {
    /// Returns the lateness of a frame that was made at `made` by the server's clock, and is read at `read` by ours.
    pub(super) fn of(&mut self, made: Duration, read: Duration) -> Duration {
        let way = read.as_secs_f64() - made.as_secs_f64();
        let least = self.least.map_or(way, |least| least.min(way));
        self.least = Some(least);
        Duration::from_secs_f64(way - least)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_as_late_as_it_is_read_after_the_promptest_whatever_the_clocks_say() {
        let seconds = Duration::from_secs;
        let an_hour_ahead = 3_600;
        let mut lateness = Lateness::default();
        for (made, read, late) in [(10, 1, 0), (11, 2, 0), (12, 8, 5), (13, 8, 4), (19, 9, 0), (20, 11, 1)] {
            assert_eq!(lateness.of(seconds(an_hour_ahead + made), seconds(read)), seconds(late), "{made}");
        }
    }
}
