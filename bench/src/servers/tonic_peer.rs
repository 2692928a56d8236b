//! A server with tonic and tonic-web, written in the usual way: ticks come through a channel, and every stream hands
//! tonic a message to encode.

use std::{sync::Arc, time::SystemTime};

use anyhow::Result;
use futures_util::{Stream, StreamExt as _};
use rides_proto::v1::{
    self,
    sessions_server::{Sessions, SessionsServer},
};
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

/// Serves until the process is killed.
pub(super) async fn serve() -> Result<()> {
    let (publish, ticks) = watch::channel(Arc::default());
    tokio::spawn(drive(publish));
    let (_health, health) = tonic_health::server::health_reporter();
    let listener = listen().await?;
    announce(env!("BENCH_TONIC"), listener.local_addr()?)?;
    Server::builder()
        .accept_http1(true)
        .layer(GrpcWebLayer::new())
        .add_service(BoardServer::new(TonicBoard { ticks }))
        .add_service(health)
        .add_service(SessionsServer::new(FixedSession))
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
struct TonicBoard {
    ticks: watch::Receiver<Arc<Tick>>,
}

#[tonic::async_trait]
impl Board for TonicBoard {
    type WatchStream = std::pin::Pin<Box<dyn Stream<Item = Result<Tick, Status>> + Send>>;

    async fn watch(&self, _: Request<WatchRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let ticks = WatchStream::from_changes(self.ticks.clone());
        Ok(Response::new(Box::pin(ticks.map(|tick| Ok(Tick::clone(&tick))))))
    }
}

/// A `Sessions` service that returns the same session to every caller and does not look at tokens.
#[derive(Debug)]
struct FixedSession;

#[tonic::async_trait]
impl Sessions for FixedSession {
    async fn who_am_i(&self, _: Request<v1::WhoAmIRequest>) -> Result<Response<v1::WhoAmIResponse>, Status> {
        let session = v1::Session {
            session_id: "0199f3a5-5d5c-7c1e-9d0a-6a1f0c2b7e11".into(),
            subject: "rider-1".into(),
            role: v1::Role::Rider.into(),
            expires_at: Some(SystemTime::now().into()),
            ..Default::default()
        };
        Ok(Response::new(v1::WhoAmIResponse { session: Some(session) }))
    }

    async fn sign_in(&self, _: Request<v1::SignInRequest>) -> Result<Response<v1::SignInResponse>, Status> {
        Err(Status::unimplemented("only WhoAmI is implemented"))
    }

    async fn renew(&self, _: Request<v1::RenewRequest>) -> Result<Response<v1::RenewResponse>, Status> {
        Err(Status::unimplemented("only WhoAmI is implemented"))
    }

    async fn sign_out(
        &self,
        _: Request<v1::SignOutRequest>,
    ) -> Result<Response<v1::SignOutResponse>, Status> {
        Err(Status::unimplemented("only WhoAmI is implemented"))
    }

    async fn revoke(&self, _: Request<v1::RevokeRequest>) -> Result<Response<v1::RevokeResponse>, Status> {
        Err(Status::unimplemented("only WhoAmI is implemented"))
    }
}
