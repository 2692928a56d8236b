//! The implementation of `Rides.Track`: positions of many cars in one client stream.

use std::{pin::pin, time::SystemTime};

use futures_util::{Stream, StreamExt as _};
use rides_proto::v1;
use tonic::Status;
use tonic_types::{ErrorInfo, StatusExt as _};

use super::{bad_request::all, fields};
use crate::{
    access::Principal,
    fleet::{Fleet, PositionReport},
};

/// The maximum number of positions in one report to the fleet. A report has the positions that have arrived, and does
/// not wait for more.
const BATCH: usize = 64;

/// The key of the number of accepted positions, in the metadata of `ErrorInfo`.
const TAKEN: &str = "positions_taken";

/// Applies positions as they arrive. Returns their number at the end of the stream.
///
/// Fails at the first position that is invalid, or of a car that the caller may not report for. The positions before it
/// stay applied.
pub(super) async fn track(
    fleet: &Fleet,
    caller: &Principal,
    requests: impl Stream<Item = Result<v1::TrackRequest, Status>>,
) -> Result<u64, Status> {
    let mut arrived = pin!(requests.ready_chunks(BATCH));
    let mut count = 0;
    while let Some(requests) = arrived.next().await {
        let now = SystemTime::now();
        let mut reports = Vec::with_capacity(requests.len());
        let mut bad = None;
        for (taken, request) in (count..).zip(requests) {
            match request.and_then(|request| report(request, taken, caller, now)) {
                Ok(report) => reports.push(report),
                Err(status) => {
                    bad = Some(after(taken, &status));
                    break;
                }
            }
        }
        count += reports.len() as u64;
        if !reports.is_empty() {
            fleet.report(reports).await?;
        }
        if let Some(status) = bad {
            return Err(status);
        }
    }
    Ok(count)
}

/// Validates the position with the given index in the stream, counted from 0.
fn report(
    request: v1::TrackRequest,
    index: u64,
    caller: &Principal,
    now: SystemTime,
) -> Result<PositionReport, Status> {
    let (car, at, time) = all((
        fields::car("car_id", request.car_id),
        fields::location("location", request.location),
        fields::time("time", request.time, now),
    ))
    .map_err(|bad| bad.within(&format!("positions[{index}]")))?;
    caller.authorize_car(car)?;
    Ok(PositionReport { car, at, heading_deg: None, time })
}

/// Makes the status of a stream that failed after `taken` accepted positions.
fn after(taken: u64, why: &Status) -> Status {
    let mut details = why.get_error_details();
    if let Some(ErrorInfo { reason, domain, mut metadata }) = details.error_info().cloned() {
        metadata.insert(TAKEN.to_owned(), taken.to_string());
        details.set_error_info(reason, domain, metadata);
    }
    let text = format!("{} (positions accepted before: {taken})", why.message());
    Status::with_error_details_and_metadata(why.code(), text, details, why.metadata().clone())
}
