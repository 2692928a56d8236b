//! The account button: it shows the identity of the page and has a form to sign in with a token.

use leptos::{ev::SubmitEvent, prelude::*};

use crate::{
    browser, format,
    model::{Failure, Identity, Role},
    store::Command,
    type_erased::on_click,
};

use super::{
    failure_view::failure_view,
    icons::Person,
    ui::{Ui, failed, yes_no},
};

/// The texts for an identity.
#[derive(Clone, PartialEq, Debug)]
struct IdentityText {
    /// The value of `data-state`.
    state: &'static str,
    /// The text on the button.
    name: String,
    /// An explanation for the person.
    about: String,
    /// The text of the button that ends this identity; `None` if there is nothing to end.
    leave: Option<&'static str>,
}

impl IdentityText {
    fn of(identity: &Identity) -> Self {
        match identity {
            Identity::Anonymous => Self::new("nobody", "Sign in", "The server has not asked.", None),
            Identity::SignedIn { role, subject } => {
                let (state, name, about) = match role {
                    Some(Role::Driver) => {
                        ("driver", "Driver", "You see the map. Your rides are in your car's own app.")
                    }
                    Some(Role::Dispatcher) => {
                        ("dispatcher", "Dispatcher", "You see everyone's rides, and act for anyone.")
                    }
                    _ if subject.is_empty() => {
                        ("guest", "Guest", "You are a guest: you book rides, and see your own.")
                    }
                    _ => ("rider", "Rider", "You book rides, and see your own."),
                };
                let name = if subject.is_empty() { name.to_owned() } else { format!("{name} {subject}") };
                Self::new(state, &name, about, Some("Sign out"))
            }
            Identity::Refused(failure) => {
                Self::new("refused", "Signed out", &format::failure(failure), Some("Go on as a guest"))
            }
        }
    }

    fn new(state: &'static str, name: &str, about: &str, leave: Option<&'static str>) -> Self {
        Self { state, name: name.to_owned(), about: about.to_owned(), leave }
    }
}

/// The button, and the popover that it opens. The token field is of type password, so that the token is not
/// readable on the screen and the browser does not keep it with other form data.
#[component]
pub(super) fn Account(ui: Ui) -> impl IntoView {
    let submit = move |event: SubmitEvent| {
        event.prevent_default();
        ui.commands.send(Command::SignIn(browser::take_value("token")));
    };
    view! {
        {move || ui.store.identity.with(button)}
        <div id="who" class="about who glass" popover>
            <h2>"Who you are"</h2>
            {move || ui.store.identity.with(|identity| about(ui, identity))}
            <form on:submit=submit>{move || ui.store.sign_in.with(|sign_in| field(failed(sign_in)))}</form>
            <p class="muted">"It stays in this tab, and is shown to this server alone."</p>
        </div>
    }
}

fn button(identity: &Identity) -> impl IntoView + use<> {
    let IdentityText { state, name, .. } = IdentityText::of(identity);
    view! {
        <button class="account glass" data-testid="account" data-state=state popovertarget="who">
            <Person />
            <span>{name}</span>
        </button>
    }
}

fn field(failure: Option<&Failure>) -> impl IntoView + use<> {
    view! {
        <label class="muted" for="token">"Token of a dispatcher, driver or rider"</label>
        <input
            id="token"
            data-testid="token"
            type="password"
            autocomplete="off"
            aria-invalid=yes_no(failure.is_some())
            aria-describedby="token-error"
        />
        <div id="token-error">{failure.map(failure_view)}</div>
        <button class="button primary wide" data-testid="sign-in">"Sign in"</button>
    }
}

fn about(ui: Ui, identity: &Identity) -> impl IntoView + use<> {
    let IdentityText { about, leave, .. } = IdentityText::of(identity);
    let leave = leave.map(|leave| {
        view! {
            <button class="link" data-testid="sign-out" on:click=on_click(move || ui.commands.send(Command::SignOut))>
                {leave}
            </button>
        }
    });
    view! {
        <p>{about}</p>
        {leave}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everyone_has_a_name_and_a_way_out() {
        let told = |identity: &Identity| {
            let IdentityText { state, name, leave, .. } = IdentityText::of(identity);
            (state, name, leave.is_some())
        };
        let as_role = |role, subject: &str| Identity::SignedIn { role, subject: subject.to_owned() };
        assert_eq!(told(&Identity::Anonymous), ("nobody", "Sign in".into(), false));
        assert_eq!(told(&as_role(None, "")), ("guest", "Guest".into(), true));
        assert_eq!(told(&as_role(Some(Role::Rider), "ada")), ("rider", "Rider ada".into(), true));
        assert_eq!(told(&as_role(Some(Role::Driver), "aino")), ("driver", "Driver aino".into(), true));
        assert_eq!(
            told(&as_role(Some(Role::Dispatcher), "eve")),
            ("dispatcher", "Dispatcher eve".into(), true)
        );
        let over = Failure { reason: "SESSION_OVER".into(), code: 16, ..Failure::default() };
        let words = IdentityText::of(&Identity::Refused(over));
        assert_eq!((words.state, words.about.as_str()), ("refused", "The session is over."));
    }
}
