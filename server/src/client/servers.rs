//! Calls with failover between several servers.

use std::{
    error::Error,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use anyhow::Chain;
use tokio::time::{Instant, sleep, timeout};
use tonic::{Code, Request, Response, Status, Streaming, transport::Channel};
use tonic_types::StatusExt as _;

use super::{args::ServerArgs, bearer::Bearer};
use crate::{
    server_connection::{Server, backoff},
    terminal_text::strip_controls,
};

/// The maximum number of rounds over all servers before a call fails.
const ROUNDS: usize = 4;

/// One or more servers with the same rides.
///
/// All calls go to one server while it is available, so that each call sees the effects of those before it. If it is
/// unavailable or does not respond, the call is repeated on the next server. After a round over all servers it is
/// repeated after a backoff. All calls of the client are safe to repeat: reads, `Book` by its request id, `Cancel`.
#[derive(Clone)]
pub struct Servers {
    all: Arc<[(String, Channel)]>,
    /// The number of failovers. Modulo the number of servers, it is the index of the current server.
    failovers: Arc<AtomicUsize>,
    bearer: Bearer,
    timeout: Duration,
}

impl Servers {
    /// Makes handles for the servers in `drivable_distance`. Each connects at the first call. `window` is the HTTP/2
    /// flow control window of a stream in bytes, `None` the default.
    ///
    /// Fails if a URL, the CA or the token is invalid.
    pub fn new(reach: &ServerArgs, window: Option<u32>) -> anyhow::Result<Self> {
        let connect = |url: &http::Uri| {
            let url = url.to_string();
            let server = Server::new(&url, reach.ca.as_deref())?;
            let server = match window {
                Some(bytes) => server.with_window(bytes),
                None => server,
            };
            anyhow::Ok((url.trim_end_matches('/').to_owned(), server.connect()))
        };
        let all: Arc<[_]> = reach.connect.iter().map(connect).collect::<Result<_, _>>()?;
        let bearer = Bearer::new(reach.token_file.clone())?;
        Ok(Self { all, failovers: Arc::default(), bearer, timeout: reach.timeout })
    }

    /// Returns `true` if calls have a token.
    pub fn have_token(&self) -> bool {
        self.bearer.is_some()
    }

    /// Makes a unary call, including all its attempts, within the timeout.
    pub async fn unary<Q: Clone, A>(
        &self,
        question: Q,
        call: impl AsyncFn(Channel, Request<Q>) -> Result<Response<A>, Status>,
    ) -> Result<A, Status> {
        let deadline = Instant::now() + self.timeout;
        let call = async |channel, mut request: Request<Q>| {
            request.set_timeout(deadline - Instant::now());
            call(channel, request).await
        };
        Ok(self.with_failover(|| question.clone(), deadline, call).await?.into_inner())
    }

    /// Opens a stream within the timeout. The stream itself has no deadline.
    pub async fn open<Q, A>(
        &self,
        question: impl FnMut() -> Q,
        call: impl AsyncFn(Channel, Request<Q>) -> Result<Response<Streaming<A>>, Status>,
    ) -> Result<Streaming<A>, Status> {
        let call = async |channel, request: Request<Q>| {
            self.bearer.opens(&request);
            call(channel, request).await
        };
        Ok(self.with_failover(question, Instant::now() + self.timeout, call).await?.into_inner())
    }

    /// Makes a call on the current server, and on the others if that one fails. Fails with the last error.
    async fn with_failover<Q, A>(
        &self,
        mut question: impl FnMut() -> Q,
        deadline: Instant,
        call: impl AsyncFn(Channel, Request<Q>) -> Result<Response<A>, Status>,
    ) -> Result<Response<A>, Status> {
        let mut rounds = 1;
        loop {
            let mut away = Status::unavailable("no server is configured");
            for untried in (1..=self.all.len() as u32).rev() {
                let chosen = self.failovers.load(Relaxed);
                let (url, channel) = &self.all[chosen % self.all.len()];
                let request = self.bearer.request(question())?;
                // A server that hangs takes only its part of the time that is left.
                let share = (deadline - Instant::now()) / untried;
                away = match timeout(share, call(channel.clone(), request)).await {
                    Ok(Ok(answer)) => return Ok(answer),
                    Ok(Err(status)) if is_unavailable(&status) => explained(url, status),
                    Ok(Err(status)) if !is_late(&status) => return Err(status),
                    Ok(Err(_)) | Err(_) => self.late(),
                };
                self.fail_over(chosen);
            }
            let wait = backoff(rounds, &away, &mut rand::rng());
            if rounds as usize >= ROUNDS || Instant::now() + wait >= deadline {
                return Err(away);
            }
            sleep(wait).await;
            rounds += 1;
        }
    }

    /// Returns `true` if a stream that ended with `status` may be opened again:
    ///
    /// - the server was unavailable or the connection broke,
    /// - the stream was not opened in time,
    /// - the server refused it and said when to retry,
    /// - its token was rejected, and there is a new one.
    pub fn may_resume(&self, status: &Status) -> bool {
        let may = match status.code() {
            Code::DeadlineExceeded => true,
            Code::ResourceExhausted => status.get_details_retry_info().is_some(),
            Code::Unauthenticated => self.bearer.is_renewed(),
            _ => false,
        };
        may || is_unavailable(status)
    }

    /// Moves to the next server. Does nothing if another call has moved on from `chosen` already.
    fn fail_over(&self, chosen: usize) {
        self.failovers.compare_exchange(chosen, chosen.wrapping_add(1), Relaxed, Relaxed).ok();
    }

    fn late(&self) -> Status {
        Status::deadline_exceeded(format!("no response within {:?}", self.timeout))
    }
}

/// Returns `true` if the server was not reachable or shuts down, or if the connection broke. A status with a source
/// was made in this process, by tonic; a status of the server has none.
fn is_unavailable(status: &Status) -> bool {
    status.code() == Code::Unavailable || (status.source().is_some() && !is_late(status))
}

/// Returns the reason for the end of a stream, as text for people.
pub(super) fn end_reason(status: &Status) -> String {
    match chain(status).last() {
        Some(cause) => format!("the connection broke: {}", strip_controls(&cause.to_string())),
        None => strip_controls(status.message()),
    }
}

/// Returns `true` if tonic's own timeout ended the call. Its code is CANCELLED, so the cause tells.
fn is_late(status: &Status) -> bool {
    chain(status).any(|cause| cause.is::<tonic::TimeoutExpired>())
}

/// Adds the URL of the server and the innermost cause to a status about the connection. Returns others as they are.
fn explained(url: &str, status: Status) -> Status {
    match chain(&status).last() {
        Some(cause) => Status::unavailable(format!("cannot reach {url}: {cause}")),
        None => status,
    }
}

fn chain(status: &Status) -> impl Iterator<Item = &(dyn Error + 'static)> {
    Chain::new(status).skip(1)
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    /// Makes handles for `count` servers, of which none is called.
    fn servers(count: u16) -> Servers {
        let url = |port| format!("http://127.0.0.1:{port}").parse().unwrap();
        let connect = (1..=count).map(url).collect();
        let timeout = Duration::from_secs(10);
        Servers::new(&ServerArgs { connect, ca: None, token_file: None, timeout }, None).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_hangs_leaves_time_for_the_others() {
        let hangs = AtomicUsize::new(2);
        let call = async |_: Channel, _: Request<()>| match hangs.fetch_sub(1, Relaxed) {
            0 => Ok(Response::new("the third")),
            _ => pending().await,
        };
        assert_eq!(servers(3).unary((), call).await.unwrap(), "the third");
    }

    #[tokio::test(start_paused = true)]
    async fn where_all_hang_it_is_late_and_a_stream_is_opened_again() {
        for count in [1, 3] {
            let began = Instant::now();
            let call = async |_: Channel, _: Request<()>| pending().await;
            let servers = servers(count);
            let late = servers.open::<(), ()>(|| (), call).await.unwrap_err();
            assert_eq!((late.code(), began.elapsed().as_secs()), (Code::DeadlineExceeded, 10));
            assert!(servers.may_resume(&late));
        }
    }
}
