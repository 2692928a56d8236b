//! A reverse proxy between page and server that changes requests and responses as such proxies do.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::{Context, Result};
use axum::{
    Router,
    body::{Body, Bytes, to_bytes},
    extract::{Request, State},
    response::{IntoResponse as _, Response},
};
use futures_util::{
    Stream, StreamExt as _,
    future::ready,
    stream::{iter, try_unfold},
};
use http::{HeaderValue, Method, StatusCode, Uri, header};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use tokio::{net::TcpListener, task::JoinHandle};

use crate::server::ANY_PORT;

/// A function that changes a response. Its first argument is the path of the request.
pub type ResponseChange = fn(&str, Response<String>) -> Response<String>;

/// The changes that a proxy makes to requests and responses. By default it makes none.
#[derive(Clone, Default)]
pub struct ProxyBehaviour {
    /// Buffers each response until this many bytes have arrived or the response ends. 0 turns buffering off.
    pub holds_back: usize,
    /// The `host` header that the server gets in place of the browser's.
    pub host: Option<String>,
    /// Serves the page below this path, which the proxy strips from requests. For example "/rides".
    pub prefix: &'static str,
    /// Responds to every POST itself, with this HTTP status and an HTML page.
    pub refuses: Option<StatusCode>,
    /// Changes the responses to requests other than POST, except the WebAssembly.
    pub changes: Option<ResponseChange>,
    /// Truncates the page's WebAssembly to this many bytes.
    pub cuts_wasm: Option<usize>,
    /// Sends an HTML page in place of the page's WebAssembly, as a captive portal does.
    pub is_portal: bool,
}

/// A running reverse proxy. It stops when it is dropped.
pub struct HttpProxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

struct Shared {
    server: SocketAddr,
    client: Client<HttpConnector, Body>,
    habits: Mutex<ProxyBehaviour>,
}

impl HttpProxy {
    /// Starts a proxy on a free port.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn start(server: SocketAddr, habits: ProxyBehaviour) -> Result<Self> {
        let listener = TcpListener::bind(ANY_PORT).await.context("cannot bind a port for the proxy")?;
        let address = listener.local_addr()?;
        let client = Client::builder(TokioExecutor::new()).build_http();
        let shared = Arc::new(Shared { server, client, habits: Mutex::new(habits) });
        let app = Router::new().fallback(pass).with_state(shared.clone());
        let task = tokio::spawn(async move {
            // Serves until it is aborted.
            let _ = axum::serve(listener, app).await;
        });
        Ok(Self { address, shared, task })
    }

    /// Returns the address that the proxy listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Replaces the habits. Requests that arrive later get the new ones.
    pub fn becomes(&self, habits: ProxyBehaviour) {
        *self.shared.habits.lock().unwrap_or_else(PoisonError::into_inner) = habits;
    }
}

impl Drop for HttpProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn pass(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let habits = shared.habits.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let is_call = *request.method() == Method::POST;
    if let Some(status) = habits.refuses.filter(|_| is_call) {
        return (status, [(header::CONTENT_TYPE, "text/html")], "<h1>No</h1>").into_response();
    }
    let path = request.uri().path().to_owned();
    if habits.is_portal && path.ends_with(".wasm") {
        return (
            [(header::CONTENT_TYPE, "text/html"), (header::CACHE_CONTROL, "no-store")],
            "<h1>Welcome</h1>",
        )
            .into_response();
    }
    let Some(request) = forwarded(request, &habits, shared.server) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let Ok(response) = shared.client.request(request).await else {
        return StatusCode::BAD_GATEWAY.into_response();
    };
    let response = response.map(Body::new);
    let response = match (habits.changes, habits.cuts_wasm) {
        (Some(change), _) if !is_call && !path.ends_with(".wasm") => {
            whole(response).await.map(|text| change(&path, text).map(Body::from))
        }
        (_, Some(length)) if path.ends_with(".wasm") => Ok(cut(response, length)),
        _ if habits.holds_back > 0 => held_back(response, habits.holds_back).await,
        _ => Ok(response),
    };
    response.unwrap_or_else(|_broken| StatusCode::BAD_GATEWAY.into_response())
}

