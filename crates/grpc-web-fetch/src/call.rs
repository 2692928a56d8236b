//! Time limits of calls, and repetition of calls that are safe to repeat.

use std::pin::pin;

use futures_util::future::{Either, select};
use tonic::{Code, Status};

use crate::{
    backoff::retry_wait,
    clock::{Clock, Millis},
    details::ErrorDetails,
};

/// The default deadline of a unary call.
pub const DEADLINE: Millis = 10_000.0;
/// The default time for a call with all of its repetitions. A server restarts in less.
pub const RETRY_TIMEOUT: Millis = 25_000.0;
/// The time after the deadline in which DEADLINE_EXCEEDED of the server can still arrive.
const GRACE: Millis = 500.0;

/// Runs `call` until the deadline that the server was given, and a little longer: the status of the server says more
/// than that of the client.
pub(crate) async fn until_deadline<T>(
    clock: &impl Clock,
    deadline: Millis,
    call: impl Future<Output = Result<T, Status>>,
) -> Result<T, Status> {
    timeout(clock, deadline + GRACE, call).await
}

/// Runs `step` for at most `millis` milliseconds, and then drops it.
///
/// # Errors
/// DEADLINE_EXCEEDED if the time is over, and errors of `step`.
pub async fn timeout<T>(
    clock: &impl Clock,
    millis: Millis,
    step: impl Future<Output = Result<T, Status>>,
) -> Result<T, Status> {
    match select(pin!(step), pin!(clock.sleep(millis))).await {
        Either::Left((outcome, _)) => outcome,
        Either::Right(((), _)) => Err(Status::deadline_exceeded("the server sent no response in time")),
    }
}

/// The time limits of a call that is repeated.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// The deadline of each attempt.
    pub(crate) deadline: Millis,
    /// The time for all attempts together.
    pub(crate) total: Millis,
}

/// Makes a call, and repeats it while it ends with UNAVAILABLE and there is time left. `call` gets the deadline of
/// each attempt. `on_retry` is called before each wait.
pub(crate) async fn retrying<T>(
    clock: &impl Clock,
    limits: Limits,
    on_retry: impl Fn(),
    mut call: impl AsyncFnMut(Millis) -> Result<T, Status>,
) -> Result<T, Status> {
    let give_up_at = clock.now() + limits.total;
    let mut failures = 0;
    loop {
        let outcome = call(limits.deadline.min(give_up_at - clock.now())).await;
        let Err(status) = outcome else { return outcome };
        failures += 1;
        let asked = ErrorDetails::of(&status).retry_delay().unwrap_or_default();
        let wait = retry_wait(asked, failures, clock.random());
        if status.code() != Code::Unavailable || clock.now() + wait >= give_up_at {
            return Err(status);
        }
        on_retry();
        clock.sleep(wait).await;
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, future::pending, time::Duration};

    use tonic_types::{ErrorDetails, StatusExt as _};

    use super::{super::clock::TestClock, *};

    const LIMITS: Limits = Limits { deadline: DEADLINE, total: RETRY_TIMEOUT };

    #[tokio::test(start_paused = true)]
    async fn a_call_without_a_response_ends_after_its_deadline() {
        let clock = TestClock::new();
        let status = until_deadline::<()>(&clock, DEADLINE, pending()).await.expect_err("late");
        assert_eq!((status.code(), clock.now()), (Code::DeadlineExceeded, 10_500.0));
    }

    /// Returns the number of attempts of a call that always ends with `outcome`, and the time of the last end.
    async fn attempts(outcome: Status) -> (u32, Millis) {
        let (clock, made, told) = (TestClock::new(), Cell::new(0), Cell::new(0));
        let call = retrying::<()>(
            &clock,
            LIMITS,
            || told.set(told.get() + 1),
            async |_| {
                made.set(made.get() + 1);
                Err(outcome.clone())
            },
        );
        assert_eq!(call.await.expect_err("it never succeeds").code(), outcome.code());
        assert_eq!(told.get() + 1, made.get());
        (made.get(), clock.now())
    }

    #[tokio::test(start_paused = true)]
    async fn only_unavailable_is_repeated_and_not_for_ever() {
        for code in [Code::InvalidArgument, Code::DeadlineExceeded, Code::Internal, Code::Unknown] {
            assert_eq!(attempts(Status::new(code, "")).await, (1, 0.0), "{code}");
        }
        let (made, until) = attempts(Status::unavailable("")).await;
        assert!(
            (8..12).contains(&made) && (15_000.0..RETRY_TIMEOUT).contains(&until),
            "{made} until {until}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_retry_delay_of_the_server_is_kept() {
        let details = ErrorDetails::with_retry_info(Some(Duration::from_secs(8)));
        let full = Status::with_error_details(Code::Unavailable, "the disk is full", details);
        assert_eq!(attempts(full).await, (3, 24_000.0));
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_attempt_gets_the_time_that_is_left() {
        let clock = TestClock::new();
        let mut deadlines = Vec::new();
        let outcome = retrying::<()>(
            &clock,
            LIMITS,
            || (),
            async |deadline| {
                deadlines.push(deadline);
                clock.sleep(deadline).await;
                Err(Status::unavailable("cut"))
            },
        );
        outcome.await.expect_err("it never succeeds");
        assert_eq!(deadlines, [10_000.0, 10_000.0, 4_625.0]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_is_back_is_reached() {
        let (clock, made) = (TestClock::new(), Cell::new(0));
        let outcome = retrying(
            &clock,
            LIMITS,
            || (),
            async |_| {
                made.set(made.get() + 1);
                if made.get() < 3 { Err(Status::unavailable("")) } else { Ok(made.get()) }
            },
        );
        assert_eq!(outcome.await.expect("the third attempt"), 3);
    }
}
