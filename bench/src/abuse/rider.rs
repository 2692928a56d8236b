//! The calls of a page: quotes, then the booking of a ride, gets of the ride, and its cancellation.

use anyhow::{Context as _, Result};
use prost::Message as _;
use rides_proto::v1::{self, Actor, Location};

use crate::wire::RpcCall;

const KAIVOKATU: Location = Location { lat: 60.1699, lng: 24.9384 };
const KASARMIKATU: Location = Location { lat: 60.1642, lng: 24.9480 };
/// The number of calls in a round, from one ride to the next.
const ROUND: u64 = 20;
/// The number of quotes at the beginning of a round.
const QUOTES: u64 = 4;

/// A rider's sequence of calls. Pure: returns the next call, and reads the responses.
#[derive(Debug)]
pub(super) struct Rider {
    page: usize,
    /// The number of the call that is next or open.
    number: u64,
    ride_id: String,
    /// Is `true` if the response of the open call has had a message.
    answered: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Step {
    Quote,
    Book,
    Get,
    Cancel,
}

impl Rider {
    pub(super) fn new(page: usize) -> Self {
        Self { page, number: 0, ride_id: String::new(), answered: false }
    }

    /// Returns the next call.
    pub(super) fn call(&self) -> RpcCall {
        let (pickup, dropoff) = (Some(KAIVOKATU), Some(KASARMIKATU));
        let ride_id = self.ride_id.clone();
        let (path, message) = match self.step() {
            Step::Quote => {
                let request = v1::QuoteRequest { pickup, dropoff, ..Default::default() };
                ("/rides.v1.Rides/Quote", request.encode_to_vec())
            }
            Step::Book => {
                let request_id = format!("{}-{}", self.page, self.number);
                let rider_id = format!("page-{}", self.page);
                let request = v1::BookRequest { request_id, rider_id, pickup, dropoff, ..Default::default() };
                ("/rides.v1.Rides/Book", request.encode_to_vec())
            }
            Step::Get => ("/rides.v1.Rides/Get", v1::GetRequest { ride_id }.encode_to_vec()),
            Step::Cancel => {
                let request = v1::CancelRequest { ride_id, by: Actor::Rider.into(), ..Default::default() };
                ("/rides.v1.Rides/Cancel", request.encode_to_vec())
            }
        };
        RpcCall { timeout: Some("5S"), ..RpcCall::new(path, message) }
    }

    /// Reads the message of a response.
    pub(super) fn hear(&mut self, message: &[u8]) -> Result<()> {
        if self.step() == Step::Book {
            let ride = v1::BookResponse::decode(message)?.ride;
            self.ride_id = ride.context("the Book response has no ride")?.ride_id;
        }
        self.answered = true;
        Ok(())
    }

    /// Ends the open call. Returns `true` if its response had a message, that is, if it succeeded.
    pub(super) fn end_call(&mut self) -> bool {
        if self.answered {
            self.number += 1;
        }
        std::mem::take(&mut self.answered)
    }

    /// Returns the name of the open call.
    pub(super) fn what(&self) -> String {
        format!("{:?}", self.step())
    }

    /// Starts the next round, because the state of the current ride is unknown.
    pub(super) fn start_over(&mut self) {
        self.number = self.number.next_multiple_of(ROUND);
        self.answered = false;
    }

    fn step(&self) -> Step {
        match self.number % ROUND {
            nth if nth < QUOTES => Step::Quote,
            QUOTES => Step::Book,
            nth if nth < ROUND - 1 => Step::Get,
            _ => Step::Cancel,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_is_a_ride_from_fare_to_cancellation() {
        let mut rider = Rider::new(7);
        let booked =
            v1::BookResponse { ride: Some(v1::Ride { ride_id: "ride".into(), ..Default::default() }) };
        let mut steps = Vec::new();
        for _ in 0..=ROUND {
            steps.push(rider.step());
            let call = rider.call();
            if call.path.ends_with("Cancel") {
                assert_eq!(v1::CancelRequest::decode(&*call.message).unwrap().ride_id, "ride");
            }
            rider.hear(&booked.encode_to_vec()).unwrap();
            assert!(rider.end_call());
        }
        assert_eq!(steps[3..6], [Step::Quote, Step::Book, Step::Get]);
        assert_eq!(steps[18..], [Step::Get, Step::Cancel, Step::Quote]);
    }

    #[test]
    fn whoever_gets_no_message_is_not_content_and_starts_over() {
        let mut rider = Rider::new(0);
        rider.hear(&[]).unwrap();
        assert!(rider.end_call());
        assert!(!rider.end_call());
        rider.start_over();
        assert_eq!((rider.number, rider.step()), (ROUND, Step::Quote));
    }
}
