//! Admission control: quotas per caller and per address, and the limit of viewers.
//!
//! A call that is refused here has cost only the parsing of its headers and the verification of its token.

use std::{net::IpAddr, num::NonZeroU32, sync::Arc, time::Duration};

use governor::Quota;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::Status;

use super::{
    Limits,
    caller_quotas::{CallPermit, CallerQuotas, QuotaExceeded},
    peer::{Caller, Peer, network_of},
    status,
};
use crate::access::Principal;

/// The method with a quota of its own: the server remembers a session that has signed out for hours.
const SIGN_OUT: &str = "/rides.v1.Sessions/SignOut";
/// The stream that counts as a viewer.
const VIEW: &str = "/rides.v1.Fleet/Watch";
/// The delay before a retry that clients are told when calls or viewers are at their limit.
const RETRY_AFTER: Duration = Duration::from_secs(5);
/// The quota of an address, in quotas of one session. An address may stand for an office with many sessions. It needs a
/// quota, since sessions are free.
const ADDRESS_QUOTA_FACTOR: NonZeroU32 = NonZeroU32::new(4).unwrap();

/// The burst of a quota: the calls of this many seconds may be made at once.
const BURST_SECONDS: NonZeroU32 = NonZeroU32::new(2).unwrap();

/// The quotas of all callers.
pub(super) struct Admission {
    limits: Limits,
    /// The quota of each session, of each car, and of each address for its calls without a session or a certificate.
    callers: CallerQuotas,
    /// The quota of each address for all calls from it.
    addresses: CallerQuotas,
    /// The quota of each address for sign-outs. The server remembers a limited number of them.
    sign_outs: CallerQuotas,
    viewers: Arc<Semaphore>,
}

/// The permits of an admitted call, released when this is dropped.
pub(super) struct CallPermits {
    _open: [Option<CallPermit>; 2],
    _viewer: Option<OwnedSemaphorePermit>,
}

impl Admission {
    pub(super) fn new(limits: &Limits) -> Self {
        let of_sessions = |count: NonZeroU32| {
            let per_second = limits.max_calls_per_second.saturating_mul(count);
            let often = Quota::per_second(per_second).allow_burst(per_second.saturating_mul(BURST_SECONDS));
            CallerQuotas::new(often, limits.max_calls_per_address.saturating_mul(count.get() as usize))
        };
        Self {
            limits: limits.clone(),
            callers: of_sessions(NonZeroU32::MIN),
            addresses: of_sessions(ADDRESS_QUOTA_FACTOR),
            sign_outs: CallerQuotas::new(Quota::per_hour(limits.max_sign_outs_per_hour), usize::MAX),
            viewers: Arc::new(Semaphore::new(limits.max_viewers)),
        }
    }

    /// Takes the permits of a call.
    ///
    /// # Errors
    /// RESOURCE_EXHAUSTED with the delay before a retry, if a quota or limit is exceeded.
    pub(super) fn admit(
        &self,
        peer: Option<&Peer>,
        principal: &Principal,
        path: &str,
    ) -> Result<CallPermits, Status> {
        let address = self.caller_network(peer);
        let caller = match peer.map(|peer| peer.caller(principal)) {
            Some(Caller::Network(_)) => address.clone(),
            known => known,
        };
        let open = [
            address.as_ref().map(|address| take(&self.addresses, address)).transpose()?,
            caller.as_ref().map(|caller| take(&self.callers, caller)).transpose()?,
        ];
        if let (SIGN_OUT, Some(address)) = (path, &address) {
            self.sign_out(address)?;
        }
        let viewer = match path {
            VIEW => Some(self.viewers.clone().try_acquire_owned().map_err(|_full| too_many_viewers())?),
            _ => None,
        };
        Ok(CallPermits { _open: open, _viewer: viewer })
    }

    fn sign_out(&self, address: &Caller) -> Result<(), Status> {
        self.sign_outs.check_rate(address).map_err(|wait| {
            let text =
                format!("too many sign-outs: the limit is {} per hour", self.limits.max_sign_outs_per_hour);
            status::busy("TOO_MANY_SIGN_OUTS", text, wait)
        })
    }

    /// Returns the status of a call that was refused before its caller was known. It is `refused`, or
    /// RESOURCE_EXHAUSTED if the address has made such calls too often.
    pub(super) fn refuse_unauthenticated(&self, peer: Option<&Peer>, refused: Status) -> Status {
        let paced = self.caller_network(peer).map_or(Ok(()), |address| self.callers.check_rate(&address));
        paced.err().map_or(refused, |wait| too_often(&self.callers, wait))
    }

