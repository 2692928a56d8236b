//! What libraries make anew for every closure, made once: each copy would be half a kilobyte or more of page.

use futures_util::{FutureExt as _, future::LocalBoxFuture};
use leptos::{ev::MouseEvent, prelude::Effect};

/// Runs `task` to its end, beside everything else.
pub fn spawn(task: impl Future<Output = ()> + 'static) {
    let task: LocalBoxFuture<'static, ()> = task.boxed_local();
    wasm_bindgen_futures::spawn_local(task);
}

/// Runs `run` now and whenever a signal that it read changes, for as long as its owner lives.
pub fn effect(run: impl FnMut() + 'static) {
    let mut run: Box<dyn FnMut()> = Box::new(run);
    Effect::new(move |_: Option<()>| run());
}

/// What a button does, for `on:click`.
pub fn press(act: impl Fn() + 'static) -> Box<dyn FnMut(MouseEvent)> {
    Box::new(move |_| act())
}
