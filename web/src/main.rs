//! The Rides page. `ARCHITECTURE.md` at the root says how the parts fit.

fn main() {
    console_error_panic_hook::set_once();
    rides_web::mount();
}
