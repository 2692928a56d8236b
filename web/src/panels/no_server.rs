//! The card that appears if the page was opened before the server was started.

use leptos::prelude::*;

use crate::{
    format,
    model::{Connection, Link},
    store::Command,
    type_erased::on_click,
};

use super::ui::Ui;

/// The result of the first connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum FirstConnection {
    /// The result is not known yet.
    Pending,
    /// The connection failed, and no later one succeeded.
    Failed,
    /// A connection succeeded. Later losses are shown by the status pill.
    Succeeded,
}

impl FirstConnection {
    fn after(self, connection: Connection) -> Self {
        match (self, connection.link) {
            (Self::Succeeded, _) => Self::Succeeded,
            (_, link) if link.is_live() => Self::Succeeded,
            (first, Link::Connecting) => first,
            _ => Self::Failed,
        }
    }
}

/// The card. It disappears with the first frame.
#[component]
pub(super) fn NoServer(ui: Ui) -> impl IntoView {
    let first = Memo::new(move |last: Option<&FirstConnection>| {
        last.copied().unwrap_or(FirstConnection::Pending).after(ui.store.connection.get())
    });
    let next = move || match ui.store.connection.get().link {
        Link::Waiting { retry_at } | Link::Refused { retry_at } => {
            match format::seconds_until(retry_at, ui.clock.now.get()) {
                0 => "Trying…".to_owned(),
                seconds => format!("Next try in {seconds} s"),
            }
        }
        Link::Offline => "The browser says that there is no network.".to_owned(),
        _ => "Trying…".to_owned(),
    };
    let is_refused = move || ui.refusal().is_some();
    let title =
        move || if is_refused() { "The calls of this page are refused" } else { "No server yet" }.to_owned();
    let what = move || {
        ui.refusal().unwrap_or_else(|| "Start one in a terminal, at the root of the project:".to_owned())
    };
    move || {
        (first.get() == FirstConnection::Failed && !ui.is_refused()).then(|| {
            view! {
                <div class="no-server" data-testid="no-server">
                    <section class="card glass" aria-labelledby="no-server-title">
                        <h2 id="no-server-title" role="alert">{title}</h2>
                        <p data-testid="refusal">{what}</p>
                        <pre hidden=move || is_refused().then_some("")><code>"cargo run -p rides-server"</code></pre>
                        <p class="muted">"This page goes live by itself as soon as it can."</p>
                        <div class="no-server-actions">
                            <button
                                class="button primary"
                                data-testid="try-now"
                                on:click=on_click(move || ui.commands.send(Command::Reconnect))
                            >
                                "Try now"
                            </button>
                            <span class="muted figures">{next}</span>
                        </div>
                    </section>
                </div>
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_very_first_connection_counts() {
        let connection = |link| Connection { link, last_frame_at: None };
        let (waiting, live) = (connection(Link::Waiting { retry_at: 0.0 }), connection(Link::Live));
        let run =
            |all: &[Connection]| all.iter().fold(FirstConnection::Pending, |first, now| first.after(*now));
        assert_eq!(run(&[Connection::NEW]), FirstConnection::Pending);
        assert_eq!(run(&[Connection::NEW, waiting, Connection::NEW]), FirstConnection::Failed);
        assert_eq!(run(&[waiting, live]), FirstConnection::Succeeded);
        assert_eq!(run(&[live, waiting]), FirstConnection::Succeeded);
    }
}