    /// Returns the address of `peer` as a caller, or `None` if it is exempt.
    fn caller_network(&self, peer: Option<&Peer>) -> Option<Caller> {
        self.address(peer).map(Caller::Network)
    }

    /// Returns the address that calls of `peer` count for, or `None` if it is exempt because it stands for many callers.
    pub(super) fn address(&self, peer: Option<&Peer>) -> Option<IpAddr> {
        let counted = peer.filter(|peer| !self.limits.is_exempt(peer.address));
        counted.map(|peer| network_of(peer.address))
    }
}

fn take(shares: &CallerQuotas, caller: &Caller) -> Result<CallPermit, Status> {
    shares.acquire(caller).map_err(|no_more| match no_more {
        QuotaExceeded::Rate(wait) => too_often(shares, wait),
        QuotaExceeded::InProgress => {
            let text = format!("too many open calls: the limit is {}", shares.max_in_progress);
            status::busy("TOO_MANY_OPEN_CALLS", text, RETRY_AFTER)
        }
    })
}

/// The status of a caller that calls too often. `shares` must be quotas per second.
fn too_often(shares: &CallerQuotas, wait: Duration) -> Status {
    let per_second = shares.rate.burst_size().get() / BURST_SECONDS;
    let text = format!("too many calls: the limit is {per_second} per second");
    status::busy("TOO_MANY_CALLS", text, wait)
}

