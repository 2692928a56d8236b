//! The panel of the followed ride: its progress, its events, and the actions that are possible.

use leptos::prelude::*;

use crate::{
    format,
    model::{FollowedRide, Progress, RemoteData, Resumed, Ride, RideState},
    store::Command,
    type_erased::on_click,
};

use super::{
    failure_view::failure_view,
    icons::{Back, Car},
    receipt::receipt,
    state_text,
    steps::steps,
    timeline::timeline,
    ui::{Ui, yes_no},
};

#[component]
pub(super) fn RidePanel(ui: Ui) -> impl IntoView {
    // The time of arrival. The remaining time counts down between reports, also while the car sends none.
    let due = Memo::new(move |_| {
        let eta_s = ui.store.followed.with(|followed| Some(followed.as_ref()?.progress.as_ref()?.eta_s))?;
        Some(ui.clock.now.get_untracked() + f64::from(eta_s) * 1000.0)
    });
    // The remaining time stops while the page is not live, because a countdown would look like current data.
    let left = Memo::new(move |before: Option<&Option<u32>>| match (ui.live.get(), before) {
        (false, Some(Some(left))) => due.get().and(Some(*left)),
        _ => due.get().map(|due| format::seconds_until(due, ui.clock.now.get())),
    });
    view! {
        <section class="card ride" data-state=move || state(ui).map(state_text::slug) aria-labelledby="ride-title">
            {move || ui.store.followed.with(|followed| {
                followed.as_ref().map(|followed| content(ui, followed, left.get(), ui.live.get()))
            })}
        </section>
    }
}

fn state(ui: Ui) -> Option<RideState> {
    ui.store.followed.with(|followed| followed.as_ref().map(|followed| followed.ride.state))
}

fn content(ui: Ui, followed: &FollowedRide, left_s: Option<u32>, live: bool) -> impl IntoView + use<> {
    let FollowedRide { ride, timeline: entries, progress, resumed, .. } = followed;
    let is_done = ride.state == RideState::Completed;
    view! {
        <div class="ride-top">
            <button class="icon-button" aria-label="Back to booking" on:click=on_click(move || ui.start_over())>
                <Back />
            </button>
            <p class="chip" data-testid="ride-state" data-state=state_text::slug(ride.state) role="status">
                {state_text::state(ride.state)}
            </p>
        </div>
        <h2 id="ride-title">{state_text::headline(ride.state, ui.is_mine(ride))}</h2>
        {progress.as_ref().zip(left_s).and_then(|(progress, left_s)| eta(ride.state, progress, left_s, live))}
        {steps(entries)}
        {is_done.then(|| receipt(ride))}
        {(!is_done).then(|| facts(ride))}
        {actions(ui, ride)}
        {resumed.map(|resumed| view! {
            <p
                class="muted resumed"
                data-testid="resumed"
                data-version=resumed.at_version.to_string()
                data-missed=followed.missed().to_string()
                data-exact=yes_no(resumed.exact)
                role="status"
            >
                {resumed_words(resumed, followed.missed())}
            </p>
        })}
        {timeline(entries)}
    }
}

fn eta(state: RideState, progress: &Progress, left_s: u32, live: bool) -> Option<impl IntoView + use<>> {
    let goal = match state {
        RideState::Assigned | RideState::OnTrip if !live => "last known",
        RideState::Assigned => "until pickup",
        RideState::OnTrip => "until drop-off",
        _ => return None,
    };
    Some(view! {
        <p class="eta">
            <span class="eta-figure figures" role="timer">{format::countdown(left_s)}</span>
            <span class="muted figures">{format!("{goal} · {}", format::distance(progress.remaining_m))}</span>
        </p>
    })
}

fn facts(ride: &Ride) -> impl IntoView + use<> {
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
    let kind = state_text::kind(ride.kind);
    let trip =
        format!("{kind} · {} · {}", format::distance(ride.distance_m), format::duration(ride.duration_s));
    view! {
        {car}
        <dl class="way">
            <div data-end="pickup">
                <dt>"From"</dt>
                <dd>{state_text::place_or(ride.pickup.as_ref(), "off the street")}</dd>
            </div>
            <div data-end="dropoff">
                <dt>"To"</dt>
                <dd>{state_text::place_or(ride.dropoff.as_ref(), "not known yet")}</dd>
            </div>
        </dl>
        <p class="summary figures">
            <b>{format::money(&ride.fare)}</b>
            <span class="muted">{trip}</span>
        </p>
        {reason}
    }
}

fn actions(ui: Ui, ride: &Ride) -> impl IntoView + use<> {
    let is_busy = ui.store.action.with(RemoteData::is_pending);
    let is_retrying = ui.store.action.with(|action| *action == RemoteData::Retrying);
    let failure = ui.action_failure().as_ref().map(failure_view);
    let wait_s = ui.retry_in_s.get();
    let is_locked = is_busy || wait_s.is_some();
    let cancel = ride.state.can_cancel().then(|| {
        let id = ride.id.clone();
        view! {
            <button
                class="button quiet wide"
                data-testid="cancel"
                aria-disabled=yes_no(is_locked)
                aria-busy=yes_no(is_busy)
                on:click=on_click(move || {
                    if !is_locked {
                        ui.commands.send(Command::Cancel(id.clone()));
                    }
                })
            >
                {match (is_retrying, is_busy, wait_s) {
                    (true, ..) => state_text::RETRYING.to_owned(),
                    (_, true, _) => "Cancelling…".to_owned(),
                    (_, _, Some(seconds)) => state_text::again_in(seconds),
                    _ => "Cancel the ride".to_owned(),
                }}
            </button>
        }
    });
    let again = ride.state.is_over().then(|| {
        view! {
            <button
                class="button primary wide"
                data-testid="book-another"
                on:click=on_click(move || ui.start_over())
            >
                "Book another"
            </button>
        }
    });
    view! {
        <div class="actions">
            {cancel} {again} {failure}
        </div>
    }
}

fn resumed_words(resumed: Resumed, missed: u64) -> String {
    let Resumed { at_version, caught_up, exact, repeats, gaps } = resumed;
    let (mut words, caught_up) = if exact {
        (format!("Resumed at version {at_version}, missed {missed}"), caught_up)
    } else {
        (format!("Could not resume at version {at_version}: history reloaded, missed {missed}"), 0)
    };
    for (what, count) in [("caught up on", caught_up), ("repeats dropped:", repeats), ("gaps closed:", gaps)]
    {
        if count > 0 {
            words += &format!(" · {what} {count}");
        }
    }
    words + "."
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resume_says_what_it_brought() {
        let words = |caught_up, exact, repeats, gaps| {
            resumed_words(Resumed { at_version: 3, caught_up, exact, repeats, gaps }, 0)
        };
        assert_eq!(words(0, true, 0, 0), "Resumed at version 3, missed 0.");
        assert_eq!(words(2, true, 0, 0), "Resumed at version 3, missed 0 · caught up on 2.");
        assert_eq!(
            words(0, true, 4, 1),
            "Resumed at version 3, missed 0 · repeats dropped: 4 · gaps closed: 1."
        );
        assert_eq!(words(5, false, 0, 0), "Could not resume at version 3: history reloaded, missed 0.");
    }
}
