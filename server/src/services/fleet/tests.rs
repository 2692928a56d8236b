//! Tests of `rides.v1.Fleet` over a real socket, with the generated client.

use std::{sync::Arc, time::Duration};

use rides_proto::{
    ids::{CarId, RideId},
    v1::{self, fleet_client::FleetClient},
};
use tokio::{net::TcpListener, sync::mpsc};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{
    Code, Request,
    codegen::http::uri::PathAndQuery,
    service::InterceptorLayer,
    transport::{Channel, Server},
};
use tonic_types::StatusExt as _;

use super::*;
use crate::{
    access::Principal,
    fanout::FanoutOptions,
    fleet::{FleetOptions, PositionReport},
    rides::journal::MemoryJournal,
};

/// A server with the `Fleet` service on a free port, and its parts.
pub(in crate::services) struct FleetFixture {
    pub(in crate::services) client: FleetClient<Channel>,
    pub(in crate::services) fleet: Fleet,
    pub(in crate::services) rides: Rides,
    pub(in crate::services) gone: mpsc::Receiver<CarId>,
    channel: Channel,
    fanout: tokio::task::AbortHandle,
    _opened: mpsc::Receiver<RideId>,
}

/// Starts the server.
pub(in crate::services) async fn fleet_fixture() -> FleetFixture {
    let (ticks, tick_receiver) = mpsc::channel(4);
    let (gone_sender, gone) = mpsc::channel(16);
    let (opened_sender, opened) = mpsc::channel(16);
    let options = FleetOptions { tick: Duration::from_millis(20), ..Default::default() };
    let (fleet, _) = Fleet::spawn(options, ticks, gone_sender);
    let (fanout, fanout_task) =
        Fanout::spawn(tick_receiver, FanoutOptions { tick: options.tick, ..FanoutOptions::default() });
    let journal = Arc::new(MemoryJournal::new());
    let (rides, _) = Rides::spawn(journal, opened_sender).await.expect("an empty journal");

    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    let service = FleetService::new(fleet.clone(), fanout, rides.clone());
    let incoming = TcpListenerStream::new(listener);
    let everyone = InterceptorLayer::new(|mut request: Request<()>| {
        request.extensions_mut().insert(Principal::Anonymous);
        Ok(request)
    });
    tokio::spawn(Server::builder().layer(everyone).add_service(service).serve_with_incoming(incoming));
    let endpoint = Channel::from_shared(format!("http://{address}")).expect("a URI");
    let channel = endpoint.connect().await.expect("connected");
    let client = FleetClient::new(channel.clone());
    let fanout = fanout_task.abort_handle();
    FleetFixture { client, fleet, rides, gone, channel, fanout, _opened: opened }
}

fn around_helsinki() -> v1::WatchFleetRequest {
    let viewport = v1::Bounds { south: 60.16, west: 24.92, north: 60.18, east: 24.96 };
    v1::WatchFleetRequest { viewport: Some(viewport), ..Default::default() }
}

fn report(lat: f64, lng: f64) -> PositionReport {
    let at = rides_proto::geo::LatLng::new(lat, lng).expect("on Earth");
    let car = CarId::new(1).expect("positive");
    PositionReport { car, at, heading_deg: Some(90.0), time: std::time::SystemTime::now() }
}

#[tokio::test]
async fn a_stock_client_sees_cars_enter_move_and_leave() {
    let mut bench = fleet_fixture().await;
    let mut frames = bench.client.watch(around_helsinki()).await.expect("opened").into_inner();
    let first = frames.message().await.expect("live").expect("a first frame");
    assert!(!first.epoch.is_empty() && first.tick > 0 && first.time.is_some());
    assert_eq!(first.cells, vec![]);

    bench.fleet.report(vec![report(60.17, 24.94)]).await.expect("open");
    let entered = frames.message().await.expect("live").expect("a frame");
    let cell = &entered.cells[0];
    assert_eq!((cell.cars.len(), cell.headings[0], cell.states[0]), (1, 32, v1::CarState::OffDuty.into()));
    let number = cell.cars[0];

    bench.fleet.report(vec![report(60.1701, 24.94)]).await.expect("open");
    let moved = frames.message().await.expect("live").expect("a frame");
    assert_eq!(moved.cells[0].cars, [number]);
    assert!(!moved.cells[0].snapshot && moved.cells[0].dy[0] < cell.dy[0], "y decreases to the north");

    bench.fleet.report(vec![report(-33.9, 151.2)]).await.expect("open");
    let left = frames.message().await.expect("live").expect("a frame");
    assert_eq!((left.cells[0].left.as_slice(), left.cells.len()), ([number].as_slice(), 1));
}