/// Returns the request to send to the server, or `None` if its path is not below the prefix.
fn forwarded(request: Request, habits: &ProxyBehaviour, server: SocketAddr) -> Option<Request> {
    let (mut head, body) = request.into_parts();
    let path = head.uri.path_and_query()?.as_str().strip_prefix(habits.prefix)?;
    let path = path.starts_with('/').then_some(path)?;
    head.uri = Uri::try_from(format!("http://{server}{path}")).ok()?;
    if let Some(host) = &habits.host {
        head.headers.insert(header::HOST, HeaderValue::try_from(host).ok()?);
        // Browsers send this header only over TLS or to localhost. A proxy that renames the host is neither.
        head.headers.remove("sec-fetch-site");
    }
    if habits.changes.is_some() || habits.cuts_wasm.is_some() {
        head.headers.remove(header::ACCEPT_ENCODING);
    }
    Some(Request::from_parts(head, body))
}

async fn whole(response: Response) -> Result<Response<String>> {
    let (mut head, body) = response.into_parts();
    head.headers.remove(header::CONTENT_LENGTH);
    let text = String::from_utf8_lossy(&to_bytes(body, usize::MAX).await?).into_owned();
    Ok(Response::from_parts(head, text))
}

/// Truncates a response's body to `length` bytes, and leaves its `content-length` as it is.
fn cut(response: Response, length: usize) -> Response {
    let (head, body) = response.into_parts();
    let mut left = length;
    let beginning = body.into_data_stream().map(move |chunk| {
        chunk.map(|chunk| {
            let taken = chunk.slice(..left.min(chunk.len()));
            left -= taken.len();
            taken
        })
    });
    let beginning = beginning.take_while(|taken| ready(taken.as_ref().is_ok_and(|taken| !taken.is_empty())));
    Response::from_parts(head, Body::from_stream(beginning))
}

/// Returns the response in pieces of at least `size` bytes. Even its headers wait for the first piece.
async fn held_back(response: Response, size: usize) -> Result<Response> {
    let (head, body) = response.into_parts();
    let mut chunks = body.into_data_stream();
    let first = piece(&mut chunks, size).await?;
    let rest = pieces(chunks, size);
    Ok(Response::from_parts(head, Body::from_stream(iter([Ok(first)]).chain(rest))))
}

fn pieces(
    chunks: impl Stream<Item = Result<Bytes, axum::Error>> + Unpin,
    size: usize,
) -> impl Stream<Item = Result<Bytes, axum::Error>> {
    try_unfold(chunks, move |mut chunks| async move {
        let piece = piece(&mut chunks, size).await?;
        Ok((!piece.is_empty()).then_some((piece, chunks)))
    })
}

/// Returns the next `size` bytes or more, fewer at the end of the body, and an empty piece after it.
async fn piece(
    chunks: &mut (impl Stream<Item = Result<Bytes, axum::Error>> + Unpin),
    size: usize,
) -> Result<Bytes, axum::Error> {
    let mut piece = Vec::new();
    while piece.len() < size
        && let Some(chunk) = chunks.next().await
    {
        piece.extend(chunk?);
    }
    Ok(piece.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_held_back_comes_in_large_pieces_and_is_whole() {
        let chunks = iter((0..10u8).map(|n| Ok(Bytes::from(vec![n; 300]))));
        let came: Vec<_> = Box::pin(pieces(chunks, 1_000)).collect().await;
        let came: Vec<Bytes> = came.into_iter().map(Result::unwrap).collect();
        assert_eq!(came.iter().map(Bytes::len).collect::<Vec<_>>(), [1_200, 1_200, 600]);
        let whole: Vec<u8> = came.concat();
        assert_eq!(whole, (0..10u8).flat_map(|n| vec![n; 300]).collect::<Vec<_>>());
    }

    #[test]
    fn a_prefix_is_taken_away_and_the_host_renamed() {
        let habits = ProxyBehaviour {
            prefix: "/rides",
            host: Some("rides.internal".to_owned()),
            ..ProxyBehaviour::default()
        };
        let forward = |path: &str| {
            let request = Request::get(path).header(header::HOST, "seen").body(Body::empty()).unwrap();
            forwarded(request, &habits, ANY_PORT)
        };
        let request = forward("/rides/a?b=c").unwrap();
        assert_eq!(request.uri().path_and_query().unwrap().as_str(), "/a?b=c");
        assert_eq!(request.headers()[header::HOST], "rides.internal");
        assert!(forward("/elsewhere").is_none() && forward("/ridesharing/a").is_none());
    }
}
