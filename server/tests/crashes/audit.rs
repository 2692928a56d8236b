//! Asking the server for what it promised.

use std::{collections::BTreeMap, sync::Arc};

use futures_util::{StreamExt as _, stream};
use rides_proto::v1::{ListRequest, Ride, RideEvent};
use tonic::Status;

use super::{Ledger, Weather, ledger::Account};
use crate::harness::rider::Rider;

/// Rides looked at at a time.
const AT_ONCE: usize = 8;
/// The longest page.
const PAGE: u32 = 200;

pub(crate) struct Auditor {
    rider: Rider,
    ledger: Arc<Ledger>,
}

impl Auditor {
    pub(crate) fn new(rider: Rider, ledger: Arc<Ledger>) -> Self {
        Self { rider, ledger }
    }

    /// Asks, whenever the server has come up, for what was promised last: that is what a kill can take.
    pub(crate) async fn checks_after_each_kill(self, mut weather: Weather) {
        while !weather.is_calm() {
            weather.changes().await;
            for ride_id in self.ledger.fresh() {
                let before = self.ledger.version(&ride_id);
                match weather.insists(|| self.rider.get(&ride_id)).await.outcome {
                    Ok(ride) => self.ledger.answered(before, &ride),
                    Err(status) => self.ledger.breaks("lost", format!("{ride_id} to get: {status}")),
                }
            }
        }
    }

    /// Asks for everything, and for what should not be there. The server must be up and stay up.
    pub(crate) async fn checks_everything(&self) {
        let promised = self.ledger.rides();
        let again = promised.values().map(|account| self.books_again(account));
        stream::iter(again).buffer_unordered(AT_ONCE).collect::<()>().await;
        let listed = self.lists().await;
        for id in listed.keys().filter(|id| !promised.contains_key(*id)) {
            self.ledger.breaks("twice", format!("{id} is in the list, and nobody was told of it"));
        }
        let checks = promised.iter().map(|(id, account)| self.checks(id, account, listed.get(id)));
        stream::iter(checks).buffer_unordered(AT_ONCE).collect::<()>().await;
    }

    async fn books_again(&self, account: &Account) {
        let Some(request) = account.request.clone() else { return };
        match self.rider.book(request.clone()).await {
            Ok(ride) => self.ledger.booked(&request, &ride),
            Err(status) => self.ledger.breaks("refused", format!("{} again: {status}", request.request_id)),
        }
    }

    /// Every ride there is.
    async fn lists(&self) -> BTreeMap<String, Ride> {
        let mut listed = BTreeMap::new();
        let mut page_token = String::new();
        loop {
            let request = ListRequest { page_size: PAGE, page_token, ..Default::default() };
            let page = self.rider.list(request).await.unwrap();
            for ride in page.rides {
                let id = ride.ride_id.clone();
                if listed.insert(id.clone(), ride).is_some() {
                    self.ledger.breaks("twice", format!("{id} is in the list twice"));
                }
            }
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return listed;
            }
        }
    }

    /// A ride as it is now, against what was told of it.
    async fn checks(&self, id: &str, account: &Account, listed: Option<&Ride>) {
        let (ride, events) = match self.whole(id).await {
            Ok(whole) => whole,
            Err(status) => return self.ledger.breaks("lost", format!("{id}: {status}")),
        };
        let head = (ride.version, ride.state());
        let versions: Vec<u64> = events.iter().map(|event| event.version).collect();
        if listed.map(|ride| (ride.version, ride.state())) != Some(head) {
            self.ledger.breaks("lost", format!("{id} is at {head:?} and in the list as {listed:?}"));
        }
        if versions != (1..=ride.version).collect::<Vec<_>>() {
            self.ledger.breaks("out of order", format!("{id} at {head:?} has {versions:?}"));
        }
        if events != account.story {
            self.ledger.breaks("lost", format!("{id} was {:?} and now is {events:?}", account.story));
        }
        if let Some(answer) = account.contradiction(&events) {
            self.ledger.breaks("lost", format!("{id} was answered as {answer:?}, and is {events:?}"));
        }
    }

    /// A ride that is over, and all that happened to it. Its stream is read to the end: a client that resets many
    /// takes the rest of them for a flood, and ends its own connection.
    async fn whole(&self, id: &str) -> Result<(Ride, Vec<RideEvent>), Status> {
        let ride = self.rider.get(id).await?;
        let events = self.rider.resumes(id, "", 0).await?.events().await;
        Ok((ride, events))
    }
}
