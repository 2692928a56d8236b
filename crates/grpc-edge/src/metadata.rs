//! A check of binary metadata, which is base64 in headers whose names end in `-bin`.

use base64::{
    Engine as _,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use http::{HeaderMap, HeaderValue};
use tonic::{Code, Status};

use super::status::with_reason;

/// Base64 with or without padding: gRPC requires receivers to accept both.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Checks that every binary header is base64, or a list of base64 values with commas. Fails with INVALID_ARGUMENT if
/// one is not.
pub(super) fn check(headers: &HeaderMap) -> Result<(), Status> {
    let mut binary = headers.iter().filter(|(name, _)| name.as_str().ends_with("-bin"));
    match binary.find(|(_, value)| !is_base64(value)) {
        Some((name, _)) => {
            Err(with_reason(Code::InvalidArgument, "BAD_METADATA", format!("{name} is not base64")))
        }
        None => Ok(()),
    }
}

fn is_base64(value: &HeaderValue) -> bool {
    value.as_bytes().split(|&byte| byte == b',').all(|part| BASE64.decode(part.trim_ascii()).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_and_lists_do_not_matter() {
        for (value, good) in
            [("", true), ("AQI=", true), ("AQI", true), ("AQI, AQI=,AQ", true), ("!!!!", false), ("A", false)]
        {
            assert_eq!(is_base64(&HeaderValue::from_static(value)), good, "{value}");
        }
    }
}
