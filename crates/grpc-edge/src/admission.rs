//! Admission control: quotas per caller and per address, and the limits of single methods.
//!
//! A call that is refused here has cost only the parsing of its headers and the verification of its token.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use governor::Quota;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::Status;

use super::{
    Contract, Limits, Method, MethodPolicy,
    caller_quotas::{CallPermit, CallerQuotas, QuotaExceeded},
    contract::MethodLimit,
    peer::{Peer, QuotaKey},
    status,
};

/// The delay before a retry that clients are told when calls in progress are at their limit.
const RETRY_AFTER: Duration = Duration::from_secs(5);
/// The quota of an address, in quotas of one caller. An address may stand for an office with many callers.
const ADDRESS_QUOTA_FACTOR: NonZeroU32 = NonZeroU32::new(4).unwrap();

/// The burst of a quota: the calls of this many seconds may be made at once.
const BURST_SECONDS: NonZeroU32 = NonZeroU32::new(2).unwrap();

/// The quotas of all callers.
pub(super) struct Admission {
    /// The quota of each caller with a key, and of each address for its other calls.
    callers: CallerQuotas,
    /// The quota of each address for all calls from it.
    addresses: CallerQuotas,
    /// The limits of single methods, by [`Method::index`].
    methods: Vec<MethodAdmission>,
}

/// The limits of one method, with their use.
struct MethodAdmission {
    in_progress: Option<(Arc<Semaphore>, MethodLimit<usize>)>,
    per_hour: Option<(CallerQuotas, MethodLimit<NonZeroU32>)>,
}

/// The permits of an admitted call, released when this is dropped.
pub(super) struct CallPermits {
    _open: [Option<CallPermit>; 2],
    _of_method: Option<OwnedSemaphorePermit>,
}

impl Admission {
    pub(super) fn new(limits: &Limits, contract: &Contract) -> Self {
        let of_callers = |count: NonZeroU32| {
            let per_second = limits.max_calls_per_second.saturating_mul(count);
            let often = Quota::per_second(per_second).allow_burst(per_second.saturating_mul(BURST_SECONDS));
            CallerQuotas::new(often, limits.max_calls_per_address.saturating_mul(count.get() as usize))
        };
        Self {
            callers: of_callers(NonZeroU32::MIN),
            addresses: of_callers(ADDRESS_QUOTA_FACTOR),
            methods: contract.policies().iter().map(MethodAdmission::new).collect(),
        }
    }

    /// Takes the permits of a call. `quota_key` is that of its caller, if it has one.
    ///
    /// # Errors
    /// RESOURCE_EXHAUSTED with the delay before a retry, if a quota or limit is exceeded.
    pub(super) fn admit(
        &self,
        peer: Option<&Peer>,
        quota_key: Option<String>,
        method: Option<Method>,
    ) -> Result<CallPermits, Status> {
        let address = network(peer);
        let caller = quota_key.map(QuotaKey::Principal).or_else(|| address.clone());
        let open = [
            address.as_ref().map(|address| take(&self.addresses, address)).transpose()?,
            caller.as_ref().map(|caller| take(&self.callers, caller)).transpose()?,
        ];
        let limits = method.and_then(|method| self.methods.get(method.index()));
        let of_method = limits.map(|limits| limits.admit(address.as_ref())).transpose()?.flatten();
        Ok(CallPermits { _open: open, _of_method: of_method })
    }

    /// Returns the status of a call that was refused before its caller was known. It is `refused`, or
    /// RESOURCE_EXHAUSTED if the address has made such calls too often.
    pub(super) fn refuse_unauthenticated(&self, peer: Option<&Peer>, refused: Status) -> Status {
        let paced = network(peer).map_or(Ok(()), |address| self.callers.check_rate(&address));
        paced.err().map_or(refused, |wait| too_often(&self.callers, wait))
    }
}

impl MethodAdmission {
    fn new(policy: &MethodPolicy) -> Self {
        let MethodPolicy { max_in_progress, max_per_hour } = policy.clone();
        Self {
            in_progress: max_in_progress.map(|limit| (Arc::new(Semaphore::new(limit.limit)), limit)),
            per_hour: max_per_hour
                .map(|limit| (CallerQuotas::new(Quota::per_hour(limit.limit), usize::MAX), limit)),
        }
    }

