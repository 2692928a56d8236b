//! The Rides page. `ARCHITECTURE.md` at the root says how the parts fit.

use std::panic;

fn main() {
    // Where it happened in the wasm, the browser says by itself.
    panic::set_hook(Box::new(|panic| web_sys::console::error_1(&panic.to_string().into())));
    rides_web::mount();
}
