//! Tests of street names in many scripts and languages, and of streets with the same name.

use super::{map_builder::MapBuilder, reading::made, *};

fn names(city: &City, query: &str) -> Vec<String> {
    city.find_places(query, 50).into_iter().map(|place| place.name).collect()
}

#[test]
fn a_street_is_found_in_its_own_script() {
    let city = made("names").expect("a map");
    let all: Vec<_> = city.map().streets.iter().map(|street| street.name.clone()).collect();
    assert_eq!(all.len(), 36);
    for name in &all {
        let query: String = name.chars().take(100).collect();
        assert_eq!(names(&city, &query).first(), Some(name), "by the whole name");
    }
    for (query, expected) in [
        ("דרך", "דרך השלום"),
        ("شارع الملك", "شارع الملك فيصل"),
        ("สุขุมวิท", "ถนนสุขุมวิท"),
        ("महात्मा", "महात्मा गांधी मार्ग"),
        ("ফুলবাড়ী", "ফুলবাড়ী সড়ক"),
        ("មហាវិថី", "មហាវិថីព្រះនរោត្តម"),
        ("ဗန္ဓုလ", "မဟာဗန္ဓုလလမ်း"),
        ("강남", "강남대로"),
        // Decomposed, as macOS may send it.
        ("\u{1100}\u{1161}\u{11bc}\u{1102}\u{1161}\u{11b7}", "강남대로"),
        ("明治通り", "東京都道 明治通り"),
        ("北京", "北京西路"),
        ("ленинский", "Ленинский проспект"),
        ("leninskii", "Ленинский проспект"),
        ("duong nguyen", "Đường Nguyễn Huệ"),
        ("DƯỜNG NGUYỄN", "Đường Nguyễn Huệ"),
        ("strasse des", "Straße des 17. Juni"),
        ("istiklal", "İstiklal Caddesi"),
        ("ISIKLAR", "Işıklar ılıca"),
        ("rue de l'oeuvre", "Rue de l’Œuvre"),
        ("via roma", "Via\u{a0}Roma"),
    ] {
        assert_eq!(names(&city, query).first().map(String::as_str), Some(expected), "{query}");
    }
}

#[test]
fn what_nobody_sees_in_a_name_neither_hides_a_street_nor_finds_one() {
    let city = made("names").expect("a map");
    for (query, expected) in [
        ("zerowidth road", "Zero\u{200b}Width Road"),
        ("softhyphen", "Soft\u{ad}Hyphen Street"),
        ("abcdrater lane", "abc\u{202e}drater\u{202c} Lane"),
        ("isolate way", "\u{2067}isolate\u{2069} Way"),
        ("tab street", "Tab\tStreet"),
        ("new line", "New\nLine Street"),
        ("<b>bold", "<b>Bold</b> & Co"),
        ("' or 1=1", "' OR 1=1 --"),
    ] {
        assert_eq!(names(&city, query), [expected], "{query}");
    }
    for nothing in ["\u{200b}", "\u{202e}\u{202c}", "\u{ad}", "\u{feff} \u{200f}"] {
        assert_eq!(names(&city, nothing), [""; 0], "{nothing:?}");
    }
}

#[test]
fn a_street_is_found_by_any_of_its_names_and_numbers() {
    let map = MapBuilder::default().node(1, 60.0, 25.0).node(2, 60.01, 25.0).node(3, 60.02, 25.0);
    let map = map.way(
        1,
        &[1, 2],
        &[
            ("highway", "primary"),
            ("name", "Mannerheimintie"),
            ("name:sv", "Mannerheimvägen"),
            ("name:ru", "Маннергейминтие"),
            ("alt_name", "Manski;Mansku"),
            ("old_name", "Heikinkatu"),
            ("short_name", "M-tie"),
            ("ref", "E 12"),
        ],
    );
    let city = map.way(2, &[2, 3], &[("highway", "trunk"), ("ref", "E 18;E 75")]).city().expect("a map");
    for (query, expected) in [
        ("mannerheimintie", "Mannerheimintie"),
        ("mannerheimvägen", "Mannerheimvägen"),
        ("маннергейм", "Маннергейминтие"),
        ("manski", "Mannerheimintie"),
        ("mansku", "Mannerheimintie"),
        ("heikinkatu", "Mannerheimintie"),
        ("m-tie", "Mannerheimintie"),
        ("e 12", "Mannerheimintie"),
        ("e12", "Mannerheimintie"),
        ("e18", "E 18;E 75"),
        ("e 75", "E 18;E 75"),
    ] {
        assert_eq!(names(&city, query), [expected], "{query}");
    }
    assert_eq!(city.snap(p(60.015, 25.0)).street, "E 18;E 75");
}

#[test]
fn streets_of_one_name_are_told_apart() {
    let city = made("twin-streets").expect("a map");
    let found = city.find_places("church street", 8);
    let [one, other] = &found[..] else { panic!("two streets: {found:?}") };
    assert_eq!((one.name.as_str(), other.name.as_str()), ("Church Street", "Church Street"));
    let near = [&one.near, &other.near].map(|near| near.split(' ').next().expect("a name").to_owned());
    assert!(near == ["North", "South"] || near == ["South", "North"], "{found:?}");
    assert!(one.at.distance_m(other.at) > 5_000.0);
    for place in &found {
        assert_eq!(city.snap(place.at).street, "Church Street");
    }
    let [long] = &city.find_places("long road", 8)[..] else { panic!("one street") };
    assert_eq!(long.near, "");
}

#[test]
fn a_street_with_a_gap_is_one_and_districts_tell_streets_apart() {
    let mut map = MapBuilder::default()
        .tagged(90, 50.0, 10.0, &[("place", "village"), ("name", "Upton")])
        .tagged(91, 50.1, 10.0, &[("place", "suburb"), ("name", "Norton")]);
    for (id, lat, lng) in [
        (1, 50.0, 10.0),
        (2, 50.0, 10.002),
        (3, 50.0, 10.006),
        (4, 50.0, 10.008),
        (5, 50.1, 10.0),
        (6, 50.1, 10.002),
    ] {
        map = map.node(id, lat, lng);
    }
    let map =
        map.street(1, &[1, 2], "High Street").street(2, &[2, 3], "Square").street(3, &[3, 4], "High Street");
    let map = map.street(4, &[5, 6], "High Street").street(5, &[1, 5], "Long Road");
    let city = map.city().expect("a map");
    let mut near: Vec<_> = city.find_places("high street", 8).into_iter().map(|place| place.near).collect();
    near.sort();
    assert_eq!(near, ["Norton", "Upton"]);
}
