//! How far a car can get in some time. Pure.

use std::time::Duration;

/// 252 km/h, in metres per second: no car drives faster in a city.
const TOP_SPEED: f64 = 70.0;
/// Two positions may be so much nearer to each other than they say, in metres: each is somewhat wrong, and those without a
/// time of their own may arrive together.
const LEG_NOISE_M: f64 = 150.0;
/// And the positions of a whole trip, together.
const TRIP_NOISE_M: f64 = 1_000.0;

/// Tells distances that a car can drive from others.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Reach {
    metres_per_second: f64,
}

impl Default for Reach {
    fn default() -> Self {
        Self { metres_per_second: TOP_SPEED }
    }
}

impl Reach {
    /// Of cars that drive `times` as fast as others.
    #[must_use]
    pub fn times(self, times: f64) -> Self {
        Self { metres_per_second: self.metres_per_second * times }
    }

    /// The longest way between two positions in metres, if they are `elapsed` apart.
    pub fn of_leg(self, elapsed: Duration) -> f64 {
        self.in_time(elapsed) + LEG_NOISE_M
    }

    /// The longest way of a trip in metres, if it takes `duration`.
    pub fn of_trip(self, duration: Duration) -> f64 {
        self.in_time(duration) + TRIP_NOISE_M
    }

    fn in_time(self, time: Duration) -> f64 {
        self.metres_per_second * time.as_secs_f64()
    }
}
