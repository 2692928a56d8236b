//! A restart keeps everything that was acknowledged.

use rides_proto::v1;
use tempfile::tempdir;
use tonic::Code;

use crate::harness::{
    Running,
    places::place,
    rider::{Rider, booking},
    server, village,
    wire::{Wire, assert_refused},
};

/// L1, L5: a request is repeated after a restart, because its response may have been lost.
#[tokio::test]
async fn a_request_is_the_same_ride_across_a_restart() {
    let dir = tempdir().unwrap();
    let server_1 = server().keeping_in(dir.path()).run().await;
    let [native, web] = server_1.wires().await.map(Rider);
    let (first, second) = (native.books("first").await, web.books("second").await);
    let cancelled = web.cancel(&second.ride_id).await.unwrap();
    server_1.stop();
    server_1.stopped().await;

    let server_2 = server().keeping_in(dir.path()).run().await;
    for rider in server_2.wires().await.map(Rider) {
        assert_eq!(rider.books("first").await, first);
        assert_eq!(rider.books("second").await, cancelled, "the current ride");
        assert_eq!(rider.cancel(&second.ride_id).await.unwrap(), cancelled);
        let another = v1::BookRequest { dropoff: Some(place(3)), ..booking("first") };
        assert_refused(rider.book(another).await, Code::InvalidArgument, "KEY_REUSED", "request_id");
        let listed = rider.list(v1::ListRequest::default()).await.unwrap().rides;
        assert_eq!(
            listed.iter().map(|ride| &ride.ride_id).collect::<Vec<_>>(),
            [&second.ride_id, &first.ride_id]
        );
    }
}

/// BAD-7: request ids belong to their caller, also after a restart.
#[tokio::test]
async fn a_strangers_request_id_blocks_nobody() {
    let dir = tempdir().unwrap();
    let of = |server: &Running, wire: &Wire, who: &str| match who {
        "eve" => Rider(wire.with(server.dispatcher())),
        rider => Rider(wire.with(server.rider(rider))),
    };
    let wish = |dropoff| v1::BookRequest {
        rider_id: String::new(),
        dropoff: Some(place(dropoff)),
        ..booking("order-1")
    };
    let mut booked = Vec::new();
    let first = server().requiring_tokens().keeping_in(dir.path()).run().await;
    let wires = first.wires().await;
    for (who, dropoff, wire) in [("mallory", 2, &wires[0]), ("ada", 2, &wires[1]), ("bob", 3, &wires[0])] {
        booked.push((who, dropoff, of(&first, wire, who).book(wish(dropoff)).await.unwrap()));
    }
    let by_dispatch = v1::BookRequest { rider_id: "ada".into(), ..wish(2) };
    let dispatched = of(&first, &wires[0], "eve").book(by_dispatch.clone()).await.unwrap();
    drop(wires);
    first.stop();
    first.stopped().await;

    let second = server().requiring_tokens().keeping_in(dir.path()).run().await;
    for wire in second.wires().await {
        for (who, dropoff, ride) in &booked {
            let rider = of(&second, &wire, who);
            assert_eq!(rider.book(wish(*dropoff)).await.unwrap(), *ride, "{who}");
            let another = rider.book(wish(4)).await;
            assert_refused(another, Code::InvalidArgument, "KEY_REUSED", "request_id");
        }
        let eve = of(&second, &wire, "eve");
        assert_eq!(eve.book(by_dispatch.clone()).await.unwrap(), dispatched);
        assert_eq!(eve.list(v1::ListRequest::default()).await.unwrap().rides.len(), 4);
    }
}

