//! Rides and cars for tests.

use std::{
    future,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use proptest::prelude::*;
use rand::{SeedableRng as _, rngs::SmallRng};
use rides_proto::{
    geo::LatLng,
    ids::{CarId, RideId},
};

use crate::city::City;

use super::{
    RideLog,
    journal::{
        Entry, Filter, Journal, JournalError, JournalFuture, KnownRequests, Later, ListedRide, MemoryJournal,
        RequestId, RequestKey,
    },
    machine::Command,
    model::{Actor, Booking, CarAndDriver, Cents, OfferEndReason, OpenOffer, Stop, TripSummary},
};

/// Returns the city that is embedded in the program. It is made once for all tests.
pub(crate) fn city() -> Arc<City> {
    static CITY: OnceLock<Arc<City>> = OnceLock::new();
    Arc::clone(CITY.get_or_init(|| Arc::new(City::embedded())))
}

/// Returns `n` places on streets of [`city`], the same ones at each call.
pub(crate) fn on_streets(n: usize) -> Vec<LatLng> {
    let mut rng = SmallRng::seed_from_u64(7);
    let city = city();
    (0..n).map(|_| city.random_place(&mut rng).at).collect()
}

/// Returns the place in Helsinki that is `n` times 0.001 degrees north of the railway station.
pub(crate) fn place(n: u8) -> LatLng {
    LatLng::new(60.1710 + f64::from(n) / 1000.0, 24.9410).expect("on Earth").rounded()
}

pub(crate) fn car(n: u8) -> CarId {
    CarId::new(i64::from(n)).expect("positive")
}

pub(crate) fn crew(n: u8) -> CarAndDriver {
    CarAndDriver { car: car(n), driver: format!("driver-{n}") }
}

pub(crate) fn booking(rider: &str) -> Booking {
    let stop = |n| Stop { at: place(n), name: format!("Street {n}") };
    Booking {
        rider: rider.into(),
        passengers: vec![],
        kind: Default::default(),
        pickup: stop(0),
        dropoff: Some(stop(5)),
        plan: TripSummary { distance_m: 600, duration: Duration::from_secs(90), fare: Cents(700) },
        route: vec![place(0), place(5)],
    }
}

/// Returns a request of `ada`, the rider of most bookings in tests.
pub(crate) fn request(id: &str, fingerprint: &[u8]) -> RequestKey {
    RequestKey { id: RequestId { caller: "ada".into(), id: id.into() }, fingerprint: fingerprint.to_vec() }
}

/// The time of all events in pure tests.
pub(crate) fn noon() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

pub(crate) fn offer(now: SystemTime) -> OpenOffer {
    OpenOffer { pickup_eta: Duration::from_secs(60), expires_at: now + Duration::from_secs(10) }
}

/// Any command by one of three cars, at noon.
pub(crate) fn any_command() -> impl Strategy<Value = Command> {
    let car = (1..=3u8).prop_map(car);
    let crew = (1..=3u8).prop_map(crew);
    let why = prop_oneof![Just(OfferEndReason::TimedOut), Just(OfferEndReason::CarLost)];
    let figures = TripSummary { distance_m: 700, duration: Duration::from_secs(100), fare: Cents(800) };
    prop_oneof![
        Just(Command::Book(Arc::new(booking("ada")))),
        crew.clone().prop_map(|crew| {
            let booking = Arc::new(booking(""));
            Command::StartOffStreet { booking, crew, since: noon() }
        }),
        crew.prop_map(|crew| Command::Offer { crew, offer: offer(noon()) }),
        (car.clone(), why).prop_map(|(car, why)| Command::EndOffer { car, why }),
        car.clone().prop_map(|car| Command::Accept { car }),
        car.clone().prop_map(|car| Command::Decline { car }),
        car.clone().prop_map(|car| Command::Arrive { car }),
        car.clone().prop_map(|car| Command::PickUp { car }),
        prop::option::of(car.clone()).prop_map(move |car| Command::DropOff {
            car,
            figures,
            metered_fare: None,
            at: place(5)
        }),
        car.clone().prop_map(|car| Command::GiveBack { car, reason: "flat tyre".into() }),
        car.prop_map(|car| Command::Unassign { car }),
        Just(Command::Cancel { by: Actor::Rider, car: None, reason: "found a tram".into() }),
        Just(Command::Expire),
    ]
}

/// A hook for the appends to a [`HookedJournal`] journal.
pub(crate) trait AppendHook: Send + Sync + 'static {
    /// Runs before an append. If it fails, nothing is appended.
    fn before(&self) -> JournalFuture<'_, ()>;

    /// Runs after a successful append, before it is acknowledged.
    fn after(&self) -> Later<'_, ()> {
        Box::pin(future::ready(()))
    }
}

/// A journal in memory whose appends run a hook.
pub(crate) struct HookedJournal<T> {
    pub(crate) kept: Arc<MemoryJournal>,
    pub(crate) trouble: Arc<T>,
}

impl<T: AppendHook> Journal for HookedJournal<T> {
    fn epoch(&self) -> &str {
        self.kept.epoch()
    }
    fn append(&self, batch: Vec<Entry>) -> JournalFuture<'static, ()> {
        let (kept, trouble) = (Arc::clone(&self.kept), Arc::clone(&self.trouble));
        Box::pin(async move {
            trouble.before().await?;
            kept.append(batch).await?;
            trouble.after().await;
            Ok(())
        })
    }
    fn ride<'a>(&'a self, ride: &'a RideId) -> JournalFuture<'a, Option<Arc<RideLog>>> {
        self.kept.ride(ride)
    }
    fn unfinished(&self) -> JournalFuture<'_, Vec<Arc<RideLog>>> {
        self.kept.unfinished()
    }
    fn by_requests<'a>(&'a self, requests: &'a [RequestKey]) -> JournalFuture<'a, KnownRequests> {
        self.kept.by_requests(requests)
    }
    fn page<'a>(
        &'a self,
        filter: &'a Filter,
        below: Option<u64>,
        limit: usize,
    ) -> JournalFuture<'a, Vec<ListedRide>> {
        self.kept.page(filter, below, limit)
    }
    fn failed(&self) -> Later<'_, JournalError> {
        self.kept.failed()
    }
    fn close(&self) -> Later<'_, ()> {
        self.kept.close()
    }
}

/// A hook that fails a given number of appends.
#[derive(Default)]
pub(crate) struct FailAppends(AtomicU32);

impl AppendHook for FailAppends {
    fn before(&self) -> JournalFuture<'_, ()> {
        let one_less = |left: u32| left.checked_sub(1);
        let refused = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less).is_ok();
        let full = || JournalError::Unavailable("the disk is full".into());
        Box::pin(future::ready(if refused { Err(full()) } else { Ok(()) }))
    }
}

/// A journal whose appends fail on demand.
pub(crate) type FailingJournal = HookedJournal<FailAppends>;

impl FailingJournal {
    pub(crate) fn new() -> Self {
        Self { kept: Arc::default(), trouble: Arc::default() }
    }

    /// Makes the next `appends` appends fail.
    pub(crate) fn fail_appends(&self, appends: u32) {
        self.trouble.0.store(appends, Ordering::Relaxed);
    }
}
