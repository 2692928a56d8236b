//! Stand-in: plausible data. `#waiting`, `#offline`, `#none` … in the address choose the connection.
use std::time::Duration;

use leptos::prelude::*;
use rides_proto::ids::CarNumber;

use super::*;
use crate::{
    browser,
    model::{Money, Progress, Resumed, RideState, TimelineEntry},
};

#[derive(Clone, Copy)]
struct Writers {
    connection: WriteSignal<Connection>,
    rides: RwSignal<Vec<Ride>>,
    followed: RwSignal<Option<FollowedRide>>,
    quote: RwSignal<Remote<Quote>>,
    action: RwSignal<Remote<()>>,
    places: RwSignal<Remote<Vec<Place>>>,
}

/// Sends commands.
#[derive(Clone, Copy)]
pub struct Commands(Writers);

fn p(lat: f64, lng: f64) -> LatLng {
    LatLng::new(lat, lng).expect("on Earth")
}
fn place(name: &str, lat: f64, lng: f64) -> Place {
    Place { name: name.into(), at: p(lat, lng) }
}
fn eur(c: i64) -> Money {
    Money { currency: "EUR".into(), minor_units: c }
}

fn ride(n: usize, state: RideState, from: &str, to: &str, fare: i64, ago_s: i64) -> Ride {
    Ride {
        id: RideId::new(format!("01J{n:05}")),
        version: 1,
        state,
        kind: if n.is_multiple_of(3) { RideType::Pool } else { RideType::Regular },
        rider_id: String::new(),
        pickup: Some(place(from, 60.17, 24.94)),
        dropoff: Some(place(to, 60.165, 24.955)),
        car_id: (state as usize > 0).then_some(n as i64 + 11),
        driver_id: format!("driver-{}", n + 11),
        fare: eur(fare),
        distance_m: 2_640,
        duration_s: 540,
        route: vec![p(60.17, 24.94), p(60.168, 24.95), p(60.165, 24.955)],
        requested_at: (browser::unix_now() as i64) - ago_s * 1000,
        updated_at: (browser::unix_now() as i64) - ago_s * 1000,
        cancel_reason: String::new(),
    }
}

const LIFE: [(RideState, &str); 6] = [
    (RideState::Requested, "Requested"),
    (RideState::Offered, "Offered to car 17"),
    (RideState::Assigned, "Car 17 is on its way"),
    (RideState::Arrived, "Car 17 is at the pickup"),
    (RideState::OnTrip, "Trip begun"),
    (RideState::Completed, "Arrived"),
];

fn follow(w: Writers, mut ride: Ride, upto: usize, resumed: bool) {
    ride.state = LIFE[upto].0;
    ride.version = upto as u64 + 1;
    ride.car_id = (upto > 0).then_some(17);
    ride.driver_id = if upto > 0 { "driver-17".into() } else { String::new() };
    let timeline = LIFE[..=upto]
        .iter()
        .enumerate()
        .map(|(i, (state, text))| TimelineEntry {
            version: i as u64 + 1,
            at: ride.requested_at + i as i64 * 41_700,
            text: (*text).into(),
            state: *state,
        })
        .collect();
    let progress = matches!(upto, 2 | 4).then(|| Progress {
        car: CarNumber(17),
        at: p(60.168, 24.93),
        eta_s: 222,
        remaining_m: 1_340,
        route: Arc::new(vec![]),
    });
    let resumed = resumed.then_some(Resumed { at_version: 2, caught_up: 0, exact: true });
    w.followed.set(Some(FollowedRide { ride, timeline, progress, resumed }));
}

