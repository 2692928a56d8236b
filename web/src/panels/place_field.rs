//! The field for one end of a ride: an ARIA combobox that suggests streets.

use leptos::{ev, prelude::*};

use crate::{
    browser, format,
    model::{Place, RemoteData},
    store::Command,
    type_erased::{effect, on_click},
};

use super::{
    draft::PlaceRole,
    failure_view::failure_view,
    icons::Cross,
    state_text,
    ui::{Ui, yes_no},
};

/// The suggestions under the field.
#[derive(Clone, PartialEq, Debug)]
enum Suggestions {
    Closed,
    Found(Vec<Place>),
    Nothing,
    Failed(String),
}

impl Suggestions {
    /// Returns the suggestions after a change of the search's state. While a search is loading, the old
    /// suggestions stay.
    fn after(self, answer: RemoteData<Vec<Place>>) -> Self {
        match answer {
            RemoteData::Idle => Self::Closed,
            RemoteData::Loading => self,
            RemoteData::Retrying => Self::Failed(state_text::RETRYING.to_owned()),
            RemoteData::Ready(places) if places.is_empty() => Self::Nothing,
            RemoteData::Ready(places) => Self::Found(places),
            RemoteData::Failed(failure) => Self::Failed(format::failure(&failure)),
        }
    }

    fn places(&self) -> &[Place] {
        match self {
            Self::Found(places) => places,
            _ => &[],
        }
    }
}

/// The state of a field from the first key until a place is chosen.
#[derive(Clone, Default)]
pub(super) struct Typing {
    /// The typed text, never empty. It stays when the field loses the focus.
    text: Option<String>,
    /// The number of the search for this text, as counted by [`Ui::searches`].
    search: u32,
    highlighted: Option<usize>,
    /// `true` if Enter was pressed: the first street is chosen as soon as the result arrives.
    entered: bool,
    /// The place that was chosen before the first key. Escape restores it.
    before: Option<Place>,
}

