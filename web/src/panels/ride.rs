//! The ride that is followed: how far it is, everything that happened to it, what can be done about it.

use leptos::prelude::*;

use crate::{
    format,
    model::{FollowedRide, Progress, Remote, Resumed, Ride, RideState},
    store::Command,
};

use super::{
    icons::{Back, Car},
    receipt::Receipt,
    steps::Steps,
    timeline::Timeline,
    ui::Ui,
    words,
};

#[component]
pub(super) fn RidePanel(ui: Ui) -> impl IntoView {
    // Each part is drawn anew only when its own part of the ride changes.
    let ride = part(ui, |followed| Some(followed.ride.clone()));
    let progress = part(ui, |followed| followed.progress.clone());
    let resumed = part(ui, |followed| followed.resumed);
    let timeline = Memo::new(move |_| {
        ui.store.followed.with(|followed| followed.as_ref().map(|f| f.timeline.clone()).unwrap_or_default())
    });
    let state = Memo::new(move |_| ride.with(|ride| ride.as_ref().map(|ride| ride.state)));
    let slug = move || state.get().map(words::slug);
    view! {
        <section class="card ride" data-state=slug aria-labelledby="ride-title">
            <div class="ride-top">
                <button class="icon-button" aria-label="Back to booking" on:click=move |_| ui.start_over()>
                    <Back />
                </button>
                <p class="chip" data-testid="ride-state" data-state=slug role="status">
                    {move || state.get().map(words::state)}
                </p>
            </div>
            <h2 id="ride-title">
                {move || ride.with(|ride| ride.as_ref().map(words::headline))}
            </h2>
            <Eta ui=ui state=state progress=progress />
            <Steps timeline=timeline />
            {move || ride.get().map(|ride| match ride.state {
                RideState::Completed => view! { <Receipt ride=ride /> }.into_any(),
                _ => view! { <Facts ride=ride /> }.into_any(),
            })}
            <Actions ui=ui ride=ride />
            <Timeline timeline=timeline />
            {move || resumed.get().map(|resumed| view! {
                <p class="muted resumed">{resumed_words(resumed)}</p>
            })}
        </section>
    }
}

/// A part of the followed ride; `None` also once no ride is followed.
fn part<T>(ui: Ui, read: fn(&FollowedRide) -> Option<T>) -> Memo<Option<T>>
where
    T: PartialEq + Send + Sync + 'static,
{
    Memo::new(move |_| ui.store.followed.with(|followed| followed.as_ref().and_then(read)))
}

/// Counts down between reports, so that a car in a tunnel still comes closer.
#[component]
fn Eta(ui: Ui, state: Memo<Option<RideState>>, progress: Memo<Option<Progress>>) -> impl IntoView {
    let due = Memo::new(move |_| {
        let eta_s = progress.with(|progress| progress.as_ref().map(|progress| progress.eta_s))?;
        Some(ui.clock.now.get_untracked() + f64::from(eta_s) * 1000.0)
    });
    let left = Memo::new(move |_| {
        let due = due.get()?;
        Some(format::countdown(format::seconds_until(due, ui.clock.now.get())))
    });
    let way = move || {
        let goal = match state.get()? {
            RideState::Assigned => "until pickup",
            RideState::OnTrip => "until you are there",
            _ => return None,
        };
        let metres = progress.with(|progress| progress.as_ref().map(|progress| progress.remaining_m))?;
        Some(format!("{goal} · {}", format::distance(metres)))
    };
    let is_shown = Memo::new(move |_| {
        left.with(Option::is_some) && matches!(state.get(), Some(RideState::Assigned | RideState::OnTrip))
    });
    view! {
        <Show when=move || is_shown.get()>
            <p class="eta">
                <span class="eta-figure figures" role="timer">{left}</span>
                <span class="muted figures">{way}</span>
            </p>
        </Show>
    }
}

#[component]
fn Facts(ride: Ride) -> impl IntoView {
    let car = ride.car_id.map(|car| {
        view! {
            <p class="car">
                <Car />
                <b class="figures">{format!("Car {car}")}</b>
                <span class="muted">{ride.driver_id.clone()}</span>
            </p>
        }
    });
    let reason = (!ride.cancel_reason.is_empty())
        .then(|| view! { <p class="muted">{format!("Reason: {}", ride.cancel_reason)}</p> });
    view! {
        {car}
        <dl class="way">
            <div data-end="pickup">
                <dt>"From"</dt>
                <dd>{words::place_or(ride.pickup.as_ref(), "off the street")}</dd>
            </div>
            <div data-end="dropoff">
                <dt>"To"</dt>
                <dd>{words::place_or(ride.dropoff.as_ref(), "not known yet")}</dd>
            </div>
        </dl>
        <p class="summary figures">
            <b>{format::money(&ride.fare)}</b>
            <span class="muted">
                {format!(
                    "{} · {} · {}",
                    words::kind(ride.kind),
                    format::distance(ride.distance_m),
                    format::duration(ride.duration_s),
                )}
            </span>
        </p>
        {reason}
    }
}

#[component]
fn Actions(ui: Ui, ride: Memo<Option<Ride>>) -> impl IntoView {
    let cancellable = Memo::new(move |_| {
        ride.with(|ride| ride.as_ref().filter(|ride| ride.state.can_cancel()).map(|ride| ride.id.clone()))
    });
    let is_over =
        Memo::new(move |_| ride.with(|ride| ride.as_ref().is_some_and(|ride| ride.state.is_over())));
    let is_busy = Memo::new(move |_| ui.store.action.with(|action| *action == Remote::Loading));
    let failure = Memo::new(move |_| ui.action_failure().as_ref().map(format::failure));
    view! {
        <div class="actions">
            <Show when=move || cancellable.with(Option::is_some)>
                <button
                    class="button quiet wide"
                    data-testid="cancel"
                    disabled=is_busy
                    aria-busy=move || if is_busy.get() { "true" } else { "false" }
                    on:click=move |_| {
                        if let Some(ride) = cancellable.get_untracked() {
                            ui.commands.send(Command::Cancel(ride));
                        }
                    }
                >
                    {move || if is_busy.get() { "Cancelling…" } else { "Cancel the ride" }}
                </button>
            </Show>
            <Show when=move || is_over.get()>
                <button class="button primary wide" data-testid="book-another" on:click=move |_| ui.start_over()>
                    "Book another"
                </button>
            </Show>
            <p class="error" role="alert">{failure}</p>
        </div>
    }
}

fn resumed_words(resumed: Resumed) -> String {
    match resumed {
        Resumed { exact: false, .. } => "reconnected · the whole ride came again".to_owned(),
        Resumed { at_version, caught_up: 0, .. } => format!("resumed at version {at_version} · missed 0"),
        Resumed { at_version, caught_up, .. } => {
            format!("resumed at version {at_version} · caught up {caught_up} · missed 0")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resume_says_what_it_brought() {
        let words = |caught_up, exact| resumed_words(Resumed { at_version: 3, caught_up, exact });
        assert_eq!(words(0, true), "resumed at version 3 · missed 0");
        assert_eq!(words(2, true), "resumed at version 3 · caught up 2 · missed 0");
        assert!(words(0, false).contains("whole ride"));
    }
}
