//! The conversion of all errors of the server to gRPC statuses.
//!
//! Bad fields of a request are in [`bad_request`](super::bad_request).

use std::time::Duration;

use tonic::{Code, Status};

use super::bad_request::invalid_because;
use crate::{
    access::Denied,
    fleet,
    rides::{RideError, journal::JournalError, machine::Refusal},
    sessions::{RevokeError, Unauthenticated},
};
pub use grpc_edge::error::{
    beyond_limit, busy, failed, no_such_method, shutting_down, too_slow, with_reason,
};

/// The delay before the next attempt after a limit of sessions or rides, of which some end meanwhile.
const LATER: Duration = Duration::from_secs(60);

impl From<RideError> for Status {
    fn from(error: RideError) -> Self {
        let text = error.to_string();
        match error {
            RideError::NotFound => with_reason(Code::NotFound, Refusal::NoSuchRide.reason(), text),
            RideError::Refused(refusal) => with_reason(Code::FailedPrecondition, refusal.reason(), text),
            RideError::KeyReused => invalid_because("request_id", "KEY_REUSED", text).into(),
            RideError::TooManyOpen(_) => busy("TOO_MANY_OPEN_RIDES", text, LATER),
            RideError::BadPageToken(_) => invalid_because("page_token", "BAD_PAGE_TOKEN", text).into(),
            RideError::Closed | RideError::Journal(JournalError::Closed) => shutting_down(),
            RideError::Journal(JournalError::Full) => with_reason(
                Code::Unavailable,
                "DISK_FULL",
                "rides cannot be saved now: the disk of the server is full",
            ),
            RideError::Journal(JournalError::Unavailable(_) | JournalError::Failed(_)) => {
                with_reason(Code::Unavailable, "JOURNAL_UNAVAILABLE", "rides cannot be read or saved now")
            }
            RideError::Journal(JournalError::OutOfSequence { .. } | JournalError::Damaged(_))
            | RideError::OutOfSequence(_) => {
                tracing::error!(%error, "found damaged events of a ride in the journal");
                with_reason(Code::DataLoss, "BROKEN_RIDE", "the stored events of the ride are damaged")
            }
        }
    }
}

impl From<Unauthenticated> for Status {
    fn from(why: Unauthenticated) -> Self {
        let (code, reason) = match why {
            Unauthenticated::Missing => (Code::Unauthenticated, "NO_TOKEN"),
            Unauthenticated::Malformed | Unauthenticated::Invalid => (Code::Unauthenticated, "BAD_TOKEN"),
            Unauthenticated::Expired => (Code::Unauthenticated, "SESSION_OVER"),
            Unauthenticated::CertificateExpired => (Code::Unauthenticated, "CERTIFICATE_OVER"),
            Unauthenticated::KeysPending => (Code::Unavailable, "KEYS_ON_THEIR_WAY"),
        };
        with_reason(code, reason, why.to_string())
    }
}

impl From<RevokeError> for Status {
    fn from(why: RevokeError) -> Self {
        match why {
            RevokeError::TooMany => {
                busy("TOO_MANY_REVOKED", "too many sessions were revoked recently", LATER)
            }
            RevokeError::NotWritten(_) => {
                tracing::error!(%why, "a revocation took effect but was not written to the disk");
                let text = "the revocation is in effect, but not on the disk yet: the server tries again to write it";
                with_reason(Code::Unavailable, "NOT_KEPT", text)
            }
        }
    }
}

impl From<Denied> for Status {
    fn from(why: Denied) -> Self {
        let reason = match why {
            Denied::NotYou => "NOT_YOU",
            Denied::NotYourCar => "NOT_YOUR_CAR",
        };
        with_reason(Code::PermissionDenied, reason, why.to_string())
    }
}

impl From<fleet::FleetClosed> for Status {
    fn from(_: fleet::FleetClosed) -> Self {
        shutting_down()
    }
}

#[cfg(test)]
mod tests {
    use tonic_types::StatusExt as _;

    use super::*;
    use crate::rides::{machine::OutOfSequence, model::RideState};

    #[test]
    fn who_cannot_sign_out_is_told_when_to_try_again() {
        let status = Status::from(RevokeError::TooMany);
        let details = status.get_error_details();
        let retry = details.retry_info().and_then(|retry| retry.retry_delay);
        assert_eq!((status.code(), retry), (Code::ResourceExhausted, Some(LATER)));
    }

    /// CLIENT-10
    #[test]
    fn a_refusal_names_no_state_as_the_program_does() {
        for state in RideState::ALL {
            let status = Status::from(RideError::Refused(Refusal::WrongState(state)));
            assert!(!status.message().contains(&format!("{state:?}")), "{}", status.message());
        }
    }

    #[test]
    fn every_ride_error_has_its_code_and_reason() {
        let journal = JournalError::Unavailable("/dev/sda1: timeout".into());
        for (error, code, reason) in [
            (RideError::NotFound, Code::NotFound, "NO_SUCH_RIDE"),
            (RideError::Refused(Refusal::CarBusy), Code::FailedPrecondition, "CAR_BUSY"),
            (
                RideError::Refused(Refusal::WrongState(RideState::OnTrip)),
                Code::FailedPrecondition,
                "WRONG_STATE",
            ),
            (RideError::KeyReused, Code::InvalidArgument, "KEY_REUSED"),
            (RideError::Journal(journal), Code::Unavailable, "JOURNAL_UNAVAILABLE"),
            (RideError::Journal(JournalError::Full), Code::Unavailable, "DISK_FULL"),
            (
                RideError::Journal(JournalError::Damaged("event 7: no JSON".into())),
                Code::DataLoss,
                "BROKEN_RIDE",
            ),
            (RideError::OutOfSequence(OutOfSequence { at: 1, found: 3 }), Code::DataLoss, "BROKEN_RIDE"),
            (RideError::Closed, Code::Unavailable, "GOING_DOWN"),
            (RideError::Journal(JournalError::Closed), Code::Unavailable, "GOING_DOWN"),
        ] {
            let status = Status::from(error);
            let details = status.get_error_details();
            assert_eq!(
                (status.code(), details.error_info().map(|info| info.reason.as_str())),
                (code, Some(reason))
            );
            assert_eq!(details.retry_info().is_some(), code == Code::Unavailable);
            assert!(!status.message().contains("/dev"), "the message shows an internal error");
        }
    }
}
