use std::{
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use crate::rides::{
    model::{Actor, Cents, EventKind, OfferEndReason, OpenOffer, RideType, TripSummary, UnassignReason},
    testing::{booking, car, crew, noon, place},
};

/// The exact text of stored events. If this test fails, existing journals cannot be read.
#[test]
fn events_are_written_like_this_for_ever() {
    let pool = crate::rides::model::Booking {
        passengers: vec!["bob".into()],
        kind: RideType::Pool,
        dropoff: None,
        route: vec![],
        ..booking("")
    };
    let offer = OpenOffer { pickup_eta: Duration::from_millis(60_500), expires_at: noon() };
    let figures = TripSummary { distance_m: 1200, duration: Duration::new(240, 1), fare: Cents(950) };
    for (what, text) in [
        (
            EventKind::Requested(Arc::new(booking("ada"))),
            r#"{"requested":{"rider":"ada","passengers":[],"kind":"regular","pickup":{"at":[60.171,24.941],"name":"Street 0"},"dropoff":{"at":[60.176,24.941],"name":"Street 5"},"plan":{"distance_m":600,"duration":"90s","fare":700},"route":[60171000,24941000,5000,0]}}"#,
        ),
        (
            EventKind::Offered { crew: crew(1), offer },
            r#"{"offered":{"crew":{"car":1,"driver":"driver-1"},"offer":{"pickup_eta":"60.500s","expires_at":"2027-01-15T08:00:00Z"}}}"#,
        ),
        (
            EventKind::OfferEnded { car: car(1), why: OfferEndReason::TimedOut },
            r#"{"offer_ended":{"car":1,"why":"timed_out"}}"#,
        ),
        (EventKind::Assigned(crew(2)), r#"{"assigned":{"car":2,"driver":"driver-2"}}"#),
        (
            EventKind::Unassigned { car: car(2), why: UnassignReason::GaveBack("flat tyre".into()) },
            r#"{"unassigned":{"car":2,"why":{"gave_back":"flat tyre"}}}"#,
        ),
        (
            EventKind::Unassigned { car: car(2), why: UnassignReason::CarLost },
            r#"{"unassigned":{"car":2,"why":"car_lost"}}"#,
        ),
        (EventKind::Arrived, r#""arrived""#),
        (EventKind::Started, r#""started""#),
        (
            EventKind::PickedUpOffStreet { booking: Arc::new(pool), crew: crew(3), since: noon() },
            r#"{"picked_up_off_street":{"booking":{"rider":"","passengers":["bob"],"kind":"pool","pickup":{"at":[60.171,24.941],"name":"Street 0"},"dropoff":null,"plan":{"distance_m":600,"duration":"90s","fare":700},"route":[]},"crew":{"car":3,"driver":"driver-3"},"since":"2027-01-15T08:00:00Z"}}"#,
        ),
        (
            EventKind::Completed { figures, metered_fare: None, at: place(5) },
            r#"{"completed":{"figures":{"distance_m":1200,"duration":"240.000000001s","fare":950},"at":[60.176,24.941]}}"#,
        ),
        (
            EventKind::Completed { figures, metered_fare: Some(Cents(1200)), at: place(5) },
            r#"{"completed":{"figures":{"distance_m":1200,"duration":"240.000000001s","fare":950},"metered_fare":1200,"at":[60.176,24.941]}}"#,
        ),
        (
            EventKind::Cancelled { by: Actor::Dispatcher, reason: "fog".into() },
            r#"{"cancelled":{"by":"dispatcher","reason":"fog"}}"#,
        ),
        (EventKind::Expired, r#""expired""#),
    ] {
        assert_eq!(serde_json::to_string(&what).expect("the value can be encoded"), text);
        assert_eq!(serde_json::from_str::<EventKind>(text).expect("the text can be decoded"), what);
    }
}

#[test]
fn what_cannot_be_is_refused() {
    for text in [
        r#"{"offer_ended":{"car":0,"why":"timed_out"}}"#,
        r#"{"offer_ended":{"car":1,"why":"sang"}}"#,
        r#"{"completed":{"figures":{"distance_m":1,"duration":"-1s","fare":1},"at":[60.0,24.0]}}"#,
        r#"{"completed":{"figures":{"distance_m":1,"duration":"1s","fare":1},"at":[91.0,24.0]}}"#,
        r#"{"offered":{"crew":{"car":1,"driver":""},"offer":{"pickup_eta":"1s","expires_at":"noon"}}}"#,
    ] {
        assert!(serde_json::from_str::<EventKind>(text).is_err(), "{text}");
    }
}

proptest::proptest! {
    #[test]
    fn times_and_durations_come_back_to_the_nanosecond(seconds in 0..4_000_000_000u64, nanos in 0..1_000_000_000u32) {
        let offer = OpenOffer {
            pickup_eta: Duration::new(seconds, nanos),
            expires_at: UNIX_EPOCH + Duration::new(seconds, nanos),
        };
        let text = serde_json::to_string(&offer).expect("the value can be encoded");
        proptest::prop_assert_eq!(serde_json::from_str::<OpenOffer>(&text).expect("the text can be decoded"), offer);
    }
}
