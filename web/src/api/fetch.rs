//! The browser's `fetch`: all of the transport that only runs in one.

use std::{
    pin::Pin,
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
    AbortController, Headers, ReadableStreamDefaultReader, RequestCache, RequestInit, RequestRedirect,
};

use super::{
    status::{Metadata, STATUS_HEADERS},
    transport::{Chunks, Fetch, Request, Response},
};

/// Requests of the page.
#[derive(Clone, Copy, Default)]
pub struct BrowserFetch {
    /// "http://…"; empty: where the page came from.
    pub origin: &'static str,
}

impl Fetch for BrowserFetch {
    type Chunks = BrowserChunks;

    async fn fetch(&self, request: Request) -> Result<Response<BrowserChunks>, String> {
        let request = fetch(self.origin, request);
        request.await.map_err(|error| format!("the server cannot be reached ({})", describe(&error)))
    }
}

async fn fetch(origin: &str, request: Request) -> Result<Response<BrowserChunks>, JsValue> {
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
    init.set_redirect(RequestRedirect::Error);
    init.set_signal(Some(&abort.controller.signal()));

    let window = web_sys::window().ok_or("there is no window")?;
    let fetched = window.fetch_with_str_and_init(&format!("{origin}{}", request.path), &init);
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
            Err(error) => Some((Err(format!("the connection broke ({})", describe(&error))), None)),
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
