//! rides-server.
fn main() {}
