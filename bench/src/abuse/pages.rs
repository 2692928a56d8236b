//! Well-behaved pages, which watch the city, and quote, book, get and cancel rides.
//!
//! Each page has its own address, a stream, and a connection for its calls, as a page in a browser has. Besides, a
//! newcomer makes a new connection for each call. All of them run in one thread that does little and has priority
//! over the attackers, so that the latencies they measure are the server's.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use mio::{Events, Poll, Registry, Token};

use super::{newcomer::Newcomer, rider::Rider};
use crate::{
    contender::watch_fleet,
    fleet::{TICK_SECONDS, downtown},
    load::{BUFFER, Route, Socket},
    wire::{ParserEvent, Protocol},
};

/// The number of pages. Half of them speak HTTP/1.1 and half HTTP/2.
const PAGES: usize = 4;
/// The token of the newcomer. The tokens of streams and calls are below it.
const NEWCOMER: Token = Token(2 * PAGES);
/// The time between two calls of a page. A person makes fewer; this rate gives enough calls for a p99.
const PAUSE: Duration = Duration::from_millis(20);
/// The timeout of a call.
pub(super) const PAGE_CALL_TIMEOUT: Duration = Duration::from_secs(2);
/// The time within which the streams must begin.
const BEGIN_WITHIN: Duration = Duration::from_secs(10);
/// The resolution of the poller's timeout.
const CLOCK: Duration = Duration::from_millis(1);

/// The measurements of the pages in a period.
#[derive(Clone, Default, Debug)]
pub(super) struct PageMeasurements {
    /// The latencies of calls in milliseconds, from the time at which each was due.
    pub(super) calls_ms: Vec<f64>,
    /// The latencies of new connections in milliseconds, from the connect to the response.
    pub(super) arrivals_ms: Vec<f64>,
    /// The gaps between two frames of a stream, in milliseconds.
    pub(super) gaps_ms: Vec<f64>,
    /// The delays of this thread in milliseconds: how much later than requested it woke. They bound the part of the
    /// latencies above that is not the server's.
    pub(super) own_delays_ms: Vec<f64>,
    /// The errors of calls and streams.
    pub(super) errors: Vec<String>,
}

pub(super) struct Pages {
    poll: Poll,
    buffer: Vec<u8>,
    watchers: Vec<Watcher>,
    callers: Vec<Caller>,
    newcomer: Newcomer,
}

impl Pages {
    /// Opens the pages on the server at `to`, and waits until all of their streams have begun.
    pub(super) fn open(to: SocketAddr) -> Result<Self> {
        let poll = Poll::new().context("cannot make a poller")?;
        let now = Instant::now();
        let (mut watchers, mut callers) = (Vec::new(), Vec::new());
        let line_of = |guest: usize, protocol| {
            let from = Some(IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2 + guest as u8)));
            PageRoute { route: Route { from, to, receive_buffer: None }, protocol, token: Token(guest) }
        };
        for page in 0..PAGES {
            let line = line_of(page, if page < PAGES / 2 { Protocol::Http1 } else { Protocol::Http2 });
            watchers.push(Watcher::open(line, poll.registry())?);
            let line = PageRoute { token: Token(PAGES + page), ..line };
            // Staggered, so that the pages do not call at the same moment.
            let due = now + PAUSE * page as u32 / PAGES as u32;
            callers.push(Caller::open(line, Rider::new(page), due, poll.registry())?);
        }
        let newcomer = Newcomer::new(PageRoute { token: NEWCOMER, ..line_of(PAGES, Protocol::Http1) }, now);
        let mut pages = Self { poll, buffer: vec![0; BUFFER], watchers, callers, newcomer };
        while pages.watchers.iter().any(|watcher| watcher.last.is_none()) {
            let seen = pages.run_for(Duration::from_millis(100))?;
            if let Some(error) = seen.errors.first() {
                bail!("the pages have an error before the attack: {error}");
            }
            if now.elapsed() > BEGIN_WITHIN {
                bail!("the pages' streams did not begin within 10 s");
            }
        }
        Ok(pages)
    }

    /// The number of pages, which is also the largest number of their open unary calls.
    pub(super) const COUNT: usize = PAGES;

    /// Runs the pages for `window`, and returns what they measured.
    pub(super) fn run_for(&mut self, window: Duration) -> Result<PageMeasurements> {
        let end = Instant::now() + window;
        let mut seen = PageMeasurements::default();
        let mut events = Events::with_capacity(2 * PAGES);
        loop {
            let now = Instant::now();
            if now >= end {
                break;
            }
            for caller in self.callers.iter_mut().filter(|caller| caller.is_due(now)) {
                caller.begin(now, self.poll.registry(), &mut seen)?;
            }
            self.newcomer.give_up(now, &mut seen);
            if self.newcomer.is_due(now) {
                self.newcomer.come(now, self.poll.registry())?;
            }
            let next = self.callers.iter().filter_map(Caller::next).chain(self.newcomer.next()).min();
            let next = next.map_or(end, |next| next.min(end));
            let wait = in_ticks(next.saturating_duration_since(now));
            match self.poll.poll(&mut events, Some(wait)) {
                Err(error) if error.kind() != std::io::ErrorKind::Interrupted => return Err(error.into()),
                _ => {}
            }
            if events.is_empty() {
                seen.own_delays_ms.push(millis(now.elapsed().saturating_sub(wait)));
            }
            for event in &events {
                let (registry, buffer) = (self.poll.registry(), &mut self.buffer);
                match event.token() {
                    NEWCOMER => self.newcomer.advance(buffer, &mut seen),
                    Token(page) if page < PAGES => {
                        self.watchers[page].advance(buffer, registry, &mut seen)?;
                    }
                    Token(caller) => {
                        self.callers[caller - PAGES].advance(buffer, registry, &mut seen)?;
                    }
                }
            }
        }
        self.look_at_what_is_missing(&mut seen);
        Ok(seen)
    }

    /// Adds the gaps and calls that are late and have not ended yet.
    fn look_at_what_is_missing(&self, seen: &mut PageMeasurements) {
        let silences = self.watchers.iter().filter_map(|watcher| Some(watcher.last?.elapsed()));
        let late = silences.filter(|silence| silence.as_secs_f64() > 2.0 * TICK_SECONDS);
        seen.gaps_ms.extend(late.map(millis));
        let waits = self.callers.iter().filter_map(|caller| Some(caller.asked?.elapsed()));
        let missing = waits.filter(|wait| *wait > PAGE_CALL_TIMEOUT);
        seen.errors.extend(missing.map(|wait| format!("no response after {:.0} s", wait.as_secs_f64())));
    }
}

