//! The simulated fleet as its viewers see it.

use std::{collections::BTreeMap, net::SocketAddr, path::Path, process::Stdio, sync::Arc, time::Duration};

use rides_proto::{
    geo::LatLng,
    v1::{self, RideState, ride_event::Event},
};
use rides_server::{city::City, fleet::FleetOptions, sim};
use tokio::{
    process::Child,
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{
    fleet::viewer::{Dot, Viewer},
    harness::{
        Running,
        places::{CITY, distance_m, test_map_flag},
        process::{address, end, process},
        rider::Rider,
        server, soon,
        wire::Wire,
    },
};

/// The speed of the simulation, as a multiple of real time.
const SPEED: f64 = 10.0;
/// The most time that one ride takes at this speed on a busy machine.
const A_RIDE: Duration = Duration::from_secs(90);

async fn whole_city(wire: &Wire) -> Viewer {
    Viewer::of(wire, CITY.bounds().into()).await
}

fn off_street_m(dot: &Dot) -> f64 {
    CITY.snap(LatLng::try_from(dot.at).unwrap()).snap_distance_m
}

/// The bounds of this map are 60 km wide, and its only street is 43 m long.
#[tokio::test(flavor = "multi_thread")]
async fn all_cars_drive_within_the_view_of_a_map_with_one_street() {
    let map = test_map_flag("one-street");
    let server = server().on_map(Path::new(map.trim_start_matches("--map="))).with_cars(5).run().await;
    let wire = Wire::Web(server.addr);
    let mut map = wire.open("/rides.v1.City/GetMap", v1::GetMapRequest::default()).await.unwrap();
    let first: v1::GetMapResponse = map.expect().await;
    let info = first.info.unwrap();
    assert_eq!((info.name.as_str(), info.streets), ("One Street", 1));
    let mut viewer = Viewer::of(&wire, info.bounds.unwrap()).await;
    viewer.until_cars(5).await;
    let before = viewer.cars.clone();
    let moves = async {
        while viewer.cars.iter().all(|(car, dot)| before[car].at == dot.at) {
            viewer.next().await;
        }
    };
    soon("a car that drives", moves).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rides_are_booked_driven_and_paid() {
    let server = server().with_cars(20).with_riders(60.0, SPEED).run().await;
    let rider = Rider(Wire::Web(server.addr));
    let completed = v1::ListRequest { states: vec![RideState::Completed.into()], ..Default::default() };
    let ride = async {
        loop {
            if let [ride, ..] = &rider.list(completed.clone()).await.unwrap().rides[..] {
                return ride.clone();
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    let ride = timeout(A_RIDE, ride).await.expect("no ride is completed");
    assert!(ride.distance_m > 100 && ride.fare.as_ref().is_some_and(|fare| fare.minor_units > 0), "{ride:?}");
    let story = rider.watches(&ride.ride_id).await.versions().await;
    assert_eq!(story, (1..=ride.version).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn cars_keep_to_the_streets_at_speeds_one_believes() {
    /// The time over which a speed is measured. Shorter ones are imprecise, because frames are late on a busy
    /// machine.
    const STRETCH: Duration = Duration::from_secs(2);
    let server = server().with_cars(20).with_riders(60.0, SPEED).run().await;
    let [wire, _] = server.wires().await;
    let mut viewer = whole_city(&wire).await;
    viewer.until_cars(20).await;

    let mut fastest: BTreeMap<u32, f64> = BTreeMap::new();
    for _ in 0..4 {
        let (before, since) = (viewer.cars.clone(), Instant::now());
        while since.elapsed() < STRETCH {
            viewer.next().await;
            for (number, dot) in &viewer.cars {
                assert!(off_street_m(dot) < 5.0, "car {number} is {} m off any street", off_street_m(dot));
            }
        }
        for (number, dot) in &viewer.cars {
            let speed = distance_m(before[number].at, dot.at) / since.elapsed().as_secs_f64() / SPEED;
            let fastest = fastest.entry(*number).or_default();
            *fastest = fastest.max(speed);
        }
    }
    assert!(fastest.values().all(|speed| *speed < 30.0), "m/s: {fastest:?}");
    assert!(fastest.values().filter(|speed| **speed > 1.0).count() >= 15, "m/s: {fastest:?}");
}

/// Runs a simulated fleet of one car against the server until the token is cancelled.
fn one_car(server: &Running) -> CancellationToken {
    let shutdown = CancellationToken::new();
    let (url, token) = (format!("http://{}", server.addr), shutdown.clone());
    let credentials = sim::Credentials::None;
    let options =
        sim::SimOptions { cars: 1, first_car: 7, riders_per_minute: 0.0, speed: SPEED, seed: 1, credentials };
    tokio::spawn(async move {
        let city = Arc::new(City::embedded());
        sim::run(&sim::Server::new(&url, None).unwrap(), &options, &city, token).await;
    });
    shutdown
}

/// The state of the fleet is lost with the first server. The ride is in the journal.
#[tokio::test(flavor = "multi_thread")]
async fn a_car_takes_up_its_ride_where_it_was_on_the_next_server() {
    let dir = tempfile::tempdir().unwrap();
    let first = server().keeping_in(dir.path()).run().await;
    let fleet = one_car(&first);
    let rider = Rider(Wire::Web(first.addr));
    let ride = rider.books("key").await.ride_id;
    let mut watch = rider.watches(&ride).await;
    let epoch = watch.opened.epoch.clone();
    let assigned = async {
        loop {
            let event = watch.event().await.expect("the stream has ended");
            if let Some(Event::Assigned(_)) = event.event {
                return event.version;
            }
        }
    };
    let seen = timeout(A_RIDE, assigned).await.expect("no car takes the ride");

    let addr = first.addr;
    first.stop();
    first.stopped().await;
    let _second = server().keeping_in(dir.path()).at(addr).run().await;
    let rest = rider.resumes(&ride, &epoch, seen).await.unwrap();
    assert!(rest.opened.resumed);
    let rest = timeout(A_RIDE, rest.events()).await.expect("the ride does not end");
    let versions: Vec<_> = rest.iter().map(|event| event.version).collect();
    assert_eq!(versions, (seen + 1..=seen + versions.len() as u64).collect::<Vec<_>>());
    assert!(
        !rest.iter().any(|event| matches!(event.event, Some(Event::Unassigned(_)))),
        "the ride was taken from the car: {rest:?}"
    );
    assert!(matches!(rest.last().and_then(|end| end.event.as_ref()), Some(Event::Completed(_))), "{rest:?}");
    fleet.cancel();
}

fn serve(at: &str) -> Child {
    let mut serve = process(&["--cars=0", &format!("--listen={at}")]);
    serve.stderr(Stdio::null()).spawn().unwrap()
}

async fn watching(addr: SocketAddr) -> Viewer {
    whole_city(&Wire::Web(addr)).await
}

#[cfg(unix)]
#[tokio::test]
async fn a_simulator_elsewhere_survives_its_server() {
    let mut first = serve("127.0.0.1:0");
    let addr = address(&mut first).await;
    let url = format!("http://{addr}");
    let mut sim = process(&["sim", "--connect", &url, "--cars=5", "--riders-per-minute=0"]);
    let mut sim = sim.stderr(Stdio::null()).spawn().unwrap();
    watching(addr).await.until_cars(5).await;

    first.kill().await.unwrap();
    let mut second = serve(&addr.to_string());
    assert_eq!(address(&mut second).await, addr);
    let mut viewer = watching(addr).await;
    viewer.until_cars(5).await;
    assert!(viewer.cars.values().all(|dot| off_street_m(dot) < 5.0));

    let since = Instant::now();
    assert!(end(&mut sim, "TERM").await.success());
    viewer.until_cars(0).await;
    assert!(since.elapsed() < FleetOptions::default().grace, "the cars did not sign off");
    assert!(end(&mut second, "TERM").await.success());
}
