//! The subcommand `top`: a live table of the fleet.

mod feed;
mod fleet;
mod lateness;
mod screen;
mod terminal;

use std::{
    io::{self, IsTerminal as _},
    time::Duration,
};

use anyhow::Context as _;
use crossterm::event::{Event, EventStream, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use futures_util::{FutureExt as _, future::LocalBoxFuture};
use rides_proto::geo::Bounds;
use tokio::{
    sync::mpsc,
    time::{Instant, MissedTickBehavior, interval, timeout_at},
};
use tokio_stream::StreamExt as _;
use tonic::Status;

use self::{
    feed::FeedEvent,
    fleet::FleetView,
    screen::{StreamState, View},
    terminal::Terminal,
};
use super::{
    args::TopArgs,
    output::Output,
    servers::{Servers, end_reason},
};
use crate::signals::StopSignals;

/// The HTTP/2 flow control window of a stream, in bytes. It is small, because frames that wait in it get old: a
/// server replaces only frames that it has not sent yet.
pub(super) const WINDOW: u32 = 4 * 1024;
/// The time for which frames are collected for a single table. A speed needs two reports.
const GLANCE: Duration = Duration::from_secs(1);
/// The interval at which the screen is drawn. Frames in between only update the state.
const REDRAW: Duration = Duration::from_millis(250);
/// The maximum number of messages that wait for the screen.
const INBOX: usize = 4;

/// Shows the fleet: as a live table until the user quits, as one table, or as JSON messages.
pub(super) async fn top(watching: TopArgs, servers: &Servers, output: &Output) -> anyhow::Result<()> {
    let (city, edges) = feed::city(servers).await?;
    let viewport = watching.viewport.or(edges).context("the server's map has no bounds: use --viewport")?;
    let feed = Feed::open(viewport, servers);
    match output.is_json() {
        true => messages(feed, watching.once, output).await,
        false if watching.once || !io::stdout().is_terminal() => once(&city, feed, output).await,
        false => live(&city, feed).await,
    }
}

/// The events of the fleet's stream, and the future that reads the stream.
struct Feed {
    news: mpsc::Receiver<FeedEvent>,
    /// Polled only by [`Feed::next`]: no task runs it.
    bringing: LocalBoxFuture<'static, Status>,
}

impl Feed {
    fn open(viewport: Bounds, servers: &Servers) -> Self {
        let (to, news) = mpsc::channel(INBOX);
        Self { news, bringing: feed::feed(viewport, servers.clone(), to).boxed_local() }
    }

    /// Returns the next event. Fails when the stream has ended and is not opened again.
    async fn next(&mut self) -> Result<FeedEvent, Status> {
        tokio::select! {
            // Events in the channel come before the end of the stream.
            biased;
            Some(news) = self.news.recv() => Ok(news),
            status = &mut self.bringing => Err(status),
        }
    }
}

/// Prints messages as JSON.
async fn messages(mut feed: Feed, once: bool, output: &Output) -> anyhow::Result<()> {
    loop {
        match feed.next().await? {
            FeedEvent::Frame { frame, .. } => output.message("WatchFleetResponse", &frame)?,
            FeedEvent::Disconnected(status) => output.note(&format!("{}; retrying", end_reason(&status))),
        }
        if once {
            return Ok(());
        }
    }
}

/// Prints one table.
async fn once(city: &str, mut feed: Feed, output: &Output) -> anyhow::Result<()> {
    let mut fleet = FleetView::default();
    let mut enough = None;
    while let Ok(news) = timeout_at(enough.unwrap_or_else(far), feed.next()).await {
        if let FeedEvent::Frame { frame, .. } = news? {
            fleet.apply(&frame);
            enough.get_or_insert_with(|| Instant::now() + GLANCE);
        }
    }
    Ok(output.print(&screen::listing(city, &fleet).join("\n"))?)
}

/// Returns a time that never comes in practice. It stands for no timeout before the first frame.
fn far() -> Instant {
    Instant::now() + Duration::from_secs(24 * 60 * 60)
}

/// Shows a live table until the user quits.
async fn live(city: &str, mut feed: Feed) -> anyhow::Result<()> {
    let mut stop = StopSignals::listen().context("cannot listen for signals")?;
    let terminal = Terminal::take().context("cannot set up the terminal")?;
    let mut keys = EventStream::new();
    let mut redraw = interval(REDRAW);
    redraw.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let (mut fleet, mut view) = (FleetView::default(), View::default());
    let (mut newest, mut away) = (Instant::now(), None);
    loop {
        tokio::select! {
            news = feed.next() => match news? {
                FeedEvent::Frame { frame, late } => {
                    fleet.apply(&frame);
                    let now = Instant::now();
                    (newest, away) = (now.checked_sub(late).unwrap_or(now), None);
                    continue;
                }
                FeedEvent::Disconnected(status) => away = Some(end_reason(&status)),
            },
            event = keys.next() => match event.context("the terminal has closed")?? {
                Event::Key(key) if is_quit(key) => return Ok(()),
                Event::Key(key) => press(key, &mut view, terminal.size()?.1),
                _ => {}
            },
            _ = redraw.tick() => {}
            () = stop.next() => return Ok(()),
        }
        let link = away.clone().map_or_else(|| StreamState::Open(newest.elapsed()), StreamState::Broken);
        terminal.draw(&screen::screen(city, &fleet, &link, &mut view, terminal.size()?))?;
    }
}

fn is_quit(key: KeyEvent) -> bool {
    let interrupt = key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL);
    interrupt || matches!(key.code, KeyCode::Char('q') | KeyCode::Esc)
}

fn press(key: KeyEvent, view: &mut View, page: usize) {
    if key.kind == KeyEventKind::Release {
        return;
    }
    match key.code {
        KeyCode::Char('s') => view.order = view.order.next(),
        KeyCode::Up | KeyCode::Char('k') => view.first = view.first.saturating_sub(1),
        KeyCode::Down | KeyCode::Char('j') => view.first = view.first.saturating_add(1),
        KeyCode::PageUp => view.first = view.first.saturating_sub(page),
        KeyCode::PageDown | KeyCode::Char(' ') => view.first = view.first.saturating_add(page),
        KeyCode::Home => view.first = 0,
        KeyCode::End => view.first = usize::MAX,
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_do_what_they_say() {
        let key = |code| KeyEvent::new(code, KeyModifiers::NONE);
        assert!(is_quit(key(KeyCode::Char('q'))) && is_quit(key(KeyCode::Esc)));
        assert!(is_quit(KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL)));
        assert!(!is_quit(key(KeyCode::Char('c'))));
        let mut view = View::default();
        for (code, first) in [
            (KeyCode::Up, 0),
            (KeyCode::Down, 1),
            (KeyCode::PageDown, 25),
            (KeyCode::PageUp, 1),
            (KeyCode::End, usize::MAX),
            (KeyCode::Down, usize::MAX),
            (KeyCode::Home, 0),
        ] {
            press(key(code), &mut view, 24);
            assert_eq!(view.first, first, "{code:?}");
        }
    }
}
