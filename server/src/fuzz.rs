//! Fuzz targets: functions that parse untrusted bytes. A panic is a failure.
//!
//! `cargo fuzz` runs them from the crate in `fuzz/`. The tests here run its saved inputs and mutations of them.

use prost::Message;
use rides_proto::v1;

pub use grpc_edge::fuzz::{frames, text};

pub use crate::{
    city::fuzz::pbf,
    services::fuzz::viewport,
    sessions::fuzz::{key_set, token},
};

/// Reads the messages of a request, and decodes the only one as each type of request.
pub fn messages(input: &[u8]) {
    grpc_edge::fuzz::messages(input, read);
}

/// Decodes `message` as each type of request. Most inputs are valid for few types or for none.
fn read(message: &[u8]) {
    fn decoded<M: Message + Default>(message: &[u8]) {
        let Ok(decoded) = M::decode(message) else { return };
        let again = M::decode(decoded.encode_to_vec().as_slice()).expect("an encoded message decodes");
        // The encodings are compared, since a message with a NaN is not equal to itself.
        assert_eq!(again.encode_to_vec(), decoded.encode_to_vec());
    }
    decoded::<v1::StartRequest>(message);
    decoded::<v1::EndRequest>(message);
    decoded::<v1::TrackRequest>(message);
    decoded::<v1::BookRequest>(message);
    decoded::<v1::CancelRequest>(message);
    decoded::<v1::ListRequest>(message);
    decoded::<v1::WatchRequest>(message);
    decoded::<v1::DriveRequest>(message);
    decoded::<v1::FindPlacesRequest>(message);
}

#[cfg(test)]
mod tests {
    use fuzz_replay::replay;

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
