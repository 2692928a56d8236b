//! The names of a street, as in the OpenStreetMap wiki: "Names", "Multilingual names", "Key:ref".

use super::osm::Tags;

/// The keys of names other than the one on the signs. Each may have a language suffix ("old_name:sv") and a list of
/// values ("A;B").
const OTHER_KEYS: [&str; 8] =
    ["alt_name", "short_name", "official_name", "loc_name", "reg_name", "nat_name", "int_name", "old_name"];
/// The keys of road numbers, for example "E 18". Each may have a list of values.
const NUMBER_KEYS: [&str; 3] = ["ref", "int_ref", "nat_ref"];

/// All names of a street.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub(super) struct Names {
    /// The name on the signs, else the road number. Empty if the street has neither.
    pub(super) main: String,
    /// The name in other languages.
    pub(super) translations: Vec<String>,
    /// Names and numbers by which a search finds the street, but which are not shown.
    pub(super) others: Vec<String>,
}

impl Names {
    pub(super) fn of(tags: &Tags) -> Self {
        let main = main_name(tags);
        let translations = tags.iter().filter(|(key, _)| is_translation(key)).map(|(_, value)| value.trim());
        let others = tags.iter().filter(|(key, _)| is_other(key)).flat_map(|(_, value)| split_values(value));
        let numbers = NUMBER_KEYS.iter().filter_map(|key| tags.get(key)).flat_map(split_values);
        // People type "E18" for "E 18".
        let numbers = numbers.flat_map(|number| [number.to_owned(), number.replace(' ', "")]);
        let mut seen = vec![main.to_owned()];
        let mut new = |name: String| {
            let is_new = !name.is_empty() && !seen.contains(&name);
            is_new.then(|| {
                seen.push(name.clone());
                name
            })
        };
        Self {
            translations: translations.map(str::to_owned).filter_map(&mut new).collect(),
            others: others.map(str::to_owned).chain(numbers).filter_map(&mut new).collect(),
            main: main.to_owned(),
        }
    }
}

/// Returns the name on the signs, else the road number. Empty if the street has neither.
pub(super) fn main_name(tags: &Tags) -> &str {
    let given = |key: &str| tags.get(key).map(str::trim).filter(|name| !name.is_empty());
    given("name").or_else(|| given("ref")).unwrap_or_default()
}

/// Returns `true` for "name:sv", "name:zh-Hant", "name:left" and "name:right", but not for example for
/// "name:etymology".
fn is_translation(key: &str) -> bool {
    key.strip_prefix("name:").is_some_and(|rest| {
        let language = rest.split(['-', '_']).next().unwrap_or_default();
        let is_language =
            (2..=3).contains(&language.len()) && language.bytes().all(|b| b.is_ascii_lowercase());
        is_language || ["left", "right"].contains(&rest)
    })
}

fn is_other(key: &str) -> bool {
    OTHER_KEYS.contains(&key.split(':').next().unwrap_or_default())
}

fn split_values(value: &str) -> impl Iterator<Item = &str> {
    value.split(';').map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(tags: &[(&str, &str)]) -> Names {
        Names::of(&tags.iter().copied().collect())
    }

    #[test]
    fn a_street_goes_by_all_its_names_and_shows_the_one_on_the_signs() {
        let street = names(&[
            ("name", "Mannerheimintie"),
            ("name:fi", "Mannerheimintie"),
            ("name:sv", "Mannerheimvägen"),
            ("name:zh-Hant", "曼納海姆路"),
            ("name:etymology:wikidata", "Q152306"),
            ("name:pronunciation", "mɑnːer"),
            ("alt_name", "Manski;Mansku"),
            ("old_name:sv", "Västra Chaussén"),
            ("ref", "E 12; 101"),
        ]);
        assert_eq!(street.main, "Mannerheimintie");
        assert_eq!(street.translations, ["Mannerheimvägen", "曼納海姆路"]);
        assert_eq!(street.others, ["Manski", "Mansku", "Västra Chaussén", "E 12", "E12", "101"]);
    }

    #[test]
    fn a_street_without_a_name_goes_by_its_number() {
        let street = names(&[("name", " "), ("ref", "E 18")]);
        assert_eq!((street.main.as_str(), street.others), ("E 18", vec!["E18".to_owned()]));
        assert_eq!(names(&[("highway", "service")]), Names::default());
    }
}
