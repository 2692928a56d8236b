//! The layout of the panels: side by side on wide screens, and one bottom sheet with tabs on phones.

use leptos::{either::Either, prelude::*};

use crate::{browser, type_erased::on_click};

use super::{
    booking::Booking,
    icons::Chevron,
    ride::RidePanel,
    rides::RidesPanel,
    ui::{Tab, Ui, yes_no},
};

#[component]
pub(super) fn Sheet(ui: Ui) -> impl IntoView {
    let folded = RwSignal::new(false);
    let following = Memo::new(move |_| ui.store.followed.with(Option::is_some));
    // The pressed button disappears with its panel, so the focus moves to the new panel.
    Effect::new(move |before: Option<bool>| {
        let now = following.get();
        if before.is_some_and(|before| before != now) {
            browser::focus("panel-ride");
        }
        now
    });
    let tab = move |tab: Tab, name: &'static str, panel: &'static str| {
        view! {
            <button
                class="tab"
                role="tab"
                aria-controls=panel
                aria-selected=move || yes_no(ui.tab.get() == tab)
                on:click=on_click(move || {
                    ui.tab.set(tab);
                    folded.set(false);
                })
            >
                {name}
            </button>
        }
    };
    view! {
        <main
            class="sheet"
            data-tab=move || match ui.tab.get() {
                Tab::Ride => "ride",
                Tab::Rides => "rides",
            }
            data-folded=move || folded.get().then_some("")
        >
            <div class="tabs">
                <div class="tablist" role="tablist" aria-label="Panels">
                    {tab(Tab::Ride, "Your ride", "panel-ride")}
                    {tab(Tab::Rides, "Rides", "panel-rides")}
                </div>
                <button
                    class="icon-button fold"
                    aria-label="Fold the panel away"
                    aria-pressed=move || yes_no(folded.get())
                    on:click=on_click(move || folded.update(|folded| *folded = !*folded))
                >
                    <Chevron />
                </button>
            </div>
            <div class="panel glass" id="panel-ride" tabindex="-1">
                {move || {
                    if following.get() {
                        Either::Left(view! { <RidePanel ui=ui /> })
                    } else {
                        Either::Right(view! { <Booking ui=ui /> })
                    }
                }}
            </div>
            <div class="panel glass" id="panel-rides">
                <RidesPanel ui=ui />
            </div>
        </main>
    }
}
