//! Messages as proto3 JSON. The descriptors of the contract are compiled in.

use std::sync::LazyLock;

use anyhow::Context as _;
use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, SerializeOptions};

use crate::terminal_text::escape_json;

static CONTRACT: LazyLock<Result<DescriptorPool, prost_reflect::DescriptorError>> =
    LazyLock::new(|| DescriptorPool::decode(rides_proto::FILE_DESCRIPTOR_SET));

/// Returns `message`, of type `name` in the contract, as one line of JSON.
///
/// Empty scalar and repeated fields are written too, so that scripts find the same fields in every line. Characters
/// that control a terminal are escaped. Fails if the contract has no message of this name.
pub(super) fn line(name: &str, message: &impl Message) -> anyhow::Result<String> {
    let contract = CONTRACT.as_ref()?;
    let descriptor = contract.get_message_by_name(&format!("rides.v1.{name}")).context("unknown message")?;
    let mut dynamic = DynamicMessage::new(descriptor);
    dynamic.transcode_from(message)?;
    let mut json = serde_json::Serializer::new(Vec::new());
    let options = SerializeOptions::new().skip_default_fields(false);
    dynamic.serialize_with_options(&mut json, &options)?;
    Ok(escape_json(&String::from_utf8(json.into_inner())?))
}

#[cfg(test)]
mod tests {
    use rides_proto::v1::{self, watch_response};
    use serde_json::{Value, json};

    use super::*;
    use crate::terminal_text::is_terminal_control;

    fn value(name: &str, message: &impl Message) -> Value {
        let line = line(name, message).unwrap();
        assert!(!line.contains('\n'));
        serde_json::from_str(&line).unwrap()
    }

    /// BAD-10.
    #[test]
    fn what_steers_a_terminal_is_escaped() {
        let name = "a\u{202e}b\u{200f}c\u{85}d\u{7f}e\u{1b}[2J";
        let ride = v1::Ride { ride_id: name.into(), ..Default::default() };
        let line = line("Ride", &ride).unwrap();
        assert!(!line.chars().any(is_terminal_control), "{line:?}");
        assert_eq!(value("Ride", &ride)["rideId"], name, "the escapes decode to the same text");
    }

    #[test]
    fn a_message_has_the_names_and_forms_of_proto3_json() {
        let ride = v1::Ride {
            ride_id: "r".into(),
            version: 7,
            state: v1::RideState::OnTrip.into(),
            fare: Some(v1::Money { currency: "EUR".into(), minor_units: 1240 }),
            duration: Some(prost_types::Duration { seconds: 61, nanos: 500_000_000 }),
            updated_at: Some(prost_types::Timestamp { seconds: 1_800_000_000, nanos: 0 }),
            ..Default::default()
        };
        let json = value("Ride", &ride);
        assert_eq!(json["rideId"], "r");
        assert_eq!(json["version"], "7", "64-bit integers are strings");
        assert_eq!(json["state"], "RIDE_STATE_ON_TRIP");
        assert_eq!(json["fare"], json!({"currency": "EUR", "minorUnits": "1240"}));
        assert_eq!(
            (&json["duration"], &json["updatedAt"]),
            (&json!("61.500s"), &json!("2027-01-15T08:00:00Z"))
        );
        assert_eq!((&json["riderId"], &json["passengerIds"]), (&json!(""), &json!([])), "empty fields");
        assert_eq!(json.get("pickup"), None, "absent messages are left out");
    }

    #[test]
    fn what_kind_of_message_it_is_is_its_only_key() {
        let opened = watch_response::Opened { epoch: "e".into(), resumed: true, head_version: 1 };
        let message = Some(watch_response::Message::Opened(opened));
        let json = value("WatchResponse", &v1::WatchResponse { message });
        assert_eq!(json, json!({"opened": {"epoch": "e", "resumed": true, "headVersion": "1"}}));
    }

    #[test]
    fn what_is_in_no_contract_is_no_json() {
        assert!(line("Nonsense", &()).is_err());
    }
}