fn too_many_viewers() -> Status {
    status::busy("TOO_MANY_VIEWERS", "the server has reached its limit of viewers", RETRY_AFTER)
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use tonic::Code;
    use tonic_types::StatusExt as _;

    use super::*;
    use crate::sessions::{Role, Session};

    const BOOK: &str = "/rides.v1.Rides/Book";

    fn limits() -> Limits {
        let calls_per_second = NonZeroU32::new(5).unwrap();
        Limits {
            max_calls_per_second: calls_per_second,
            max_calls_per_address: 3,
            max_viewers: 2,
            ..Limits::default()
        }
    }

    fn peer(address: &str) -> Peer {
        Peer { address: address.parse::<IpAddr>().unwrap(), certificate: None }
    }

    fn outcome(admitted: Result<CallPermits, Status>) -> Option<String> {
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
            assert_eq!(outcome(admission.admit(Some(&hasty), &Principal::Anonymous, BOOK)), None);
        }
        assert_eq!(
            outcome(admission.admit(Some(&hasty), &Principal::Anonymous, BOOK)).as_deref(),
            Some("TOO_MANY_CALLS")
        );
        assert_eq!(outcome(admission.admit(Some(&other), &Principal::Anonymous, BOOK)), None);
    }

    /// R2
    #[test]
    fn open_calls_count_until_they_end() {
        let admission = Admission::new(&limits());
        let caller = peer("192.0.2.1");
        let mut held: Vec<_> =
            (0..3).map(|_| admission.admit(Some(&caller), &Principal::Anonymous, BOOK).unwrap()).collect();
        let refused = admission.admit(Some(&caller), &Principal::Anonymous, BOOK);
        assert_eq!(outcome(refused).as_deref(), Some("TOO_MANY_OPEN_CALLS"));
        held.pop();
        assert_eq!(outcome(admission.admit(Some(&caller), &Principal::Anonymous, BOOK)), None);
    }

    /// R10: an office has one address, and each person in it a session.
    #[test]
    fn who_has_a_session_is_counted_by_it() {
        let admission = Admission::new(&limits());
        let office = peer("192.0.2.1");
        let rider = |subject| Principal::Authenticated(Session::new(Role::Rider, subject, SystemTime::UNIX_EPOCH));
        let (hasty, other) = (rider("ada"), rider("bob"));
        for _ in 0..10 {
            assert_eq!(outcome(admission.admit(Some(&office), &hasty, BOOK)), None);
        }
        let refused = admission.admit(Some(&office), &hasty, BOOK);
        assert_eq!(outcome(refused).as_deref(), Some("TOO_MANY_CALLS"));
        for principal in [&other, &Principal::Anonymous] {
            assert_eq!(outcome(admission.admit(Some(&office), principal, BOOK)), None);
        }
        let elsewhere = admission.admit(Some(&peer("192.0.2.2")), &hasty, BOOK);
        assert_eq!(outcome(elsewhere).as_deref(), Some("TOO_MANY_CALLS"), "from another address");
    }

    /// R10: guests can sign in as often as they like.
    #[test]
    fn many_sessions_of_one_address_have_a_limit_together() {
        let admission = Admission::new(&limits());
        let eve = peer("192.0.2.1");
        let guest =
            |n: u32| Principal::Authenticated(Session::new(Role::Rider, &n.to_string(), SystemTime::UNIX_EPOCH));
        let calls = |n: u32| outcome(admission.admit(Some(&eve), &guest(n), BOOK));
        assert!((0..40).all(|n| calls(n).is_none()));
        assert_eq!(calls(40).as_deref(), Some("TOO_MANY_CALLS"));

        let calls_per_second = NonZeroU32::new(1_000).unwrap();
        let admission = Admission::new(&Limits { max_calls_per_second: calls_per_second, ..limits() });
        let held: Vec<_> = (0..12).map(|n| admission.admit(Some(&eve), &guest(n), BOOK).unwrap()).collect();
        let one_more = || outcome(admission.admit(Some(&eve), &guest(12), BOOK));
        assert_eq!(one_more().as_deref(), Some("TOO_MANY_OPEN_CALLS"));
        drop(held);
        assert_eq!(one_more(), None);
    }

    /// R10: a session that has signed out is remembered for hours, and the server remembers a limited number in all.
    #[test]
    fn no_address_signs_out_without_end() {
        let calls_per_second = NonZeroU32::new(1_000).unwrap();
        let admission =
            Admission::new(&Limits { max_calls_per_second: calls_per_second, ..Limits::default() });
        let guest =
            |n: u32| Principal::Authenticated(Session::new(Role::Rider, &n.to_string(), SystemTime::UNIX_EPOCH));
        let signs_out = |n, address| outcome(admission.admit(Some(&peer(address)), &guest(n), SIGN_OUT));
        assert!((0..1_000).all(|n| signs_out(n, "192.0.2.1").is_none()));
        assert_eq!(signs_out(1_000, "192.0.2.1").as_deref(), Some("TOO_MANY_SIGN_OUTS"));
        assert_eq!(signs_out(1_001, "192.0.2.2"), None);
        assert_eq!(outcome(admission.admit(Some(&peer("192.0.2.1")), &guest(1_000), BOOK)), None);
    }

    /// R10: behind a proxy each session still has its quota.
    #[test]
    fn an_exempt_address_exempts_no_session() {
        let admission = Admission::new(&limits());
        let proxy = peer("127.0.0.1");
        let hasty = Principal::Authenticated(Session::new(Role::Rider, "eve", SystemTime::UNIX_EPOCH));
        for _ in 0..10 {
            assert_eq!(outcome(admission.admit(Some(&proxy), &hasty, BOOK)), None);
        }
        let refused = outcome(admission.admit(Some(&proxy), &hasty, BOOK));
        assert_eq!(refused.as_deref(), Some("TOO_MANY_CALLS"));
    }

    /// R10
    #[test]
    fn whoever_keeps_knocking_is_told_to_wait() {
        let admission = Admission::new(&limits());
        let eve = peer("192.0.2.1");
        let knock = || admission.refuse_unauthenticated(Some(&eve), Status::unauthenticated("who?")).code();
        for _ in 0..10 {
            assert_eq!(knock(), Code::Unauthenticated);
        }
        assert_eq!(knock(), Code::ResourceExhausted);
    }

    /// An exempt network may be one address. Its neighbours in the same /64 are not exempt.
    #[test]
    fn an_exempt_address_may_be_a_single_one() {
        let exempt = vec!["2001:db8::7/128".parse().unwrap()];
        let admission = Admission::new(&Limits { exempt_addresses: exempt, ..limits() });
        let calls = |address| {
            (0..20)
                .all(|_| outcome(admission.admit(Some(&peer(address)), &Principal::Anonymous, BOOK)).is_none())
        };
        assert!(calls("2001:db8::7"));
        assert!(!calls("2001:db8::8"));
    }

    #[test]
    fn viewers_are_counted_in_all_and_a_proxy_is_no_caller() {
        let admission = Admission::new(&limits());
        let proxy = peer("127.0.0.1");
        for _ in 0..100 {
            assert_eq!(outcome(admission.admit(Some(&proxy), &Principal::Anonymous, BOOK)), None);
        }
        let _viewers = [proxy.clone(), peer("192.0.2.1")]
            .map(|peer| admission.admit(Some(&peer), &Principal::Anonymous, VIEW).unwrap());
        assert_eq!(
            outcome(admission.admit(Some(&proxy), &Principal::Anonymous, VIEW)).as_deref(),
            Some("TOO_MANY_VIEWERS")
        );
    }
}
