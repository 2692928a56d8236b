//! The log on stderr. Lines wait in memory, and a separate thread writes them, so that a stderr that is stuck or fails
//! neither ends nor delays the server.

use std::{
    backtrace::{Backtrace, BacktraceStatus},
    collections::VecDeque,
    io::{self, Write},
    panic::{self, PanicHookInfo},
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use metrics::{counter, describe_counter};

use crate::terminal_text;

/// The capacity of the queue in bytes. Lines beyond it are dropped and counted.
const CAPACITY: usize = 1 << 20;
/// The timeout for writing the queue when the process ends.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

const DROPPED: &str = "rides_log_lines_dropped_total";

static STDERR: LineQueue = LineQueue::new();

/// A guard of the log. When it is dropped, it waits for up to a second until the queue is written.
pub struct Log(());

impl Log {
    /// Starts the writing thread, and sends the messages of panics through it.
    ///
    /// # Errors
    /// If the thread cannot be started.
    pub fn start() -> io::Result<Self> {
        thread::Builder::new().name("log".into()).spawn(|| STDERR.write_to(io::stderr()))?;
        panic::set_hook(Box::new(|panic| STDERR.push(text_of(panic).into_bytes())));
        Ok(Self(()))
    }

    /// Writes a line to stderr, past the filter of the log.
    pub fn say(&self, line: &str) {
        let line = terminal_text::escape(line, |letter| {
            letter != '\n' && terminal_text::is_terminal_control(letter)
        });
        STDERR.push(format!("{line}\n").into_bytes());
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        flush();
    }
}

/// Waits for up to a second until the queue is written. For code that calls `process::exit`.
pub fn flush() {
    STDERR.flush(FLUSH_TIMEOUT);
}

/// Returns a writer of log lines that never fails or blocks.
pub(super) fn writer() -> impl Write {
    &STDERR
}

/// Describes and registers the metric of dropped lines.
pub(super) fn register() {
    describe_counter!(DROPPED, "Log lines that were dropped because stderr did not take them.");
    counter!(DROPPED).absolute(STDERR.lock().dropped);
}

fn text_of(panic: &PanicHookInfo<'_>) -> String {
    let current = thread::current();
    let thread = current.name().unwrap_or("<unnamed>");
    let backtrace = Backtrace::capture();
    match backtrace.status() {
        BacktraceStatus::Captured => format!("thread '{thread}' {panic}\n{backtrace}\n"),
        _ => format!("thread '{thread}' {panic}\n"),
    }
}

/// A queue of lines for a writer.
struct LineQueue {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    waiting: VecDeque<Vec<u8>>,
    /// The number of bytes in `waiting`.
    bytes: usize,
    is_writing: bool,
    /// The number of lines that were dropped so far.
    dropped: u64,
    /// The part of `dropped` that the log has reported.
    reported: u64,
}

impl LineQueue {
    const fn new() -> Self {
        let state = State { waiting: VecDeque::new(), bytes: 0, is_writing: false, dropped: 0, reported: 0 };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, line: Vec<u8>) {
        let mut state = self.lock();
        let fits = state.bytes + line.len() <= CAPACITY;
        if fits {
            state.bytes += line.len();
            state.waiting.push_back(line);
        } else {
            state.dropped += 1;
        }
        let dropped = state.dropped;
        drop(state);
        self.changed.notify_all();
        if !fits {
            counter!(DROPPED).absolute(dropped);
        }
    }

    /// Writes lines as they come. Never returns.
    fn write_to(&self, mut out: impl Write) {
        loop {
            let line = self.next();
            let written = out.write_all(&line).and_then(|()| out.flush());
            self.record_write(written.is_ok());
        }
    }

    fn next(&self) -> Vec<u8> {
        let mut state = self.lock();
        loop {
            if let Some(line) = state.waiting.pop_front() {
                state.bytes -= line.len();
                state.is_writing = true;
                return line;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Records the result of a write. When the queue is empty, the log reports the number of dropped lines.
    fn record_write(&self, is_written: bool) {
        let mut state = self.lock();
        state.is_writing = false;
        state.dropped += u64::from(!is_written);
        let dropped = state.dropped;
        let mut unreported = 0;
        if is_written && state.waiting.is_empty() {
            unreported = dropped - state.reported;
            state.reported = dropped;
        }
        drop(state);
        if !is_written {
            counter!(DROPPED).absolute(dropped);
        }
        if unreported > 0 {
            // Past the filter of the log.
            self.push(
                format!("rides-server: {unreported} log lines were dropped: stderr did not take them\n")
                    .into_bytes(),
            );
        }
        self.changed.notify_all();
    }

    fn flush(&self, timeout: Duration) {
        let is_busy = |state: &mut State| state.is_writing || !state.waiting.is_empty();
        // Lines that are left after the timeout are lost.
        drop(self.changed.wait_timeout_while(self.lock(), timeout, is_busy));
    }
}

impl Write for &LineQueue {
    /// Queues a line of the subscriber, which has escaped control characters and may have added colours.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let escaped = String::from_utf8_lossy(line);
        self.push(terminal_text::escape(&escaped, terminal_text::is_bidi).into_bytes());
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    /// A timeout that is longer than a thread needs to write a line.
    const SOON: Duration = Duration::from_secs(20);

    /// BAD-1 in docs/failures.md.
    #[test]
    fn lines_beyond_the_room_are_dropped_and_counted() {
        let lines = LineQueue::new();
        lines.push(vec![b'a'; CAPACITY - 1]);
        for line in ["b", "c", "d"] {
            lines.push(line.into());
        }
        let state = lines.lock();
        assert_eq!((state.waiting.len(), state.bytes, state.dropped), (2, CAPACITY, 2));
    }

    /// BAD-1 in docs/failures.md.
    #[test]
    fn the_end_waits_until_lines_are_written_and_not_longer_than_its_timeout() {
        static LINES: LineQueue = LineQueue::new();
        let (mut reader, writer) = io::pipe().unwrap();
        (&LINES).write_all(b"nobody writes it").unwrap();
        LINES.flush(Duration::from_millis(1));
        assert_eq!(LINES.lock().waiting.len(), 1);
        thread::spawn(|| LINES.write_to(writer));
        LINES.push(b", and somebody does".into());
        LINES.flush(SOON);
        assert!(LINES.lock().waiting.is_empty());
        let mut written = [0; 35];
        reader.read_exact(&mut written).unwrap();
        assert_eq!(written, *b"nobody writes it, and somebody does");
    }

    /// BAD-10 in docs/failures.md.
    #[test]
    fn a_line_turns_no_terminal_around() {
        let lines = LineQueue::new();
        (&lines).write_all("name=\u{202e}ada\n".as_bytes()).unwrap();
        assert_eq!(lines.next(), br"name=\u{202e}ada".iter().chain(b"\n").copied().collect::<Vec<_>>());
    }

    /// BAD-1 in docs/failures.md.
    #[test]
    fn a_line_that_cannot_be_written_is_counted_and_the_next_is_tried() {
        static LINES: LineQueue = LineQueue::new();
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        thread::spawn(|| LINES.write_to(writer));
        for _ in 0..2 {
            LINES.push(b"for nobody\n".into());
        }
        LINES.flush(SOON);
        assert_eq!(LINES.lock().dropped, 2);
    }
}
