//! The search for the largest number of viewers that a server holds. Pure: takes the outcome of one step at a time.

/// The gap between a number that was held and one that failed at which the search ends, as a share of the former.
const CLOSE_ENOUGH: f64 = 0.04;
/// The share of its core at which a server is expected to fail.
const FULL: f64 = 0.95;

/// The state of a search.
#[derive(Clone, Debug)]
pub(crate) struct Search {
    cap: usize,
    steps_left: u32,
    next: usize,
    held: usize,
    failed: Option<usize>,
    /// The number to try in the second step.
    likely: Option<usize>,
}

impl Search {
    /// Starts a search that tries `first`, never more than `cap`, and makes at most `steps` steps.
    pub(crate) fn new(first: usize, cap: usize, steps: u32) -> Self {
        Self { cap, steps_left: steps, next: first.min(cap), held: 0, failed: None, likely: None }
    }

    /// Sets the result of an earlier search, which the second step tries.
    pub(crate) fn near(self, most: Option<usize>) -> Self {
        Self { likely: most, ..self }
    }

    /// Returns the number of viewers to try next, or `None` if the search is over.
    pub(crate) fn next(&self) -> Option<usize> {
        let close = (self.held as f64 * CLOSE_ENOUGH).max(1.0) as usize;
        let known = match self.failed {
            Some(failed) => failed - self.held <= close,
            None => self.held == self.cap,
        };
        (!known && self.steps_left > 0).then_some(self.next)
    }

    /// Records that the number was held with this share of the server's core.
    pub(crate) fn held(&mut self, core_share: f64) {
        self.steps_left -= 1;
        self.held = self.next;
        self.next = match self.failed {
            Some(failed) => usize::midpoint(self.held, failed),
            None => {
                let growth = (FULL / core_share).clamp(1.1, 4.0);
                let further = ((self.held as f64 * growth) as usize).max(self.held + 1);
                self.likely.take().filter(|likely| *likely > self.held).unwrap_or(further).min(self.cap)
            }
        };
    }

    /// Records that the number was not held.
    pub(crate) fn failed(&mut self) {
        self.steps_left -= 1;
        self.failed = Some(self.next);
        self.next = usize::midpoint(self.held, self.next);
    }

    /// Returns the largest number that was held so far, or 0 if none was.
    pub(crate) fn most(&self) -> usize {
        self.held
    }

    /// Returns `true` if the cap was held: the server may hold more.
    pub(crate) fn at_cap(&self) -> bool {
        self.held == self.cap
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Searches with a server that holds exactly `capacity` viewers. Returns the search and the number of its steps.
    fn ask(mut search: Search, capacity: usize) -> (Search, u32) {
        let mut asked = 0;
        while let Some(viewers) = search.next() {
            asked += 1;
            if viewers <= capacity { search.held(viewers as f64 / capacity as f64) } else { search.failed() }
        }
        (search, asked)
    }

    #[test]
    fn a_server_that_scales_evenly_is_found_in_a_few_steps() {
        let (search, asked) = ask(Search::new(400, 100_000, 20), 20_000);
        assert!((19_200..=20_000).contains(&search.most()), "{}", search.most());
        assert!(asked <= 8, "{asked}");
    }

    #[test]
    fn whoever_knows_about_how_many_it_are_asks_less() {
        for found_before in [19_300, 20_000, 20_700] {
            let (search, asked) = ask(Search::new(400, 100_000, 20).near(Some(found_before)), 20_000);
            assert!((19_200..=20_000).contains(&search.most()), "{}", search.most());
            assert!(asked <= 7, "{found_before}: {asked}");
        }
    }

    #[test]
    fn the_cap_ends_it_and_says_so() {
        let (search, _) = ask(Search::new(400, 1_000, 20), 20_000);
        assert!(search.at_cap());
        assert_eq!(search.most(), 1_000);
    }

    #[test]
    fn a_server_that_holds_nobody_is_asked_a_bounded_number_of_times() {
        let (search, asked) = ask(Search::new(400, 1_000, 6), 0);
        assert_eq!((search.most(), search.at_cap(), asked), (0, false, 6));
    }

    proptest! {
        #[test]
        fn what_it_finds_was_held_and_is_close(
            capacity in 1usize..200_000,
            first in 1usize..2_000,
            likely in prop::option::of(0usize..500_000),
        ) {
            let (search, asked) = ask(Search::new(first, 400_000, 60).near(likely), capacity);
            prop_assert!(asked <= 60);
            prop_assert!(search.most() <= capacity);
            prop_assert!(search.most() as f64 >= capacity as f64 * 0.96 - 2.0);
        }
    }
}
