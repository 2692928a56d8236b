//! Streams of JavaScript as streams of Rust, and the other way round: as much of the crate `wasm-streams` as Leptos is
//! compiled against.
//!
//! That crate exports classes to JavaScript. What is exported is kept by every linker, used or not, and the page uses
//! none of it: three kilobytes of a first load. Nothing is exported here, and so nothing is left of this in the page.

use std::{cell::RefCell, rc::Rc};

use futures_util::{Stream, StreamExt as _, stream};
use js_sys::{Object, Promise, Reflect};
use wasm_bindgen::{JsCast as _, JsValue, closure::Closure};
use wasm_bindgen_futures::{JsFuture, future_to_promise};
use web_sys::{ReadableStreamDefaultController, ReadableStreamDefaultReader};

/// A `ReadableStream`.
#[derive(Clone, Debug)]
pub struct ReadableStream(web_sys::ReadableStream);

impl ReadableStream {
    /// One that JavaScript has.
    pub fn from_raw(raw: web_sys::ReadableStream) -> Self {
        Self(raw)
    }

    /// One that asks `stream` for its next chunk whenever it is read.
    ///
    /// # Panics
    /// Where the browser has no such streams.
    pub fn from_stream(stream: impl Stream<Item = Result<JsValue, JsValue>> + 'static) -> Self {
        let stream = Rc::new(RefCell::new(Some(stream.boxed_local())));
        let pull = Closure::<dyn FnMut(ReadableStreamDefaultController) -> Promise>::new(
            move |controller: ReadableStreamDefaultController| {
                let shelf = stream.clone();
                future_to_promise(async move {
                    // A stream is not asked again before it has answered.
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

    /// As JavaScript has it.
    pub fn into_raw(self) -> web_sys::ReadableStream {
        self.0
    }

    /// Its chunks, to its end or its first error.
    ///
    /// # Panics
    /// When somebody reads it already.
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
