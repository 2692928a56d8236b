//! Finding streets by name. Only streets that a rider can be brought to are found.

use std::collections::{BTreeMap, BTreeSet};

use deunicode::deunicode_char;
use memchr::memmem::Finder;
use petgraph::unionfind::UnionFind;
use rides_proto::geo::{Bounds, LatLng};
use rstar::{
    RTree,
    primitives::{GeomWithData, Line},
};

use super::{
    MAX_WALK_M,
    clip::line_inside,
    names::{Names, main_name},
    osm::Osm,
    roads::Roads,
    snap::{Plane, SegmentIndex},
    tags::car_class,
};

/// Pieces of one name that are further apart, in metres, are different streets.
const MAX_STREET_GAP_M: f64 = 500.0;
/// The largest distance of a name from a street that it tells apart from others, in metres.
const MAX_DISTRICT_DISTANCE_M: f64 = 3_000.0;
/// Kinds of places after which people tell streets apart.
const DISTRICTS: [&str; 8] =
    ["neighbourhood", "quarter", "suburb", "borough", "hamlet", "village", "town", "city"];

/// A street, as one looks for it.
#[derive(Clone, PartialEq, Debug)]
pub struct Place {
    /// In the language that was asked in; otherwise the name on the signs.
    pub name: String,
    /// A district or another street near this one, if several streets have its name. Otherwise empty.
    pub near: String,
    /// On the street, near its middle.
    pub at: LatLng,
}

/// The named streets of a city.
pub(super) struct Places {
    streets: Vec<SearchStreet>,
    /// The length of the longest folded name, in bytes.
    longest: usize,
}

struct SearchStreet {
    names: Vec<Name>,
    near: String,
    at: LatLng,
}

struct Name {
    shown: String,
    folded: String,
}

/// A straight piece of a named street.
struct Piece<'a> {
    ends: [LatLng; 2],
    names: &'a Names,
}

impl Places {
    /// Every named street of `roads`; and of the others those, closed or cut off, whose middle is so near to `roads`
    /// that a rider can walk there.
    pub(super) fn new(osm: &Osm, roads: &Roads, index: &SegmentIndex, bounds: Bounds) -> Self {
        let reached = by_name(roads.segments.iter().map(|segment| Piece {
            ends: [segment.from, segment.to].map(|node| roads.nodes[node as usize]),
            names: &roads.names[segment.name as usize],
        }));
        let others = named_lines(osm, bounds);
        let others = by_name(others.iter().flat_map(|(names, line)| {
            line.windows(2).map(move |pair| Piece { ends: [pair[0], pair[1]], names })
        }));
        let plane = Plane::around(bounds.center());
        let is_within_reach = |street: &Vec<Piece<'_>>| {
            middle(street).is_some_and(|at| index.off_m(roads, at).is_some_and(|metres| metres <= MAX_WALK_M))
        };
        let mut streets: BTreeMap<&str, Vec<Vec<Piece<'_>>>> =
            reached.into_iter().map(|(name, pieces)| (name, split_by_distance(plane, pieces))).collect();
        for (name, pieces) in others {
            let known = streets.entry(name).or_default();
            let ends: Vec<_> = known.iter().flatten().flat_map(|piece| piece.ends).collect();
            let is_new = |street: &Vec<Piece<'_>>| {
                !street.iter().any(|piece| piece.ends.iter().any(|end| ends.contains(end)))
            };
            known.extend(
                split_by_distance(plane, pieces)
                    .into_iter()
                    .filter(|street| is_new(street) && is_within_reach(street)),
            );
        }

        let once = streets.iter().filter(|(_, streets)| streets.len() == 1).map(|(name, _)| *name).collect();
        let landmarks = Landmarks { roads, index, districts: districts(osm), unique_names: once };
        let mut all = vec![];
        for (name, streets) in streets {
            let middles: Vec<_> = streets.iter().filter_map(|street| middle(street)).collect();
            let near = if middles.len() > 1 { landmarks.near(name, &middles) } else { vec![String::new()] };
            for ((street, at), near) in streets.iter().zip(middles).zip(near) {
                let names: Vec<_> = street.iter().map(|piece| piece.names).collect();
                all.push(SearchStreet { names: search_names(&names), near, at });
            }
        }
        let longest = all.iter().flat_map(|street| &street.names).map(|name| name.folded.len()).max();
        Self { streets: all, longest: longest.unwrap_or_default() }
    }

    /// Returns the best matches for `query`, best first: names that begin with it, then names with a word that begins
    /// with it, then names that contain it.
    pub(super) fn find(&self, query: &str, limit: usize) -> Vec<Place> {
        let Some(query) = self.searchable(query) else { return vec![] };
        let query = Finder::new(&query);
        let found =
            |street| SearchStreet::best_match(street, &query).map(|(rank, name)| (rank, name, street));
        let mut matches: Vec<_> = self.streets.iter().filter_map(found).collect();
        matches.sort_by_key(|(rank, name, _)| (*rank, *name));
        matches.truncate(limit);
        let place = |(_, name, street): (u8, &str, &SearchStreet)| Place {
            name: name.into(),
            near: street.near.clone(),
            at: street.at,
        };
        matches.into_iter().map(place).collect()
    }

    /// Returns the folded `query`, or `None` if no name can contain it: it is empty, or longer than every name. One
    /// character can fold to eighteen letters, so a short query can be a long one for every name.
    fn searchable(&self, query: &str) -> Option<String> {
        let query = fold(query);
        (1..=self.longest).contains(&query.len()).then_some(query)
    }
}

