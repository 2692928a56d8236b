//! A server with bare hyper, which shows the cost of sending alone. It sends recorded messages, one per tick, from
//! one buffer to all viewers.

use std::{convert::Infallible, fs, path::Path};

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use futures_util::StreamExt as _;
use http::{HeaderMap, HeaderValue, Request, Response, Version, header::CONTENT_TYPE};
use http_body_util::{BodyExt, Full, StreamBody, combinators::BoxBody};
use hyper::{
    body::{Frame, Incoming},
    service::service_fn,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto::Builder,
};
use tokio::{sync::watch, time::interval};
use tokio_stream::wrappers::WatchStream;

use super::{announce, listen, tick};
use crate::wire::framed;

type BoardResponse = Response<BoxBody<Bytes, Infallible>>;

/// A serialized `HealthCheckResponse` with the status SERVING.
const SERVING: [u8; 2] = [0x08, 0x01];

/// Serves until the process is killed.
pub(super) async fn serve(replay: &Path) -> Result<()> {
    let messages = read(replay).with_context(|| format!("cannot read {}", replay.display()))?;
    let (publish, messages_of_ticks) = watch::channel(Bytes::new());
    tokio::spawn(play(messages, publish));
    let listener = listen().await?;
    announce(env!("BENCH_HYPER"), listener.local_addr()?)?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let ticks = messages_of_ticks.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let answer = answer(&request, &ticks);
                async move { Ok::<_, Infallible>(answer) }
            });
            // An error means that the client has closed the connection.
            let _ = Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn play(messages: Vec<Bytes>, publish: watch::Sender<Bytes>) {
    let mut ticks = interval(tick());
    for message in messages.iter().cycle() {
        ticks.tick().await;
        publish.send_replace(message.clone());
    }
}

fn answer(request: &Request<Incoming>, ticks: &watch::Receiver<Bytes>) -> BoardResponse {
    let web = request.version() < Version::HTTP_2;
    let body = match (request.uri().path().ends_with("/Check"), web) {
        (true, true) => {
            let trailers = framed(b"grpc-status:0\r\n");
            let body = [framed(&SERVING), [&[0x80], &trailers[1..]].concat()].concat();
            Full::new(body.into()).boxed()
        }
        (true, false) => {
            let mut trailers = HeaderMap::new();
            trailers.insert("grpc-status", HeaderValue::from_static("0"));
            Full::new(framed(&SERVING).into()).with_trailers(async { Some(Ok(trailers)) }).boxed()
        }
        (false, _) => {
            let ticks = WatchStream::from_changes(ticks.clone());
            BodyExt::boxed(StreamBody::new(ticks.map(|message| Ok(Frame::data(message)))))
        }
    };
    let mut answer = Response::new(body);
    let kind = if web { "application/grpc-web+proto" } else { "application/grpc" };
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    answer
}

/// Reads recorded messages, and frames them.
fn read(replay: &Path) -> Result<Vec<Bytes>> {
    let file = fs::read(replay)?;
    let mut left = &file[..];
    let mut messages = Vec::new();
    while let Some((length, rest)) = left.split_first_chunk() {
        let length = u32::from_be_bytes(*length) as usize;
        let (message, rest) =
            rest.split_at_checked(length).context("the file ends in the middle of a message")?;
        messages.push(framed(message).into());
        left = rest;
    }
    ensure!(!messages.is_empty(), "the file is empty");
    Ok(messages)
}
