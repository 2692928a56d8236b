//! The map component: it connects the [`Engine`] with signals and events, and sends commands and picked points.
//!
//! A frame loop calls the engine before every repaint. The engine paints only if something has changed or
//! moves. Browsers do not repaint hidden tabs.

use std::{cell::RefCell, rc::Rc};

use leptos::{
    ev::{KeyboardEvent, PointerEvent, WheelEvent},
    html,
    prelude::*,
};
use rides_proto::geo::LatLng;
use web_sys::{HtmlCanvasElement, HtmlElement};

use super::{
    camera::{Padding, ScreenPos},
    engine::{Engine, MapInput},
    gesture::{Pointer, wheel_levels},
    overlay::{Move, Overlay},
    webgl::WebGlPainter,
};
use crate::{
    browser::{self, FrameLoop},
    store::{Command, Commands, Store},
    type_erased::effect,
};

/// The maximum number of device pixels per CSS pixel. More are not visible and cost time.
const MAX_DPR: f64 = 2.5;
/// The pointer events of the map. A context menu may swallow the release of a button. Safari reports pinches as
/// gesture events, and zooms the page unless they are cancelled.
const POINTER_EVENTS: [&str; 9] = [
    "pointerdown",
    "pointermove",
    "pointerup",
    "pointercancel",
    "lostpointercapture",
    "contextmenu",
    "gesturestart",
    "gesturechange",
    "gestureend",
];

type Shared = Rc<RefCell<Engine<WebGlPainter>>>;