impl SearchStreet {
    /// The name to show for the one that matches best, with the rank of that, lower being better.
    fn best_match(&self, query: &Finder<'_>) -> Option<(u8, &str)> {
        let ranks = self.names.iter().filter_map(|name| Some((name.rank(query)?, name.shown.as_str())));
        // Of equal ranks the first stays: the name on the signs.
        ranks.min_by_key(|(rank, _)| *rank)
    }
}

impl Name {
    fn rank(&self, query: &Finder<'_>) -> Option<u8> {
        let folded = self.folded.as_bytes();
        let at = query.find(folded)?;
        let begins_word =
            query.find_iter(folded).any(|at| folded[..at].ends_with(b" ") || folded[..at].ends_with(b"-"));
        Some(if at == 0 {
            0
        } else if begins_word {
            1
        } else {
            2
        })
    }
}

/// Everything that finds a street, with what is shown of it then: the name on the signs comes first.
fn search_names(all: &[&Names]) -> Vec<Name> {
    let name = |shown: &str, found_by: &str| Name { shown: shown.into(), folded: fold(found_by) };
    let mut distinct = BTreeSet::new();
    let all: Vec<_> = all.iter().filter(|names| distinct.insert(*names)).collect();
    let main = all.iter().take(1).map(|names| name(&names.main, &names.main));
    let translations = all.iter().flat_map(|names| names.translations.iter().map(|other| name(other, other)));
    let others = all.iter().flat_map(|names| names.others.iter().map(|other| name(&names.main, other)));
    let mut names: Vec<Name> = main.chain(translations).chain(others).collect();
    let mut seen = BTreeSet::new();
    names.retain(|name| !name.folded.is_empty() && seen.insert((name.folded.clone(), name.shown.clone())));
    names
}

/// The lines on the map of all named streets that are built for cars, whether or not cars may drive there.
fn named_lines(osm: &Osm, bounds: Bounds) -> Vec<(Names, Vec<LatLng>)> {
    let for_cars = osm.ways.iter().filter(|way| car_class(&way.tags).is_some());
    let lines = for_cars.flat_map(|way| {
        let lines = osm.pieces(&way.nodes).flat_map(|piece| line_inside(piece, bounds));
        lines.map(|line| (Names::of(&way.tags), line))
    });
    lines.collect()
}

