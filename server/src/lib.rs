//! The Rides server.
