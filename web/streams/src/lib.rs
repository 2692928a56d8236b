//! Conversions between streams of JavaScript and of Rust: the part of the crate `wasm-streams` that Leptos needs.
//!
//! The original crate exports classes to JavaScript. A linker keeps all exports, and the page uses none of
//! them: three kilobytes of the first load. This crate exports nothing, so the page contains nothing of it.

use std::{cell::RefCell, rc::Rc};

use futures_util::{Stream, StreamExt as _, stream};
use js_sys::{Object, Promise, Reflect};
use wasm_bindgen::{JsCast as _, JsValue, closure::Closure};
use wasm_bindgen_futures::{JsFuture, future_to_promise};
use web_sys::{ReadableStreamDefaultController, ReadableStreamDefaultReader};

/// A wrapper of a JavaScript `ReadableStream`.
#[derive(Clone, Debug)]
pub struct ReadableStream(web_sys::ReadableStream);

impl ReadableStream {
    /// Wraps a stream of JavaScript.
    pub fn from_raw(raw: web_sys::ReadableStream) -> Self {
        Self(raw)
    }

    /// Creates a stream that takes the next chunk of `stream` each time that it is read.
    ///
    /// # Panics
    /// If the browser does not support such streams.
    pub fn from_stream(stream: impl Stream<Item = Result<JsValue, JsValue>> + 'static) -> Self {
        let stream = Rc::new(RefCell::new(Some(stream.boxed_local())));
        let pull = Closure::<dyn FnMut(ReadableStreamDefaultController) -> Promise>::new(
            move |controller: ReadableStreamDefaultController| {
                let shelf = stream.clone();
                future_to_promise(async move {
                    // The browser does not call `pull` again before the promise is resolved, so the stream is there.
                    let taken = shelf.borrow_mut().take();
                    let Some(mut stream) = taken else { return Ok(JsValue::UNDEFINED) };
                    match stream.next().await.transpose()? {
                        Some(chunk) => {
                            controller.enqueue_with_chunk(&chunk)?;
                            shelf.replace(Some(stream));
                        }
                        None => controller.close()?,
                    }
                    Ok(JsValue::UNDEFINED)
                })
            },
        );
        let source = Object::new();
        let made = Reflect::set(&source, &"pull".into(), &pull.into_js_value())
            .and_then(|_| web_sys::ReadableStream::new_with_underlying_source(&source));
        Self(made.expect("the browser has streams"))
    }

    /// Returns the stream for JavaScript.
    pub fn into_raw(self) -> web_sys::ReadableStream {
        self.0
    }

    /// Returns the chunks of the stream, up to its end or its first error.
    ///
    /// # Panics
    /// If the stream already has a reader.
    pub fn into_stream(self) -> impl Stream<Item = Result<JsValue, JsValue>> + 'static {
        let reader: ReadableStreamDefaultReader = self.0.get_reader().unchecked_into();
        stream::unfold(Some(reader), async |reader| {
            let reader = reader?;
            match read(&reader).await {
                Ok(Some(chunk)) => Some((Ok(chunk), Some(reader))),
                Ok(None) => None,
                Err(error) => Some((Err(error), None)),
            }
        })
    }
}

async fn read(reader: &ReadableStreamDefaultReader) -> Result<Option<JsValue>, JsValue> {
    let read = JsFuture::from(reader.read()).await?;
    let is_done = Reflect::get(&read, &"done".into())?.is_truthy();
    if is_done { Ok(None) } else { Reflect::get(&read, &"value".into()).map(Some) }
}
