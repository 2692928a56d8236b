//! The implementation of `Fleet.Watch`: takes a viewport, and streams the messages that the fan-out has encoded.

use std::collections::HashMap;

use futures_util::{
    future::{Ready, ready},
    stream,
};
use http::HeaderMap;
use http_body::Frame;
use http_body_util::StreamBody;
use rides_proto::{convert::BadBounds, geo::Bounds, tiles::Cell, v1};
use tonic::{
    Request, Response, Status,
    body::Body,
    server::{Grpc, ServerStreamingService},
};
use tonic_prost::ProstCodec;
use tower::BoxError;

use super::{
    bad_request::{BadRequest, all, invalid, not_on_earth},
    fields,
    fleet::MAX_WATCH_REQUEST,
    status,
};
use crate::fanout::{self, Fanout, MAX_CELLS, Viewer, ViewerEnd};
use grpc_edge::StallPolicy;

/// Serves one call of `Fleet.Watch`.
///
/// tonic decodes the request and makes the response to a bad one. The messages of the response bypass tonic's
/// encoder, which would copy each into a buffer per stream. The body passes on the bytes that all viewers share.
pub(super) async fn watch_fleet<B>(fanout: &Fanout, request: http::Request<B>) -> http::Response<Body>
where
    B: http_body::Body + Send + 'static,
    B::Error: Into<BoxError> + Send,
{
    let mut viewer = None;
    let mut grpc = Grpc::new(ProstCodec::default()).max_decoding_message_size(MAX_WATCH_REQUEST);
    let response = grpc.server_streaming(WatchHandler { fanout, viewer: &mut viewer }, request).await;
    match viewer {
        Some(viewer) => shown(response, viewer),
        None => response,
    }
}

fn shown<B>(response: http::Response<B>, viewer: Viewer) -> http::Response<Body> {
    let seat = viewer.slot();
    let mut response = response.map(|_empty| messages(viewer));
    response
        .extensions_mut()
        .insert(StallPolicy::new(move || seat.is_expired().then(|| ended(ViewerEnd::TooSlow))));
    response
}

/// The handler that tonic calls with the decoded request. It opens the viewer and stores it for [`watch_fleet`].
struct WatchHandler<'a> {
    fanout: &'a Fanout,
    viewer: &'a mut Option<Viewer>,
}

impl ServerStreamingService<v1::WatchFleetRequest> for WatchHandler<'_> {
    type Response = v1::WatchFleetResponse;
    type ResponseStream = stream::Empty<Result<v1::WatchFleetResponse, Status>>;
    type Future = Ready<Result<Response<Self::ResponseStream>, Status>>;

    fn call(&mut self, request: Request<v1::WatchFleetRequest>) -> Self::Future {
        ready(open(self.fanout, request.get_ref()).map(|viewer| {
            *self.viewer = Some(viewer);
            Response::new(stream::empty())
        }))
    }
}

/// Opens the viewer of a request. Fails if the viewport or a cursor is invalid.
pub(super) fn open(fanout: &Fanout, request: &v1::WatchFleetRequest) -> Result<Viewer, Status> {
    let (viewport, (), cursors) =
        all((viewport(request.viewport), fields::epoch("epoch", &request.epoch), cursors(&request.cursors)))?;
    let viewer = fanout
        .watch(fanout::WatchParams {
            viewport,
            cursors,
            epoch: &request.epoch,
            moves: request.moves,
            coarse: request.coarse,
        })
        .map_err(|wide| invalid("viewport", wide.to_string()))?;
    Ok(viewer)
}

fn viewport(viewport: Option<v1::Bounds>) -> Result<Bounds, BadRequest> {
    let viewport = viewport.ok_or_else(|| invalid("viewport", "must be set"))?;
    Bounds::try_from(viewport).map_err(|bad| match bad {
        BadBounds::Corner(why) => not_on_earth("viewport", why),
        BadBounds::InsideOut => invalid("viewport", bad.to_string()),
    })
}

/// Makes a body of the messages of `viewer`, and of trailers with the status that ends the stream.
fn messages(viewer: Viewer) -> Body {
    let frames = stream::unfold(Some(viewer), |viewer| async {
        let mut viewer = viewer?;
        Some(match viewer.next().await {
            Ok(message) => (Ok(Frame::data(message)), Some(viewer)),
            Err(why) => (trailers(&ended(why)).map(Frame::trailers), None),
        })
    });
    Body::new(StreamBody::new(frames))
}

fn ended(why: ViewerEnd) -> Status {
    match why {
        ViewerEnd::Closed => status::shutting_down(),
        ViewerEnd::TooSlow => status::too_slow("VIEWER_TOO_SLOW", format!("{why}: open a new stream")),
    }
}

fn trailers(status: &Status) -> Result<HeaderMap, Status> {
    let mut trailers = HeaderMap::new();
    status.add_header(&mut trailers)?;
    Ok(trailers)
}

fn cursors(cursors: &[v1::CellCursor]) -> Result<HashMap<Cell, u64>, BadRequest> {
    if cursors.len() as u64 > MAX_CELLS {
        return Err(invalid("cursors", format!("must have at most {MAX_CELLS} entries")));
    }
    let cursor = |(index, cursor): (usize, &v1::CellCursor)| {
        let cell = Cell::new(cursor.cell)
            .ok_or_else(|| invalid(format!("cursors[{index}].cell"), "is not the number of a cell"))?;
        Ok((cell, cursor.tick))
    };
    let cursors: Vec<_> = cursors.iter().enumerate().map(cursor).collect();
    Ok(all(cursors)?.into_iter().collect())
}
