//! The storm itself: who is out in it, and when it strikes.

use std::{env, sync::Arc};

use rand::{Rng as _, SeedableRng as _, rngs::SmallRng};
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Duration, sleep},
};
use tonic::transport::{Channel, Endpoint};

use super::{Auditor, Client, Driver, Ledger, Server, Weather, weather::Sky};
use crate::harness::{rider::Rider, soon, wire::Wire};

/// Riders over each wire.
const CLIENTS: u64 = 5;
/// Cars.
const DRIVERS: i64 = 6;
/// Longest life of a server that is up, in seconds.
const LIFE: f64 = 0.4;
/// Longest life of a server that is killed while it starts, in seconds.
const START: f64 = 0.06;

pub(crate) struct Storm {
    seed: u64,
    kills: u32,
    in_memory: bool,
}

impl Storm {
    /// Another storm each time, but for `RIDES_STORM`.
    pub(crate) fn new() -> Self {
        let seed = env::var("RIDES_STORM").ok().filter(|seed| !seed.is_empty());
        let seed = seed.map_or_else(rand::random, |seed| seed.parse().unwrap());
        Self { seed, kills: 1, in_memory: false }
    }

    pub(crate) fn kills(self, kills: u32) -> Self {
        Self { kills, ..self }
    }

    /// With a journal that each kill takes with it.
    pub(crate) fn in_memory(self) -> Self {
        Self { in_memory: true, ..self }
    }

    /// Lets it rage, and then asks for everything that was promised.
    pub(crate) async fn rages(self) -> Arc<Ledger> {
        let ledger = Arc::new(Ledger::new(self.seed));
        let server = Server::new(self.in_memory);
        let (sky, view) = watch::channel(Sky::default());
        let town = Town { port: server.port, weather: Weather(view), ledger: Arc::clone(&ledger) };
        let people = town.people(self.seed);
        let _drivers = town.drivers();

        let mut rng = SmallRng::seed_from_u64(self.seed);
        for _ in 0..self.kills {
            let mut child = server.starts();
            // More short lives than long ones.
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
        sky.send_modify(|sky| *sky = Sky { lives: sky.lives + 1, is_calm: true });
        soon("the end of every ride", people.join_all()).await;
        town.auditor().checks_everything().await;
        server.is_killed(child).await;
        if let Some(problems) = server.problems().await {
            ledger.breaks("lost", problems);
        }
        ledger
    }
}

/// Where everyone looks at the same sky, and writes into the same ledger.
struct Town {
    port: u16,
    weather: Weather,
    ledger: Arc<Ledger>,
}

impl Town {
    /// Riders on both wires, and someone who looks after what they were told. They end when the storm has.
    fn people(&self, seed: u64) -> JoinSet<()> {
        let mut people = JoinSet::new();
        for n in 0..2 * CLIENTS {
            let rider = if n % 2 == 0 { self.native() } else { self.web() };
            let client = Client::new(n, seed, rider, self.weather.clone(), Arc::clone(&self.ledger));
            people.spawn(client.lives());
        }
        people.spawn(self.auditor().checks_after_each_kill(self.weather.clone()));
        people
    }

    /// They drive until they are dropped.
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

    /// Connects when it must, and again after each break.
    fn channel(&self) -> Channel {
        Endpoint::from_shared(format!("http://127.0.0.1:{}", self.port)).unwrap().connect_lazy()
    }
}
