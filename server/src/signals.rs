//! The signals by which a terminal or a supervisor ends the server: Ctrl-C, SIGTERM, and SIGHUP of a terminal that is closed.

use std::{io, process};

#[cfg(target_os = "linux")]
use procfs::process::Process;
#[cfg(unix)]
use tokio::signal::unix::{Signal, SignalKind, signal};
#[cfg(windows)]
use tokio::signal::windows::{CtrlC, ctrl_c};

use crate::telemetry;

/// What a shell reports for a program that Ctrl-C ended.
const INTERRUPTED: i32 = 130;

/// The signals that end the server, heard from the moment this exists.
pub struct Stop {
    #[cfg(unix)]
    interrupt: Signal,
    #[cfg(unix)]
    terminate: Signal,
    /// `None`: it was ignored when the program was started, as `nohup` has it.
    #[cfg(unix)]
    hangup: Option<Signal>,
    #[cfg(windows)]
    interrupt: CtrlC,
}

impl Stop {
    /// Begins to listen.
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

    /// Waits for the first signal, on which the server is to end in good order. The second ends the process.
    pub async fn first(mut self) {
        self.next().await;
        tracing::info!("ending; once more to end at once");
        tokio::spawn(async move {
            self.next().await;
            telemetry::flush();
            process::exit(INTERRUPTED);
        });
    }

    /// Waits for the next signal, for who knows what to do about it.
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

/// Returns whether this process was started with `signal` ignored. Other systems than Linux do not tell without unsafe code.
#[cfg(target_os = "linux")]
fn is_ignored(signal: SignalKind) -> bool {
    let status = Process::myself().and_then(|process| process.status());
    status.is_ok_and(|status| status.sigign & (1 << (signal.as_raw_value() - 1)) != 0)
}

#[cfg(all(unix, not(target_os = "linux")))]
fn is_ignored(_signal: SignalKind) -> bool {
    false
}

/// Lets a write beyond the limit on a file's size fail like any other. Without a handler of SIGXFSZ the process would end.
/// Runs within a runtime.
#[cfg(unix)]
pub fn ignore_file_size_limit() -> io::Result<()> {
    // The handler stays when the stream of signals is dropped.
    signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw())).map(drop)
}
