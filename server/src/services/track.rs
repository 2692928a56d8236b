//! Positions of many cars in one client stream.

use std::{pin::pin, time::SystemTime};

use futures_util::{Stream, StreamExt as _};
use rides_proto::v1;
use tonic::Status;

use super::fields;
use crate::{
    access::Principal,
    fleet::{Fleet, Report},
};

/// Most positions handed to the fleet at once: what has arrived already, never waited for.
const BATCH: usize = 64;

/// Applies positions as they arrive, up to the end of the stream or the first that is bad or of another's car. Answers how many.
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
        for request in requests {
            match request.and_then(|request| report(request, caller, now)) {
                Ok(report) => reports.push(report),
                Err(status) => {
                    bad = Some(status);
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

fn report(request: v1::TrackRequest, caller: &Principal, now: SystemTime) -> Result<Report, Status> {
    let car = fields::car("car_id", request.car_id)?;
    caller.car(car)?;
    Ok(Report {
        car,
        at: fields::location("location", request.location)?,
        heading_deg: None,
        time: fields::time("time", request.time, now)?,
    })
}
