//! The entry point of the Rides page. `ARCHITECTURE.md` at the root of the repository shows how the parts fit
//! together.

fn main() {
    // In a release build panics have no text, which keeps the page small (xtask/bundler/src/panics.rs). There
    // the browser's own report gives the position in the wasm.
    #[cfg(debug_assertions)]
    std::panic::set_hook(Box::new(|panic| web_sys::console::error_1(&panic.to_string().into())));
    rides_web::mount();
}
