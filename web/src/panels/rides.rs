//! The list of the newest rides: all rides, or those of the rider.

use leptos::{ev::PointerEvent, prelude::*};
use rides_proto::ids::RideId;

use crate::{
    browser, format,
    model::{Millis, Ride, RideList},
    type_erased::on_click,
};

use super::{
    icons::Chevron,
    state_text,
    ui::{Ui, yes_no},
};

/// Returns a note for above the list, as CSS classes and text. `fresh`: the list is current.
fn note(list: &RideList, fresh: bool) -> Option<(&'static str, String)> {
    let text = match &list.failure {
        Some(failure) => {
            return Some(("error rides-note", format!("Not up to date: {}", format::failure(failure))));
        }
        None if !list.rides.is_empty() => return None,
        None if fresh => "None yet. The next one booked shows up here.",
        None => "Not known at the moment.",
    };
    Some(("muted rides-note", text.to_owned()))
}

/// Describes the number of rides that have not ended. If there are more rides than the list has, the text says so.
fn under_way(list: &RideList, fresh: bool) -> String {
    let count = list.rides.iter().filter(|ride| !ride.state.is_over()).count();
    let of = if list.has_more { format!(" of the newest {}", list.rides.len()) } else { String::new() };
    match list.received_at {
        None => String::new(),
        Some(_) if fresh => format!("{count}{of} under way"),
        Some(_) => format!("{count}{of} under way, last known"),
    }
}

/// The longest time, in milliseconds, from a touch until its press has ended or `:active` matches.
const PRESS: Millis = 500.0;

/// Returns the rides in `sort`, without rides that are not in it. Without an order, returns all rides, newest first.
fn in_order<'a>(rides: &'a [Ride], order: Option<&Vec<RideId>>) -> Vec<&'a Ride> {
    let find = |id: &RideId| rides.iter().find(|ride| ride.id == *id);
    match order {
        None => rides.iter().collect(),
        Some(order) => order.iter().filter_map(find).collect(),
    }
}

/// Returns `true` if a person may be about to press a row, so that no row may move. `touched_at` is the time of
/// the newest touch of a row; it is below 0 if a mouse came later.
fn is_in_use(touched_at: Millis, now: Millis) -> bool {
    // After a touch, `:hover` goes on to match at the touched point.
    let pointer = if touched_at >= 0.0 { ":active" } else { ":hover" };
    (touched_at >= 0.0 && now - touched_at < PRESS)
        || browser::matches("rides-list", &[pointer, ", :has(:focus-visible)"].concat())
}

#[component]
pub(super) fn RidesPanel(ui: Ui) -> impl IntoView {
    let open = RwSignal::new(true);
    let fresh =
        Memo::new(move |_| ui.live.get() && ui.store.rides.with(|list| list.is_fresh(ui.clock.now.get())));
    let (touched_at, set_touched_at) = signal(-1.0);
    let mut order = None;
    let on_pointer = move |event: PointerEvent| {
        let is_touch = event.pointer_type() == "touch";
        set_touched_at.set(if is_touch { browser::now() } else { -1.0 });
    };
    // Runs once per second, and after each change of the list.
    let rows = move || {
        let followed = ui.store.followed.with(|followed| followed.as_ref().map(|f| f.ride.id.clone()));
        let now = ui.clock.unix.get();
        ui.store.rides.with(|list| {
            if !is_in_use(touched_at.get_untracked(), browser::now()) {
                order = None;
            }
            let rides = in_order(&list.rides, order.as_ref());
            order = Some(rides.iter().map(|ride| ride.id.clone()).collect());
            let row = |ride: &Ride| row(ui, ride, followed.as_ref() == Some(&ride.id), now);
            rides.into_iter().map(row).collect_view()
        })
    };
    let note = move || {
        let note = ui.store.rides.with(|list| note(list, fresh.get()));
        note.map(|(class, text)| view! { <p class=class>{text}</p> })
    };
    let under_way = move || ui.store.rides.with(|list| under_way(list, fresh.get()));
    view! {
        <section
            class="card rides"
            data-testid="rides"
            data-open=move || open.get().then_some("")
            data-stale=move || (!fresh.get()).then_some("")
            aria-labelledby="rides-title"
        >
            <button
                class="rides-head"
                aria-expanded=move || yes_no(open.get())
                aria-controls="rides-list"
                on:click=on_click(move || open.update(|open| *open = !*open))
            >
                <h2 id="rides-title">"Rides"</h2>
                <span class="muted figures">{under_way}</span>
                <Chevron />
            </button>
            {note}
            <ul
                class="rides-list"
                id="rides-list"
                on:pointerover=on_pointer
            >
                {rows}
            </ul>
        </section>
    }
}

