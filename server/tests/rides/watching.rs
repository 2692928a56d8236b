//! `Rides.Watch`: resuming, reconnecting, and many watchers of one ride.

use tonic::Code;

use crate::harness::{Running, car::car, places::place, rider::Rider, server, wire::assert_refused};

/// Returns a completed ride with six events.
async fn finished_ride(server: &Running, rider: &Rider, key: &str) -> String {
    let mut car = car(1).at(place(1)).signs_on(server).await;
    let ride = rider.books(key).await.ride_id;
    car.takes(&ride).await;
    car.arrives(&ride).await;
    car.picks_up(&ride).await;
    car.drops_off(&ride).await;
    car.signs_off().await;
    ride
}

#[tokio::test]
async fn a_watch_resumes_after_its_cursor_and_only_in_its_epoch() {
    let server = server().run().await;
    for wire in server.wires().await {
        let rider = Rider(wire.clone());
        let ride = finished_ride(&server, &rider, &format!("{wire:?}")).await;
        let whole = rider.watches(&ride).await;
        let epoch = whole.opened.epoch.clone();
        assert_eq!((whole.opened.resumed, whole.opened.head_version), (false, 6));
        assert_eq!(whole.versions().await, [1, 2, 3, 4, 5, 6]);

        let another = "6c1e2c5a-94cf-4f0e-8a3c-5b1f1f3b2d22";
        for (epoch, after, resumed, versions) in [
            (epoch.as_str(), 0, true, &[1, 2, 3, 4, 5, 6][..]),
            (&epoch, 4, true, &[5, 6]),
            (&epoch, 6, true, &[]),
            (&epoch, 7, false, &[1, 2, 3, 4, 5, 6]),
            (&epoch, u64::MAX, false, &[1, 2, 3, 4, 5, 6]),
            (another, 4, false, &[1, 2, 3, 4, 5, 6]),
            ("", 4, false, &[1, 2, 3, 4, 5, 6]),
        ] {
            let watch = rider.resumes(&ride, epoch, after).await.unwrap();
            assert_eq!((watch.opened.resumed, watch.opened.head_version), (resumed, 6), "{epoch} {after}");
            assert_eq!(watch.versions().await, versions, "{epoch} {after}");
        }
        let garbage = rider.resumes(&ride, "yesterday", 4).await.map(|_| ());
        assert_refused(garbage, Code::InvalidArgument, "BAD_EPOCH", "epoch");
        let unknown = rider.resumes("nobody's", "", 0).await.map(|_| ());
        assert_refused(unknown, Code::NotFound, "NO_SUCH_RIDE", "");
    }
}

#[tokio::test]
async fn a_watch_that_breaks_goes_on_without_a_gap_or_a_repeat() {
    let server = server().run().await;
    for wire in server.wires().await {
        let rider = Rider(wire.clone());
        let mut car = car(1).at(place(1)).signs_on(&server).await;
        let ride = rider.books(&format!("{wire:?}")).await.ride_id;
        car.is_offered(&ride).await;
        let mut first = rider.watches(&ride).await;
        let epoch = first.opened.epoch.clone();
        let seen = [first.event().await.unwrap().version, first.event().await.unwrap().version];
        assert_eq!(seen, [1, 2]);
        drop(first);

        car.accepts(&ride).await;
        let mut second = rider.resumes(&ride, &epoch, 2).await.unwrap();
        assert!(second.opened.resumed);
        assert_eq!(second.event().await.unwrap().version, 3);
        rider.cancel(&ride).await.unwrap();
        assert_eq!(second.versions().await, [4]);
        assert_eq!(car.loses(&ride).await, "a tram came");
        car.signs_off().await;
    }
}

#[tokio::test]
async fn many_watchers_see_the_same() {
    let server = server().run().await;
    let [native, web] = server.wires().await.map(Rider);
    let ride = native.books("key").await.ride_id;
    let mut watchers = Vec::new();
    for rider in [&native, &web].iter().cycle().take(20) {
        watchers.push(rider.watches(&ride).await);
    }
    web.cancel(&ride).await.unwrap();
    let mut stories = Vec::new();
    for watcher in watchers {
        stories.push(watcher.events().await);
    }
    assert_eq!(stories[0].len(), 2);
    assert!(stories.iter().all(|story| *story == stories[0]));
}