/// Starts it.
pub fn start() -> (Store, Commands) {
    let (connection, set_connection) = signal(Connection::Connecting);
    let w = Writers {
        connection: set_connection,
        rides: RwSignal::new(vec![
            ride(9, RideState::Requested, "Mannerheimintie", "Kaivopuisto", 1240, 3),
            ride(8, RideState::Offered, "Bulevardi", "Hakaniementori", 1090, 14),
            ride(7, RideState::Assigned, "Aleksanterinkatu", "Punavuorenkatu", 980, 75),
            ride(6, RideState::Arrived, "Runeberginkatu", "Eteläesplanadi", 1120, 190),
            ride(5, RideState::OnTrip, "Fredrikinkatu", "Siltasaarenkatu", 1375, 420),
            ride(4, RideState::Completed, "Unioninkatu", "Tehtaankatu", 860, 700),
            ride(3, RideState::Cancelled, "Liisankatu", "Lönnrotinkatu", 910, 1500),
            ride(2, RideState::Expired, "Pohjoisesplanadi", "Pieni Roobertinkatu", 1010, 4000),
            ride(1, RideState::Completed, "Annankatu", "Kruunuvuorenkatu", 1185, 9000),
        ]),
        followed: RwSignal::new(None),
        quote: RwSignal::new(Remote::Idle),
        action: RwSignal::new(Remote::Idle),
        places: RwSignal::new(Remote::Idle),
    };
    let hash = location_hash().unwrap_or_default();
    match hash.as_str() {
        "none" => set_connection.set(Connection::Waiting { retry_at: browser::now() + 8000.0, attempt: 2 }),
        "offline" => set_connection.set(Connection::Offline),
        "stalled" => set_connection.set(Connection::Live { last_frame_at: browser::now() }),
        _ => {
            set_connection.set(Connection::Live { last_frame_at: browser::now() });
            if hash == "waiting" {
                set_timeout(
                    move || {
                        set_connection
                            .set(Connection::Waiting { retry_at: browser::now() + 9000.0, attempt: 2 });
                    },
                    Duration::from_millis(300),
                );
            } else if hash == "draining" {
                set_timeout(
                    move || set_connection.set(Connection::Draining { retry_at: browser::now() + 5000.0 }),
                    Duration::from_millis(300),
                );
            } else {
                set_interval(
                    move || set_connection.set(Connection::Live { last_frame_at: browser::now() }),
                    Duration::from_millis(230),
                );
            }
        }
    }
    let mine = || ride(7, RideState::Assigned, "Aleksanterinkatu", "Punavuorenkatu", 980, 210);
    match hash.as_str() {
        "requested" => follow(w, mine(), 0, false),
        "offered" => follow(w, mine(), 1, false),
        "assigned" | "waiting" => follow(w, mine(), 2, hash == "waiting"),
        "arrived" => follow(w, mine(), 3, false),
        "ontrip" => follow(w, mine(), 4, false),
        "completed" => follow(w, mine(), 5, false),
        "cancelled" => {
            follow(w, mine(), 2, false);
            w.followed.update(|f| {
                if let Some(f) = f {
                    f.progress = None;
                    f.ride.state = RideState::Cancelled;
                    f.ride.cancel_reason = "changed my mind".into();
                    f.timeline.push(TimelineEntry {
                        version: 4,
                        at: f.ride.requested_at + 160_000,
                        text: "Cancelled by the rider: changed my mind".into(),
                        state: RideState::Cancelled,
                    });
                }
            });
        }
        _ => {}
    }
    let city = RwSignal::new(None).read_only();
    let store = Store {
        city,
        connection,
        rides: w.rides.read_only(),
        followed: w.followed.read_only(),
        quote: w.quote.read_only(),
        action: w.action.read_only(),
        places: w.places.read_only(),
        cars_in_view: RwSignal::new(120).read_only(),
        fleet: StoredValue::new_local(Rc::new(RefCell::new(FleetModel))),
    };
    (store, Commands(w))
}

impl Commands {
    /// Sends.
    pub fn send(self, command: Command) {
        let w = self.0;
        let later = |ms, f: Box<dyn FnOnce()>| set_timeout(f, Duration::from_millis(ms));
        match command {
            Command::Quote { pickup, dropoff, kind } => {
                w.quote.set(Remote::Loading);
                later(
                    350,
                    Box::new(move || {
                        if pickup.lat() > 60.1775 {
                            w.quote.set(Remote::Failed(Failure {
                                text: "pickup is 400 m from any street".into(),
                                code: 3,
                                reason: "OFF_MAP".into(),
                                field: "pickup".into(),
                            }));
                            return;
                        }
                        w.quote.set(Remote::Ready(Quote {
                            fare: eur(if kind == RideType::Pool { 890 } else { 1240 }),
                            pickup_eta_s: Some(185),
                            trip_s: 560,
                            trip_m: 2_640,
                            route: vec![pickup, dropoff],
                            pickup: Place { name: "Aleksanterinkatu".into(), at: pickup },
                            dropoff: Place { name: "Punavuorenkatu".into(), at: dropoff },
                        }));
                    }),
                );
            }
            Command::ClearQuote => w.quote.set(Remote::Idle),
            Command::Book { .. } => {
                w.action.set(Remote::Loading);
                later(
                    600,
                    Box::new(move || {
                        w.action.set(Remote::Ready(()));
                        let mine =
                            ride(10, RideState::Requested, "Aleksanterinkatu", "Punavuorenkatu", 1240, 0);
                        w.rides.update(|r| r.insert(0, mine.clone()));
                        for step in 0..6 {
                            let mine = mine.clone();
                            set_timeout(
                                move || follow(w, mine, step, false),
                                Duration::from_millis(10 + 4000 * step as u64),
                            );
                        }
                    }),
                );
            }
            Command::Cancel(_) => w.action.set(Remote::Failed(Failure {
                text: "The ride has begun and cannot be cancelled any more.".into(),
                code: 9,
                reason: "WRONG_STATE".into(),
                field: String::new(),
            })),
            Command::Follow(id) => {
                if let Some(r) = w.rides.get_untracked().into_iter().find(|r| r.id == id) {
                    let upto = LIFE.iter().position(|l| l.0 == r.state).unwrap_or(1);
                    follow(w, r, upto, false);
                }
            }
            Command::Unfollow => w.followed.set(None),
            Command::FindPlaces(q) => {
                w.places.set(Remote::Loading);
                later(
                    150,
                    Box::new(move || {
                        let found = [
                            "Aleksanterinkatu",
                            "Albertinkatu",
                            "Annankatu",
                            "Apollonkatu",
                            "Arkadiankatu",
                            "Bulevardi",
                            "Punavuorenkatu",
                        ]
                        .into_iter()
                        .filter(|n| n.to_lowercase().contains(&q.to_lowercase()))
                        .take(5)
                        .map(|n| place(n, 60.168, 24.95))
                        .collect();
                        w.places.set(Remote::Ready(found));
                    }),
                );
            }
            Command::Dismiss(_) => w.action.set(Remote::Idle),
            Command::Look(_) => {}
            Command::Reconnect => w.connection.set(Connection::Connecting),
        }
    }
}