fn row(ui: Ui, ride: &Ride, followed: bool, now: i64) -> impl IntoView + use<> {
    let id = ride.id.clone();
    let state = format!("{} · {}", state_text::state(ride.state), format::ago(ride.requested_at, now));
    view! {
        <li>
            <button
                class="row"
                data-state=state_text::slug(ride.state)
                aria-current=followed.then_some("true")
                on:click=on_click(move || ui.follow(id.clone()))
            >
                <span class="dot" aria-hidden="true"></span>
                <span class="row-from">{state_text::place_or(ride.pickup.as_ref(), "Off the street")}</span>
                <span class="row-fare figures">{format::money(&ride.fare)}</span>
                <span class="row-to">
                    <span class="muted">"→ "</span>
                    {state_text::place_or(ride.dropoff.as_ref(), "…")}
                </span>
                <span class="row-state figures">{state}</span>
            </button>
        </li>
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Failure, RideState};

    fn answered(rides: Vec<Ride>) -> RideList {
        RideList { rides, received_at: Some(1.0), ..RideList::default() }
    }

    fn ride(state: RideState) -> Ride {
        Ride::bare("a", 1, state)
    }

    fn words(list: &RideList, fresh: bool) -> Option<String> {
        note(list, fresh).map(|(_, text)| text)
    }

    #[test]
    fn none_is_said_only_of_what_is_known_to_be_empty() {
        let none_yet = "None yet. The next one booked shows up here.";
        assert_eq!(words(&answered(vec![]), true).as_deref(), Some(none_yet));
        for unknown in [RideList::default(), answered(vec![])] {
            assert_eq!(words(&unknown, false).as_deref(), Some("Not known at the moment."));
        }
        let some = answered(vec![ride(RideState::OnTrip)]);
        assert_eq!((words(&some, true), words(&some, false)), (None, None), "a list with rows needs no note");
    }

    #[test]
    fn a_look_that_failed_says_why() {
        let text = "rides cannot be read or saved now".to_owned();
        let failure = Failure { text, reason: "JOURNAL_UNAVAILABLE".into(), code: 14, ..Failure::default() };
        for rides in [vec![], vec![ride(RideState::OnTrip)]] {
            let list = RideList { failure: Some(failure.clone()), ..answered(rides) };
            assert_eq!(
                words(&list, false).as_deref(),
                Some("Not up to date: Rides cannot be read or saved now.")
            );
        }
    }

    /// PAGE-6
    #[test]
    fn rows_stay_where_they_are_while_the_list_is_in_use_and_new_rides_wait() {
        let named = |id: &str, version| Ride::bare(id, version, RideState::OnTrip);
        let shown = |rides: &[Ride], order: Option<&[&str]>| {
            let order: Option<Vec<_>> = order.map(|order| order.iter().map(|id| RideId::new(*id)).collect());
            let told = |ride: &&Ride| format!("{} {}", ride.id.as_str(), ride.version);
            in_order(rides, order.as_ref()).iter().map(told).collect::<Vec<_>>()
        };
        let rides = [named("new", 1), named("b", 7), named("a", 3)];
        assert_eq!(shown(&rides, None), ["new 1", "b 7", "a 3"]);
        assert_eq!(shown(&rides, Some(&["a", "b"])), ["a 3", "b 7"]);
        assert_eq!(
            shown(&rides, Some(&["a", "gone"])),
            ["a 3"],
            "a ride that is no longer in the list is not shown"
        );
        assert!(shown(&rides, Some(&[])).is_empty(), "a new ride waits while the list is in use");
        assert!(shown(&[], Some(&["a"])).is_empty(), "after a change of identity no old ride is shown");
    }

    #[test]
    fn what_was_under_way_is_told_as_the_last_that_was_known() {
        let list = answered(vec![ride(RideState::OnTrip), ride(RideState::Completed)]);
        assert_eq!(under_way(&list, true), "1 under way");
        assert_eq!(under_way(&list, false), "1 under way, last known");
        assert_eq!(under_way(&RideList::default(), false), "");
        let list = RideList { has_more: true, ..list };
        assert_eq!(under_way(&list, true), "1 of the newest 2 under way");
    }
}
