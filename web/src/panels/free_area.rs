//! The part of the map that no panel covers.
//!
//! The style sheets define this area. An empty element fills it, and its distances to the edges are the padding
//! of the map.

use leptos::{html::Div, prelude::*};

use crate::{browser::SizeWatch, map::Padding, type_erased::effect};

/// The empty element. It reports the padding each time that its size changes.
#[component]
pub(super) fn FreeArea(padding: WriteSignal<Padding>) -> impl IntoView {
    let room = NodeRef::<Div>::new();
    let watch = StoredValue::new_local(None::<SizeWatch>);
    effect(move || {
        let Some(room) = room.get() else { return };
        let Some(board) = room.parent_element() else { return };
        let measured = room.clone();
        let on_size = Box::new(move |_| {
            let (room, board) = (measured.get_bounding_client_rect(), board.get_bounding_client_rect());
            // A printed page has no panels, and this element has no size.
            if room.width() == 0.0 {
                return;
            }
            padding.set(Padding {
                top: room.top() - board.top(),
                right: board.right() - room.right(),
                bottom: board.bottom() - room.bottom(),
                left: room.left() - board.left(),
            });
        });
        watch.set_value(SizeWatch::start(&room, on_size));
    });
    on_cleanup(move || watch.set_value(None));
    view! { <div class="room" node_ref=room aria-hidden="true"></div> }
}
