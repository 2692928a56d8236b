//! Whatever strangers send, as functions of bytes. Each fails by a panic, and never should.
//!
//! `cargo fuzz` runs them from the crate in `fuzz/`; the tests here run what that has saved, and mutations of it.

pub use crate::{
    city::fuzz::pbf,
    edge::fuzz::{frames, messages, text},
    services::fuzz::viewport,
    sessions::fuzz::{key_set, token},
};

#[cfg(test)]
mod tests {
    use fuzz_replay::replay;

    /// W31
    #[test]
    fn frames_of_a_request() {
        replay("frames", super::frames);
    }

    /// W31
    #[test]
    fn a_request_in_base64() {
        replay("text", super::text);
    }

    /// W31
    #[test]
    fn messages_of_a_request() {
        replay("messages", super::messages);
    }

    /// A3
    #[test]
    fn tokens() {
        replay("token", super::token);
    }

    /// A3
    #[test]
    fn sets_of_keys() {
        replay("key_set", super::key_set);
    }

    /// W31
    #[test]
    fn viewports() {
        replay("viewport", super::viewport);
    }

    #[test]
    fn maps() {
        replay("pbf", super::pbf);
    }
}
