//! Formatting of amounts, distances, durations, times and failures for people. Pure: time and time zone are arguments.

use rides_proto::geo::LatLng;

use crate::model::{Failure, Millis, Money};

/// Formats an amount of money: "€12.40". Currencies other than EUR keep their code: "12.40 SEK".
pub fn money(amount: &Money) -> String {
    let sign = if amount.minor_units < 0 { "−" } else { "" };
    let minor = amount.minor_units.unsigned_abs();
    let figure = format!("{}.{:02}", minor / 100, minor % 100);
    match amount.currency.as_str() {
        "EUR" => format!("{sign}€{figure}"),
        code => format!("{sign}{figure} {code}").trim_end().to_owned(),
    }
}

/// Formats a distance in metres: "850 m", "2.4 km", "31 km".
pub fn distance(metres: u32) -> String {
    match metres {
        0..950 => format!("{} m", (metres + 5) / 10 * 10),
        950..9_950 => {
            let tenths = (metres + 49) / 100;
            format!("{}.{} km", tenths / 10, tenths % 10)
        }
        _ => format!("{} km", (metres + 500) / 1000),
    }
}

/// Formats a number with separators: "940", "12,400", "1,000,000".
pub fn count(count: usize) -> String {
    let digits = count.to_string();
    let mut grouped = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// Formats a duration: "45 s", "6 min", "1 h 05 min".
pub fn duration(seconds: u32) -> String {
    let minutes = (seconds + 30) / 60;
    match seconds {
        0..60 => format!("{seconds} s"),
        _ if minutes < 60 => format!("{minutes} min"),
        _ => format!("{} h {:02} min", minutes / 60, minutes % 60),
    }
}

/// Formats a countdown: "0:45", "12:03", "1:02:03".
pub fn countdown(seconds: u32) -> String {
    let (hours, minutes, rest) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match hours {
        0 => format!("{minutes}:{rest:02}"),
        _ => format!("{hours}:{minutes:02}:{rest:02}"),
    }
}

/// Returns the whole seconds from `now` until `then`, rounded up, or 0 if `then` has passed.
pub fn seconds_until(then: Millis, now: Millis) -> u32 {
    ((then - now) / 1000.0).ceil().max(0.0) as u32
}

/// Formats an age, at most as fine as tens of milliseconds: "120 ms", "1.2 s", "14 s", "3 min".
pub fn age(millis: Millis) -> String {
    let tens = (millis.max(0.0) / 10.0).round() as u32;
    match tens {
        0..100 => format!("{} ms", tens * 10),
        100..995 => format!("{}.{} s", (tens + 5) / 100, (tens + 5) / 10 % 10),
        995..5_950 => format!("{} s", (tens + 50) / 100),
        _ => format!("{} min", (tens + 3_000) / 6_000),
    }
}

/// Formats the time since a moment, for a list: "now", "15 s", "3 min", "2 h", "5 d". A moment in the future
/// reads as "now", since clocks differ.
pub fn ago(at_unix_ms: i64, now_unix_ms: i64) -> String {
    match (now_unix_ms - at_unix_ms).max(0) / 1000 {
        0..5 => "now".to_owned(),
        s @ 5..60 => format!("{} s", s / 5 * 5),
        s @ 60..3_600 => format!("{} min", s / 60),
        s @ 3_600..86_400 => format!("{} h", s / 3_600),
        s => format!("{} d", s / 86_400),
    }
}

/// Formats the time of day `east_min` minutes east of UTC: "14:05:09".
pub fn time_of_day(unix_ms: i64, east_min: i32) -> String {
    let s = (unix_ms.div_euclid(1000) + i64::from(east_min) * 60).rem_euclid(86_400);
    format!("{:02}:{:02}:{:02}", s / 3_600, s / 60 % 60, s % 60)
}

/// Formats a position in degrees: "60.1699, 24.9384".
pub fn coordinates(at: LatLng) -> String {
    let degrees = |value: f64| {
        let sign = if value < 0.0 { "-" } else { "" };
        let parts = (value.abs() * 1e4).round() as u32;
        format!("{sign}{}.{:04}", parts / 10_000, parts % 10_000)
    };
    format!("{}, {}", degrees(at.lat()), degrees(at.lng()))
}

/// Describes a failure in one sentence for the person on the page.
pub fn failure(failure: &Failure) -> String {
    const DEADLINE_EXCEEDED: i32 = 4;
    const UNAVAILABLE: i32 = 14;
    const UNAUTHENTICATED: i32 = 16;
    let words = match (failure.reason.as_str(), failure.code) {
        ("OFF_MAP", _) => "There is no street near that point. Pick one closer to a street.",
        ("SAME_PLACE", _) => "Pickup and drop-off are the same place.",
        ("NO_ROUTE", _) => "No car can drive there from the pickup.",
        (_, DEADLINE_EXCEEDED) => "The server did not answer in time. Try again.",
        ("BAD_TOKEN", _) => "This server does not know the token.",
        ("SESSION_OVER", _) => "The session is over.",
        ("NOT_GRPC", _) => failure.text.as_str(),
        (_, UNAUTHENTICATED) => "The server does not know who you are.",
        ("", UNAVAILABLE) => "The server cannot be reached. Try again in a moment.",
        // The server describes only what is wrong with the field. The field becomes the subject of the sentence.
        _ if failure.text.starts_with("must ") => {
            return sentence(&[&failure.field, " ", &failure.text].concat());
        }
        _ => failure.text.as_str(),
    };
    sentence(words)
}

/// Returns `text` with a capital at the beginning and a full stop at the end.
fn sentence(text: &str) -> String {
    let mut sentence = text.to_owned();
    if let Some(first) = sentence.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    if !sentence.is_empty() && !sentence.ends_with(['.', '!', '?', '…']) {
        sentence.push('.');
    }
    sentence
}

#[cfg(test)]
mod tests {
    use super::*;

    fn eur(minor_units: i64) -> Money {
        Money { currency: "EUR".to_owned(), minor_units }
    }

    #[test]
    fn money_is_exact() {
        assert_eq!(money(&eur(1240)), "€12.40");
        assert_eq!(money(&eur(5)), "€0.05");
        assert_eq!(money(&eur(-305)), "−€3.05");
        assert_eq!(money(&eur(i64::MIN)), "−€92233720368547758.08");
        assert_eq!(money(&Money { currency: "SEK".to_owned(), minor_units: 9900 }), "99.00 SEK");
        assert_eq!(money(&Money::default()), "0.00");
    }

    #[test]
    fn thousands_stand_apart() {
        let words = [0, 7, 999, 1_000, 12_400, 1_000_000].map(count);
        assert_eq!(words, ["0", "7", "999", "1,000", "12,400", "1,000,000"]);
    }

    #[test]
    fn distances_are_as_fine_as_people_need() {
        for (metres, words) in [
            (0, "0 m"),
            (847, "850 m"),
            (949, "950 m"),
            (950, "0.9 km"),
            (2_440, "2.4 km"),
            (31_200, "31 km"),
        ] {
            assert_eq!(distance(metres), words, "{metres}");
        }
    }

    #[test]
    fn durations_round_to_minutes() {
        for (seconds, words) in [
            (59, "59 s"),
            (60, "1 min"),
            (389, "6 min"),
            (3_569, "59 min"),
            (3_570, "1 h 00 min"),
            (3_900, "1 h 05 min"),
        ] {
            assert_eq!(duration(seconds), words, "{seconds}");
        }
    }

    #[test]
    fn countdowns_keep_their_seconds() {
        assert_eq!(
            (countdown(45), countdown(723), countdown(3_723)),
            ("0:45".into(), "12:03".into(), "1:02:03".into())
        );
        assert_eq!((seconds_until(5_001.0, 0.0), seconds_until(1.0, 2.0)), (6, 0));
    }

    #[test]
    fn ages_never_go_below_nothing() {
        for (millis, words) in
            [(-3.0, "0 ms"), (123.0, "120 ms"), (996.0, "1.0 s"), (14_200.0, "14 s"), (180_000.0, "3 min")]
        {
            assert_eq!(age(millis), words, "{millis}");
        }
    }

    #[test]
    fn coordinates_keep_four_decimals() {
        let at = |lat, lng| coordinates(LatLng::new(lat, lng).expect("on Earth"));
        assert_eq!(at(60.16994, 24.93838), "60.1699, 24.9384");
        assert_eq!(at(-0.5, -179.99996), "-0.5000, -180.0000");
    }

    #[test]
    fn the_future_is_now() {
        assert_eq!(ago(10_000, 0), "now");
        assert_eq!(ago(0, 47_000), "45 s");
        assert_eq!(ago(0, 3_599_000), "59 min");
        assert_eq!(ago(0, 90_000_000), "1 d");
    }

    #[test]
    fn the_time_of_day_wraps_at_midnight() {
        assert_eq!(time_of_day(0, 120), "02:00:00");
        assert_eq!(time_of_day(86_399_999, 0), "23:59:59");
        assert_eq!(time_of_day(86_399_999, 120), "01:59:59");
        assert_eq!(time_of_day(0, -300), "19:00:00");
    }

    #[test]
    fn known_failures_have_words_and_others_keep_theirs() {
        let told = |code, reason: &str| {
            failure(&Failure { text: "As sent.".into(), code, reason: reason.into(), ..Failure::default() })
        };
        assert!(told(3, "OFF_MAP").contains("no street"));
        assert!(told(14, "").contains("cannot be reached"));
        assert_eq!(told(14, "DISK_FULL"), "As sent.", "the server was reached if it gave a reason");
        assert_eq!(told(16, "SESSION_OVER"), "The session is over.");
        assert_eq!(told(9, "WRONG_STATE"), "As sent.");
        assert_eq!(told(3, "NO_ROUTE"), "No car can drive there from the pickup.");
        assert_eq!(told(16, "NOT_GRPC"), "As sent.", "the response is from a proxy, not from the server");
    }

    /// PAGE-10
    #[test]
    fn what_is_wrong_with_a_field_is_a_sentence_about_the_field() {
        let text = "must have at most 100 characters".to_owned();
        let wrong =
            Failure { text, code: 3, reason: "TOO_LONG".into(), field: "query".into(), ..Failure::default() };
        assert_eq!(failure(&wrong), "Query must have at most 100 characters.");
        let other = Failure { text: "this request_id was used before".to_owned(), ..wrong };
        assert_eq!(failure(&other), "This request_id was used before.", "the text has a subject");
    }

    #[test]
    fn what_a_person_reads_is_a_sentence() {
        for (text, words) in [
            ("this server is not named \"x\"", "This server is not named \"x\"."),
            ("Whole already.", "Whole already."),
            ("ärger", "ärger."),
            ("", ""),
        ] {
            assert_eq!(sentence(text), words);
        }
    }
}
