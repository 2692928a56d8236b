//! Lists of rides, newest first, a page at a time. Pure.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use super::{
    journal::{Filter, Placed},
    model::Ride,
};

/// Which page of which list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ListQuery {
    /// At most this many rides; at least 1.
    pub page_size: usize,
    /// From the page before. Empty: the first page.
    pub page_token: String,
    /// Which rides.
    pub filter: Filter,
}

/// One page.
#[derive(Clone, PartialEq, Debug)]
pub struct ListPage {
    /// Newest first.
    pub rides: Vec<Ride>,
    /// Empty: this was the last page.
    pub next_page_token: String,
}

/// A page token that no list of this journal with this filter gave out.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("no list with these filters gave out this page token")]
pub struct BadPageToken;

impl ListQuery {
    /// The place below which the page starts; `None` for the first page.
    pub(super) fn below(&self, epoch: &str) -> Result<Option<u64>, BadPageToken> {
        if self.page_token.is_empty() {
            return Ok(None);
        }
        let place = self.page_token.get(..16).and_then(|hex| u64::from_str_radix(hex, 16).ok());
        match place {
            Some(place) if self.token(epoch, place) == self.page_token => Ok(Some(place)),
            _ => Err(BadPageToken),
        }
    }

    /// The page, given one ride more than its size where there is one more.
    pub(super) fn page(&self, epoch: &str, mut found: Vec<Placed>) -> ListPage {
        let more = found.len() > self.page_size;
        found.truncate(self.page_size);
        let next_page_token = match found.last() {
            Some(last) if more => self.token(epoch, last.place),
            _ => String::new(),
        };
        ListPage { rides: found.into_iter().map(|placed| placed.ride).collect(), next_page_token }
    }

    /// A place, and a checksum over it and what it is a place in: a slip is caught, a secret it is not.
    fn token(&self, epoch: &str, place: u64) -> String {
        let mut checksum = DefaultHasher::new();
        (epoch, place, &self.filter.rider, &self.filter.states).hash(&mut checksum);
        format!("{place:016x}{:016x}", checksum.finish())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn query(rider: &str, page_token: &str) -> ListQuery {
        let filter = Filter { rider: Some(rider.into()), ..Filter::default() };
        ListQuery { page_size: 1, page_token: page_token.into(), filter }
    }

    #[test]
    fn a_token_is_good_for_the_list_that_gave_it_out_only() {
        let token = query("ada", "").token("epoch", 7);
        assert_eq!(query("ada", &token).below("epoch"), Ok(Some(7)));
        assert_eq!(query("ada", "").below("epoch"), Ok(None));
        assert_eq!(query("bob", &token).below("epoch"), Err(BadPageToken));
        assert_eq!(query("ada", &token).below("another"), Err(BadPageToken));
    }

    proptest! {
        #[test]
        fn no_text_is_a_token_by_chance(text in ".{1,40}|[0-9a-f]{32}") {
            prop_assert_eq!(query("ada", &text).below("epoch"), Err(BadPageToken));
        }
    }
}
