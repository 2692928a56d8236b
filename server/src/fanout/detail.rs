//! The detail in which a viewport is shown: each car, or counts of cars.

/// A viewer returns to single cars when their number is below the limit by one `HYSTERESIS`-th.
const HYSTERESIS: usize = 5;

/// The detail of the messages of a stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Detail {
    /// Each car by itself.
    Cars,
    /// The number of cars in each tile.
    Densities,
}

impl Detail {
    /// Returns the detail for `cars` in a viewport that shows at most `limit` of them one by one. Between four fifths
    /// of the limit and the limit the detail stays, so that a view at the limit does not flicker.
    pub(super) fn for_count(self, cars: usize, limit: usize) -> Self {
        match self {
            Self::Cars if cars > limit => Self::Densities,
            Self::Densities if cars <= limit - limit / HYSTERESIS => Self::Cars,
            same => same,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_changes_at_the_limit_and_back_well_below_it() {
        let counts = [0, 1000, 1001, 1000, 801, 800, 801, 1000, 1001];
        let mut detail = Detail::Cars;
        let shown = counts.map(|cars| {
            detail = detail.for_count(cars, 1000);
            detail == Detail::Cars
        });
        assert_eq!(shown, [true, true, false, false, false, true, true, true, false]);
    }
}
