//! The browser's `fetch`: all of the transport that only runs in one.

use std::{
    cell::Cell,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_util::{
    Stream, StreamExt as _,
    stream::{self, LocalBoxStream},
};
use js_sys::{Reflect, Uint8Array};
use wasm_bindgen::{JsCast as _, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{
    AbortController, Headers, ReadableStreamDefaultReader, RequestCache, RequestCredentials, RequestInit,
    RequestRedirect,
};

use super::{
    status::{Metadata, STATUS_HEADERS},
    transport::{Chunks, Fetch, Request, Response},
};

/// Requests of the page. Clones share what they have found out.
#[derive(Clone, Default)]
pub struct BrowserFetch {
    base: String,
    with_credentials: Rc<Cell<bool>>,
}

impl BrowserFetch {
    /// Calls go below `base`: "http://host/rides", without a slash at its end. Empty: to the root of where the page came
    /// from.
    pub fn new(base: String) -> Self {
        Self { base, with_credentials: Rc::default() }
    }
}

impl Fetch for BrowserFetch {
    type Chunks = BrowserChunks;

    /// Sends no cookies: those of other programs on this host may be larger than a server takes. Only where something on
    /// the way answers, a login for example, the request is made once more with credentials, and so is every later one.
    async fn fetch(&self, request: Request) -> Result<Response<BrowserChunks>, String> {
        let credentials = self.with_credentials.get();
        let response = fetch(&self.base, &request, credentials).await?;
        if credentials || !asks_who(&response) {
            return Ok(response);
        }
        self.with_credentials.set(true);
        fetch(&self.base, &request, true).await
    }
}

/// Tells whether a proxy may have asked for a login.
fn asks_who(response: &Response<BrowserChunks>) -> bool {
    let is_grpc =
        response.headers.get("content-type").is_some_and(|text| text.starts_with("application/grpc"));
    !is_grpc && matches!(response.status, 0 | 200..=403)
}

async fn fetch(base: &str, request: &Request, credentials: bool) -> Result<Response<BrowserChunks>, String> {
    let fetched = send(base, request, credentials).await;
    fetched.map_err(|error| format!("The server cannot be reached ({}).", describe(&error)))
}

async fn send(base: &str, request: &Request, credentials: bool) -> Result<Response<BrowserChunks>, JsValue> {
    let abort = AbortOnDrop::new()?;
    let headers = Headers::new()?;
    for (name, value) in &request.headers {
        headers.append(name, value)?;
    }
    if let Some(token) = &request.token {
        headers.append("authorization", &["Bearer ", token.reveal()].concat())?;
    }
    let init = RequestInit::new();
    init.set_method("POST");
    init.set_headers_headers(&headers);
    init.set_body(&Uint8Array::from(&request.body[..]));
    init.set_cache(RequestCache::NoStore);
    init.set_credentials(if credentials { RequestCredentials::SameOrigin } else { RequestCredentials::Omit });
    init.set_redirect(RequestRedirect::Manual);
    init.set_signal(Some(&abort.controller.signal()));

    let window = web_sys::window().ok_or("there is no window")?;
    let fetched = window.fetch_with_str_and_init(&[base, &request.path].concat(), &init);
    let fetched: web_sys::Response = JsFuture::from(fetched).await?.dyn_into()?;

    let reader = match fetched.body() {
        Some(body) => Some(body.get_reader().dyn_into()?),
        None => None,
    };
    Ok(Response {
        status: fetched.status(),
        headers: read_headers(&fetched.headers()),
        chunks: BrowserChunks { chunks: read_chunks(reader).boxed_local(), abort },
    })
}

fn read_headers(headers: &Headers) -> Metadata {
    let mut metadata = Metadata::default();
    for name in STATUS_HEADERS.into_iter().chain(["content-type"]) {
        if let Ok(Some(value)) = headers.get(name) {
            metadata.append(name, &value);
        }
    }
    metadata
}

fn read_chunks(reader: Option<ReadableStreamDefaultReader>) -> impl Stream<Item = Result<Bytes, String>> {
    stream::unfold(reader, async |reader| {
        let reader = reader?;
        match read_chunk(&reader).await {
            Ok(Some(chunk)) => Some((Ok(chunk), Some(reader))),
            Ok(None) => None,
            Err(error) => Some((Err(format!("The connection broke ({}).", describe(&error))), None)),
        }
    })
}

async fn read_chunk(reader: &ReadableStreamDefaultReader) -> Result<Option<Bytes>, JsValue> {
    let read = JsFuture::from(reader.read()).await?;
    if Reflect::get(&read, &"done".into())?.is_truthy() {
        return Ok(None);
    }
    let chunk: Uint8Array = Reflect::get(&read, &"value".into())?.dyn_into()?;
    Ok(Some(chunk.to_vec().into()))
}

/// The body of a fetched response.
pub struct BrowserChunks {
    chunks: LocalBoxStream<'static, Result<Bytes, String>>,
    abort: AbortOnDrop,
}

impl Stream for BrowserChunks {
    type Item = Result<Bytes, String>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.chunks.poll_next_unpin(cx)
    }
}

impl Chunks for BrowserChunks {
    fn complete(&mut self) {
        self.abort.armed = false;
    }
}

/// Without it some browsers keep the stream open after everyone has forgotten it.
struct AbortOnDrop {
    controller: AbortController,
    armed: bool,
}

impl AbortOnDrop {
    fn new() -> Result<Self, JsValue> {
        Ok(Self { controller: AbortController::new()?, armed: true })
    }
}

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        if self.armed {
            self.controller.abort();
        }
    }
}

fn describe(error: &JsValue) -> String {
    let message = Reflect::get(error, &"message".into()).ok().and_then(|message| message.as_string());
    message.or_else(|| error.as_string()).unwrap_or_else(|| "no reason given".to_owned())
}
