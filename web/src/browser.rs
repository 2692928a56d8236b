//! Access to the browser: clocks, timers, animation frames, visibility, storage, focus.
//!
//! Most of the page reaches the browser through these functions, so that each failure and workaround has one place.

use std::{cell::RefCell, rc::Rc};

use grpc_web_fetch::{BrowserClock, Clock as _, Signal, visibility};
use wasm_bindgen::{JsCast as _, JsValue, closure::Closure};
use web_sys::{
    Document, Element, HtmlElement, HtmlInputElement, PointerEvent, ResizeObserver, Storage, Window,
};

use crate::model::Millis;

/// Returns the window. The page never runs in a worker.
pub fn window() -> Window {
    web_sys::window().expect("the page runs in a window")
}

/// Returns the document of the window.
pub fn document() -> Document {
    window().document().expect("a window has a document")
}

/// Returns the monotonic clock, in milliseconds. Some systems stop this clock while they sleep.
pub fn now() -> Millis {
    BrowserClock.now()
}

/// Records a `performance.mark` named `name`, for developer tools and tests.
pub fn mark(name: &str) {
    if let Some(performance) = window().performance() {
        // Fails only for names that the browser reserves.
        let _ = performance.mark(name);
    }
}

/// Returns the ALPN name of the protocol between page and server, for example "h2". Returns an empty string while the
/// browser has not reported it: for a page from the cache, the first entry with a protocol is that of a call.
pub fn protocol() -> String {
    let entries = window().performance().map(|performance| performance.get_entries()).unwrap_or_default();
    let protocol = |index| {
        let protocol = js_sys::Reflect::get(&entries.get(index), &"nextHopProtocol".into());
        protocol.ok()?.as_string().filter(|protocol| !protocol.is_empty())
    };
    (0..entries.length()).find_map(protocol).unwrap_or_default()
}

/// Returns the base address of the page without a trailing slash, for example "http://host/rides". `start.js`
/// leaves it in the document as an absolute address. Returns an empty string if the document has none.
pub fn base() -> String {
    let root = document().document_element();
    let base = root.and_then(|root| root.get_attribute("data-base")).unwrap_or_default();
    base.strip_suffix('/').unwrap_or_default().to_owned()
}

/// Returns `true` if other windows of the page need the connections, so that this window must make short calls
/// instead of streams. `start.js` finds this out and dispatches the event "crowd" after each count.
pub fn is_crowded() -> bool {
    document().document_element().is_some_and(|root| root.has_attribute("data-crowded"))
}

/// Returns the wall clock, in Unix milliseconds.
pub fn unix_now() -> f64 {
    BrowserClock.wall()
}

/// Waits for `millis` milliseconds, at most one day. In a hidden tab the browser may wait longer.
pub fn sleep(millis: Millis) -> impl Future<Output = ()> {
    BrowserClock.sleep(millis)
}

/// Returns a random number in [0, 1) that is good enough for jitter, and not for secrets.
pub fn random() -> f64 {
    BrowserClock.random()
}

/// Returns a new random UUID. Outside of a secure context the browser has no `randomUUID`, and the result is a
/// hexadecimal string of weaker randomness.
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

/// Returns a new UUID that begins with the time, as version 7 of RFC 9562 does. A server that stores many of
/// them keeps those of similar age together.
pub fn uuid_v7() -> String {
    let millis = js_sys::Date::now();
    let (high, low) = ((millis / 65_536.0) as u32, (millis % 65_536.0) as u32);
    format!("{high:08x}-{low:04x}-7{}", &random_uuid()[15..])
}

/// Returns a secret of 128 random bits in hexadecimal, or an empty string if the browser has no cryptographic
/// randomness.
pub fn secret() -> String {
    let mut bytes = [0; 16];
    let filled = window().crypto().and_then(|crypto| crypto.get_random_values_with_u8_array(&mut bytes));
    let digits =
        |byte: u8| [byte >> 4, byte & 15].map(|digit| char::from(b"0123456789abcdef"[usize::from(digit)]));
    filled.map_or_else(|_| String::new(), |_| bytes.into_iter().flat_map(digits).collect())
}

/// Returns `true` if the page is visible.
pub fn is_visible() -> bool {
    visibility() == Signal::Wake
}

/// Calls `handler` on each `event` of the window, for the life of the page.
pub fn on_window(event: &str, handler: impl Fn() + 'static) {
    listen(&window(), event, handler);
}

