//! A watcher that follows a ride to its end, and resumes after every break.

use std::sync::Arc;

use super::{Ledger, StormReceiver};
use crate::harness::rider::Rider;

pub(crate) struct Watcher {
    ride_id: String,
    rider: Rider,
    weather: StormReceiver,
    ledger: Arc<Ledger>,
}

impl Watcher {
    pub(crate) fn new(ride_id: &str, rider: &Rider, weather: &StormReceiver, ledger: &Arc<Ledger>) -> Self {
        Self {
            ride_id: ride_id.into(),
            rider: rider.clone(),
            weather: weather.clone(),
            ledger: Arc::clone(ledger),
        }
    }

    /// Follows the ride until it has ended. Stops early if the server does not know the ride.
    pub(crate) async fn follows(mut self) {
        let (mut epoch, mut seen) = (String::new(), 0);
        loop {
            let (rider, ride_id) = (&self.rider, &self.ride_id);
            let mut watch = match self
                .weather
                .retry_until_response(|| rider.resumes(ride_id, &epoch, seen))
                .await
                .outcome
            {
                Ok(watch) => watch,
                Err(status) => {
                    return self.ledger.record_broken("lost", format!("{ride_id} to watch: {status}"));
                }
            };
            self.ledger.opened(ride_id, &epoch, seen, &watch.opened);
            epoch.clone_from(&watch.opened.epoch);
            loop {
                match watch.try_event().await {
                    Some(Ok(event)) => {
                        self.ledger.told(&event);
                        seen = event.version;
                    }
                    Some(Err(_broken)) => break,
                    None => return,
                }
            }
        }
    }
}
