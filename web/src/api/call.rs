//! Unary calls: a deadline on every one, and retries where they are safe.

use std::pin::pin;

use futures_util::future::{Either, select};
use tonic::{Code, Status};

use super::{clock::Clock, connection::backoff};
use crate::model::Millis;

/// How long a call may take.
pub const DEADLINE: Millis = 10_000.0;
/// Given to the server's own DEADLINE_EXCEEDED to arrive before the page gives the call up.
const GRACE: Millis = 500.0;
/// Attempts after the first.
pub const RETRIES: u32 = 3;

/// The answer, or DEADLINE_EXCEEDED when the server does not keep to the deadline either.
pub async fn unary<T>(
    clock: &impl Clock,
    call: impl Future<Output = Result<T, Status>>,
) -> Result<T, Status> {
    within(clock, DEADLINE + GRACE, call).await
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

/// Tries again when the server could not be reached, with growing waits. Only for calls that are safe to repeat.
pub async fn retrying<T>(
    clock: &impl Clock,
    mut call: impl AsyncFnMut() -> Result<T, Status>,
) -> Result<T, Status> {
    for failures in 1..=RETRIES {
        match call().await {
            Err(status) if status.code() == Code::Unavailable => {
                clock.sleep(backoff(failures) * (1.0 + clock.chance())).await;
            }
            answer => return answer,
        }
    }
    call().await
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::{super::clock::TestClock, *};

    #[tokio::test(start_paused = true)]
    async fn a_server_that_never_answers_is_given_up() {
        let clock = TestClock::new();
        let status = unary::<()>(&clock, pending()).await.expect_err("late");
        assert_eq!((status.code(), clock.now()), (Code::DeadlineExceeded, 10_500.0));
    }

    #[tokio::test(start_paused = true)]
    async fn only_an_unreachable_server_is_tried_again_and_not_for_ever() {
        let clock = TestClock::new();
        for (code, attempts) in [(Code::Unavailable, 4), (Code::InvalidArgument, 1)] {
            let mut made = 0;
            let answer = retrying::<()>(&clock, async || {
                made += 1;
                Err(Status::new(code, ""))
            });
            assert_eq!(answer.await.expect_err("never answers").code(), code);
            assert_eq!(made, attempts);
        }
        let mut made = 0;
        let answer = retrying(&clock, async || {
            made += 1;
            if made < 3 { Err(Status::unavailable("")) } else { Ok(made) }
        });
        assert_eq!(answer.await.expect("the third attempt"), 3);
    }
}
