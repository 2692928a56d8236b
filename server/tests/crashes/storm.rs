//! The storm: it starts the clients, and kills the server at random moments.

use std::{env, sync::Arc};

use rand::{Rng as _, SeedableRng as _, rngs::SmallRng};
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Duration, sleep},
};
use tonic::transport::{Channel, Endpoint};

use super::{Auditor, Client, Driver, Ledger, Server, StormReceiver, weather::StormState};
use crate::harness::{rider::Rider, soon, wire::Wire};

/// The number of riders over each transport.
const CLIENTS: u64 = 5;
/// The number of cars.
const DRIVERS: i64 = 6;
/// The longest time in seconds from the start of listening to the kill.
const LIFE: f64 = 0.4;
/// The longest time in seconds from the start of the process to a kill before it listens.
const START: f64 = 0.06;

pub(crate) struct Storm {
    seed: u64,
    kills: u32,
    in_memory: bool,
}

impl Storm {
    /// A storm with the seed `RIDES_STORM`, or with a random seed.
    pub(crate) fn new() -> Self {
        let seed = env::var("RIDES_STORM").ok().filter(|seed| !seed.is_empty());
        let seed = seed.map_or_else(rand::random, |seed| seed.parse().unwrap());
        Self { seed, kills: 1, in_memory: false }
    }

    pub(crate) fn kills(self, kills: u32) -> Self {
        Self { kills, ..self }
    }

    /// Keeps the journal in memory, so that every kill loses it.
    pub(crate) fn in_memory(self) -> Self {
        Self { in_memory: true, ..self }
    }

    /// Runs the storm, and then checks everything that was acknowledged.
    pub(crate) async fn run(self) -> Arc<Ledger> {
        let ledger = Arc::new(Ledger::new(self.seed));
        let server = Server::new(self.in_memory);
        let (sky, view) = watch::channel(StormState::default());
        let town =
            StormClients { port: server.port, weather: StormReceiver(view), ledger: Arc::clone(&ledger) };
        let people = town.people(self.seed);
        let _drivers = town.drivers();

        let mut rng = SmallRng::seed_from_u64(self.seed);
        for _ in 0..self.kills {
            let mut child = server.starts();
            // The square makes short lives more frequent than long ones.
            let part = rng.random::<f64>().powi(2);
            if rng.random_bool(0.2) {
                ledger.count(|tally| tally.kills_at_start += 1);
                sleep(Duration::from_secs_f64(part * START)).await;
            } else {
                server.is_up(&mut child).await;
                sky.send_modify(|sky| sky.lives += 1);
                sleep(Duration::from_secs_f64(part * LIFE)).await;
            }
            server.is_killed(child).await;
            ledger.count(|tally| tally.kills += 1);
        }

        let mut child = server.starts();
        server.is_up(&mut child).await;
        sky.send_modify(|sky| *sky = StormState { lives: sky.lives + 1, is_calm: true });
        soon("the end of every ride", people.join_all()).await;
        town.auditor().checks_everything().await;
        server.is_killed(child).await;
        if let Some(problems) = server.problems().await {
            ledger.record_broken("lost", problems);
        }
        ledger
    }
}

/// The shared parts of all clients.
struct StormClients {
    port: u16,
    weather: StormReceiver,
    ledger: Arc<Ledger>,
}

impl StormClients {
    /// Starts the riders, half of them over each transport, and the auditor. They end after the storm.
    fn people(&self, seed: u64) -> JoinSet<()> {
        let mut people = JoinSet::new();
        for n in 0..2 * CLIENTS {
            let rider = if n % 2 == 0 { self.native() } else { self.web() };
            let client = Client::new(n, seed, rider, self.weather.clone(), Arc::clone(&self.ledger));
            people.spawn(client.run());
        }
        people.spawn(self.auditor().checks_after_each_kill(self.weather.clone()));
        people
    }

    /// Starts the drivers. They end when the set is dropped.
    fn drivers(&self) -> JoinSet<()> {
        let driver = |n| Driver::new(n, self.channel(), self.weather.clone(), Arc::clone(&self.ledger));
        (1..=DRIVERS).map(|n| driver(n).drives()).collect()
    }

    fn auditor(&self) -> Auditor {
        Auditor::new(self.native(), Arc::clone(&self.ledger))
    }

    fn native(&self) -> Rider {
        Rider(Wire::Native(self.channel()))
    }

    fn web(&self) -> Rider {
        Rider(Wire::Web(([127, 0, 0, 1], self.port).into()))
    }

    /// A channel that connects at the first call, and again after each break.
    fn channel(&self) -> Channel {
        Endpoint::from_shared(format!("http://127.0.0.1:{}", self.port)).unwrap().connect_lazy()
    }
}
