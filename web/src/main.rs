//! The Rides page.
fn main() {}