/// The map, as large as its parent. It sends `Command::WatchArea` at the start, when the camera stops, and when it
/// leaves the watched area.
#[component]
pub fn MapView(
    /// The city and the cars.
    store: Store,
    /// The receiver of `Command::WatchArea`.
    commands: Commands,
    /// The shapes of a ride on the map.
    overlay: Memo<Overlay>,
    /// Called with each picked point: by a click, or by Enter for the middle of the map.
    on_pick: Callback<LatLng>,
    /// The requested movement of the camera.
    move_to: Memo<Option<Move>>,
    /// The part of the map that panels cover.
    padding: ReadSignal<Padding>,
) -> impl IntoView {
    let engine: StoredValue<Shared, LocalStorage> = StoredValue::new_local(Rc::new(RefCell::new(
        Engine::new(browser::media("(prefers-reduced-motion: reduce)")),
    )));
    let frame = NodeRef::<html::Div>::new();
    let canvas = NodeRef::<html::Canvas>::new();
    let failure = RwSignal::new(None::<String>);
    let dragging = RwSignal::new(false);
    let accelerated = RwSignal::new(false);
    let painted = RwSignal::new(false);

    let attach = move |canvas: &HtmlCanvasElement| match WebGlPainter::new(canvas) {
        Ok(painter) => {
            accelerated.set(!painter.is_software());
            engine.get_value().borrow_mut().set_painter(Some(painter));
            failure.set(None);
        }
        Err(error) => failure.set(Some(error.to_string())),
    };
    let lost = move |event: web_sys::Event| {
        // Without this call the browser never restores the context.
        event.prevent_default();
        engine.get_value().borrow_mut().set_painter(None);
        failure
            .set(Some("the browser has taken the graphics away, and gives them back when it can".to_owned()));
    };
    let restored = move |_: web_sys::Event| {
        if let Some(canvas) = canvas.get_untracked() {
            attach(&canvas);
        }
    };

    effect(move || engine.get_value().borrow_mut().set_padding(padding.get()));
    effect(move || {
        let look = store.city.with(|city| engine.get_value().borrow_mut().set_map(city.as_ref()?));
        if let Some(bounds) = look {
            commands.send(Command::WatchArea(bounds));
        }
    });
    effect(move || engine.get_value().borrow_mut().set_overlay(overlay.get()));
    effect(move || {
        if let Some(to) = move_to.get() {
            engine.get_value().borrow_mut().move_camera(to, browser::now());
        }
    });

    let running = StoredValue::new_local(None::<FrameLoop>);
    effect(move || {
        let (Some(frame), Some(canvas)) = (frame.get(), canvas.get()) else { return };
        let shared = engine.get_value();
        let (sized, drawn_on) = (shared.clone(), canvas.clone());
        let mut known = None;
        let measured = frame.clone();
        // A window on another screen may have the same size and another pixel ratio, which no event reports. So
        // the size is measured in each frame, before it is painted.
        let mut measure = move |now| {
            let size = measured.get_bounding_client_rect();
            let (size, dpr) = ((size.width(), size.height()), browser::device_pixel_ratio().min(MAX_DPR));
            let seen = Some((size, dpr, sized.borrow().max_side()));
            if known != seen {
                known = seen;
                let dpr = sized.borrow_mut().set_size(size, dpr, now);
                canvas.set_width((size.0 * dpr).round() as u32);
                canvas.set_height((size.1 * dpr).round() as u32);
            }
        };
        measure(browser::now());
        let (mut attached, mut shown) = (false, false);
        let frames = FrameLoop::start(move |now| {
            measure(now);
            if !attached {
                // Creating a context takes long. Meanwhile the cars arrive that were requested with the city's
                // first view.
                attached = shared.borrow().has_city();
                if attached {
                    attach(&drawn_on);
                }
                return;
            }
            if !painted.get_untracked() && shared.borrow().has_painted() {
                painted.set(true);
            }
            let why = shared.borrow().failure();
            if let Some(why) = why
                && failure.get_untracked() != why
            {
                failure.set(why);
            }
            let outcome = store.fleet.with_value(|fleet| {
                let mut fleet = fleet.borrow_mut();
                let outcome = shared.borrow_mut().frame(&fleet, now);
                fleet.set_screen(outcome.screen);
                outcome
            });
            if !shown && shared.borrow().is_showing() {
                shown = true;
                browser::mark("first-frame");
            }
            if let Some(bounds) = outcome.watch_area {
                commands.send(Command::WatchArea(bounds));
            }
            if let Some(at) = outcome.picked {
                on_pick.run(at);
            }
        });
        running.set_value(Some(frames));
    });
    on_cleanup(move || running.set_value(None));

    let act = move |hand: MapInput| {
        let shared = engine.get_value();
        let picked = shared.borrow_mut().handle_input(hand, browser::now());
        let held = shared.borrow().is_dragging();
        if dragging.get_untracked() != held {
            dragging.set(held);
        }
        if let Some(at) = picked {
            on_pick.run(at);
        }
    };
    let on_pointer = move |event: PointerEvent| {
        let id = event.pointer_id();
        let pointer = || Pointer {
            id,
            at: position(frame.get_untracked().as_deref(), &event),
            time: event.time_stamp(),
            primary: event.is_primary(),
        };
        act(match event.type_().as_str() {
            "pointerdown" if event.button() == 0 => {
                if let Some(frame) = frame.get_untracked() {
                    // Events made by tests have a pointer id that cannot be captured. Capture is not needed there.
                    let _ = frame.set_pointer_capture(id);
                }
                MapInput::Down(pointer())
            }
            "pointerdown" => return,
            // A button that is up was released where the page received no event.
            "pointermove" if event.buttons() & 1 == 1 => MapInput::Moved(pointer()),
            "pointerup" => MapInput::Up(pointer()),
            "pointermove" | "pointercancel" | "lostpointercapture" => MapInput::Cancelled(Some(id)),
            "contextmenu" | "blur" => MapInput::Cancelled(None),
            gesture => {
                event.prevent_default();
                let scale = js_sys::Reflect::get(&event, &"scale".into()).ok();
                let scale = scale.filter(|_| gesture == "gesturechange").and_then(|scale| scale.as_f64());
                MapInput::Gesture(position(frame.get_untracked().as_deref(), &event), scale)
            }
        });
    };
    effect(move || {
        let Some(frame) = frame.get() else { return };
        browser::on_pointer(&frame, &POINTER_EVENTS, on_pointer);
        browser::on_pointer(&browser::window(), &["blur"], on_pointer);
    });
    let wheel = move |event: WheelEvent| {
        event.prevent_default();
        let at = position(frame.get_untracked().as_deref(), &event);
        // Browsers report a trackpad pinch as a wheel event with the control key.
        let is_pinch = event.ctrl_key();
        let levels = wheel_levels(event.delta_y(), event.delta_mode(), is_pinch);
        act(if is_pinch { MapInput::TrackpadPinch(at, levels) } else { MapInput::Wheel(at, levels) });
    };
    let key = move |event: KeyboardEvent| {
        if let Some(hand) = input_of_key(&event) {
            event.prevent_default();
            act(hand);
        }
    };
    let label = move || {
        let city = store.city.with(|city| city.as_ref().map(|city| city.name.clone()));
        format!(
            "Map of {}. Arrow keys move, plus and minus zoom, 0 shows the whole map, Enter picks the middle.",
            city.as_deref().unwrap_or("the city")
        )
    };

    view! {
        <div
            node_ref=frame
            class="map"
            data-testid="map"
            role="application"
            aria-roledescription="map"
            aria-label=label
            tabindex="0"
            data-dragging=move || dragging.get().then_some("")
            data-painted=move || painted.get().then_some("")
            data-accelerated=move || accelerated.get().then_some("")
            on:wheel=wheel
            on:keydown=key
        >
            <canvas
                node_ref=canvas
                aria-hidden="true"
                on:webglcontextlost=lost
                on:webglcontextrestored=restored
            ></canvas>
            {move || {
                failure.get().map(|why| {
                    view! {
                        <p class="map-failure" data-testid="map-failure" role="alert">
                            {format!("The map cannot be drawn: {why}. Everything else works; pick places by \
                                      searching for their street.")}
                        </p>
                    }
                })
            }}
        </div>
    }
}

fn position(frame: Option<&HtmlElement>, event: &web_sys::MouseEvent) -> ScreenPos {
    let corner = frame.map(|frame| frame.get_bounding_client_rect());
    let (left, top) = corner.map_or((0.0, 0.0), |corner| (corner.left(), corner.top()));
    (f64::from(event.client_x()) - left, f64::from(event.client_y()) - top)
}

fn input_of_key(event: &KeyboardEvent) -> Option<MapInput> {
    if event.ctrl_key() || event.meta_key() || event.alt_key() {
        return None;
    }
    Some(match event.key().as_str() {
        "ArrowLeft" => MapInput::Arrow(-1.0, 0.0),
        "ArrowRight" => MapInput::Arrow(1.0, 0.0),
        "ArrowUp" => MapInput::Arrow(0.0, -1.0),
        "ArrowDown" => MapInput::Arrow(0.0, 1.0),
        "+" | "=" => MapInput::Key(1.0),
        "-" | "_" => MapInput::Key(-1.0),
        "0" | "Home" => MapInput::Whole,
        "Enter" => MapInput::Enter,
        _ => return None,
    })
}