    fn admit(&self, address: Option<&QuotaKey>) -> Result<Option<OwnedSemaphorePermit>, Status> {
        if let (Some((quotas, limit)), Some(address)) = (&self.per_hour, address) {
            quotas.check_rate(address).map_err(|wait| status::busy(limit.reason, &limit.message, wait))?;
        }
        let Some((permits, limit)) = &self.in_progress else { return Ok(None) };
        let permit = Arc::clone(permits).try_acquire_owned();
        permit.map(Some).map_err(|_full| status::busy(limit.reason, &limit.message, RETRY_AFTER))
    }
}

/// Returns the address of `peer` as the key of a quota, or `None` if it is exempt.
fn network(peer: Option<&Peer>) -> Option<QuotaKey> {
    peer?.counted_address.map(QuotaKey::Network)
}

fn take(shares: &CallerQuotas, caller: &QuotaKey) -> Result<CallPermit, Status> {
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

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use tonic::Code;
    use tonic_types::StatusExt as _;

    use super::*;
    use crate::testing::{BIDIRECTIONAL, SERVER_STREAM, UNARY, contract};

    fn limits() -> Limits {
        let calls_per_second = NonZeroU32::new(5).unwrap();
        Limits { max_calls_per_second: calls_per_second, max_calls_per_address: 3, ..Limits::default() }
    }

    fn peer(address: &str) -> Peer {
        Peer::new(address.parse::<IpAddr>().unwrap(), None, &Limits::default())
    }

    /// At most two calls of `SERVER_STREAM` at a time, and a thousand of `BIDIRECTIONAL` an hour.
    fn admission(limits: &Limits) -> (Admission, Contract) {
        let in_progress = MethodLimit { limit: 2, reason: "TOO_MANY_VIEWERS", message: String::new() };
        let limit = NonZeroU32::new(1_000).unwrap();
        let per_hour = MethodLimit { limit, reason: "TOO_MANY_SIGN_OUTS", message: String::new() };
        let watched = MethodPolicy { max_in_progress: Some(in_progress), ..Default::default() };
        let counted = MethodPolicy { max_per_hour: Some(per_hour), ..Default::default() };
        let contract = contract(1).with_policy(SERVER_STREAM, watched).unwrap();
        let contract = contract.with_policy(BIDIRECTIONAL, counted).unwrap();
        (Admission::new(limits, &contract), contract)
    }

    fn outcome(admitted: Result<CallPermits, Status>) -> Option<String> {
        let status = admitted.err()?;
        assert_eq!(status.code(), Code::ResourceExhausted);
        let details = status.get_error_details();
        let wait = details.retry_info().and_then(|info| info.retry_delay).unwrap();
        assert!(wait > Duration::ZERO && wait <= RETRY_AFTER, "{wait:?}");
        details.error_info().map(|info| info.reason.clone())
    }

    /// A caller of the contract of tests.
    struct Calls {
        admission: Admission,
        contract: Contract,
    }

    impl Calls {
        fn under(limits: &Limits) -> Self {
            let (admission, contract) = admission(limits);
            Self { admission, contract }
        }

        fn admit(&self, peer: &Peer, key: Option<&str>, path: &str) -> Result<CallPermits, Status> {
            self.admission.admit(Some(peer), key.map(str::to_owned), self.contract.method(path))
        }

        /// Makes a call that ends at once, and returns the reason if it was refused.
        fn call(&self, peer: &Peer, key: Option<&str>, path: &str) -> Option<String> {
            outcome(self.admit(peer, key, path))
        }
    }

    /// R10
    #[test]
    fn a_caller_in_a_hurry_is_told_how_long_to_wait() {
        let calls = Calls::under(&limits());
        let (hasty, other) = (peer("192.0.2.1"), peer("192.0.2.2"));
        assert!((0..10).all(|_| calls.call(&hasty, None, UNARY).is_none()));
        assert_eq!(calls.call(&hasty, None, UNARY).as_deref(), Some("TOO_MANY_CALLS"));
        assert_eq!(calls.call(&other, None, UNARY), None);
    }

    /// R2
    #[test]
    fn open_calls_count_until_they_end() {
        let calls = Calls::under(&limits());
        let caller = peer("192.0.2.1");
        let mut held: Vec<_> = (0..3).map(|_| calls.admit(&caller, None, UNARY).unwrap()).collect();
        assert_eq!(calls.call(&caller, None, UNARY).as_deref(), Some("TOO_MANY_OPEN_CALLS"));
        held.pop();
        assert_eq!(calls.call(&caller, None, UNARY), None);
    }

    /// R10: an office has one address, and each person in it a session.
    #[test]
    fn who_has_a_session_is_counted_by_it() {
        let calls = Calls::under(&limits());
        let office = peer("192.0.2.1");
        assert!((0..10).all(|_| calls.call(&office, Some("ada"), UNARY).is_none()));
        assert_eq!(calls.call(&office, Some("ada"), UNARY).as_deref(), Some("TOO_MANY_CALLS"));
        for key in [Some("bob"), None] {
            assert_eq!(calls.call(&office, key, UNARY), None, "{key:?}");
        }
        let elsewhere = calls.call(&peer("192.0.2.2"), Some("ada"), UNARY);
        assert_eq!(elsewhere.as_deref(), Some("TOO_MANY_CALLS"), "from another address");
    }

    /// R10: guests can sign in as often as they like.
    #[test]
    fn many_sessions_of_one_address_have_a_limit_together() {
        let calls = Calls::under(&limits());
        let eve = peer("192.0.2.1");
        assert!((0..40).all(|n| calls.call(&eve, Some(&n.to_string()), UNARY).is_none()));
        assert_eq!(calls.call(&eve, Some("40"), UNARY).as_deref(), Some("TOO_MANY_CALLS"));

        let max_calls_per_second = NonZeroU32::new(1_000).unwrap();
        let calls = Calls::under(&Limits { max_calls_per_second, ..limits() });
        let held: Vec<_> = (0..12).map(|n| calls.admit(&eve, Some(&n.to_string()), UNARY).unwrap()).collect();
        assert_eq!(calls.call(&eve, Some("12"), UNARY).as_deref(), Some("TOO_MANY_OPEN_CALLS"));
        drop(held);
        assert_eq!(calls.call(&eve, Some("12"), UNARY), None);
    }

    /// R10: a call that leaves something behind for hours has a limit per hour.
    #[test]
    fn no_address_signs_out_without_end() {
        let max_calls_per_second = NonZeroU32::new(1_000).unwrap();
        let calls = Calls::under(&Limits { max_calls_per_second, ..Limits::default() });
        let (eve, ada) = (peer("192.0.2.1"), peer("192.0.2.2"));
        assert!((0..1_000).all(|n| calls.call(&eve, Some(&n.to_string()), BIDIRECTIONAL).is_none()));
        let refused = calls.call(&eve, Some("1000"), BIDIRECTIONAL);
        assert_eq!(refused.as_deref(), Some("TOO_MANY_SIGN_OUTS"));
        assert_eq!(calls.call(&ada, Some("1001"), BIDIRECTIONAL), None);
        assert_eq!(calls.call(&eve, Some("1000"), UNARY), None, "another method");
    }

    /// R10: behind a proxy each session still has its quota.
    #[test]
    fn an_exempt_address_exempts_no_session() {
        let calls = Calls::under(&limits());
        let proxy = peer("127.0.0.1");
        assert!((0..10).all(|_| calls.call(&proxy, Some("eve"), UNARY).is_none()));
        assert_eq!(calls.call(&proxy, Some("eve"), UNARY).as_deref(), Some("TOO_MANY_CALLS"));
    }

    /// R10
    #[test]
    fn whoever_keeps_knocking_is_told_to_wait() {
        let Calls { admission, .. } = Calls::under(&limits());
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
        let exempt_addresses = vec!["2001:db8::7/128".parse().unwrap()];
        let limits = Limits { exempt_addresses, ..limits() };
        let calls = Calls::under(&limits);
        let all_pass = |address: &str| {
            let peer = Peer::new(address.parse().unwrap(), None, &limits);
            (0..20).all(|_| calls.call(&peer, None, UNARY).is_none())
        };
        assert!(all_pass("2001:db8::7"));
        assert!(!all_pass("2001:db8::8"));
    }

    #[test]
    fn a_method_may_have_a_limit_in_all_and_a_proxy_is_no_caller() {
        let calls = Calls::under(&limits());
        let proxy = peer("127.0.0.1");
        assert!((0..100).all(|_| calls.call(&proxy, None, UNARY).is_none()));
        let _viewers =
            [proxy.clone(), peer("192.0.2.1")].map(|peer| calls.admit(&peer, None, SERVER_STREAM).unwrap());
        assert_eq!(calls.call(&proxy, None, SERVER_STREAM).as_deref(), Some("TOO_MANY_VIEWERS"));
    }
}
