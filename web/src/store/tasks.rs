//! Handles of running tasks: live streams that receive signals, and calls of which only the newest matters.

use std::cell::RefCell;

use futures_channel::mpsc;
use futures_util::{
    FutureExt as _,
    future::{AbortHandle, abortable},
};

use grpc_web_fetch::{SIGNALS, Signal};

use crate::type_erased::spawn;

/// The sender of signals to a live stream. The stream ends when the sender is closed or replaced.
#[derive(Default)]
pub(super) struct SignalSender(RefCell<Option<mpsc::Sender<Signal>>>);

impl SignalSender {
    pub(super) fn open(&self) -> mpsc::Receiver<Signal> {
        let (sender, receiver) = mpsc::channel(SIGNALS);
        self.0.replace(Some(sender));
        receiver
    }

    pub(super) fn is_open(&self) -> bool {
        self.0.borrow().is_some()
    }

    pub(super) fn close(&self) {
        self.0.take();
    }

    pub(super) fn send(&self, signal: Signal) {
        if let Some(sender) = &mut *self.0.borrow_mut() {
            // A full channel means that the stream no longer reads its signals.
            let _ = sender.try_send(signal);
        }
    }
}

/// A slot for one task. A new task drops the old one and cancels its call.
#[derive(Default)]
pub(super) struct LatestTask(RefCell<Option<AbortHandle>>);

impl LatestTask {
    pub(super) fn run(&self, task: impl Future<Output = ()> + 'static) {
        let (task, handle) = abortable(task.boxed_local());
        if let Some(old) = self.0.replace(Some(handle)) {
            old.abort();
        }
        // `Err(Aborted)` means only that a newer task replaced this one.
        spawn(task.map(drop));
    }

    pub(super) fn stop(&self) {
        if let Some(old) = self.0.take() {
            old.abort();
        }
    }
}