/// Pieces by the name on the signs; those without a name are left out.
fn by_name<'a>(pieces: impl Iterator<Item = Piece<'a>>) -> BTreeMap<&'a str, Vec<Piece<'a>>> {
    let mut all: BTreeMap<&str, Vec<Piece<'_>>> = BTreeMap::new();
    for piece in pieces.filter(|piece| !piece.names.main.is_empty()) {
        all.entry(&piece.names.main).or_default().push(piece);
    }
    all
}

/// The pieces of one name, sorted into streets.
fn split_by_distance(plane: Plane, pieces: Vec<Piece<'_>>) -> Vec<Vec<Piece<'_>>> {
    let ends = |piece: &Piece<'_>| piece.ends.map(|end| plane.place(end));
    let line = |(i, piece): (usize, &Piece<'_>)| {
        let [from, to] = ends(piece);
        GeomWithData::new(Line::new(from, to), i)
    };
    let tree = RTree::bulk_load(pieces.iter().enumerate().map(line).collect());
    let mut together = UnionFind::new(pieces.len());
    for (i, piece) in pieces.iter().enumerate() {
        for end in ends(piece) {
            for near in tree.locate_within_distance(end, MAX_STREET_GAP_M * MAX_STREET_GAP_M) {
                together.union(i, near.data);
            }
        }
    }
    let mut streets: BTreeMap<usize, Vec<Piece<'_>>> = BTreeMap::new();
    for (street, piece) in together.into_labeling().into_iter().zip(pieces) {
        streets.entry(street).or_default().push(piece);
    }
    streets.into_values().collect()
}

/// Names by which streets of one name are told apart.
struct Landmarks<'a> {
    roads: &'a Roads,
    index: &'a SegmentIndex,
    districts: Vec<(&'a str, LatLng)>,
    /// Names of streets that no other street has.
    unique_names: BTreeSet<&'a str>,
}

impl Landmarks<'_> {
    /// A name for each of the streets called `name`: its district if those differ, otherwise a street near it.
    fn near(&self, name: &str, streets: &[LatLng]) -> Vec<String> {
        let districts: Vec<_> = streets.iter().filter_map(|at| self.district(*at)).collect();
        let distinct: BTreeSet<_> = districts.iter().collect();
        if distinct.len() == streets.len() {
            return districts.into_iter().map(str::to_owned).collect();
        }
        let mut taken = BTreeSet::from([name]);
        let mut street = |at: &LatLng| {
            let near = || {
                self.index
                    .names_near(self.roads, *at, MAX_DISTRICT_DISTANCE_M)
                    .filter(|name| !taken.contains(name))
            };
            let found = near().find(|name| self.unique_names.contains(name)).or_else(|| near().next());
            taken.extend(found);
            found.unwrap_or_default().to_owned()
        };
        streets.iter().map(&mut street).collect()
    }

    fn district(&self, at: LatLng) -> Option<&str> {
        let by_distance = self.districts.iter().map(|(name, center)| (*name, center.distance_m(at)));
        let nearest = by_distance.min_by(|a, b| a.1.total_cmp(&b.1));
        nearest.filter(|(_, metres)| *metres <= MAX_DISTRICT_DISTANCE_M).map(|(name, _)| name)
    }
}

fn districts(osm: &Osm) -> Vec<(&str, LatLng)> {
    let districts = osm.node_tags.iter().filter(|(_, tags)| tags.is("place", &DISTRICTS));
    let named = districts.filter_map(|(id, tags)| Some((main_name(tags), *osm.nodes.get(id)?)));
    let mut named: Vec<_> = named.filter(|(name, _)| !name.is_empty()).collect();
    named.sort_by_key(|(name, _)| *name);
    named
}

