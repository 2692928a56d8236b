//! The signals that stop the program: Ctrl-C (SIGINT), SIGTERM, and SIGHUP when a terminal is closed.

use std::{io, process};

#[cfg(target_os = "linux")]
use procfs::process::Process;
#[cfg(unix)]
use tokio::signal::unix::{Signal, SignalKind, signal};
#[cfg(windows)]
use tokio::signal::windows::{CtrlC, ctrl_c};

use crate::telemetry;

/// The exit code after a second signal: 128 + SIGINT, as shells report it.
const INTERRUPTED: i32 = 130;

/// A listener for the signals that stop the program. It catches them from its creation on.
pub struct StopSignals {
    #[cfg(unix)]
    interrupt: Signal,
    #[cfg(unix)]
    terminate: Signal,
    /// SIGHUP. `None` if it was ignored when the program started, for example by `nohup`.
    #[cfg(unix)]
    hangup: Option<Signal>,
    #[cfg(windows)]
    interrupt: CtrlC,
}

impl StopSignals {
    /// Starts to listen.
    ///
    /// # Errors
    /// If a signal handler cannot be installed.
    pub fn listen() -> io::Result<Self> {
        Ok(Self {
            #[cfg(unix)]
            interrupt: signal(SignalKind::interrupt())?,
            #[cfg(unix)]
            terminate: signal(SignalKind::terminate())?,
            #[cfg(unix)]
            hangup: match is_ignored(SignalKind::hangup()) {
                true => None,
                false => Some(signal(SignalKind::hangup())?),
            },
            #[cfg(windows)]
            interrupt: ctrl_c()?,
        })
    }

    /// Waits for the first signal, for an orderly shutdown. A second signal ends the process at once.
    pub async fn first(mut self) {
        self.next().await;
        tracing::info!("shutting down; a second signal stops the server at once");
        tokio::spawn(async move {
            self.next().await;
            telemetry::flush();
            process::exit(INTERRUPTED);
        });
    }

    /// Waits for the next signal. The caller decides what it means.
    pub async fn next(&mut self) {
        #[cfg(unix)]
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            Some(_) = received(self.hangup.as_mut()) => {}
        }
        #[cfg(windows)]
        self.interrupt.recv().await;
    }
}

#[cfg(unix)]
async fn received(signal: Option<&mut Signal>) -> Option<()> {
    match signal {
        Some(signal) => signal.recv().await,
        None => None,
    }
}

/// Returns `true` if this process was started with `signal` ignored. Only Linux reports this without unsafe code.
#[cfg(target_os = "linux")]
fn is_ignored(signal: SignalKind) -> bool {
    let status = Process::myself().and_then(|process| process.status());
    status.is_ok_and(|status| status.sigign & (1 << (signal.as_raw_value() - 1)) != 0)
}

#[cfg(all(unix, not(target_os = "linux")))]
fn is_ignored(_signal: SignalKind) -> bool {
    false
}

/// Makes a write beyond the limit on the size of a file (`ulimit -f`) fail with an error. Without a handler, SIGXFSZ
/// would end the process. Must be called within a tokio runtime.
///
/// # Errors
/// If the signal handler cannot be installed.
#[cfg(unix)]
pub fn ignore_file_size_limit() -> io::Result<()> {
    // tokio keeps the handler after the stream of signals is dropped.
    signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw())).map(drop)
}
