//! One end of the ride: a text field that suggests streets (an ARIA combobox with a list).

use std::time::Duration;

use leptos::{ev, prelude::*};

use crate::{
    erased::press,
    format,
    model::{Place, Remote},
    store::Command,
};

use super::{
    draft::End,
    icons::Cross,
    trouble::trouble,
    ui::{Ui, yes_no},
    words,
};

/// Typing this long without a pause sends no search.
const PAUSE: Duration = Duration::from_millis(200);

/// What stands under the field while a person types.
#[derive(Clone, PartialEq, Debug)]
enum Suggestions {
    Closed,
    Found(Vec<Place>),
    Nothing,
    Failed(String),
}

impl Suggestions {
    /// While the next answer is on its way, the one before it stays.
    fn after(self, answer: Remote<Vec<Place>>) -> Self {
        match answer {
            Remote::Idle => Self::Closed,
            Remote::Loading => self,
            Remote::Retrying => Self::Failed(words::RETRYING.to_owned()),
            Remote::Ready(places) if places.is_empty() => Self::Nothing,
            Remote::Ready(places) => Self::Found(places),
            Remote::Failed(failure) => Self::Failed(format::failure(&failure)),
        }
    }

    fn places(&self) -> &[Place] {
        match self {
            Self::Found(places) => places,
            _ => &[],
        }
    }
}

/// What a person is doing in the field, until a place is chosen or the field is left.
#[derive(Default)]
struct Typing {
    text: Option<String>,
    /// Whether the answer in the store is to this field's search.
    asked: bool,
    highlighted: Option<usize>,
}

#[component]
pub(super) fn PlaceField(ui: Ui, end: End) -> impl IntoView {
    let (label, placeholder, clear_label, list_label) = match end {
        End::Pickup => ("Pickup", "Where from?", "Clear the pickup", "Streets for the pickup"),
        End::Dropoff => ("Drop-off", "Where to?", "Clear the drop-off", "Streets for the drop-off"),
    };
    let name = end.name();
    let (list_id, error_id) = (format!("{name}-list"), format!("{name}-error"));
    let option_id = move |index: usize| format!("{name}-option-{index}");

    let typing = RwSignal::new(Typing::default());
    let highlighted = move || typing.with(|typing| typing.highlighted);

    let text = move || {
        let chosen = || ui.place(end).as_ref().map(words::place);
        typing.with(|typing| typing.text.clone()).or_else(chosen).unwrap_or_default()
    };
    let failure = move || ui.failure_at(end);
    let suggestions = Memo::new(move |last: Option<&Suggestions>| match typing.with(|typing| typing.asked) {
        true => last.cloned().unwrap_or(Suggestions::Closed).after(ui.store.places.get()),
        false => Suggestions::Closed,
    });

    let close = move || typing.set(Typing::default());
    let choose = move |place: Place| {
        ui.change_draft(|draft| draft.set(end, Some(place)));
        close();
    };
    let mut search = leptos::leptos_dom::helpers::debounce(PAUSE, move |query: String| {
        // The field may have been left in the meantime.
        if typing.with_untracked(|typing| typing.text.as_ref() == Some(&query)) {
            ui.commands.send(Command::FindPlaces(query.trim().to_owned()));
            typing.update(|typing| typing.asked = true);
        }
    });
    let on_input = move |event: ev::Event| {
        let query = event_target_value(&event);
        let is_empty = query.trim().is_empty();
        typing.update(|typing| {
            typing.text = Some(query.clone());
            typing.highlighted = None;
            typing.asked &= !is_empty;
        });
        if is_empty {
            ui.change_draft(|draft| draft.set(end, None));
        } else {
            search(query);
        }
    };
    let on_keydown = move |event: ev::KeyboardEvent| {
        let count = suggestions.with_untracked(|s| s.places().len());
        let step = |by: usize| {
            event.prevent_default();
            let next = |at: Option<usize>| at.map_or(by / 2, |at| at + by) % count.max(1);
            typing.update(|typing| typing.highlighted = (count > 0).then(|| next(typing.highlighted)));
        };
        match event.key().as_str() {
            "ArrowDown" => step(1),
            "ArrowUp" => step(count.saturating_sub(1)),
            "Escape" => close(),
            "Enter" => {
                let index = typing.with_untracked(|typing| typing.highlighted).unwrap_or(0);
                if let Some(place) = suggestions.with_untracked(|s| s.places().get(index).cloned()) {
                    event.prevent_default();
                    choose(place);
                }
            }
            _ => {}
        }
    };
    let option = move |(index, place): (usize, Place), highlighted: Option<usize>| {
        let words = words::place(&place);
        view! {
            <li
                id=option_id(index)
                role="option"
                aria-selected=yes_no(highlighted == Some(index))
                // Keeps the focus, and with it the list, until the click has come.
                on:pointerdown=|event| event.prevent_default()
                on:click=press(move || choose(place.clone()))
            >
                {words}
            </li>
        }
    };
    let options = move || {
        let (places, highlighted) = (suggestions.with(|s| s.places().to_vec()), highlighted());
        places.into_iter().enumerate().map(|place| option(place, highlighted)).collect_view()
    };
    let note = move || {
        let words = suggestions.with(|s| match s {
            Suggestions::Nothing => Some("No street of that name here.".to_owned()),
            Suggestions::Failed(words) => Some(words.clone()),
            _ => None,
        });
        words.map(|words| view! { <p class="muted field-note">{words}</p> })
    };
    let clear = move || {
        (!text().is_empty()).then(|| {
            let clear = move || {
                close();
                ui.change_draft(|draft| draft.set(end, None));
            };
            view! {
                <button class="icon-button clear" aria-label=clear_label on:click=press(clear)>
                    <Cross />
                </button>
            }
        })
    };

    view! {
        <div class="field" data-end=name>
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
                    aria-expanded=move || yes_no(suggestions.with(|s| *s != Suggestions::Closed))
                    aria-activedescendant=move || highlighted().map(option_id)
                    aria-invalid=move || yes_no(failure().is_some())
                    aria-describedby=error_id.clone()
                    prop:value=text
                    on:input=on_input
                    on:keydown=on_keydown
                    on:blur=move |_| close()
                />
                {clear}
            </div>
            <ul class="suggestions" id=list_id role="listbox" aria-label=list_label>
                {options}
            </ul>
            {note}
            <div id=error_id>{move || failure().as_ref().map(trouble)}</div>
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
        Suggestions::Closed.after(Remote::Ready(vec![Place { name: "Annankatu".into(), at }]))
    }

    #[test]
    fn suggestions_stay_while_the_next_are_on_their_way() {
        assert_eq!(found().places().len(), 1);
        assert_eq!(found().after(Remote::Loading), found());
        assert_eq!(Suggestions::Closed.after(Remote::Loading), Suggestions::Closed);
    }

    #[test]
    fn nothing_found_and_a_failed_search_are_told_apart() {
        assert_eq!(found().after(Remote::Ready(vec![])), Suggestions::Nothing);
        let failure =
            Failure { text: "Too long.".into(), code: 3, field: "query".into(), ..Failure::default() };
        assert_eq!(found().after(Remote::Failed(failure)), Suggestions::Failed("Too long.".into()));
    }
}
