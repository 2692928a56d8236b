//! The status pill: how the page's connection is, told from what was measured.

use leptos::prelude::*;

use crate::{
    erased::press,
    format,
    model::{Connection, Millis},
    store::Command,
};

use super::ui::Ui;

/// A live stream sends something every 4 s: older than this, it is not live, whatever the socket says.
const STALE_AFTER: Millis = 5_000.0;

/// What the pill says.
#[derive(Clone, PartialEq, Debug)]
struct Pill {
    /// For `data-state`.
    state: &'static str,
    /// The state in a word, for the screen reader; changes with the state only.
    word: &'static str,
    /// The state and its figure.
    text: String,
    /// Whether trying at once makes sense.
    can_retry: bool,
}

impl Pill {
    fn of(connection: Connection, now: Millis) -> Self {
        let pill = |state, word, text: String| Self { state, word, text, can_retry: state == "reconnecting" };
        match connection {
            Connection::Connecting => pill("connecting", "Connecting", "Connecting…".to_owned()),
            Connection::Live { last_frame_at } => {
                let age = (now - last_frame_at).max(0.0);
                let (state, word) =
                    if age <= STALE_AFTER { ("live", "Live") } else { ("stalled", "Stalled") };
                pill(state, word, format!("{word} · {}", format::age(age)))
            }
            Connection::Waiting { retry_at, .. } => {
                pill("reconnecting", "Reconnecting", counting("Reconnecting", retry_at, now))
            }
            Connection::Offline => pill("offline", "Offline", "Offline · no network".to_owned()),
            Connection::Draining { retry_at } => {
                pill("draining", "Server restarting", counting("Server restarting", retry_at, now))
            }
        }
    }
}

fn counting(word: &str, retry_at: Millis, now: Millis) -> String {
    match format::seconds_until(retry_at, now) {
        0 => format!("{word}…"),
        seconds => format!("{word} in {seconds} s"),
    }
}

/// Sampled with the clock and not with each frame: the age is what it is at that moment, and a fleet of
/// thousands costs the page four looks a second.
#[component]
pub(super) fn ConnectionPill(ui: Ui) -> impl IntoView {
    move || {
        let Pill { state, word, text, can_retry } =
            Pill::of(ui.store.connection.get_untracked(), ui.clock.now.get());
        let retry = can_retry.then(|| {
            view! {
                <button class="pill-retry" on:click=press(move || ui.commands.send(Command::Reconnect))>
                    "Try now"
                </button>
            }
        });
        view! {
            <div class="pill glass" data-testid="connection" data-state=state role="group" aria-label="Connection">
                <span class="dot" aria-hidden="true"></span>
                <span class="pill-text">{text}</span>
                {retry}
            </div>
            <p class="visually-hidden" role="status">{word}</p>
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_live_stream_shows_the_age_of_its_newest_frame() {
        let pill = Pill::of(Connection::Live { last_frame_at: 1_000.0 }, 1_120.0);
        assert_eq!((pill.state, pill.text.as_str(), pill.can_retry), ("live", "Live · 120 ms", false));
    }

    #[test]
    fn an_old_frame_is_never_live() {
        let live = |now| Pill::of(Connection::Live { last_frame_at: 0.0 }, now).state;
        assert_eq!((live(5_000.0), live(5_001.0)), ("live", "stalled"));
    }

    #[test]
    fn a_frame_newer_than_the_clock_is_new() {
        assert_eq!(Pill::of(Connection::Live { last_frame_at: 9.0 }, 1.0).text, "Live · 0 ms");
    }

    #[test]
    fn a_countdown_ends_in_an_attempt() {
        let waiting = |now| Pill::of(Connection::Waiting { retry_at: 3_000.0, attempt: 1 }, now).text;
        assert_eq!(
            (waiting(900.0).as_str(), waiting(3_000.0).as_str()),
            ("Reconnecting in 3 s", "Reconnecting…")
        );
        let draining = Pill::of(Connection::Draining { retry_at: 3_000.0 }, 0.0);
        assert_eq!((draining.state, draining.text.as_str()), ("draining", "Server restarting in 3 s"));
    }
}
