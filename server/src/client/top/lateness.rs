//! The lateness of frames, measured without synchronized clocks. Pure.

use std::time::Duration;

/// The lateness of the frames of a stream: the delay from making to reading a frame, minus the least such delay so far.
///
/// The offset between the two clocks is the same in all delays, so it cancels out.
#[derive(Default)]
pub(super) struct Lateness {
    /// The least delay so far, in seconds, plus the offset between the clocks.
    least: Option<f64>,
}

impl Lateness {
    /// Returns the lateness of a frame that was made at `made` by the server's clock and read at `read` by the
    /// client's.
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
