//! The one shared door to the browser: clocks, frames, timers, visibility.

use std::{cell::RefCell, rc::Rc};

use wasm_bindgen::{JsCast as _, JsValue, closure::Closure};
use web_sys::{
    Document, Element, HtmlElement, HtmlInputElement, PointerEvent, ResizeObserver, Storage, VisibilityState,
    Window,
};

use crate::model::Millis;

/// The window. The page runs nowhere else.
pub fn window() -> Window {
    web_sys::window().expect("the page runs in a window")
}

/// Its document.
pub fn document() -> Document {
    window().document().expect("a window has a document")
}

/// The monotonic clock, in milliseconds. Some systems stop it while they sleep.
pub fn now() -> Millis {
    window().performance().map_or_else(js_sys::Date::now, |performance| performance.now())
}

/// Notes this moment under `name` in the browser's own record of the page, for developer tools and tests.
pub fn mark(name: &str) {
    if let Some(performance) = window().performance() {
        // Fails only for names that the browser keeps for itself.
        let _ = performance.mark(name);
    }
}

/// The protocol that the page speaks with its server, as ALPN has it: "h2"; empty while the browser does not tell. Of a page
/// from its cache it never does, but of the page's calls.
pub fn protocol() -> String {
    let entries = window().performance().map(|performance| performance.get_entries()).unwrap_or_default();
    let protocol = |index| {
        let protocol = js_sys::Reflect::get(&entries.get(index), &"nextHopProtocol".into());
        protocol.ok()?.as_string().filter(|protocol| !protocol.is_empty())
    };
    (0..entries.length()).find_map(protocol).unwrap_or_default()
}

/// The beginning of the page's own addresses, without a slash at the end: "http://host/rides". `start.js` leaves it in the
/// document, as an absolute address. Empty: at the root.
pub fn base() -> String {
    let root = document().document_element();
    let base = root.and_then(|root| root.get_attribute("data-base")).unwrap_or_default();
    base.strip_suffix('/').unwrap_or_default().to_owned()
}

/// Tells whether other windows of the page need the connections, so that this one may hold none for long. `start.js` finds
/// it out, and tells by the event "crowd".
pub fn is_crowded() -> bool {
    document().document_element().is_some_and(|root| root.has_attribute("data-crowded"))
}

/// The wall clock, in Unix milliseconds.
pub fn unix_now() -> f64 {
    js_sys::Date::now()
}

/// Waits for `millis`; in a hidden tab, longer. Longer than a day is a day.
pub async fn sleep(millis: Millis) {
    const DAY: Millis = 86_400_000.0;
    gloo_timers::future::TimeoutFuture::new(millis.clamp(0.0, DAY).ceil() as u32).await;
}

/// A number in [0, 1), good for jitter and nothing else.
pub fn random() -> f64 {
    js_sys::Math::random()
}

/// A new UUID. Falls back to weaker randomness where the page is not a secure context.
pub fn random_uuid() -> String {
    let crypto = window().crypto().ok();
    let uuid = crypto.filter(|crypto| js_sys::Reflect::has(crypto, &"randomUUID".into()) == Ok(true));
    uuid.map_or_else(
        || {
            let part = || (random() * f64::from(u32::MAX)) as u32;
            format!("{:08x}{:08x}{:08x}{:08x}", part(), part(), part(), part())
        },
        |crypto| crypto.random_uuid(),
    )
}

/// A new UUID that begins with the time, as version 7 of RFC 9562 does: a server that keeps many finds neighbours in
/// time side by side.
pub fn timed_uuid() -> String {
    let millis = js_sys::Date::now();
    let (high, low) = ((millis / 65_536.0) as u32, (millis % 65_536.0) as u32);
    format!("{high:08x}-{low:04x}-7{}", &random_uuid()[15..])
}

/// A secret of 128 random bits in hexadecimal. Empty where the browser has no randomness for secrets.
pub fn secret() -> String {
    let mut bytes = [0; 16];
    let filled = window().crypto().and_then(|crypto| crypto.get_random_values_with_u8_array(&mut bytes));
    let digits =
        |byte: u8| [byte >> 4, byte & 15].map(|digit| char::from(b"0123456789abcdef"[usize::from(digit)]));
    filled.map_or_else(|_| String::new(), |_| bytes.into_iter().flat_map(digits).collect())
}

/// Whether anyone can see the page.
pub fn is_visible() -> bool {
    document().visibility_state() == VisibilityState::Visible
}

/// Calls `handler` on every such event of the window, for as long as the page lives.
pub fn on_window(event: &str, handler: impl Fn() + 'static) {
    listen(&window(), event, handler);
}

