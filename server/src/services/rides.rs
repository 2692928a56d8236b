//! The `rides.v1.Rides` service.

use std::{pin::Pin, sync::Arc, time::SystemTime};

use futures_util::Stream;
use prost::Message as _;
use rides_proto::{ids::RideId, v1};
use tonic::{Request, Response, Status, Streaming};

use super::{
    bad_request::all,
    booking_limits::BookingLimits,
    convert::{self, duration, money},
    fields::{self, MAX_REASON},
    plan::{self, plan},
    principal::principal,
    progress::Tracker,
    track::track,
    trip::end_trip,
    watch_ride::{ResumePoint, RideViewer},
};
use crate::{
    access::Principal,
    city::City,
    dispatch,
    fleet::{Fleet, PositionReport},
    rides::{
        RideError, Rides,
        fare::fare,
        journal::{Filter, RequestId, RequestKey},
        list::ListQuery,
        machine::Command,
        model::{Booking, CarAndDriver, Ride, RideType, Stop, TripSummary},
    },
};
use grpc_edge::Peer;

/// The implementation of `rides.v1.Rides`.
pub struct RidesService {
    city: Arc<City>,
    fleet: Fleet,
    rides: Rides,
    limits: BookingLimits,
}

impl RidesService {
    /// Makes the service.
    pub fn new(city: Arc<City>, fleet: Fleet, rides: Rides, limits: BookingLimits) -> Self {
        Self { city, fleet, rides, limits }
    }

    /// Returns a ride. Fails with NOT_FOUND if there is no such ride, and also if the caller may not see it: callers
    /// cannot learn which ids other riders have.
    async fn seen_by(&self, caller: &Principal, id: &RideId) -> Result<Ride, RideError> {
        let ride = self.rides.get(id).await?;
        if caller.can_see(&ride) { Ok(ride) } else { Err(RideError::NotFound) }
    }
}

