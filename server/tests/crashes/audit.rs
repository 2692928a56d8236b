//! The auditor: it asks the server for everything that was acknowledged.

use std::{collections::BTreeMap, sync::Arc};

use futures_util::{StreamExt as _, stream};
use rides_proto::v1::{ListRequest, Ride, RideEvent};
use tonic::Status;

use super::{Ledger, StormReceiver, ledger::RideRecord};
use crate::harness::rider::Rider;

/// The number of rides that are checked at a time.
const AT_ONCE: usize = 8;
/// The largest page size.
const PAGE: u32 = 200;

pub(crate) struct Auditor {
    rider: Rider,
    ledger: Arc<Ledger>,
}

impl Auditor {
    pub(crate) fn new(rider: Rider, ledger: Arc<Ledger>) -> Self {
        Self { rider, ledger }
    }

    /// Asks, after each restart, for the rides that were acknowledged since the last one. A kill can lose only
    /// these.
    pub(crate) async fn checks_after_each_kill(self, mut weather: StormReceiver) {
        while !weather.is_calm() {
            weather.changes().await;
            for ride_id in self.ledger.fresh() {
                let before = self.ledger.version(&ride_id);
                match weather.retry_until_response(|| self.rider.get(&ride_id)).await.outcome {
                    Ok(ride) => self.ledger.record_response(before, &ride),
                    Err(status) => self.ledger.record_broken("lost", format!("{ride_id} to get: {status}")),
                }
            }
        }
    }

    /// Asks for every acknowledged ride, and looks for rides that were never acknowledged. The server must be
    /// up and stay up.
    pub(crate) async fn checks_everything(&self) {
        let promised = self.ledger.rides();
        let again = promised.values().map(|account| self.books_again(account));
        stream::iter(again).buffer_unordered(AT_ONCE).collect::<()>().await;
        let listed = self.lists().await;
        for id in listed.keys().filter(|id| !promised.contains_key(*id)) {
            self.ledger.record_broken("twice", format!("{id} is in the list, and no client knows it"));
        }
        let checks = promised.iter().map(|(id, account)| self.checks(id, account, listed.get(id)));
        stream::iter(checks).buffer_unordered(AT_ONCE).collect::<()>().await;
    }

    async fn books_again(&self, account: &RideRecord) {
        let Some(request) = account.request.clone() else { return };
        match self.rider.book(request.clone()).await {
            Ok(ride) => self.ledger.booked(&request, &ride),
            Err(status) => {
                self.ledger.record_broken("refused", format!("{} again: {status}", request.request_id));
            }
        }
    }

    /// Returns every ride on the server.
    async fn lists(&self) -> BTreeMap<String, Ride> {
        let mut listed = BTreeMap::new();
        let mut page_token = String::new();
        loop {
            let request = ListRequest { page_size: PAGE, page_token, ..Default::default() };
            let page = self.rider.list(request).await.unwrap();
            for ride in page.rides {
                let id = ride.ride_id.clone();
                if listed.insert(id.clone(), ride).is_some() {
                    self.ledger.record_broken("twice", format!("{id} is in the list twice"));
                }
            }
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return listed;
            }
        }
    }

    /// Compares a ride with everything that clients were told about it.
    async fn checks(&self, id: &str, account: &RideRecord, listed: Option<&Ride>) {
        let (ride, events) = match self.whole(id).await {
            Ok(whole) => whole,
            Err(status) => return self.ledger.record_broken("lost", format!("{id}: {status}")),
        };
        let head = (ride.version, ride.state());
        let versions: Vec<u64> = events.iter().map(|event| event.version).collect();
        if listed.map(|ride| (ride.version, ride.state())) != Some(head) {
            self.ledger.record_broken("lost", format!("{id} is at {head:?} and in the list as {listed:?}"));
        }
        if versions != (1..=ride.version).collect::<Vec<_>>() {
            self.ledger.record_broken("out of order", format!("{id} at {head:?} has {versions:?}"));
        }
        if events != account.story {
            self.ledger.record_broken("lost", format!("{id} was {:?} and now is {events:?}", account.story));
        }
        if let Some(answer) = account.contradiction(&events) {
            self.ledger.record_broken("lost", format!("{id} was answered as {answer:?}, and is {events:?}"));
        }
    }

    /// Returns a completed ride and all its events. The stream is read to its end: when a client resets many
    /// streams, its h2 library takes the frames that still arrive for a flood and closes the connection.
    async fn whole(&self, id: &str) -> Result<(Ride, Vec<RideEvent>), Status> {
        let ride = self.rider.get(id).await?;
        let events = self.rider.resumes(id, "", 0).await?.events().await;
        Ok((ride, events))
    }
}
