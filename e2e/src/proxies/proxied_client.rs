//! Streams and uploads through a proxy, with the checks of their timing and their ends.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use futures_util::stream;
use http::Uri;
use rides_proto::v1::{
    Bounds, DriveRequest, GetRequest, RideEvent, WatchFleetRequest, WatchFleetResponse, WatchRequest,
    WatchResponse,
    drive_request::{Message as Up, SignOff, SignOn},
    drive_response::Message as Down,
    fleet_client::FleetClient,
    ride_event::Event,
    rides_client::RidesClient,
    watch_response::{Message, Opened},
};
use tokio::{
    sync::mpsc,
    time::{Instant, timeout},
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request, Status, Streaming};

use super::{backend::position, caller::GrpcService};

/// The time within which a stream must have its first message.
const FIRST_WITHIN: Duration = Duration::from_secs(1);

/// The number of attempts to open a stream whose first message arrives in time.
const TRIES: usize = 10;

/// The tolerance for the time at which a proxy's timeout ends a stream.
const ENDS_WITHIN: Duration = Duration::from_secs(2);

/// The longest time between two messages of the moving fleet, which sends four per second.
const FRAME_WITHIN: Duration = Duration::from_secs(3);

/// The longest time between two messages of a waiting ride, which sends a heartbeat every 4 s.
const HEARTBEAT_WITHIN: Duration = Duration::from_secs(6);

/// The timeout of uploads, of short calls, and of waiting for a stream's end.
const DONE_WITHIN: Duration = Duration::from_secs(20);

/// The number of positions in one upload: 1.3 MB, more than nginx accepts in a request by default.
const POSITIONS: usize = 40_000;

/// The id of the car in uploads.
const UPLOADS: i64 = 100;

/// The deadline of the short calls that the page makes where streams are held back.
const SHORT_CALL: Duration = Duration::from_secs(1);

/// A client that calls the server through a proxy.
#[derive(Clone)]
pub struct ProxiedClient {
    caller: GrpcService,
    url: Uri,
}

/// The ride that a stream follows, and the last event that was seen.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cursor {
    ride_id: String,
    epoch: String,
    version: u64,
}

impl Cursor {
    /// Returns a cursor before the first event of a ride.
    pub fn start(ride_id: &str) -> Self {
        Self { ride_id: ride_id.to_owned(), epoch: String::new(), version: 0 }
    }
}

/// A stream of the moving fleet.
pub struct FleetStream(Streaming<WatchFleetResponse>);

/// A stream of a ride's events.
pub struct RideEventStream {
    stream: Streaming<WatchResponse>,
    cursor: Cursor,
}

impl ProxiedClient {
    /// Returns a client that calls the server at `url`. Its path, if it has one, precedes the path of the method, and
    /// has no slash at its end.
    pub fn new(caller: GrpcService, url: Uri) -> Self {
        Self { caller, url }
    }

    fn fleet(&self) -> FleetClient<GrpcService> {
        FleetClient::with_origin(self.caller.clone(), self.url.clone())
    }

    fn rides(&self) -> RidesClient<GrpcService> {
        RidesClient::with_origin(self.caller.clone(), self.url.clone())
    }

    /// Opens a stream of the fleet.
    ///
    /// # Errors
    /// When the call is refused, or the first message does not arrive in time.
    pub async fn frames(&self) -> Result<FleetStream> {
        in_time(async || {
            let mut stream = self.fleet().watch(a_view()).await?.into_inner();
            stream.message().await?.context("the fleet's stream is empty")?;
            Ok(FleetStream(stream))
        })
        .await
    }

    /// Opens a stream of a ride's events after `cursor`.
    ///
    /// # Errors
    /// When the call is refused, the first message does not arrive in time, or the server does not know the cursor.
    pub async fn follow(&self, cursor: Cursor) -> Result<RideEventStream> {
        let Cursor { ride_id, epoch, version } = cursor.clone();
        let request = WatchRequest { ride_id, epoch: epoch.clone(), after_version: version };
        let (stream, first) = in_time(async || {
            let mut stream = self.rides().watch(request.clone()).await?.into_inner();
            let first = stream.message().await?.and_then(|response| response.message);
            Ok((stream, first.context("the ride's stream is empty")?))
        })
        .await?;
        let Message::Opened(Opened { epoch: current, resumed, .. }) = first else {
            bail!("the first message is not opened: {first:?}")
        };
        ensure!(resumed != epoch.is_empty(), "resumed is {resumed}");
        Ok(RideEventStream { stream, cursor: Cursor { epoch: current, ..cursor } })
    }

