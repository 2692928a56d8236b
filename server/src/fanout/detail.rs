//! How closely a viewport is shown: car by car, or as a number per cell.

/// Of so many parts of the limit, one less is where a viewer goes back to cars.
const BAND: usize = 5;

/// What the messages of a stream tell at present.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Detail {
    /// Each car.
    Cars,
    /// How many cars each cell has.
    Densities,
}

impl Detail {
    /// What fits a viewport with so many `cars`, of which a screen can show `limit`. Between four fifths of it and
    /// all of it things stay as they are, so that a fleet at the limit does not flicker.
    pub(super) fn fitting(self, cars: usize, limit: usize) -> Self {
        match self {
            Self::Cars if cars > limit => Self::Densities,
            Self::Densities if cars <= limit - limit / BAND => Self::Cars,
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
            detail = detail.fitting(cars, 1000);
            detail == Detail::Cars
        });
        assert_eq!(shown, [true, true, false, false, false, true, true, true, false]);
    }
}