#[component]
pub(super) fn PlaceField(ui: Ui, end: PlaceRole, typing: RwSignal<Typing>) -> impl IntoView {
    let (label, placeholder, clear_label, list_label) = match end {
        PlaceRole::Pickup => ("Pickup", "Where from?", "Clear the pickup", "Streets for the pickup"),
        PlaceRole::Dropoff => ("Drop-off", "Where to?", "Clear the drop-off", "Streets for the drop-off"),
    };
    let name = end.name();
    let (list_id, error_id) = (format!("{name}-list"), format!("{name}-error"));
    let option_id = move |index: usize| format!("{name}-option-{index}");

    let has_focus = RwSignal::new(false);
    let chosen = move || ui.draft.with(|draft| draft.place(end).cloned());
    let choose = move |place| ui.change_draft(|draft| draft.set(end, place));

    let text = move || {
        let chosen = ui.place(end).as_ref().map(state_text::place);
        chosen.or_else(|| typing.get().text).unwrap_or_default()
    };
    let failure = move || ui.failure_at(end);
    // The result in the store belongs to the newest search, which the other field may have made.
    let is_newest = move |search| search == ui.searches.get();
    let suggestions = Memo::new(move |last: Option<&Suggestions>| {
        let last = last.cloned().unwrap_or(Suggestions::Closed);
        match typing.get() {
            Typing { text: None, .. } => Suggestions::Closed,
            Typing { search, .. } if is_newest(search) => last.after(ui.store.places.get()),
            _ => last,
        }
    });
    // A highlight refers to a position in the old list.
    effect(move || {
        if suggestions.with(|_| typing.with_untracked(|typing| typing.highlighted.is_some())) {
            typing.update(|typing| typing.highlighted = None);
        }
    });
    let search = move |now: Typing| {
        let search = ui.searches.get_untracked() + 1;
        ui.commands.send(Command::FindPlaces(now.text.clone().unwrap_or_default()));
        typing.set(Typing { search, ..now });
        ui.searches.set(search);
    };
    let on_input = move |event: ev::Event| {
        let text = Some(event_target_value(&event)).filter(|text| !text.trim().is_empty());
        let before = chosen().or_else(|| typing.get_untracked().before);
        search(Typing { text, before, ..Typing::default() });
        choose(None);
    };
    // The place may be chosen in the list, by Enter or on the map.
    effect(move || {
        if chosen().is_some() {
            typing.set(Typing::default());
        }
    });
    effect(move || {
        if let Typing { entered: true, search, .. } = typing.get()
            && is_newest(search)
            && let RemoteData::Ready(places) = ui.store.places.get()
            && !places.is_empty()
        {
            choose(places.into_iter().next());
        }
    });
    let on_keydown = move |event: ev::KeyboardEvent| {
        let now = typing.get_untracked();
        let places = suggestions.get_untracked().places().to_vec();
        let count = places.len();
        let step = |by: usize| {
            event.prevent_default();
            let next = |at: Option<usize>| at.map_or(by / 2, |at| at + by) % count.max(1);
            typing.set(Typing { highlighted: (count > 0).then(|| next(now.highlighted)), ..now.clone() });
        };
        match event.key().as_str() {
            // While an input method composes text, all keys belong to it.
            _ if event.is_composing() => {}
            "ArrowDown" => step(1),
            "ArrowUp" => step(count.saturating_sub(1)),
            "Escape" if now.text.is_some() => {
                typing.set(Typing::default());
                choose(now.before);
            }
            "Enter" if now.text.is_some() => match now.highlighted {
                Some(index) => choose(places.into_iter().nth(index)),
                None => {
                    let entered = Typing { entered: true, ..now };
                    let is_asked = is_newest(entered.search)
                        && !matches!(ui.store.places.get_untracked(), RemoteData::Failed(_));
                    if is_asked { typing.set(entered) } else { search(entered) }
                }
            },
            _ => {}
        }
    };
    let option = move |(index, place): (usize, Place), highlighted: Option<usize>| {
        let words = state_text::place(&place);
        view! {
            <li
                id=option_id(index)
                role="option"
                aria-selected=yes_no(highlighted == Some(index))
                // Without this the field would lose the focus, and the list would close before the click.
                on:pointerdown=|event| event.prevent_default()
                on:click=on_click(move || choose(Some(place.clone())))
            >
                {words}
            </li>
        }
    };
    let options = move || {
        let (places, highlighted) = (suggestions.get().places().to_vec(), typing.get().highlighted);
        places.into_iter().enumerate().map(|place| option(place, highlighted)).collect_view()
    };
    let note = move || match suggestions.get() {
        Suggestions::Nothing => "No street of that name here.".to_owned(),
        Suggestions::Failed(words) => words,
        _ => String::new(),
    };
    let clear = move || {
        typing.set(Typing::default());
        choose(None);
        browser::focus(name);
    };

    view! {
        <div class="field" data-end=name data-half=move || typing.get().text.map(|_| "")>
            <label for=name>{label}</label>
            <div class="field-line">
                <input
                    id=name
                    data-testid=name
                    type="text"
                    role="combobox"
                    placeholder=placeholder
                    autocomplete="off"
                    autocapitalize="off"
                    spellcheck="false"
                    enterkeyhint="search"
                    maxlength="100"
                    aria-autocomplete="list"
                    aria-controls=list_id.clone()
                    aria-expanded=move || yes_no(has_focus.get() && suggestions.get() != Suggestions::Closed)
                    aria-activedescendant=move || typing.get().highlighted.map(option_id)
                    aria-invalid=move || yes_no(failure().is_some())
                    aria-describedby=error_id.clone()
                    prop:value=text
                    on:input=on_input
                    on:keydown=on_keydown
                    on:focus=move |_| has_focus.set(true)
                    on:blur=move |_| has_focus.set(false)
                />
                <button class="icon-button clear" aria-label=clear_label on:click=on_click(clear)>
                    <Cross />
                </button>
            </div>
            <ul class="suggestions" id=list_id role="listbox" aria-label=list_label>
                {options}
            </ul>
            <p class="muted field-note">{note}</p>
            <div id=error_id>{move || failure().as_ref().map(failure_view)}</div>
        </div>
    }
}

#[cfg(test)]
mod tests {
    use rides_proto::geo::LatLng;

    use super::*;
    use crate::model::Failure;

    fn found() -> Suggestions {
        let at = LatLng::new(60.17, 24.94).expect("on Earth");
        Suggestions::Closed.after(RemoteData::Ready(vec![Place { name: "Annankatu".into(), at }]))
    }

    #[test]
    fn suggestions_stay_while_the_next_are_on_their_way() {
        assert_eq!(found().places().len(), 1);
        assert_eq!(found().after(RemoteData::Loading), found());
        assert_eq!(Suggestions::Closed.after(RemoteData::Loading), Suggestions::Closed);
    }

    #[test]
    fn nothing_found_and_a_failed_search_are_told_apart() {
        assert_eq!(found().after(RemoteData::Ready(vec![])), Suggestions::Nothing);
        let text = "must be shorter".to_owned();
        let failure = Failure { text, code: 3, field: "query".into(), ..Failure::default() };
        let said = Suggestions::Failed("Query must be shorter.".into());
        assert_eq!(found().after(RemoteData::Failed(failure)), said);
    }
}
