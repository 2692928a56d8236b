//! Type-erased wrappers for futures, effects and event handlers.
//!
//! The libraries behind them are generic over the closure. Each instantiation would add half a kilobyte or more
//! to the page, so all closures are boxed into one type.

use futures_util::{FutureExt as _, future::LocalBoxFuture};
use leptos::{ev::MouseEvent, prelude::Effect};

/// Spawns `task` on the browser's event loop.
pub fn spawn(task: impl Future<Output = ()> + 'static) {
    let task: LocalBoxFuture<'static, ()> = task.boxed_local();
    wasm_bindgen_futures::spawn_local(task);
}

/// Creates an effect: `run` is called now, and again after each change of a signal that it reads, until its
/// owner is disposed.
pub fn effect(run: impl FnMut() + 'static) {
    let mut run: Box<dyn FnMut()> = Box::new(run);
    Effect::new(move |_: Option<()>| run());
}

/// Returns a handler for `on:click` that calls `act`.
pub fn on_click(act: impl Fn() + 'static) -> Box<dyn FnMut(MouseEvent)> {
    Box::new(move |_| act())
}