/// BAD-4: after a restart the open rides of a rider come from the journal.
#[tokio::test]
async fn open_rides_count_after_a_restart_too() {
    let dir = tempdir().unwrap();
    let starts = || {
        server()
            .requiring_tokens()
            .limiting_services(|limits| limits.max_open_rides = 2)
            .keeping_in(dir.path())
    };
    let wish = |key: &str| v1::BookRequest { rider_id: String::new(), ..booking(key) };
    let first = starts().run().await;
    let ada = first.as_rider("ada").await;
    let open = ada.book(wish("first")).await.unwrap();
    ada.book(wish("second")).await.unwrap();
    first.stop();
    first.stopped().await;

    let second = starts().run().await;
    let ada = second.as_rider("ada").await;
    assert_refused(ada.book(wish("third")).await, Code::ResourceExhausted, "TOO_MANY_OPEN_RIDES", "");
    assert_eq!(ada.book(wish("first")).await.unwrap(), open);
    ada.cancel(&open.ride_id).await.unwrap();
    ada.book(wish("third")).await.unwrap();
}

/// L5: the request is repeated on a map that has no route between the two places.
#[tokio::test]
async fn a_request_is_the_same_ride_on_another_map() {
    let (dir, map) = (tempdir().unwrap(), tempdir().unwrap());
    let helsinki = server().keeping_in(dir.path()).run().await;
    let ride = Rider(helsinki.wires().await[0].clone()).books("key").await;
    helsinki.stop();
    helsinki.stopped().await;

    let map = map.path().join("village.osm.pbf");
    village::build(&map);
    let village = server().on_map(&map).keeping_in(dir.path()).run().await;
    for rider in village.wires().await.map(Rider) {
        assert_eq!(rider.books("key").await, ride);
        let another = v1::BookRequest { dropoff: Some(place(3)), ..booking("key") };
        assert_refused(rider.book(another).await, Code::InvalidArgument, "KEY_REUSED", "request_id");
        let new = rider.book(booking("another")).await;
        assert_refused(new, Code::InvalidArgument, "OFF_MAP", "pickup");
    }
}

/// L6: a restart ends the stream. The next stream continues after the last event.
#[tokio::test]
async fn a_watcher_goes_on_where_it_was() {
    let dir = tempdir().unwrap();
    let server_1 = server().keeping_in(dir.path()).run().await;
    let mut seen = Vec::new();
    for rider in server_1.wires().await.map(Rider) {
        let ride = rider.books(&format!("{rider:?}")).await;
        let mut followed = rider.watches(&ride.ride_id).await;
        let version = followed.event().await.unwrap().version;
        seen.push((ride.ride_id, followed.opened.epoch, version));
    }
    server_1.stop();
    server_1.stopped().await;

    let server_2 = server().keeping_in(dir.path()).run().await;
    for (rider, (id, epoch, version)) in server_2.wires().await.map(Rider).iter().zip(seen) {
        let again = rider.resumes(&id, &epoch, version).await.unwrap();
        assert!(again.opened.resumed);
        assert_eq!((again.opened.epoch.as_str(), again.opened.head_version), (epoch.as_str(), 1));
        rider.cancel(&id).await.unwrap();
        assert_eq!(again.versions().await, [2], "the new event, once");
    }
}

/// L9: a copy of the file with the same rides is another journal, with another epoch.
#[tokio::test]
async fn a_journal_from_a_backup_resumes_nobody() {
    let (dir, backup) = (tempdir().unwrap(), tempdir().unwrap());
    let server_1 = server().keeping_in(dir.path()).run().await;
    let rider = Rider(server_1.wires().await[0].clone());
    let ride = rider.books("key").await;
    let epoch = rider.watches(&ride.ride_id).await.opened.epoch;
    server_1.stop();
    server_1.stopped().await;
    std::fs::copy(dir.path().join("rides.db"), backup.path().join("rides.db")).unwrap();

    let server_2 = server().keeping_in(backup.path()).run().await;
    for rider in server_2.wires().await.map(Rider) {
        let again = rider.resumes(&ride.ride_id, &epoch, 1).await.unwrap();
        assert!(!again.opened.resumed);
        assert_ne!(again.opened.epoch, epoch);
        rider.cancel(&ride.ride_id).await.unwrap();
        assert_eq!(again.versions().await, [1, 2], "every event of the ride");
    }
}
