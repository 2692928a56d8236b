//! The transport over the `fetch` of the browser.

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
    AbortController, Headers, ReadableStreamDefaultReader, ReadableStreamReadResult, RequestCache,
    RequestCredentials, RequestInit, RequestRedirect,
};

use crate::{
    browser,
    metadata::{Metadata, STATUS_HEADERS},
    transport::{Body, HttpRequest, HttpResponse, Transport},
};

/// HTTP requests to one server by `fetch`, in a window or a worker.
///
/// No cookies are sent: those of other programs on the host may be larger than a server takes. If something on
/// the way to the server may ask for a login, the request is sent once more with credentials, and so are all
/// later ones of this value and its clones.
#[derive(Clone, Debug, Default)]
pub struct Fetch {
    base: Rc<str>,
    with_credentials: Rc<Cell<bool>>,
}

impl Fetch {
    /// Creates requests to the server at `base`, for example "https://host/app", without a slash at the end. An
    /// empty `base` is the root of the page's own server.
    pub fn to(base: impl Into<Rc<str>>) -> Self {
        Self { base: base.into(), with_credentials: Rc::default() }
    }
}

impl Transport for Fetch {
    type Body = FetchBody;

    async fn send(&self, request: HttpRequest) -> Result<HttpResponse<FetchBody>, String> {
        let credentials = self.with_credentials.get();
        let response = fetch(&self.base, &request, credentials).await?;
        if credentials || !may_ask_for_login(&response) {
            return Ok(response);
        }
        self.with_credentials.set(true);
        fetch(&self.base, &request, true).await
    }
}

/// Returns `true` if a proxy may have sent `response` to ask for a login.
fn may_ask_for_login(response: &HttpResponse<FetchBody>) -> bool {
    let is_grpc =
        response.headers.get("content-type").is_some_and(|text| text.starts_with("application/grpc"));
    !is_grpc && matches!(response.status, 0 | 200..=403)
}

async fn fetch(
    base: &str,
    request: &HttpRequest,
    credentials: bool,
) -> Result<HttpResponse<FetchBody>, String> {
    let fetched = try_fetch(base, request, credentials).await;
    fetched.map_err(|error| format!("The server cannot be reached ({}).", describe(&error)))
}

async fn try_fetch(
    base: &str,
    request: &HttpRequest,
    credentials: bool,
) -> Result<HttpResponse<FetchBody>, JsValue> {
    let abort = AbortOnDrop::new()?;
    let headers = Headers::new()?;
    for (name, value) in request.headers.iter() {
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

    let fetched = browser::global().fetch_with_str_and_init(&[base, &request.path].concat(), &init);
    // The casts here and below are unchecked, because the Fetch and Streams standards give the types.
    let fetched: web_sys::Response = JsFuture::from(fetched).await?.unchecked_into();

    let reader = fetched.body().map(|body| body.get_reader().unchecked_into());
    Ok(HttpResponse {
        status: fetched.status(),
        headers: read_headers(&fetched.headers()),
        body: FetchBody { chunks: read_chunks(reader).boxed_local(), abort },
    })
}

/// Reads the headers that decide about the response. A list of all would need an iterator over the JavaScript object.
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
    let read: ReadableStreamReadResult = JsFuture::from(reader.read()).await?.unchecked_into();
    if read.get_done() == Some(true) {
        return Ok(None);
    }
    let chunk: Uint8Array = read.get_value().unchecked_into();
    Ok(Some(chunk.to_vec().into()))
}

/// The body of a response to [`Fetch`].
pub struct FetchBody {
    chunks: LocalBoxStream<'static, Result<Bytes, String>>,
    abort: AbortOnDrop,
}

impl Stream for FetchBody {
    type Item = Result<Bytes, String>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.chunks.poll_next_unpin(cx)
    }
}

impl Body for FetchBody {
    fn complete(&mut self) {
        self.abort.armed = false;
    }
}

/// Aborts the request on drop. Some browsers keep a stream open after its last reference is gone.
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
