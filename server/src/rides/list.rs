//! Lists of rides, newest first, in pages. Pure.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use super::{
    journal::{Filter, ListedRide},
    model::Ride,
};

/// A request for one page of a list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ListQuery {
    /// The most rides of the page, at least 1.
    pub page_size: usize,
    /// The token from the page before. Empty for the first page.
    pub page_token: String,
    /// The rides that the list has.
    pub filter: Filter,
}

/// One page of a list.
#[derive(Clone, PartialEq, Debug)]
pub struct ListPage {
    /// The rides, newest first.
    pub rides: Vec<Ride>,
    /// The token of the next page. Empty if this is the last page.
    pub next_page_token: String,
}

/// A page token that does not belong to a list of this journal with this filter.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the page token is from another list, or the filters differ: start again without a token")]
pub struct BadPageToken;

impl ListQuery {
    /// Returns the place that all rides of the page are below. `None` for the first page. Fails if the token is from
    /// another list.
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

    /// Returns the page. If more rides follow, `found` has one ride more than the size of the page.
    pub(super) fn page(&self, epoch: &str, mut found: Vec<ListedRide>) -> ListPage {
        let more = found.len() > self.page_size;
        found.truncate(self.page_size);
        let next_page_token = match found.last() {
            Some(last) if more => self.token(epoch, last.list_position),
            _ => String::new(),
        };
        ListPage { rides: found.into_iter().map(|placed| placed.ride).collect(), next_page_token }
    }

    /// Returns the token of a place: the place, and a checksum over it, the journal and the filter. The checksum
    /// detects mistakes, and is no protection against forgery.
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
