//! The server that one writes with tonic and tonic-web: ticks come through a channel, and every subscriber's stream
//! hands tonic a message to encode.

use std::sync::Arc;

use anyhow::Result;
use futures_util::{Stream, StreamExt as _};
use tokio::{sync::watch, time::interval};
use tokio_stream::wrappers::WatchStream;
use tonic::{
    Request, Response, Status,
    transport::{Server, server::TcpIncoming},
};
use tonic_web::GrpcWebLayer;

use super::{
    CARS, announce,
    board::{
        Car, Tick, WatchRequest,
        board_server::{Board, BoardServer},
    },
    listen, tick,
};
use crate::fleet::{Cars, downtown};

/// Serves until it is killed.
pub(super) async fn serve() -> Result<()> {
    let (publish, ticks) = watch::channel(Arc::default());
    tokio::spawn(drive(publish));
    let (_health, health) = tonic_health::server::health_reporter();
    let listener = listen().await?;
    announce(env!("BENCH_TONIC"), listener.local_addr()?)?;
    Server::builder()
        .accept_http1(true)
        .layer(GrpcWebLayer::new())
        .add_service(BoardServer::new(Natural { ticks }))
        .add_service(health)
        .serve_with_incoming(TcpIncoming::from(listener).with_nodelay(Some(true)))
        .await?;
    Ok(())
}

async fn drive(publish: watch::Sender<Arc<Tick>>) {
    let mut cars = Cars::new(CARS, downtown(), 1);
    let mut ticks = interval(tick());
    for number in 1.. {
        ticks.tick().await;
        cars.drive_all();
        publish.send_replace(Arc::new(snapshot(number, &cars)));
    }
}

fn snapshot(tick: u64, cars: &Cars) -> Tick {
    let car = |index| {
        let here = cars.point(index).lat_lng();
        Car {
            id: index as u32 + 1,
            lat: here.lat() as f32,
            lng: here.lng() as f32,
            heading: cars.heading(index),
            state: 1,
        }
    };
    Tick { tick, cars: (0..cars.len()).map(car).collect() }
}

#[derive(Clone, Debug)]
struct Natural {
    ticks: watch::Receiver<Arc<Tick>>,
}

#[tonic::async_trait]
impl Board for Natural {
    type WatchStream = std::pin::Pin<Box<dyn Stream<Item = Result<Tick, Status>> + Send>>;

    async fn watch(&self, _: Request<WatchRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let ticks = WatchStream::from_changes(self.ticks.clone());
        Ok(Response::new(Box::pin(ticks.map(|tick| Ok(Tick::clone(&tick))))))
    }
}
