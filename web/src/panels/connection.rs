//! The status pill: the state of the page's connection and the measured age of the newest frame.

use grpc_web_fetch::DEADLINE;
use leptos::prelude::*;

use crate::{
    browser, format,
    model::{Connection, Link, Millis},
    store::Command,
    type_erased::on_click,
};

use super::ui::Ui;

/// The contents of the pill.
#[derive(Clone, PartialEq, Debug)]
struct Pill {
    /// The value of `data-state`.
    state: &'static str,
    /// The state in a few words, for screen readers. It changes only with the state.
    word: &'static str,
    /// The state, and the age of the newest frame.
    text: String,
    /// `true` if a person may try to connect at once.
    can_retry: bool,
    /// `true` if the data on the screen is not current any more.
    stale: bool,
}

impl Pill {
    fn of(connection: Connection, refused: bool, now: Millis) -> Self {
        let live = connection.is_live(now);
        let age = connection.last_frame_at.map(|at| format::age(now - at));
        let (state, word, figure) = match connection.link {
            _ if refused && !live => ("signed-out", "Signed out", String::new()),
            Link::Connecting => ("connecting", "Connecting", "…".to_owned()),
            Link::ShortCalls if live => ("live", "Live by short calls", String::new()),
            Link::Live if live => ("live", "Live", String::new()),
            Link::Live | Link::ShortCalls => ("stalled", "Stalled", String::new()),
            Link::Refused { .. } => ("refused", "Refused", String::new()),
            Link::Waiting { retry_at } => ("reconnecting", "Reconnecting", countdown("", retry_at, now)),
            Link::Offline => ("offline", "Offline", String::new()),
            Link::Draining { retry_at } => {
                ("draining", "Server restarting", countdown(" · next try", retry_at, now))
            }
        };
        let mut text = [word, &figure].concat();
        if let Some(age) = &age {
            let (before, after) = if live { (" · ", "") } else { (" · last frame ", " ago") };
            text += &[before, age, after].concat();
        }
        Self {
            state,
            word,
            text,
            can_retry: matches!(state, "reconnecting" | "refused"),
            stale: age.is_some() && !live,
        }
    }
}

/// The protocol over which a browser has six connections per server, shared by all of its windows.
const HTTP1: &str = "HTTP/1.1";
/// The note if those connections may all be in use. The browser does not report this: calls only get no response.
const CONNECTIONS_USED_UP: &str = "No answer. Over HTTP/1.1 all windows of this page share six connections, and may have used them \
                       up: close one, or serve the page over TLS.";

/// The note if streams are held back on the way, so that the page makes short calls.
const HELD_BACK: &str = "Something between this page and the server holds streams back, so the page asks anew each \
                         second. In nginx, “proxy_buffering off” cures it.";

/// The note if the page makes short calls because other windows need the connections.
const MANY_WINDOWS: &str = "Over HTTP/1.1 all windows of this page share six connections, so this one asks anew each \
                            second. Close a window, or serve the page over TLS.";

/// Returns the usual name of a protocol, or an empty string if it is unknown.
fn protocol_name(alpn: &str) -> &'static str {
    match alpn {
        "http/1.1" => HTTP1,
        "h2" => "HTTP/2",
        "h3" => "HTTP/3",
        _ => "",
    }
}

fn countdown(word: &str, until: Millis, now: Millis) -> String {
    match format::seconds_until(until, now) {
        0 => "…".to_owned(),
        seconds => format!("{word} in {seconds} s"),
    }
}