/// Calls `handler` whenever the page is shown or hidden, for as long as it lives.
pub fn on_visibility(handler: impl Fn() + 'static) {
    listen(&document(), "visibilitychange", handler);
}

/// Calls `handler` on every event of `target` with one of these names, for as long as the page lives.
pub fn on_pointer(target: &web_sys::EventTarget, events: &[&str], handler: impl Fn(PointerEvent) + 'static) {
    let closure = Closure::<dyn Fn(PointerEvent)>::new(handler).into_js_value();
    for event in events {
        // Fails only for a callback that is no function.
        let _ = target.add_event_listener_with_callback(event, closure.unchecked_ref());
    }
}

fn listen(target: &web_sys::EventTarget, event: &str, handler: impl Fn() + 'static) {
    let closure = Closure::<dyn Fn()>::new(handler).into_js_value();
    // Fails only for a callback that is no function.
    let _ = target.add_event_listener_with_callback(event, closure.unchecked_ref());
}

/// A place for text that outlives the page's memory. All of it fails silently where the browser forbids it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shelf {
    /// For this tab: survives a reload.
    Session,
    /// For this browser: survives its end.
    Local,
}

impl Shelf {
    /// What was put there under `key`.
    pub fn get(self, key: &str) -> Option<String> {
        self.storage()?.get_item(key).ok()?
    }

    /// Puts `value` there.
    pub fn set(self, key: &str, value: &str) {
        if let Some(storage) = self.storage() {
            let _ = storage.set_item(key, value);
        }
    }

    /// Takes it away.
    pub fn remove(self, key: &str) {
        if let Some(storage) = self.storage() {
            let _ = storage.remove_item(key);
        }
    }

    fn storage(self) -> Option<Storage> {
        match self {
            Self::Session => window().session_storage(),
            Self::Local => window().local_storage(),
        }
        .ok()?
    }
}

/// What is in the input with this id, which is empty from then on.
pub fn take_value(id: &str) -> String {
    document().get_element_by_id(id).map_or_else(String::new, |field| {
        let field: HtmlInputElement = field.unchecked_into();
        let value = field.value();
        field.set_value("");
        value
    })
}

/// Puts `text` on the clipboard. False where the browser has none for pages like this: without TLS, and not from this
/// machine.
pub fn copy(text: &str) -> bool {
    let navigator = window().navigator();
    let has_one =
        js_sys::Reflect::get(&navigator, &"clipboard".into()).is_ok_and(|clipboard| clipboard.is_truthy());
    if has_one {
        // What becomes of it, the browser tells nobody who may not read the clipboard.
        let _ = navigator.clipboard().write_text(text);
    }
    has_one
}

/// `text` in capitals. The browser has Unicode's tables, so that the page need not carry them.
#[cfg(target_arch = "wasm32")]
pub fn capitals(text: &str) -> String {
    js_sys::JsString::from(text).to_upper_case().into()
}

/// `text` in capitals, for tests on the host.
#[cfg(not(target_arch = "wasm32"))]
pub fn capitals(text: &str) -> String {
    text.to_uppercase()
}

/// Says `text` on the console, the first time only.
pub fn warn_once(text: &str) {
    thread_local! {
        static SAID: RefCell<Vec<String>> = RefCell::default();
    }
    SAID.with_borrow_mut(|said| {
        if said.iter().all(|before| before != text) {
            said.push(text.to_owned());
            web_sys::console::warn_1(&JsValue::from_str(text));
        }
    });
}

/// Device pixels a CSS pixel.
pub fn device_pixel_ratio() -> f64 {
    window().device_pixel_ratio()
}

/// Tells whether a media query holds.
pub fn media(query: &str) -> bool {
    window().match_media(query).ok().flatten().is_some_and(|query| query.matches())
}

/// Tells whether the element with this id is there and matches `selector`.
pub fn matches(id: &str, selector: &str) -> bool {
    document().get_element_by_id(id).is_some_and(|element| element.matches(selector) == Ok(true))
}

/// Moves the focus to the element with this id.
pub fn focus(id: &str) {
    if let Some(element) = document().get_element_by_id(id) {
        // Fails for elements without focus only.
        let _ = element.unchecked_into::<HtmlElement>().focus();
    }
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
    pub fn start(element: &Element, mut on_size: Box<dyn FnMut((f64, f64))>) -> Option<Self> {
        let watched = element.clone();
        let mut measure = move || {
            let size = watched.get_bounding_client_rect();
            on_size((size.width(), size.height()));
        };
        measure();
        let callback = Closure::<dyn FnMut()>::new(measure);
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