#[tokio::test]
async fn a_bad_viewport_or_cursor_is_named() {
    let mut bench = fleet_fixture().await;
    let with = |viewport| v1::WatchFleetRequest { viewport, ..Default::default() };
    let bounds = |south, west, north, east| Some(v1::Bounds { south, west, north, east });
    let cursor = v1::CellCursor { cell: 1 << 30, tick: 1 };
    let cases = [
        (with(None), "viewport"),
        (with(bounds(1.0, 0.0, 0.0, 1.0)), "viewport"),
        (with(bounds(f64::NAN, 0.0, 0.0, 1.0)), "viewport"),
        (with(bounds(-90.0, -180.0, 90.0, 180.0)), "viewport"),
        (v1::WatchFleetRequest { cursors: vec![cursor], ..around_helsinki() }, "cursors[0].cell"),
        (
            v1::WatchFleetRequest { cursors: vec![v1::CellCursor::default(); 4097], ..around_helsinki() },
            "cursors",
        ),
    ];
    for (request, field) in cases {
        let status = bench.client.watch(request).await.expect_err(field);
        assert_eq!(status.code(), Code::InvalidArgument, "{status}");
        let bad = status.get_details_bad_request().expect("details");
        assert_eq!(bad.field_violations[0].field, field);
    }
}

/// MAP-6
#[tokio::test]
async fn the_whole_world_can_be_watched_by_who_understands_coarser_tiles() {
    let mut bench = fleet_fixture().await;
    let viewport = v1::Bounds { south: -90.0, west: -180.0, north: 90.0, east: 180.0 };
    let request = v1::WatchFleetRequest { viewport: Some(viewport), coarse: true, ..Default::default() };
    let mut frames = bench.client.watch(request).await.expect("opened").into_inner();
    let first = frames.message().await.expect("live").expect("a first frame");
    assert_eq!((first.detail(), first.density_zoom), (v1::MapDetail::Cars, 6), "64 × 64 tiles");
    bench.fleet.report(vec![report(-33.9, 151.2)]).await.expect("open");
    let entered = frames.message().await.expect("live").expect("a frame");
    assert_eq!((entered.cells[0].cars.len(), entered.density_zoom), (1, 0));
}

#[tokio::test]
async fn a_full_load_of_cursors_fits() {
    let mut bench = fleet_fixture().await;
    let widest = v1::CellCursor { cell: (1 << 30) - 1, tick: u64::MAX };
    let request = v1::WatchFleetRequest { cursors: vec![widest; 4096], ..around_helsinki() };
    assert!(bench.client.watch(request).await.is_ok());
}

#[tokio::test]
async fn a_watch_that_ends_says_why() {
    let mut bench = fleet_fixture().await;
    let mut frames = bench.client.watch(around_helsinki()).await.expect("opened").into_inner();
    assert!(frames.message().await.expect("live").is_some());
    bench.fanout.abort();
    let status = frames.message().await.expect_err("no silent end");
    assert_eq!(status.code(), Code::Unavailable);
}

#[tokio::test]
async fn an_unknown_method_is_unimplemented() {
    let bench = fleet_fixture().await;
    let mut grpc = tonic::client::Grpc::new(bench.channel);
    grpc.ready().await.expect("connected");
    let path = PathAndQuery::from_static("/rides.v1.Fleet/Sell");
    let codec = ProstCodec::<v1::WatchFleetRequest, v1::WatchFleetResponse>::default();
    let status = grpc.unary(Request::new(around_helsinki()), path, codec).await.expect_err("no such method");
    assert_eq!(status.code(), Code::Unimplemented);
}
