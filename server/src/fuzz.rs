//! Fuzz targets: functions that parse untrusted bytes. A panic is a failure.
//!
//! `cargo fuzz` runs them from the crate in `fuzz/`. The tests here run its saved inputs and mutations of them.

pub use crate::{
    city::fuzz::pbf,
    edge::fuzz::{frames, messages, text},
    services::fuzz::viewport,
    sessions::fuzz::{key_set, token},
};

#[cfg(test)]
mod tests {
    use fuzz_replay::replay;

    /// W31 in docs/edge.md.
    #[test]
    fn frames_of_a_request() {
        replay("frames", super::frames);
    }

    /// W31 in docs/edge.md.
    #[test]
    fn a_request_in_base64() {
        replay("text", super::text);
    }

    /// W31 in docs/edge.md.
    #[test]
    fn messages_of_a_request() {
        replay("messages", super::messages);
    }

    /// A3 in docs/edge.md.
    #[test]
    fn tokens() {
        replay("token", super::token);
    }

    /// A3 in docs/edge.md.
    #[test]
    fn sets_of_keys() {
        replay("key_set", super::key_set);
    }

    /// W31 in docs/edge.md.
    #[test]
    fn viewports() {
        replay("viewport", super::viewport);
    }

    #[test]
    fn maps() {
        replay("pbf", super::pbf);
    }
}
