//! Uploads and driver streams that end while the trip continues: case L20.

use rides_proto::v1::{self, Location, RideState, rides_client::RidesClient, watch_response::Message};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use crate::harness::{
    Running,
    car::car,
    http::Http,
    places::{AT_SEA, place},
    rider::{RideSubscription, Rider},
    server, soon,
};

fn at_sea(lng: f64) -> Location {
    Location { lng, ..AT_SEA }
}

/// Waits until the ride's car is at `at`. No event may come before.
async fn until_at(followed: &mut RideSubscription, at: Location) {
    let there = async {
        loop {
            match followed.next().await.expect("the stream has ended") {
                Message::Progress(progress) if progress.car == Some(at) => return,
                Message::Event(event) if event.version > 1 => panic!("something happened: {event:?}"),
                _ => {}
            }
        }
    };
    soon("the position", there).await;
}

/// The way in which a client ends an upload.
#[derive(Clone, Copy, Debug)]
enum Ending {
    HalfClose,
    Reset,
    Kill,
}

/// The number of uploads that ended with CANCELLED, at all servers of this process.
async fn called_off(server: &Running) -> f64 {
    let figures = Http::h1(server.addr).await.get("/metrics").await;
    figures.metric("rides_rpcs_total{method=\"rides.v1.Rides/Track\",code=\"Cancelled\"}")
}

/// Uploads a position of car 1, and ends the upload when the server has processed the position.
async fn upload(server: &Running, followed: &mut RideSubscription, at: Location, ending: Ending) {
    let channel = server.channel().await;
    let (up, positions) = mpsc::channel(1);
    let mut client = RidesClient::new(channel.clone());
    let call = tokio::spawn(async move { client.track(ReceiverStream::new(positions)).await });
    up.send(v1::TrackRequest { car_id: 1, time: None, location: Some(at) }).await.unwrap();
    until_at(followed, at).await;
    match ending {
        Ending::HalfClose => {
            drop(up);
            assert_eq!(soon("the count", call).await.unwrap().unwrap().into_inner().count, 1);
        }
        // The connection stays open.
        Ending::Reset => {
            call.abort();
            assert!(soon("the end of the call", call).await.is_err());
        }
        Ending::Kill => {
            drop(channel);
            call.abort();
            assert!(soon("the end of the call", call).await.is_err());
        }
    }
}

#[tokio::test]
async fn positions_count_and_only_an_end_ends_the_trip() {
    let server = server().run().await;
    let [wire, _] = server.wires().await;
    let rider = Rider(wire);
    let start = v1::StartRequest {
        car_id: 1,
        driver_id: "aino".into(),
        location: Some(AT_SEA),
        ..Default::default()
    };
    let id = rider.start(start).await.unwrap();
    let mut followed = rider.watches(&id).await;
    for (n, ending) in (1..).zip([Ending::HalfClose, Ending::Reset, Ending::Kill]) {
        let before = called_off(&server).await;
        upload(&server, &mut followed, at_sea(f64::from(n) / 1000.0), ending).await;
        if !matches!(ending, Ending::HalfClose) {
            let counted = async { while called_off(&server).await <= before {} };
            soon("a CANCELLED in the metrics", counted).await;
        }
        // The server has processed the end of the upload before it takes the next position.
        assert_eq!(rider.get(&id).await.unwrap().state(), RideState::OnTrip, "{ending:?}");
    }
    let end = v1::EndRequest { ride_id: id.clone(), ..Default::default() };
    let ended = rider.end(end).await.unwrap();
    assert!((332..=335).contains(&ended.distance_m), "{} m", ended.distance_m);
    assert_eq!(followed.versions().await, [2]);
}

#[tokio::test]
async fn a_driver_whose_stream_ends_has_not_dropped_off() {
    let server = server().run().await;
    let [wire, _] = server.wires().await;
    let rider = Rider(wire);
    let mut driver = car(1).at(place(1)).signs_on(&server).await;
    let ride = rider.books("key").await.ride_id;
    driver.takes(&ride).await;
    driver.arrives(&ride).await;
    driver.picks_up(&ride).await;

    assert_eq!(driver.half_closes().await.unwrap_err().code(), tonic::Code::Cancelled);
    let mut driver = car(1).signs_on(&server).await;
    assert_eq!(driver.is_assigned(&ride).await.state(), RideState::OnTrip);
    drop(driver);
    let mut driver = car(1).signs_on(&server).await;
    assert_eq!(driver.is_assigned(&ride).await.version, 5, "no event while the car was lost");
    driver.drops_off(&ride).await;
}