    /// Gets a ride that does not exist. The server sends this error in the headers, without a body.
    ///
    /// # Errors
    /// When the response is not NOT_FOUND with details.
    pub async fn hears_of_an_error(&self) -> Result<()> {
        let request = GetRequest { ride_id: "none".to_owned() };
        let answer = timeout(DONE_WITHIN, self.rides().get(request)).await.context("no response in time")?;
        let status = answer.err().context("the server found a ride that does not exist")?;
        ensure!(status.code() == Code::NotFound && !status.details().is_empty(), "{status:?}");
        Ok(())
    }

    /// Opens a stream with a deadline of 1 s, as the page does where streams are held back.
    ///
    /// # Errors
    /// When the stream does not end with DEADLINE_EXCEEDED at the deadline, or has no message before it.
    pub async fn short_calls_pass(&self) -> Result<()> {
        let mut request = Request::new(a_view());
        request.set_timeout(SHORT_CALL);
        let messages = async {
            let mut stream = self.fleet().watch(request).await?.into_inner();
            let mut messages = 0;
            loop {
                match stream.message().await {
                    Ok(Some(_)) => messages += 1,
                    Ok(None) => bail!("the stream ended before its deadline"),
                    Err(status) if status.code() == Code::DeadlineExceeded => return Ok(messages),
                    Err(status) => return Err(status.into()),
                }
            }
        };
        let messages =
            timeout(SHORT_CALL * 2, messages).await.context("the stream did not end at its deadline")??;
        ensure!(messages > 0, "no message within the deadline");
        Ok(())
    }

    /// Opens a stream that the proxy or the server must refuse.
    ///
    /// # Errors
    /// When the call succeeds, or fails otherwise than by `code` with a message that contains `why`.
    pub async fn fails(&self, code: Code, why: &str) -> Result<()> {
        let status = self.fleet().watch(a_view()).await.err().context("the stream was not refused")?;
        ensure!(status.code() == code && status.message().contains(why), "{status:?}");
        Ok(())
    }

    /// Uploads positions of one car, and checks the number that the server accepted.
    ///
    /// # Errors
    /// When the upload fails, or the server accepted fewer.
    pub async fn uploads(&self) -> Result<()> {
        let count = self.upload().await?.context("the upload failed")?;
        ensure!(count == POSITIONS as u64, "{count} of {POSITIONS} positions were accepted");
        Ok(())
    }

    /// Uploads positions to a proxy that must refuse an upload of this size.
    ///
    /// # Errors
    /// When the call succeeds, or fails otherwise than by `code` with a message that contains `why`.
    pub async fn upload_fails(&self, code: Code, why: &str) -> Result<()> {
        let status = self.upload().await?.err().context("the upload was not refused")?;
        ensure!(status.code() == code && status.message().contains(why), "{status:?}");
        Ok(())
    }

    async fn upload(&self) -> Result<Result<u64, Status>> {
        let positions = stream::iter((0..POSITIONS).map(|step| position(UPLOADS, step)));
        let taken = timeout(DONE_WITHIN, async { self.rides().track(positions).await });
        let taken = taken.await.context("the upload did not end in time")?;
        Ok(taken.map(|taken| taken.into_inner().count))
    }

    /// Drives a car: signs on, waits for the server's message, and signs off. So both directions must flow at once.
    ///
    /// # Errors
    /// When the server's message does not arrive while the driver's stream is open, or the stream does not end with
    /// OK.
    pub async fn drives(&self) -> Result<()> {
        let (up, requests) = mpsc::channel(1);
        let say = async |message| up.send(DriveRequest { message: Some(message) }).await;
        // A random car, because two drivers of one car would end each other's streams. No location, because a car
        // with one would be offered rides.
        let car_id = fastrand::i64(1_000..i64::MAX);
        say(Up::SignOn(SignOn { car_id, driver_id: "eino".to_owned(), location: None })).await?;
        let signed_on = async {
            let mut down = self.fleet().drive(ReceiverStream::new(requests)).await?.into_inner();
            let first = down.message().await?.and_then(|response| response.message);
            ensure!(
                matches!(first, Some(Down::SignedOn(_))),
                "the first message is not signed_on: {first:?}"
            );
            Ok(down)
        };
        let mut down =
            timeout(DONE_WITHIN, signed_on).await.context("the driver got no message in time")??;
        say(Up::SignOff(SignOff {})).await?;
        let end = timeout(DONE_WITHIN, down.message())
            .await
            .context("the driver's stream did not end in time")??;
        ensure!(end.is_none(), "a message after signing off: {end:?}");
        Ok(())
    }
}