/// Without case, accents, surplus spaces, and characters that nobody sees. Letters of all scripts become Latin ones, so
/// that a name is found both in its own script and as people without that keyboard write it.
fn fold(text: &str) -> String {
    let mut latin = String::with_capacity(text.len());
    for letter in text.chars().filter(|letter| !is_invisible(*letter)) {
        match deunicode_char(letter) {
            _ if letter.is_whitespace() => latin.push(' '),
            Some(letters) => latin.push_str(letters),
            None => latin.push(letter),
        }
    }
    latin.to_lowercase().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Zero-width characters, soft hyphens, marks of direction and selectors of variants.
fn is_invisible(letter: char) -> bool {
    matches!(
        letter,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{e0000}'..='\u{e0fff}'
    )
}

/// The middle of the straight piece that is nearest to where all of them are on average.
fn middle(street: &[Piece<'_>]) -> Option<LatLng> {
    let middle = |piece: &Piece<'_>| piece.ends[0].lerp(piece.ends[1], 0.5);
    let length = |piece: &Piece<'_>| piece.ends[0].distance_m(piece.ends[1]);
    let total: f64 = street.iter().map(length).sum();
    let average =
        |of: fn(LatLng) -> f64| street.iter().map(|p| of(middle(p)) * length(p)).sum::<f64>() / total;
    let average = LatLng::new(average(LatLng::lat), average(LatLng::lng)).ok()?;
    street.iter().map(middle).min_by(|a, b| a.distance_m(average).total_cmp(&b.distance_m(average)))
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
    fn folding_forgets_what_nobody_sees() {
        for (text, expected) in [
            ("Zero\u{200b}Width Road", "zerowidth road"),
            ("Soft\u{ad}Hyphen Street", "softhyphen street"),
            ("\u{2067}isolate\u{2069} Way", "isolate way"),
            ("abc\u{202e}drater\u{202c} Lane", "abcdrater lane"),
            ("Via\u{a0}Roma", "via roma"),
            ("Tab\tStreet", "tab street"),
            ("New\nLine Street", "new line street"),
            ("\u{feff}\u{200e}", ""),
        ] {
            assert_eq!(fold(text), expected, "{text:?}");
        }
    }

    /// BAD-10
    #[test]
    fn a_ligature_finds_the_letters_that_it_stands_for() {
        let name = Name { shown: String::new(), folded: fold("Fiskartorpsvägen") };
        let rank = |query: &str| name.rank(&Finder::new(&fold(query)));
        assert_eq!(
            [rank("\u{fb01}sk"), rank("v\u{e6}gen"), rank(&"\u{fdfa}".repeat(100))],
            [Some(0), None, None]
        );
    }

    /// BAD-10
    #[test]
    fn a_query_that_folds_to_more_letters_than_any_name_has_is_compared_with_none() {
        let name = |text: &str| Name { shown: String::new(), folded: fold(text) };
        let at = LatLng::new(60.17, 24.94).unwrap();
        let streets = vec![SearchStreet { names: vec![name("Kluuvikatu")], near: String::new(), at }];
        let places = Places { streets, longest: "kluuvikatu".len() };
        assert_eq!(places.searchable("KLUUVI").as_deref(), Some("kluuvi"));
        for query in ["", " ", "Kluuvikatu 1", "\u{fdfa}"] {
            assert_eq!(places.searchable(query), None, "{query:?}");
        }
    }

    #[test]
    fn the_beginning_of_a_name_beats_that_of_a_word_beats_the_rest() {
        let ranks = |name: &str| Name { shown: String::new(), folded: fold(name) }.rank(&Finder::new("espl"));
        assert_eq!(ranks("Esplanadi"), Some(0));
        assert_eq!(ranks("Norra Esplanaden"), Some(1));
        assert_eq!(ranks("Pohjoisesplanadi"), Some(2));
        assert_eq!(ranks("Kluuvikatu"), None);
    }
}
