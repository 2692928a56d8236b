//! Handles of what runs: live streams that take signals, and calls of which only the newest matters.

use std::cell::RefCell;

use futures_channel::mpsc;
use futures_util::{
    FutureExt as _,
    future::{AbortHandle, abortable},
};

use grpc_web_fetch::{SIGNALS, Signal};

use crate::erased::spawn;

/// The way to a live stream. Closing it, or opening another, ends the stream.
#[derive(Default)]
pub(super) struct Signals(RefCell<Option<mpsc::Sender<Signal>>>);

impl Signals {
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
            // A stream with so many signals unread has stopped reading them for good.
            let _ = sender.try_send(signal);
        }
    }
}

/// Runs one task at a time: a new one drops the old, and with it the old one's call.
#[derive(Default)]
pub(super) struct Latest(RefCell<Option<AbortHandle>>);

impl Latest {
    pub(super) fn run(&self, task: impl Future<Output = ()> + 'static) {
        let (task, handle) = abortable(task.boxed_local());
        if let Some(old) = self.0.replace(Some(handle)) {
            old.abort();
        }
        // Being replaced is no error.
        spawn(task.map(drop));
    }

    pub(super) fn stop(&self) {
        if let Some(old) = self.0.take() {
            old.abort();
        }
    }
}