/// Calls `handler` each time that the page is shown or hidden, for the life of the page.
pub fn on_visibility(handler: impl Fn() + 'static) {
    listen(&document(), "visibilitychange", handler);
}

/// Calls `handler` on each event of `target` that is in `events`, for the life of the page.
pub fn on_pointer(target: &web_sys::EventTarget, events: &[&str], handler: impl Fn(PointerEvent) + 'static) {
    let closure = Closure::<dyn Fn(PointerEvent)>::new(handler).into_js_value();
    for event in events {
        // Fails only if the callback is not a function.
        let _ = target.add_event_listener_with_callback(event, closure.unchecked_ref());
    }
}

fn listen(target: &web_sys::EventTarget, event: &str, handler: impl Fn() + 'static) {
    let closure = Closure::<dyn Fn()>::new(handler).into_js_value();
    // Fails only if the callback is not a function.
    let _ = target.add_event_listener_with_callback(event, closure.unchecked_ref());
}

/// A key-value storage of the browser. If the browser forbids storage, reads find nothing and writes are ignored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BrowserStorage {
    /// The storage of this tab, which survives a reload.
    Session,
    /// The storage of this browser, which survives a restart of the browser.
    Local,
}

impl BrowserStorage {
    /// Returns the value of `key`.
    pub fn get(self, key: &str) -> Option<String> {
        self.storage()?.get_item(key).ok()?
    }

    /// Sets the value of `key`.
    pub fn set(self, key: &str, value: &str) {
        if let Some(storage) = self.storage() {
            let _ = storage.set_item(key, value);
        }
    }

    /// Removes `key`.
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

/// Returns the text of the input with this id, and clears the input.
pub fn take_value(id: &str) -> String {
    document().get_element_by_id(id).map_or_else(String::new, |field| {
        let field: HtmlInputElement = field.unchecked_into();
        let value = field.value();
        field.set_value("");
        value
    })
}

/// Copies `text` to the clipboard. Returns `false` if the browser offers no clipboard, as for pages without TLS
/// from another host than localhost.
pub fn copy(text: &str) -> bool {
    let navigator = window().navigator();
    let has_one =
        js_sys::Reflect::get(&navigator, &"clipboard".into()).is_ok_and(|clipboard| clipboard.is_truthy());
    if has_one {
        // Whether the write succeeds is known only to pages that may read the clipboard.
        let _ = navigator.clipboard().write_text(text);
    }
    has_one
}

/// Returns `text` in capitals. The browser has Unicode's tables, so that the page need not contain them.
#[cfg(target_arch = "wasm32")]
pub fn uppercase(text: &str) -> String {
    js_sys::JsString::from(text).to_upper_case().into()
}

/// Returns `text` in capitals, for tests on the host.
#[cfg(not(target_arch = "wasm32"))]
pub fn uppercase(text: &str) -> String {
    text.to_uppercase()
}

/// Writes `text` to the console as a warning, the first time only.
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

/// Returns the number of device pixels per CSS pixel.
pub fn device_pixel_ratio() -> f64 {
    window().device_pixel_ratio()
}

/// Returns `true` if the media query `query` matches.
pub fn media(query: &str) -> bool {
    window().match_media(query).ok().flatten().is_some_and(|query| query.matches())
}

/// Returns `true` if there is an element with this id that matches the selector.
pub fn matches(id: &str, selector: &str) -> bool {
    document().get_element_by_id(id).is_some_and(|element| element.matches(selector) == Ok(true))
}

/// Moves the focus to the element with this id.
pub fn focus(id: &str) {
    if let Some(element) = document().get_element_by_id(id) {
        // Fails only for elements that cannot have the focus.
        let _ = element.unchecked_into::<HtmlElement>().focus();
    }
}

/// A loop that calls back before each repaint until it is dropped. Browsers do not repaint hidden tabs.
pub struct FrameLoop(Rc<RefCell<LoopState>>);

#[derive(Default)]
struct LoopState {
    next: i32,
    callback: Option<Closure<dyn FnMut()>>,
}

impl FrameLoop {
    /// Starts the loop with the next repaint.
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
        // Fails only if the window is gone.
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

/// An observer of the size of an element, in CSS pixels. It calls back at the start and after each change,
/// until it is dropped.
pub struct SizeWatch {
    observer: ResizeObserver,
    _callback: Closure<dyn FnMut()>,
}

impl SizeWatch {
    /// Starts the observer. Returns `None` if the browser has no `ResizeObserver`.
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
