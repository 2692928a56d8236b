//! The Rides page. `ARCHITECTURE.md` at the root says how the parts fit.

fn main() {
    std::panic::set_hook(Box::new(|panic| web_sys::console::error_1(&panic.to_string().into())));
    rides_web::mount();
}