/// A page's way to the server: the addresses, the protocol, and the token in the poller.
#[derive(Clone, Copy)]
pub(super) struct PageRoute {
    route: Route,
    pub(super) protocol: Protocol,
    token: Token,
}

impl PageRoute {
    pub(super) fn connect(&self, keep: bool, registry: &Registry) -> Result<Socket> {
        Socket::open(self.route, self.protocol, keep, self.token, registry)
    }
}

/// A stream of the city.
struct Watcher {
    line: PageRoute,
    socket: Socket,
    last: Option<Instant>,
}

impl Watcher {
    fn open(line: PageRoute, registry: &Registry) -> Result<Self> {
        let mut socket = line.connect(false, registry)?;
        socket.call(&watch_fleet(downtown().viewport(), true));
        Ok(Self { line, socket, last: None })
    }

    fn advance(&mut self, buffer: &mut [u8], registry: &Registry, seen: &mut PageMeasurements) -> Result<()> {
        let Self { socket, last, .. } = self;
        let mut over = false;
        let done = socket.advance(buffer, |what| match what {
            ParserEvent::Message(_) => {
                let at = Instant::now();
                seen.gaps_ms.extend(last.replace(at).map(|last| millis(at - last)));
            }
            ParserEvent::End => over = true,
        });
        let error = done.err().map(|error| format!("{error:#}"));
        if let Some(why) = error.or(over.then(|| "the stream ended".into())) {
            seen.errors.push(format!("a stream: {why}"));
            *self = Self::open(self.line, registry)?;
        }
        Ok(())
    }
}

/// The calls of a page, one after the other.
struct Caller {
    line: PageRoute,
    socket: Socket,
    rider: Rider,
    /// The time of the next call.
    due: Instant,
    /// The time from which the latency of the open call counts, if one is open.
    asked: Option<Instant>,
    /// The time of the last response.
    answered: Option<Instant>,
}

impl Caller {
    fn open(line: PageRoute, rider: Rider, due: Instant, registry: &Registry) -> Result<Self> {
        let socket = line.connect(true, registry)?;
        Ok(Self { line, socket, rider, due, asked: None, answered: None })
    }

    fn is_due(&self, now: Instant) -> bool {
        self.asked.is_none() && self.due <= now
    }

    /// Returns the time of the next call, or `None` while it waits for the server.
    fn next(&self) -> Option<Instant> {
        self.asked.is_none().then_some(self.due)
    }

    fn begin(&mut self, now: Instant, registry: &Registry, seen: &mut PageMeasurements) -> Result<()> {
        // The time that a call waited for the one before it counts as latency.
        let kept_waiting = self.answered.is_some_and(|answered| answered > self.due);
        self.asked = Some(if kept_waiting { self.due } else { now });
        self.due += PAUSE;
        self.socket.call(&self.rider.call());
        match self.socket.send() {
            Ok(()) => Ok(()),
            Err(error) => self.fail(&format!("{error:#}"), registry, seen),
        }
    }

    fn advance(&mut self, buffer: &mut [u8], registry: &Registry, seen: &mut PageMeasurements) -> Result<()> {
        let Self { socket, rider, .. } = self;
        let mut over = None;
        let mut refused = None;
        let done = socket.advance(buffer, |what| match what {
            ParserEvent::Message(message) => refused = refused.take().or(rider.hear(message).err()),
            ParserEvent::End => over = Some(Instant::now()),
        });
        let error = done.err().or(refused).map(|error| format!("{error:#}"));
        if let Some(why) = error {
            return self.fail(&why, registry, seen);
        }
        if let Some((asked, answered)) = self.asked.zip(over) {
            seen.calls_ms.push(millis(answered - asked));
            (self.asked, self.answered) = (None, Some(answered));
            if !self.rider.end_call() {
                return self.fail("the response has no message", registry, seen);
            }
        }
        Ok(())
    }

    /// Records an error, and starts a new round on a new connection.
    fn fail(&mut self, why: &str, registry: &Registry, seen: &mut PageMeasurements) -> Result<()> {
        seen.errors.push(format!("{}: {why}", self.rider.what()));
        self.rider.start_over();
        self.socket = self.line.connect(true, registry)?;
        (self.asked, self.due) = (None, Instant::now() + PAUSE);
        Ok(())
    }
}

fn in_ticks(wait: Duration) -> Duration {
    CLOCK * wait.as_micros().div_ceil(CLOCK.as_micros()) as u32
}

pub(super) fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