/// The pill. It is updated with the clock and not with each frame: the age is correct at that moment, and a
/// large fleet costs the page only four updates per second.
///
/// The style sheets show the map and the ride's numbers as stale by `data-stale`.
#[component]
pub(super) fn ConnectionPill(ui: Ui) -> impl IntoView {
    let mut protocol = "";
    move || {
        if protocol.is_empty() {
            protocol = protocol_name(&browser::protocol());
        }
        let connection = ui.store.connection.get_untracked();
        let Pill { state, word, text, can_retry, stale } =
            Pill::of(connection, ui.is_refused(), ui.clock.now.get());
        let retry = can_retry.then(|| {
            view! {
                <button class="pill-retry" data-testid="try-now" on:click=on_click(move || ui.commands.send(Command::Reconnect))>
                    "Try now"
                </button>
            }
        });
        let note = match connection.link {
            Link::ShortCalls if browser::is_crowded() => Some(("many-windows", MANY_WINDOWS.to_owned())),
            Link::ShortCalls => Some(("held-back", HELD_BACK.to_owned())),
            // Before the first frame, the card of `no_server.rs` shows the reason.
            Link::Refused { .. } if connection.last_frame_at.is_some() => {
                ui.refusal().map(|why| ("refusal", why))
            }
            _ if protocol == HTTP1 && ui.commands.tap().has_no_responses(DEADLINE) => {
                Some(("crowded", CONNECTIONS_USED_UP.to_owned()))
            }
            _ => None,
        };
        let note = note.map(|(id, words)| {
            view! { <p class="note glass" data-testid=id role="status">{words}</p> }
        });
        view! {
            <div
                class="pill glass"
                data-testid="connection"
                data-state=state
                data-stale=stale.then_some("")
                role="group"
                aria-label="Connection"
            >
                <span class="dot" aria-hidden="true"></span>
                <span class="pill-text">{text}</span>
                <span class="pill-protocol">{protocol}</span>
                {retry}
            </div>
            {note}
            <p class="visually-hidden" role="status">{word}</p>
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pill(link: Link, heard_at: Option<Millis>, now: Millis) -> Pill {
        Pill::of(Connection { link, last_frame_at: heard_at }, false, now)
    }

    #[test]
    fn whom_the_server_does_not_know_is_signed_out_and_not_waiting() {
        let waiting = Connection { link: Link::Waiting { retry_at: 9_000.0 }, last_frame_at: Some(0.0) };
        let out = Pill::of(waiting, true, 1_000.0);
        assert_eq!(
            (out.state, out.text.as_str(), out.stale),
            ("signed-out", "Signed out · last frame 1.0 s ago", true)
        );
        let live = Connection { link: Link::Live, last_frame_at: Some(0.0) };
        assert_eq!(Pill::of(live, true, 0.0).state, "live", "a live stream is shown as live");
    }

    #[test]
    fn a_protocol_has_its_name_or_none() {
        let names = ["http/1.1", "h2", "h3", "", "spdy"].map(protocol_name);
        assert_eq!(names, ["HTTP/1.1", "HTTP/2", "HTTP/3", "", ""]);
    }

    #[test]
    fn a_live_stream_shows_the_age_of_its_newest_frame() {
        let live = pill(Link::Live, Some(1_000.0), 1_120.0);
        let told = (live.state, live.text.as_str(), live.can_retry, live.stale);
        assert_eq!(told, ("live", "Live · 120 ms", false, false));
        assert_eq!(pill(Link::Live, Some(9.0), 1.0).text, "Live · 0 ms", "an age is never negative");
    }

    #[test]
    fn an_old_frame_is_never_live() {
        let old = pill(Link::Live, Some(0.0), 6_000.0);
        assert_eq!(
            (old.state, old.text.as_str(), old.stale),
            ("stalled", "Stalled · last frame 6.0 s ago", true)
        );
    }

    #[test]
    fn what_is_not_live_is_stale_and_shows_its_age() {
        for link in [
            Link::Connecting,
            Link::Offline,
            Link::Waiting { retry_at: 15_000.0 },
            Link::Draining { retry_at: 15_000.0 },
        ] {
            let lost = pill(link, Some(0.0), 12_000.0);
            assert!(lost.stale && lost.text.ends_with(" · last frame 12 s ago"), "{lost:?}");
            assert!(!pill(link, None, 12_000.0).stale, "nothing is on the screen yet");
        }
        assert_eq!(pill(Link::Offline, None, 0.0).text, "Offline");
    }

    /// PROXY-1
    #[test]
    fn short_calls_are_live_and_said_to_be_short_calls() {
        let live = pill(Link::ShortCalls, Some(1_000.0), 1_800.0);
        let told = (live.state, live.text.as_str(), live.stale);
        assert_eq!(told, ("live", "Live by short calls · 800 ms", false));
        assert_eq!(pill(Link::ShortCalls, Some(0.0), 6_000.0).state, "stalled");
    }

    /// PROXY-2
    #[test]
    fn a_refusal_is_no_reconnecting() {
        let refused = pill(Link::Refused { retry_at: 15_000.0 }, Some(0.0), 12_000.0);
        let told = (refused.state, refused.text.as_str(), refused.can_retry, refused.stale);
        assert_eq!(told, ("refused", "Refused · last frame 12 s ago", true, true));
    }

    #[test]
    fn a_countdown_ends_in_an_attempt() {
        let waiting = |now| pill(Link::Waiting { retry_at: 3_000.0 }, None, now).text;
        assert_eq!(
            (waiting(900.0).as_str(), waiting(3_000.0).as_str()),
            ("Reconnecting in 3 s", "Reconnecting…")
        );
        let draining = pill(Link::Draining { retry_at: 3_000.0 }, None, 0.0);
        assert_eq!(
            (draining.state, draining.text.as_str()),
            ("draining", "Server restarting · next try in 3 s")
        );
    }
}
