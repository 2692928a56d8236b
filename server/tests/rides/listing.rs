//! `Rides.List`: pages, filters and bad requests.

use rides_proto::v1::{self, RideState};
use tonic::Code;

use crate::harness::{
    rider::{Rider, booking},
    server,
    wire::assert_refused,
};

#[tokio::test]
async fn rides_are_listed_newest_first_a_page_at_a_time() {
    let server = server().run().await;
    let wires = server.wires().await;
    let mut booked = Vec::new();
    for n in 0..5 {
        let rider_id = if n == 2 { "bob".into() } else { "ada".into() };
        let request = v1::BookRequest { rider_id, ..booking(&n.to_string()) };
        booked.insert(0, Rider(wires[0].clone()).book(request).await.unwrap().ride_id);
    }
    for rider in wires.map(Rider) {
        let page = |page_size, page_token: &str| v1::ListRequest {
            page_size,
            page_token: page_token.into(),
            ..Default::default()
        };
        let mut pages = vec![rider.list(page(2, "")).await.unwrap()];
        while let Some(last) = pages.last().filter(|page| !page.next_page_token.is_empty()) {
            pages.push(rider.list(page(2, &last.next_page_token)).await.unwrap());
        }
        assert_eq!(pages.iter().map(|page| page.rides.len()).collect::<Vec<_>>(), [2, 2, 1]);
        let listed = pages.iter().flat_map(|page| &page.rides);
        assert!(listed.clone().all(|ride| ride.route.is_none()), "lists have no routes");
        assert_eq!(listed.map(|ride| ride.ride_id.clone()).collect::<Vec<_>>(), booked);

        let everything = rider.list(page(0, "")).await.unwrap();
        assert_eq!((everything.rides.len(), everything.next_page_token.as_str()), (5, ""));
        assert_eq!(rider.list(page(200, "")).await.unwrap(), everything);
        assert_eq!(rider.list(page(5, "")).await.unwrap(), everything, "a full last page is the last page");

        let token = &pages[0].next_page_token;
        let of_bob = v1::ListRequest { rider_id: "bob".into(), ..page(2, token) };
        for (request, reason, field) in [
            (page(201, ""), "TOO_MANY", "page_size"),
            (page(2, "garbage"), "BAD_PAGE_TOKEN", "page_token"),
            (page(2, "åäö"), "BAD_PAGE_TOKEN", "page_token"),
            (page(2, &"0".repeat(32)), "BAD_PAGE_TOKEN", "page_token"),
            (of_bob, "BAD_PAGE_TOKEN", "page_token"),
            (v1::ListRequest { states: vec![0], ..page(0, "") }, "UNKNOWN_VALUE", "states[0]"),
            (v1::ListRequest { states: vec![99], ..page(0, "") }, "UNKNOWN_VALUE", "states[0]"),
            (v1::ListRequest { rider_id: "x".repeat(65), ..page(0, "") }, "TOO_LONG", "rider_id"),
        ] {
            assert_refused(rider.list(request).await, Code::InvalidArgument, reason, field);
        }
    }
}

#[tokio::test]
async fn lists_are_of_one_rider_or_of_some_states() {
    let server = server().run().await;
    let wires = server.wires().await;
    let rider = Rider(wires[0].clone());
    let [kept, cancelled] = [rider.books("kept").await.ride_id, rider.books("cancelled").await.ride_id];
    rider.cancel(&cancelled).await.unwrap();
    let of_bob =
        rider.book(v1::BookRequest { rider_id: "bob".into(), ..booking("bob's") }).await.unwrap().ride_id;

    for rider in wires.map(Rider) {
        let list = async |rider_id: &str, states: &[RideState]| {
            let states = states.iter().map(|state| (*state).into()).collect();
            let request = v1::ListRequest { rider_id: rider_id.into(), states, ..Default::default() };
            let rides = rider.list(request).await.unwrap().rides;
            rides.into_iter().map(|ride| ride.ride_id).collect::<Vec<_>>()
        };
        assert_eq!(list("ada", &[]).await, [&*cancelled, &*kept]);
        assert_eq!(list("bob", &[]).await, [&*of_bob]);
        assert_eq!(list("eve", &[]).await, [""; 0]);
        assert_eq!(list("", &[RideState::Cancelled]).await, [&*cancelled]);
        assert_eq!(list("ada", &[RideState::Requested, RideState::Completed]).await, [&*kept]);
        assert_eq!(
            list("", &[RideState::Cancelled, RideState::Requested]).await,
            [&*of_bob, &cancelled, &kept]
        );
    }
}