/// Opens a stream up to its first message, which must arrive within [`FIRST_WITHIN`]. Tries again after a timeout, up
/// to [`TRIES`] times in all, because the machine may be busy for a moment.
async fn in_time<T>(open: impl AsyncFn() -> Result<T>) -> Result<T> {
    let mut opened = timeout(FIRST_WITHIN, open()).await;
    for _ in 1..TRIES {
        if opened.is_err() {
            opened = timeout(FIRST_WITHIN, open()).await;
        }
    }
    opened.context("no message within 1 s")?
}

/// Returns a request to watch the view that contains all cars.
fn a_view() -> WatchFleetRequest {
    let viewport = Some(Bounds { south: 60.15, west: 24.9, north: 60.19, east: 24.98 });
    WatchFleetRequest { viewport, moves: true, ..Default::default() }
}

impl FleetStream {
    /// Reads to the end of a stream that the proxy must cut after `time`.
    ///
    /// # Errors
    /// When the stream ends earlier or later, or ends with OK.
    pub async fn end_after(self, time: Duration) -> Result<()> {
        let opened = Instant::now();
        self.breaks().await?;
        let lived = opened.elapsed();
        ensure!(lived.abs_diff(time) < ENDS_WITHIN, "the stream ended after {lived:?}, not {time:?}");
        Ok(())
    }

    /// Reads messages until `end`.
    ///
    /// # Errors
    /// When a message is late, or the stream ends.
    pub async fn live_until(&mut self, end: Instant) -> Result<()> {
        while Instant::now() < end {
            let frame =
                timeout(FRAME_WITHIN, self.0.message()).await.context("a message of the fleet is late")?;
            frame.context("the fleet's stream broke")?.context("the fleet's stream ended")?;
        }
        Ok(())
    }

    /// Reads to the end of a stream whose proxy has stopped.
    ///
    /// # Errors
    /// When the stream does not end, or ends with OK.
    pub async fn breaks(mut self) -> Result<()> {
        let broken = async {
            while self.0.message().await?.is_some() {}
            Ok::<_, Status>(())
        };
        let ended = timeout(DONE_WITHIN, broken).await.context("the fleet's stream did not end in time")?;
        ensure!(ended.is_err(), "a stream that was cut ended with OK");
        Ok(())
    }
}

/// A message of a ride's stream, or its end.
enum RideMessage {
    Event(Box<Event>),
    /// The car's progress, or a heartbeat.
    Alive,
    End,
}

impl RideEventStream {
    /// Returns the next message.
    ///
    /// # Errors
    /// When the stream broke, or an event is missing or repeated.
    async fn next_message(&mut self) -> Result<RideMessage> {
        let Some(response) = self.stream.message().await? else { return Ok(RideMessage::End) };
        let Some(Message::Event(RideEvent { version, event, .. })) = response.message else {
            return Ok(RideMessage::Alive);
        };
        ensure!(version == self.cursor.version + 1, "event {version} after {}", self.cursor.version);
        self.cursor.version = version;
        Ok(RideMessage::Event(event.context("an empty event")?.into()))
    }

    /// Reads messages until `end`.
    ///
    /// # Errors
    /// When a message is late, or the stream ends.
    pub async fn live_until(&mut self, end: Instant) -> Result<()> {
        while Instant::now() < end {
            let heard =
                timeout(HEARTBEAT_WITHIN, self.next_message()).await.context("a heartbeat is late")?;
            let heard = heard.context("the ride's stream broke")?;
            ensure!(!matches!(heard, RideMessage::End), "the ride's stream ended");
        }
        Ok(())
    }

    /// Reads to the end of a stream whose proxy has stopped, and returns the cursor from which to resume.
    ///
    /// # Errors
    /// When the stream does not end, or ends with OK.
    pub async fn breaks(mut self) -> Result<Cursor> {
        let broken = async {
            while let Ok(heard) = self.next_message().await {
                ensure!(!matches!(heard, RideMessage::End), "a stream that was cut ended with OK");
            }
            Ok(())
        };
        timeout(DONE_WITHIN, broken).await.context("the ride's stream did not end in time")??;
        Ok(self.cursor)
    }

    /// Reads to the end of the stream of a cancelled ride.
    ///
    /// # Errors
    /// When an event is missing or repeated, the last event is not the cancellation, or the stream does not end.
    pub async fn is_cancelled(mut self) -> Result<()> {
        let rest = async {
            let mut last = None;
            loop {
                match self.next_message().await? {
                    RideMessage::Event(event) => last = Some(event),
                    RideMessage::Alive => {}
                    RideMessage::End => break,
                }
            }
            ensure!(
                matches!(last.as_deref(), Some(Event::Cancelled(_))),
                "the last event is not the cancellation: {last:?}"
            );
            Ok(())
        };
        timeout(DONE_WITHIN, rest).await.context("the ride's stream did not end in time")?
    }
}
