//! Viewers, each of which opens one stream and reads it until it is closed.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use mio::{Events, Poll};

use super::{
    Target,
    socket::{BUFFER, Socket},
};
use crate::{stats::Gaps, wire::ParserEvent};

/// The number of streams that may be opening at a time. More would overflow a server's listen backlog.
const OPENING: usize = 256;
/// The largest number of events taken from the poller at once.
const EVENTS: usize = 1024;

/// A message of which the contents were kept.
#[derive(Clone, Debug)]
pub(crate) struct KeptMessage {
    /// The time at which its last byte was read.
    pub(crate) at: Instant,
    /// The contents.
    pub(crate) message: Vec<u8>,
}

/// The messages that viewers received in a period.
#[derive(Clone, Debug)]
pub(crate) struct Window {
    /// The number of messages, over all viewers.
    pub(crate) messages: u64,
    /// The number of bytes with all framing, over all viewers.
    pub(crate) bytes: u64,
    /// The gaps between messages.
    pub(crate) gaps: Gaps,
    /// The reasons for which streams ended, one for each.
    pub(crate) lost: Vec<String>,
    /// The messages of those viewers that keep them.
    pub(crate) kept: Vec<KeptMessage>,
}

/// The viewers of one target.
#[derive(Debug)]
pub(crate) struct Viewers {
    target: Target,
    tick: Duration,
    /// The number of viewers, from the first, that keep their messages.
    keeping: usize,
    poll: Poll,
    events: Events,
    buffer: Vec<u8>,
    viewers: Vec<Viewer>,
}

#[derive(Debug)]
struct Viewer {
    socket: Socket,
    /// The time of the last message. `None` before the first.
    last: Option<Instant>,
    /// Is `true` once a byte was received: the server has accepted the stream.
    opened: bool,
    lost: Option<String>,
}

impl Viewers {
    /// Returns a set without viewers. The server is expected to send a message every `tick`.
    pub(crate) fn new(target: Target, tick: Duration, keeping: usize) -> Result<Self> {
        let poll = Poll::new().context("cannot make a poller")?;
        let (events, buffer) = (Events::with_capacity(EVENTS), vec![0; BUFFER]);
        Ok(Self { target, tick, keeping, poll, events, buffer, viewers: Vec::new() })
    }

    /// Returns the number of viewers.
    pub(crate) fn len(&self) -> usize {
        self.viewers.len()
    }

    /// Opens or closes streams until there are `count`, and each has received something.
    ///
    /// # Errors
    /// When a stream ends meanwhile, or not all streams open within `within`.
    pub(crate) fn hold(&mut self, count: usize, within: Duration) -> Result<()> {
        self.viewers.truncate(count);
        let deadline = Instant::now() + within;
        let mut ignored = self.window();
        loop {
            let mut opening = self.viewers.iter().filter(|viewer| !viewer.opened).count();
            if opening == 0 && self.viewers.len() == count {
                return Ok(());
            }
            while opening < OPENING && self.viewers.len() < count {
                self.open()?;
                opening += 1;
            }
            if Instant::now() > deadline {
                bail!("{opening} of {count} streams did not open within {} s", within.as_secs());
            }
            self.advance(Duration::from_millis(10), &mut ignored)?;
            if let Some(why) = ignored.lost.first() {
                bail!("a stream ended while others opened: {why}");
            }
        }
    }

    /// Reads for `window`, and returns what was received.
    pub(crate) fn watch(&mut self, window: Duration) -> Result<Window> {
        let deadline = Instant::now() + window;
        let mut seen = self.window();
        let before: u64 = self.received();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            self.advance(left, &mut seen)?;
        }
        let now = Instant::now();
        for viewer in &self.viewers {
            let silent = viewer.last.map_or(window, |last| now - last);
            seen.gaps.add_open(silent);
        }
        seen.lost = self.viewers.iter().filter_map(|viewer| viewer.lost.clone()).collect();
        seen.bytes = self.received() - before;
        Ok(seen)
    }

    fn window(&self) -> Window {
        Window { messages: 0, bytes: 0, gaps: Gaps::new(self.tick), lost: Vec::new(), kept: Vec::new() }
    }

    fn received(&self) -> u64 {
        self.viewers.iter().map(|viewer| viewer.socket.received).sum()
    }

    fn open(&mut self) -> Result<()> {
        let index = self.viewers.len();
        let keep = index < self.keeping;
        let mut socket = Socket::connect(&self.target, index, keep, self.poll.registry())?;
        socket.call(self.target.call(index));
        self.viewers.push(Viewer { socket, last: None, opened: false, lost: None });
        Ok(())
    }

    fn advance(&mut self, wait: Duration, window: &mut Window) -> Result<()> {
        match self.poll.poll(&mut self.events, Some(wait)) {
            Err(error) if error.kind() != std::io::ErrorKind::Interrupted => return Err(error.into()),
            _ => {}
        }
        for event in &self.events {
            let index = event.token().0;
            // The event may be of a viewer that was closed meanwhile.
            let Some(viewer) = self.viewers.get_mut(index) else { continue };
            if viewer.lost.is_none() {
                viewer.advance(&mut self.buffer, index < self.keeping, window);
                window.lost.extend(viewer.lost.clone());
            }
        }
        Ok(())
    }
}

impl Viewer {
    fn advance(&mut self, buffer: &mut [u8], keep: bool, window: &mut Window) {
        let Self { socket, last, .. } = self;
        let before = socket.received;
        let mut over = false;
        let done = socket.advance(buffer, |seen| match seen {
            ParserEvent::Message(message) => {
                let at = Instant::now();
                window.messages += 1;
                if let Some(last) = last.replace(at) {
                    window.gaps.add(at - last);
                }
                if keep {
                    window.kept.push(KeptMessage { at, message: message.to_vec() });
                }
            }
            ParserEvent::End => over = true,
        });
        self.opened |= self.socket.received > before;
        self.lost = match done {
            Err(error) => Some(format!("{error:#}")),
            Ok(()) => over.then(|| "the server ended the stream".into()),
        };
    }
}
