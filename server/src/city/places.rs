//! Finding streets by name.

use std::{
    collections::{BTreeMap, BTreeSet},
    iter,
};

use deunicode::deunicode;
use rides_proto::geo::{Bounds, LatLng};

use super::{
    clip::line_inside,
    osm::{Osm, OsmWay},
    tags::car_class,
};

/// Where a street's names in the town's languages stand, beside the one on its signs.
const LANGUAGES: [&str; 3] = ["name:fi", "name:sv", "name:en"];

/// A street, as one looks for it.
#[derive(Clone, PartialEq, Debug)]
pub struct Place {
    /// In the language that was asked in.
    pub name: String,
    /// On the street, near its middle.
    pub at: LatLng,
}

/// Every named street.
pub(super) struct Places(Vec<Street>);

struct Street {
    names: Vec<Name>,
    at: LatLng,
}

struct Name {
    shown: String,
    folded: String,
}

impl Places {
    /// Every named street that is built for cars, also where they may not drive.
    pub(super) fn new(osm: &Osm, bounds: Bounds) -> Self {
        let mut ways: BTreeMap<&str, Vec<&OsmWay>> = BTreeMap::new();
        for way in osm.ways.iter().filter(|way| car_class(&way.tags).is_some()) {
            if let Some(name) = way.tags.get("name") {
                ways.entry(name).or_default().push(way);
            }
        }
        let street = |(name, ways): (&str, Vec<&OsmWay>)| {
            let lines = ways.iter().flat_map(|way| osm.pieces(&way.nodes));
            let lines: Vec<_> = lines.flat_map(|line| line_inside(line, bounds)).collect();
            let others = |key: &str| ways.iter().filter_map(|way| way.tags.get(key)).collect::<BTreeSet<_>>();
            let others = LANGUAGES.iter().flat_map(|key| others(key)).filter(|other| *other != name);
            let names = iter::once(name).chain(others).map(Name::new).collect();
            Some(Street { names, at: middle(&lines)? })
        };
        Self(ways.into_iter().filter_map(street).collect())
    }

    /// The best matches for `query`, best first: names that begin with it, then names with a word that does, then
    /// names that hold it anywhere.
    pub(super) fn find(&self, query: &str, limit: usize) -> Vec<Place> {
        let query = fold(query);
        if query.is_empty() {
            return vec![];
        }
        let mut matches: Vec<_> = self.0.iter().filter_map(|street| street.best_match(&query)).collect();
        matches.sort_by_key(|(rank_and_name, _)| *rank_and_name);
        matches.truncate(limit);
        matches.into_iter().map(|((_, name), at)| Place { name: name.into(), at }).collect()
    }
}

impl Street {
    /// The name that matches best, with its rank, lower being better.
    fn best_match(&self, query: &str) -> Option<((u8, &str), LatLng)> {
        let ranks = self.names.iter().filter_map(|name| Some((name.rank(query)?, name.shown.as_str())));
        // Of equal ranks the first stays: the name on the signs.
        Some((ranks.min_by_key(|(rank, _)| *rank)?, self.at))
    }
}

impl Name {
    fn new(shown: &str) -> Self {
        Self { shown: shown.into(), folded: fold(shown) }
    }

    fn rank(&self, query: &str) -> Option<u8> {
        let at = self.folded.find(query)?;
        let begins_word =
            self.folded.match_indices(query).any(|(at, _)| self.folded[..at].ends_with([' ', '-']));
        Some(if at == 0 {
            0
        } else if begins_word {
            1
        } else {
            2
        })
    }
}

/// Without case, accents and surplus spaces.
fn fold(text: &str) -> String {
    deunicode(text).to_lowercase().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The middle of the straight piece that is nearest to where all of them are on average.
fn middle(lines: &[Vec<LatLng>]) -> Option<LatLng> {
    let straights = || lines.iter().flat_map(|line| line.windows(2)).map(|pair| (pair[0], pair[1]));
    let total: f64 = straights().map(|(a, b)| a.distance_m(b)).sum();
    let average = |of: fn(LatLng) -> f64| {
        straights().map(|(a, b)| of(a.lerp(b, 0.5)) * a.distance_m(b)).sum::<f64>() / total
    };
    let average = LatLng::new(average(LatLng::lat), average(LatLng::lng)).ok()?;
    let middles = straights().map(|(a, b)| a.lerp(b, 0.5));
    middles.min_by(|a, b| a.distance_m(average).total_cmp(&b.distance_m(average)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folding_forgets_case_accents_and_spaces() {
        for text in ["Töölönlahdenkatu", " TÖÖLÖNLAHDENKATU", "To\u{308}o\u{308}lo\u{308}nlahdenkatu"] {
            assert_eq!(fold(text), "toolonlahdenkatu", "{text:?}");
        }
        assert_eq!(fold("  Norra   Esplanaden "), "norra esplanaden");
    }

    #[test]
    fn the_beginning_of_a_name_beats_that_of_a_word_beats_the_rest() {
        let ranks = |name: &str| Name::new(name).rank("espl");
        assert_eq!(ranks("Esplanadi"), Some(0));
        assert_eq!(ranks("Norra Esplanaden"), Some(1));
        assert_eq!(ranks("Pohjoisesplanadi"), Some(2));
        assert_eq!(ranks("Kluuvikatu"), None);
    }
}
