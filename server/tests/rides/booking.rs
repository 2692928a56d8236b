//! Quotes and bookings: request ids, and requests with a bad field.

use futures_util::future::join_all;
use rides_proto::v1::{self, Location, RideType};
use tonic::Code;

use crate::harness::{
    places::{AT_SEA, CITY, NOWHERE, distance_m, north_of, place},
    rider::{Rider, booking},
    server,
    wire::assert_refused,
};

#[tokio::test]
async fn one_request_books_one_ride_however_often_it_is_sent() {
    let server = server().run().await;
    for wire in server.wires().await {
        let rider = Rider(wire.clone());
        let key = format!("{wire:?}");
        let at_once = join_all((0..16).map(|_| rider.books(&key))).await;
        assert!(at_once.iter().all(|ride| ride.ride_id == at_once[0].ride_id));
        rider.cancel(&at_once[0].ride_id).await.unwrap();
        let later = rider.books(&key).await;
        assert_eq!((later.ride_id.as_str(), later.version), (at_once[0].ride_id.as_str(), 2), "current ride");

        let another = v1::BookRequest { dropoff: Some(place(3)), ..booking(&key) };
        assert_refused(rider.book(another).await, Code::InvalidArgument, "KEY_REUSED", "request_id");
        assert_ne!(rider.books(&format!("{key} again")).await.ride_id, later.ride_id);
    }
}

#[tokio::test]
async fn of_different_bookings_at_once_under_one_request_id_one_stands() {
    let server = server().run().await;
    let [native, web] = server.wires().await.map(Rider);
    let wishes = (0..16).map(|n| v1::BookRequest { passenger_ids: vec![n.to_string()], ..booking("key") });
    let riders = [&native, &web].into_iter().cycle();
    let outcomes = join_all(wishes.zip(riders).map(|(wish, rider)| rider.book(wish))).await;
    let (booked, refused): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(Result::is_ok);
    assert_eq!(booked.len(), 1);
    for outcome in refused {
        assert_refused(outcome, Code::InvalidArgument, "KEY_REUSED", "request_id");
    }
    assert_eq!(native.list(v1::ListRequest::default()).await.unwrap().rides.len(), 1);
}

/// BAD-7: without a token, the caller of a request is the rider that it names.
#[tokio::test]
async fn a_request_id_is_of_the_rider_who_is_named() {
    let server = server().run().await;
    let [native, web] = server.wires().await.map(Rider);
    let of = |rider: &str| v1::BookRequest { rider_id: rider.into(), ..booking("order-1") };
    let adas = native.book(of("ada")).await.unwrap().ride_id;
    let bobs = web.book(of("bob")).await.unwrap().ride_id;
    assert_ne!(adas, bobs);
    assert_eq!(web.book(of("ada")).await.unwrap().ride_id, adas);
    assert_eq!(native.book(of("bob")).await.unwrap().ride_id, bobs);
}

#[tokio::test]
async fn quotes_say_what_where_and_how_long() {
    let server = server().run().await;
    for rider in server.wires().await.map(Rider) {
        let (pickup, dropoff) = (north_of(place(1), 3.0), place(2));
        let request = v1::QuoteRequest { pickup: Some(pickup), dropoff: Some(dropoff), r#type: 0 };
        let quote = rider.quote(request).await.unwrap();
        assert_eq!(quote.pickup_eta, None, "an estimate without a free car");
        assert!(distance_m(quote.pickup.unwrap(), pickup) <= 3.1, "a pickup off the nearest street");
        assert!(distance_m(quote.dropoff.unwrap(), dropoff) < 0.2);
        assert!(f64::from(quote.trip_distance_m) >= distance_m(pickup, dropoff) - 5.0);
        assert!(quote.trip_duration.is_some_and(|duration| duration.seconds > 0));
        let route = rides_proto::convert::unpack_path(&quote.route.unwrap()).unwrap();
        for (end, at) in [(route[0], quote.pickup), (route[route.len() - 1], quote.dropoff)] {
            assert!(distance_m(end.into(), at.unwrap()) < 0.5, "the route joins pickup and dropoff");
        }
        let pool = v1::QuoteRequest { r#type: RideType::Pool.into(), ..request };
        let cents = |fare: Option<v1::Money>| fare.unwrap().minor_units;
        assert!(cents(rider.quote(pool).await.unwrap().fare) < cents(quote.fare));
    }
}

#[tokio::test]
async fn bad_wishes_are_refused_field_by_field_and_nothing_breaks() {
    let server = server().run().await;
    let bounds = CITY.bounds();
    let off_map = Location { lat: bounds.north_east().lat() + 0.01, lng: bounds.center().lng() };
    for wire in server.wires().await {
        let rider = Rider(wire.clone());
        let good = booking(&format!("{wire:?}"));
        for (point, reason) in [
            (None, "MISSING"),
            (Some(NOWHERE), "NOT_ON_EARTH"),
            (Some(Location { lat: 90.1, lng: 0.0 }), "NOT_ON_EARTH"),
            (Some(Location { lat: 0.0, lng: -180.1 }), "NOT_ON_EARTH"),
            (Some(Location { lat: f64::INFINITY, lng: 0.0 }), "NOT_ON_EARTH"),
            (Some(AT_SEA), "OFF_MAP"),
            (Some(off_map), "OFF_MAP"),
            (Some(Location { lat: 90.0, lng: 180.0 }), "OFF_MAP"),
        ] {
            for (pickup, dropoff, field) in [(point, good.dropoff, "pickup"), (good.pickup, point, "dropoff")]
            {
                let quote = v1::QuoteRequest { pickup, dropoff, r#type: 0 };
                assert_refused(rider.quote(quote).await, Code::InvalidArgument, reason, field);
                let book = v1::BookRequest { pickup, dropoff, ..good.clone() };
                assert_refused(rider.book(book).await, Code::InvalidArgument, reason, field);
            }
        }
        for (request, reason, field) in [
            (v1::BookRequest { request_id: String::new(), ..good.clone() }, "BAD_LENGTH", "request_id"),
            (v1::BookRequest { request_id: "å".repeat(33), ..good.clone() }, "BAD_LENGTH", "request_id"),
            (v1::BookRequest { dropoff: good.pickup, ..good.clone() }, "SAME_PLACE", "dropoff"),
            (v1::BookRequest { r#type: -1, ..good.clone() }, "UNKNOWN_VALUE", "type"),
            (v1::BookRequest { rider_id: "x".repeat(65), ..good.clone() }, "TOO_LONG", "rider_id"),
            (
                v1::BookRequest { passenger_ids: vec!["x".into(); 17], ..good.clone() },
                "TOO_MANY",
                "passenger_ids",
            ),
        ] {
            assert_refused(rider.book(request).await, Code::InvalidArgument, reason, field);
        }
        for id in ["", "nobody's", "\0", &"x".repeat(10_000)] {
            assert_refused(rider.get(id).await, Code::NotFound, "NO_SUCH_RIDE", "");
        }
        let ride = rider.book(good).await.expect("nothing broke");
        assert_eq!(rider.get(&ride.ride_id).await.unwrap(), ride);
    }
}
