//! The one shared door to the browser: clocks, frames, timers, visibility.

use std::{cell::RefCell, rc::Rc};

use wasm_bindgen::{JsCast, closure::Closure};
use web_sys::{Document, Element, ResizeObserver, Window};

use crate::model::Millis;

/// The window.
pub fn window() -> Window {
    web_sys::window().unwrap_or_else(|| unreachable!("the page runs in a window"))
}

/// The document.
pub fn document() -> Document {
    window().document().unwrap_or_else(|| unreachable!("a window has a document"))
}

/// The monotonic clock.
pub fn now() -> Millis {
    window().performance().map_or(0.0, |clock| clock.now())
}

/// Device pixels a CSS pixel.
pub fn device_pixel_ratio() -> f64 {
    window().device_pixel_ratio()
}

/// Whether the person asked the system for less motion.
pub fn prefers_reduced_motion() -> bool {
    let query = window().match_media("(prefers-reduced-motion: reduce)");
    query.ok().flatten().is_some_and(|query| query.matches())
}

/// Calls back before every repaint until it is dropped. A browser does not repaint hidden tabs.
pub struct FrameLoop(Rc<RefCell<LoopState>>);

#[derive(Default)]
struct LoopState {
    next: i32,
    callback: Option<Closure<dyn FnMut()>>,
}

impl FrameLoop {
    /// Starts with the next frame.
    pub fn start(mut on_frame: impl FnMut(Millis) + 'static) -> Self {
        let state = Rc::new(RefCell::new(LoopState::default()));
        let again = Rc::downgrade(&state);
        let callback = Closure::<dyn FnMut()>::new(move || {
            on_frame(now());
            if let Some(state) = again.upgrade() {
                request_frame(&state);
            }
        });
        state.borrow_mut().callback = Some(callback);
        request_frame(&state);
        Self(state)
    }
}

impl Drop for FrameLoop {
    fn drop(&mut self) {
        // It fails only for a window that is gone.
        let _ = window().cancel_animation_frame(self.0.borrow().next);
    }
}

fn request_frame(state: &RefCell<LoopState>) {
    let mut state = state.borrow_mut();
    let Some(callback) = &state.callback else { return };
    if let Ok(id) = window().request_animation_frame(callback.as_ref().unchecked_ref()) {
        state.next = id;
    }
}

/// Calls back with an element's size in CSS pixels, at once and whenever it changes, until it is dropped.
pub struct SizeWatch {
    observer: ResizeObserver,
    _callback: Closure<dyn FnMut()>,
}

impl SizeWatch {
    /// `None` when the browser cannot tell.
    pub fn start(element: &Element, mut on_size: impl FnMut((f64, f64)) + 'static) -> Option<Self> {
        let watched = element.clone();
        let callback = Closure::<dyn FnMut()>::new(move || {
            let size = watched.get_bounding_client_rect();
            on_size((size.width(), size.height()));
        });
        let observer = ResizeObserver::new(callback.as_ref().unchecked_ref()).ok()?;
        observer.observe(element);
        Some(Self { observer, _callback: callback })
    }
}

impl Drop for SizeWatch {
    fn drop(&mut self) {
        self.observer.disconnect();
    }
}
