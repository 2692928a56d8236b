//! Unary calls: a deadline on every one, and retries where they are safe.

use std::pin::pin;

use futures_util::future::{Either, select};
use tonic::{Code, Status};

use super::{clock::Clock, connection::retry_after, status::later};
use crate::model::Millis;

/// How long a call may take.
pub const DEADLINE: Millis = 10_000.0;
/// How long a call may take with all that it is tried again: longer than a server takes to restart.
pub const PATIENCE: Millis = 25_000.0;
/// Given to the server's own DEADLINE_EXCEEDED to arrive before the page gives the call up.
const GRACE: Millis = 500.0;

/// The answer, or DEADLINE_EXCEEDED when the server does not keep to the deadline either.
pub async fn unary<T>(
    clock: &impl Clock,
    deadline: Millis,
    call: impl Future<Output = Result<T, Status>>,
) -> Result<T, Status> {
    within(clock, deadline + GRACE, call).await
}

/// Gives `step` so many milliseconds. What is not done by then is dropped.
pub async fn within<T>(
    clock: &impl Clock,
    millis: Millis,
    step: impl Future<Output = Result<T, Status>>,
) -> Result<T, Status> {
    match select(pin!(step), pin!(clock.sleep(millis))).await {
        Either::Left((answer, _)) => answer,
        Either::Right(((), _)) => Err(Status::deadline_exceeded("the server took too long to answer")),
    }
}

/// Tries again while the server cannot be reached, with growing waits and for as long as [`PATIENCE`] lasts.
/// Only for calls that are safe to repeat. Each is given a deadline, and `on_retry` told of each that failed.
pub async fn retrying<T>(
    clock: &impl Clock,
    on_retry: impl Fn(),
    mut call: impl AsyncFnMut(Millis) -> Result<T, Status>,
) -> Result<T, Status> {
    let give_up_at = clock.now() + PATIENCE;
    let mut failures = 0;
    loop {
        let answer = call(DEADLINE.min(give_up_at - clock.now())).await;
        let Err(status) = answer else { return answer };
        failures += 1;
        let wait = retry_after(later(&status).wait, failures, clock.chance());
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

    #[tokio::test(start_paused = true)]
    async fn a_server_that_never_answers_is_given_up() {
        let clock = TestClock::new();
        let status = unary::<()>(&clock, DEADLINE, pending()).await.expect_err("late");
        assert_eq!((status.code(), clock.now()), (Code::DeadlineExceeded, 10_500.0));
    }

    /// The attempts that a call with this outcome makes, and when its last one ended.
    async fn attempts(outcome: Status) -> (u32, Millis) {
        let (clock, made, told) = (TestClock::new(), Cell::new(0), Cell::new(0));
        let answer = retrying::<()>(
            &clock,
            || told.set(told.get() + 1),
            async |_| {
                made.set(made.get() + 1);
                Err(outcome.clone())
            },
        );
        assert_eq!(answer.await.expect_err("never answers").code(), outcome.code());
        assert_eq!(told.get() + 1, made.get());
        (made.get(), clock.now())
    }

    #[tokio::test(start_paused = true)]
    async fn only_an_unreachable_server_is_tried_again_and_not_for_ever() {
        for code in [Code::InvalidArgument, Code::DeadlineExceeded, Code::Internal, Code::Unknown] {
            assert_eq!(attempts(Status::new(code, "")).await, (1, 0.0), "{code}");
        }
        let (made, until) = attempts(Status::unavailable("")).await;
        assert!((8..12).contains(&made) && (15_000.0..PATIENCE).contains(&until), "{made} until {until}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_says_when_is_asked_then() {
        let details = ErrorDetails::with_retry_info(Some(Duration::from_secs(8)));
        let full = Status::with_error_details(Code::Unavailable, "the disk is full", details);
        assert_eq!(attempts(full).await, (3, 24_000.0));
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_attempt_has_what_is_left_of_the_patience() {
        let clock = TestClock::new();
        let mut deadlines = Vec::new();
        let answer = retrying::<()>(
            &clock,
            || (),
            async |deadline| {
                deadlines.push(deadline);
                clock.sleep(deadline).await;
                Err(Status::unavailable("cut"))
            },
        );
        answer.await.expect_err("never answers");
        assert_eq!(deadlines, [10_000.0, 10_000.0, 4_625.0]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_is_back_answers() {
        let (clock, made) = (TestClock::new(), Cell::new(0));
        let answer = retrying(
            &clock,
            || (),
            async |_| {
                made.set(made.get() + 1);
                if made.get() < 3 { Err(Status::unavailable("")) } else { Ok(made.get()) }
            },
        );
        assert_eq!(answer.await.expect("the third attempt"), 3);
    }
}