#[tonic::async_trait]
impl v1::rides_server::Rides for RidesService {
    async fn start(&self, request: Request<v1::StartRequest>) -> Result<Response<v1::StartResponse>, Status> {
        let caller = principal(&request)?;
        let request = request.into_inner();
        let now = SystemTime::now();
        let (car, driver, at, time, kind, passengers) = all((
            fields::car("car_id", request.car_id),
            fields::driver("driver_id", request.driver_id, &caller),
            fields::location("location", request.location),
            fields::time("time", request.time, now),
            fields::ride_type("type", request.r#type),
            fields::passengers("passenger_ids", request.passenger_ids),
        ))?;
        let crew = CarAndDriver { car, driver };
        caller.authorize_crew(&crew)?;

        let ride = self.rides.start_off_street(crew, off_street(at, kind, passengers), time).await?;
        let view = self.fleet.car(car).await?;
        // A repeated call must not move the car back to where the trip began.
        if !view.is_some_and(|view| view.ride.as_ref() == Some(&ride.id) && view.meter_m.is_some()) {
            self.fleet.report(vec![PositionReport { car, at, heading_deg: None, time }]).await?;
            // Called here, and not left to dispatch: the meter must run before the client sends positions after this
            // response.
            dispatch::begin_off_street(&self.fleet, &ride).await?;
        }
        Ok(Response::new(v1::StartResponse { id: ride.id.to_string() }))
    }

    async fn end(&self, request: Request<v1::EndRequest>) -> Result<Response<v1::EndResponse>, Status> {
        let caller = principal(&request)?;
        let request = request.into_inner();
        let (at, time) = all((
            fields::optional_location("location", request.location),
            fields::time("time", request.time, SystemTime::now()),
        ))?;
        let id = RideId::new(request.ride_id);
        self.seen_by(&caller, &id).await?;
        let ride = end_trip(&self.rides, &self.fleet, &id, caller.only_car(), at, time).await?;
        let TripSummary { distance_m, duration: took, fare } = ride.figures;
        Ok(Response::new(v1::EndResponse {
            distance_m,
            duration: Some(duration(took)),
            fare: Some(money(fare)),
            ride: Some(convert::ride(&ride)),
        }))
    }

    async fn track(
        &self,
        request: Request<Streaming<v1::TrackRequest>>,
    ) -> Result<Response<v1::TrackResponse>, Status> {
        let caller = principal(&request)?;
        let count = track(&self.fleet, &caller, request.into_inner()).await?;
        Ok(Response::new(v1::TrackResponse { count }))
    }

    async fn quote(&self, request: Request<v1::QuoteRequest>) -> Result<Response<v1::QuoteResponse>, Status> {
        let request = request.into_inner();
        let (pickup, dropoff, kind) = all((
            fields::location("pickup", request.pickup),
            fields::location("dropoff", request.dropoff),
            fields::ride_type("type", request.r#type),
        ))?;

        let plan = plan(&self.city, pickup, dropoff, kind)?;
        let nearest = dispatch::candidates(&self.city, &self.fleet, &plan.pickup, &[]).await?;
        Ok(Response::new(v1::QuoteResponse {
            fare: Some(money(plan.figures.fare)),
            pickup_eta: nearest.first().map(|candidate| duration(candidate.pickup_eta)),
            trip_duration: Some(duration(plan.figures.duration)),
            trip_distance_m: plan.figures.distance_m,
            route: Some(rides_proto::convert::pack_path(&plan.route)),
            pickup: Some(plan.pickup.at.into()),
            dropoff: Some(plan.dropoff.at.into()),
            pickup_name: plan.pickup.street,
            dropoff_name: plan.dropoff.street,
        }))
    }

    async fn book(&self, request: Request<v1::BookRequest>) -> Result<Response<v1::BookResponse>, Status> {
        let caller = principal(&request)?;
        let address = request.extensions().get().and_then(|peer: &Peer| peer.counted_address);
        let mut request = request.into_inner();
        let (rider, id, pickup, dropoff, kind, passengers) = all((
            fields::rider("rider_id", std::mem::take(&mut request.rider_id), &caller),
            fields::request_id("request_id", std::mem::take(&mut request.request_id)),
            fields::location("pickup", request.pickup),
            fields::location("dropoff", request.dropoff),
            fields::ride_type("type", request.r#type),
            fields::passengers("passenger_ids", request.passenger_ids.clone()),
        ))?;
        request.rider_id = caller.authorize_rider(rider)?;
        let id = RequestId { caller: caller.name(&request.rider_id).to_owned(), id };
        let key = RequestKey { id, fingerprint: request.encode_to_vec() };

        let ride = match plan(&self.city, pickup, dropoff, kind) {
            Ok(plan) => {
                let booking = Booking {
                    rider: request.rider_id,
                    passengers,
                    kind,
                    pickup: plan::stop(plan.pickup),
                    dropoff: Some(plan::stop(plan.dropoff)),
                    plan: plan.figures,
                    route: plan.route,
                };
                let limits = self.limits.of(&caller, &booking.rider, address);
                self.rides.book_with_limits(limits, key, booking).await?
            }
            // A repeated call succeeds even if the ride was booked on an earlier map that had a route.
            Err(no_way) => self.rides.ride_of_request(&key).await?.ok_or(no_way)?,
        };
        Ok(Response::new(v1::BookResponse { ride: Some(convert::ride(&ride)) }))
    }

    async fn cancel(
        &self,
        request: Request<v1::CancelRequest>,
    ) -> Result<Response<v1::CancelResponse>, Status> {
        let caller = principal(&request)?;
        let request = request.into_inner();
        let (by, reason) =
            all((fields::actor("by", request.by), fields::text("reason", request.reason, MAX_REASON)))?;
        let by = caller.authorize_actor(by)?;
        let id = RideId::new(request.ride_id);
        self.seen_by(&caller, &id).await?;
        let ride = self.rides.command(&id, Command::Cancel { by, car: caller.only_car(), reason }).await?;
        Ok(Response::new(v1::CancelResponse { ride: Some(convert::ride(&ride)) }))
    }

    async fn get(&self, request: Request<v1::GetRequest>) -> Result<Response<v1::GetResponse>, Status> {
        let caller = principal(&request)?;
        let ride = self.seen_by(&caller, &RideId::new(request.into_inner().ride_id)).await?;
        Ok(Response::new(v1::GetResponse { ride: Some(convert::ride(&ride)) }))
    }

    async fn list(&self, request: Request<v1::ListRequest>) -> Result<Response<v1::ListResponse>, Status> {
        let caller = principal(&request)?;
        let request = request.into_inner();
        let (page_size, rider, states) = all((
            fields::page_size("page_size", request.page_size),
            fields::rider("rider_id", request.rider_id, &caller),
            fields::states("states", &request.states),
        ))?;
        let rider = Some(caller.authorize_rider(rider)?).filter(|rider| !rider.is_empty());
        let query = ListQuery { page_size, page_token: request.page_token, filter: Filter { rider, states } };
        let page = self.rides.list(&query).await?;
        Ok(Response::new(v1::ListResponse {
            rides: page.rides.iter().map(convert::listed).collect(),
            next_page_token: page.next_page_token,
        }))
    }

    type WatchStream = Pin<Box<dyn Stream<Item = Result<v1::WatchResponse, Status>> + Send>>;

    async fn watch(&self, request: Request<v1::WatchRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let caller = principal(&request)?;
        let request = request.into_inner();
        let epoch = self.rides.epoch();
        let feed = self.rides.watch(&RideId::new(request.ride_id.as_str())).await?;
        if !caller.can_see(&feed.borrow().ride) {
            return Err(RideError::NotFound.into());
        }
        let head = feed.borrow().ride.version;
        let start = ResumePoint::new(&request, epoch, head)?;
        let tracker = Tracker::new(Arc::clone(&self.city), self.fleet.clone());
        let viewer = RideViewer::new(feed, tracker, epoch, head, start);
        Ok(Response::new(Box::pin(viewer.into_stream())))
    }
}

/// Makes the booking of a ride whose passengers got in on the street. Its fare is the minimum fare.
fn off_street(at: rides_proto::geo::LatLng, kind: RideType, passengers: Vec<String>) -> Booking {
    let plan = TripSummary { fare: fare(0, std::time::Duration::ZERO, kind), ..TripSummary::default() };
    Booking {
        rider: String::new(),
        passengers,
        kind,
        pickup: Stop { at, name: String::new() },
        dropoff: None,
        plan,
        route: Vec::new(),
    }
}

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
