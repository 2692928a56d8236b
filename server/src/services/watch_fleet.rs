//! `Fleet.Watch`: a viewport in, frames out, byte for byte as the fan-out made them.

use std::collections::HashMap;

use bytes::BufMut as _;
use futures_util::{
    Stream, StreamExt as _,
    future::{Ready, ready},
    stream::{self, BoxStream},
};
use rides_proto::{convert::BadBounds, geo::Bounds, tiles::Cell, v1};
use tonic::{
    Request, Response, Status,
    codec::{BufferSettings, Codec, EncodeBuf, Encoder},
    server::ServerStreamingService,
};
use tonic_prost::{ProstCodec, ProstDecoder};

use super::{fields, status};
use crate::fanout::{Fanout, Frame, MAX_CELLS, Viewer};

/// What a stream's buffer starts with and grows by. Each viewer holds one, so it is small.
const BUFFER: usize = 1024;
/// A frame that is ready goes out without waiting to be joined by another.
const YIELD_AT: usize = 1;

/// The handler of `Fleet.Watch`.
#[derive(Clone, Debug)]
pub(super) struct WatchFleet {
    fanout: Fanout,
}

impl WatchFleet {
    /// A handler that shows what `fanout` has.
    pub(super) fn new(fanout: Fanout) -> Self {
        Self { fanout }
    }

    fn open(&self, request: &v1::WatchFleetRequest) -> Result<Viewer, Status> {
        let viewport = request.viewport.ok_or_else(|| status::invalid("viewport", "must be set"))?;
        let viewport = Bounds::try_from(viewport).map_err(|bad| match bad {
            BadBounds::Corner(why) => status::not_on_earth("viewport", why),
            BadBounds::InsideOut => status::invalid("viewport", bad.to_string()),
        })?;
        fields::epoch("epoch", &request.epoch)?;
        let cursors = cursors(&request.cursors)?;
        self.fanout
            .watch(viewport, cursors, &request.epoch)
            .map_err(|wide| status::invalid("viewport", wide.to_string()))
    }
}

impl ServerStreamingService<v1::WatchFleetRequest> for WatchFleet {
    type Response = Frame;
    type ResponseStream = BoxStream<'static, Result<Frame, Status>>;
    type Future = Ready<Result<Response<Self::ResponseStream>, Status>>;

    fn call(&mut self, request: Request<v1::WatchFleetRequest>) -> Self::Future {
        ready(self.open(request.get_ref()).map(|viewer| Response::new(frames(viewer).boxed())))
    }
}

/// Frames for as long as there are any; a stream that ends says why.
fn frames(viewer: Viewer) -> impl Stream<Item = Result<Frame, Status>> {
    stream::unfold(viewer, |mut viewer| async move { Some((viewer.next().await?, viewer)) })
        .map(Ok)
        .chain(stream::once(async { Err(status::going_down()) }))
}

fn cursors(cursors: &[v1::CellCursor]) -> Result<HashMap<Cell, u64>, Status> {
    if cursors.len() as u64 > MAX_CELLS {
        return Err(status::invalid("cursors", format!("at most {MAX_CELLS} can be given")));
    }
    let cursor = |(index, cursor): (usize, &v1::CellCursor)| {
        let cell = Cell::new(cursor.cell)
            .ok_or_else(|| status::invalid(format!("cursors[{index}].cell"), "no cell has this number"))?;
        Ok((cell, cursor.tick))
    };
    cursors.iter().enumerate().map(cursor).collect()
}

/// Reads requests as prost does, and writes frames as they are.
#[derive(Clone, Copy, Debug)]
pub(super) struct FrameCodec;

/// Strings the slices of a frame together, which makes them one protobuf message.
#[derive(Clone, Copy, Debug)]
pub(super) struct FrameEncoder;

impl Codec for FrameCodec {
    type Encode = Frame;
    type Decode = v1::WatchFleetRequest;
    type Encoder = FrameEncoder;
    type Decoder = ProstDecoder<v1::WatchFleetRequest>;

    fn encoder(&mut self) -> Self::Encoder {
        FrameEncoder
    }

    fn decoder(&mut self) -> Self::Decoder {
        // Only the decoder is taken of it: what it would encode does not matter.
        ProstCodec::<v1::WatchFleetResponse, _>::default().decoder()
    }
}

impl Encoder for FrameEncoder {
    type Item = Frame;
    type Error = Status;

    fn encode(&mut self, frame: Frame, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        out.reserve(frame.0.iter().map(bytes::Bytes::len).sum());
        for slice in frame.0 {
            out.put(slice);
        }
        Ok(())
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::new(BUFFER, YIELD_AT)
    }
}
