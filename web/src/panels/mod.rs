//! The panels of the page: each reads signals of the store and sends commands.
//!
//! A panel keeps no state except text that is being typed. The ride that is being put together is a [`draft::Draft`],
//! and everything else is in the store. [`overlay`] derives from both what the map shows on top of the city.
#![allow(unreachable_pub, reason = "the component macro makes props structs pub whatever the component is")]

use leptos::prelude::*;

use crate::{
    map::{MapView, Padding},
    store,
};

mod about;
mod account;
mod booking;
mod clock;
mod connection;
mod draft;
mod failure_view;
mod free_area;
mod icons;
mod legend;
mod no_server;
mod overlay;
mod place_field;
mod quote;
mod receipt;
mod ride;
mod rides;
mod sheet;
mod state_text;
mod steps;
mod streets;
mod timeline;
mod ui;

/// The root component of the page.
#[component]
pub fn App() -> impl IntoView {
    let (store, commands) = store::start();
    let ui = ui::Ui::new(store, commands);
    let (padding, set_padding) = signal(Padding::default());
    view! {
        <MapView
            store=store
            commands=commands
            overlay=overlay::overlay(ui)
            on_pick=Callback::new(move |at| ui.pick(at))
            move_to=overlay::camera_moves(ui, padding)
            padding=padding
        />
        <div class="board">
            <header class="top">
                <about::About />
                <connection::ConnectionPill ui=ui />
                <account::Account ui=ui />
            </header>
            <free_area::FreeArea padding=set_padding />
            <sheet::Sheet ui=ui />
            <footer class="bottom">
                <legend::Legend ui=ui />
                <legend::Attribution store=store />
            </footer>
        </div>
        <no_server::NoServer ui=ui />
    }
}
