//! The distance that a car can drive in some time. Pure.

use std::time::Duration;

/// 252 km/h, in metres per second. No car drives faster in a city.
const TOP_SPEED: f64 = 70.0;
/// The error of the distance between two positions, in metres. Each position is inexact, and positions without a time
/// of their own may arrive together.
const LEG_NOISE_M: f64 = 150.0;
/// The error of the length of a whole trip, in metres.
const TRIP_NOISE_M: f64 = 1_000.0;

/// The longest delay of a driver's report that counts, for example after a lost connection. A driver may give any
/// time, and the time of a trip limits its length. So a trip counts as at most this much longer than the server has
/// seen.
pub const MAX_DELAY: Duration = Duration::from_secs(300);

/// The longest distances that a car can drive in a given time.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct DrivableDistance {
    metres_per_second: f64,
}

impl Default for DrivableDistance {
    fn default() -> Self {
        Self { metres_per_second: TOP_SPEED }
    }
}

impl DrivableDistance {
    /// Returns the limits for cars that are `scaled_by` as fast.
    #[must_use]
    pub fn scaled_by(self, times: f64) -> Self {
        Self { metres_per_second: self.metres_per_second * times }
    }

    /// Returns the longest distance in metres between two positions that are `elapsed` apart.
    pub fn of_leg(self, elapsed: Duration) -> f64 {
        self.in_time(elapsed) + LEG_NOISE_M
    }

    /// Returns the longest distance in metres of a trip that takes `duration`.
    pub fn of_trip(self, duration: Duration) -> f64 {
        self.in_time(duration) + TRIP_NOISE_M
    }

    fn in_time(self, time: Duration) -> f64 {
        self.metres_per_second * time.as_secs_f64()
    }
}
