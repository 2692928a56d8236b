//! How much of whom: refused here, a call has cost a look at its headers.

use std::{sync::Arc, time::Duration};

use governor::{
    DefaultKeyedRateLimiter, Quota, RateLimiter,
    clock::{Clock as _, MonotonicClock},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::Status;

use super::{
    Limits,
    peer::{Caller, Peer},
    status,
    tally::{Held, Tally},
};
use crate::access::Principal;

/// The stream that viewers hold.
const VIEW: &str = "/rides.v1.Fleet/Watch";
/// When a caller with too many open calls, or one viewer too many, may try again: some end on their own.
const RETRY_AFTER: Duration = Duration::from_secs(5);
/// Callers to remember before those who have been quiet are forgotten.
const REMEMBERED: usize = 1_024;

/// What is left of what callers may have.
pub(super) struct Admission {
    limits: Limits,
    rates: DefaultKeyedRateLimiter<Caller>,
    open: Tally<Caller>,
    viewers: Arc<Semaphore>,
}

/// A call that was let in: what it holds, it gives back at its end.
pub(super) struct Admitted {
    _open: Option<Held<Caller>>,
    _viewer: Option<OwnedSemaphorePermit>,
}

impl Admission {
    pub(super) fn new(limits: &Limits) -> Self {
        let quota = Quota::per_second(limits.calls_per_second).allow_burst(
            limits.calls_per_second.saturating_mul(2.try_into().unwrap_or(limits.calls_per_second)),
        );
        Self {
            limits: limits.clone(),
            rates: RateLimiter::keyed(quota),
            open: Tally::new(limits.calls_per_address),
            viewers: Arc::new(Semaphore::new(limits.viewers)),
        }
    }

    /// Lets a call in, or says RESOURCE_EXHAUSTED and when to come again.
    pub(super) fn admit(
        &self,
        peer: Option<&Peer>,
        principal: Option<&Principal>,
        path: &str,
    ) -> Result<Admitted, Status> {
        let counted = peer.filter(|peer| !self.limits.is_exempt(peer.address));
        let caller = counted.map(|peer| peer.caller(principal));
        if let Some(caller) = &caller {
            self.keep_pace(caller)?;
        }
        let open =
            caller.map(|caller| self.open.take(caller).ok_or_else(|| self.too_many_open())).transpose()?;
        let viewer = match path {
            VIEW => Some(self.viewers.clone().try_acquire_owned().map_err(|_full| full_house())?),
            _ => None,
        };
        Ok(Admitted { _open: open, _viewer: viewer })
    }

    /// What a call hears that `refused` turned away before it was known whose it is: the same, or RESOURCE_EXHAUSTED
    /// when its address had that too often.
    pub(super) fn of_stranger(&self, peer: Option<&Peer>, refused: Status) -> Status {
        let counted = peer.filter(|peer| !self.limits.is_exempt(peer.address));
        let paced = counted.map_or(Ok(()), |peer| self.keep_pace(&Caller::Address(peer.address)));
        paced.err().unwrap_or(refused)
    }

    fn keep_pace(&self, caller: &Caller) -> Result<(), Status> {
        if self.rates.len() > REMEMBERED {
            self.rates.retain_recent();
        }
        self.rates.check_key(caller).map_err(|early| {
            let text = format!("at most {} calls a second, please", self.limits.calls_per_second);
            status::busy("TOO_MANY_CALLS", text, early.wait_time_from(MonotonicClock.now()))
        })
    }

    fn too_many_open(&self) -> Status {
        let text = format!("at most {} calls at a time, please", self.limits.calls_per_address);
        status::busy("TOO_MANY_OPEN_CALLS", text, RETRY_AFTER)
    }
}

fn full_house() -> Status {
    status::busy("TOO_MANY_VIEWERS", "the server has as many viewers as it can serve", RETRY_AFTER)
}

#[cfg(test)]
mod tests {
    use std::{net::IpAddr, num::NonZeroU32, time::SystemTime};

    use tonic::Code;
    use tonic_types::StatusExt as _;

    use super::*;
    use crate::sessions::{Role, Session};

    const BOOK: &str = "/rides.v1.Rides/Book";

    fn limits() -> Limits {
        let calls_per_second = NonZeroU32::new(5).unwrap();
        Limits { calls_per_second, calls_per_address: 3, viewers: 2, ..Limits::default() }
    }

    fn peer(address: &str) -> Peer {
        Peer { address: address.parse::<IpAddr>().unwrap(), car: None }
    }

    fn outcome(admitted: Result<Admitted, Status>) -> Option<String> {
        let status = admitted.err()?;
        assert_eq!(status.code(), Code::ResourceExhausted);
        let details = status.get_error_details();
        let wait = details.retry_info().and_then(|info| info.retry_delay).unwrap();
        assert!(wait > Duration::ZERO && wait <= RETRY_AFTER, "{wait:?}");
        details.error_info().map(|info| info.reason.clone())
    }

    /// R10
    #[test]
    fn a_caller_in_a_hurry_is_told_how_long_to_wait() {
        let admission = Admission::new(&limits());
        let (hasty, other) = (peer("192.0.2.1"), peer("192.0.2.2"));
        for _ in 0..10 {
            assert_eq!(outcome(admission.admit(Some(&hasty), None, BOOK)), None);
        }
        assert_eq!(outcome(admission.admit(Some(&hasty), None, BOOK)).as_deref(), Some("TOO_MANY_CALLS"));
        assert_eq!(outcome(admission.admit(Some(&other), None, BOOK)), None);
    }

    /// R2
    #[test]
    fn open_calls_count_until_they_end() {
        let admission = Admission::new(&limits());
        let caller = peer("192.0.2.1");
        let mut held: Vec<_> = (0..3).map(|_| admission.admit(Some(&caller), None, BOOK).unwrap()).collect();
        let refused = admission.admit(Some(&caller), None, BOOK);
        assert_eq!(outcome(refused).as_deref(), Some("TOO_MANY_OPEN_CALLS"));
        held.pop();
        assert_eq!(outcome(admission.admit(Some(&caller), None, BOOK)), None);
    }

    /// R10: an office has one address, and each who is there a session.
    #[test]
    fn who_has_a_session_is_counted_by_it() {
        let admission = Admission::new(&limits());
        let office = peer("192.0.2.1");
        let rider = |subject| Principal::Proven(Session::new(Role::Rider, subject, SystemTime::UNIX_EPOCH));
        let (hasty, other) = (rider("ada"), rider("bob"));
        for _ in 0..10 {
            assert_eq!(outcome(admission.admit(Some(&office), Some(&hasty), BOOK)), None);
        }
        let refused = admission.admit(Some(&office), Some(&hasty), BOOK);
        assert_eq!(outcome(refused).as_deref(), Some("TOO_MANY_CALLS"));
        for principal in [Some(&other), None] {
            assert_eq!(outcome(admission.admit(Some(&office), principal, BOOK)), None);
        }
        let elsewhere = admission.admit(Some(&peer("192.0.2.2")), Some(&hasty), BOOK);
        assert_eq!(outcome(elsewhere).as_deref(), Some("TOO_MANY_CALLS"), "wherever they call from");
    }

    /// R10
    #[test]
    fn whoever_keeps_knocking_is_told_to_wait() {
        let admission = Admission::new(&limits());
        let eve = peer("192.0.2.1");
        let knock = || admission.of_stranger(Some(&eve), Status::unauthenticated("who?")).code();
        for _ in 0..10 {
            assert_eq!(knock(), Code::Unauthenticated);
        }
        assert_eq!(knock(), Code::ResourceExhausted);
    }

    #[test]
    fn viewers_are_counted_in_all_and_a_proxy_is_no_caller() {
        let admission = Admission::new(&limits());
        let proxy = peer("127.0.0.1");
        for _ in 0..100 {
            assert_eq!(outcome(admission.admit(Some(&proxy), None, BOOK)), None);
        }
        let _viewers =
            [proxy, peer("192.0.2.1")].map(|peer| admission.admit(Some(&peer), None, VIEW).unwrap());
        assert_eq!(outcome(admission.admit(Some(&proxy), None, VIEW)).as_deref(), Some("TOO_MANY_VIEWERS"));
    }
}
