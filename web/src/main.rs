//! The Rides page. `ARCHITECTURE.md` at the root says how the parts fit.

fn main() {
    // A panic of the released page has no text (xtask/bundler/src/panics.rs). Where in the wasm it happened, the browser
    // says by itself.
    #[cfg(debug_assertions)]
    std::panic::set_hook(Box::new(|panic| web_sys::console::error_1(&panic.to_string().into())));
    rides_web::mount();
}
