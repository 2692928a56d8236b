//! Calls to one of several servers: the first of them that is not away.

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

use super::{args::Reach, bearer::Bearer};
use crate::{
    remote::{Server, backoff},
    terminal_text::clean,
};

/// How often all servers are tried before a call fails.
const ROUNDS: usize = 4;

/// The servers to call: one, and those that stand in for it, with the same rides.
///
/// All calls go to one server while it answers: what one call has opened is known there to the next. Whatever is called
/// is safe to repeat: reads, Book by its request id, Cancel. So a call that is not answered is made again, to the
/// stand-in after it; and once all of them are away, again after a while.
#[derive(Clone)]
pub struct Servers {
    all: Arc<[(String, Channel)]>,
    /// How often one was passed over.
    passed_over: Arc<AtomicUsize>,
    bearer: Bearer,
    timeout: Duration,
}

impl Servers {
    /// The servers that `reach` names. Each stream has a window of `window` bytes, or the usual one. Connects with the first
    /// call.
    ///
    /// Fails if an address is none, or the authority or the token are not what they should be.
    pub fn new(reach: &Reach, window: Option<u32>) -> anyhow::Result<Self> {
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
        Ok(Self { all, passed_over: Arc::default(), bearer, timeout: reach.timeout })
    }

    /// Whether calls show a token.
    pub fn have_token(&self) -> bool {
        self.bearer.is_some()
    }

    /// A unary call, answered within the timeout.
    pub async fn ask<Q: Clone, A>(
        &self,
        question: Q,
        call: impl AsyncFn(Channel, Request<Q>) -> Result<Response<A>, Status>,
    ) -> Result<A, Status> {
        let deadline = Instant::now() + self.timeout;
        let call = async |channel, mut request: Request<Q>| {
            request.set_timeout(deadline - Instant::now());
            call(channel, request).await
        };
        Ok(self.in_turn(|| question.clone(), deadline, call).await?.into_inner())
    }

    /// A stream, opened within the timeout, which may last as long as it likes.
    pub async fn open<Q, A>(
        &self,
        question: impl FnMut() -> Q,
        call: impl AsyncFn(Channel, Request<Q>) -> Result<Response<Streaming<A>>, Status>,
    ) -> Result<Streaming<A>, Status> {
        let call = async |channel, request: Request<Q>| {
            self.bearer.opens(&request);
            call(channel, request).await
        };
        Ok(self.in_turn(question, Instant::now() + self.timeout, call).await?.into_inner())
    }

    async fn in_turn<Q, A>(
        &self,
        mut question: impl FnMut() -> Q,
        deadline: Instant,
        call: impl AsyncFn(Channel, Request<Q>) -> Result<Response<A>, Status>,
    ) -> Result<Response<A>, Status> {
        let mut rounds = 1;
        loop {
            let mut away = Status::unavailable("there is no server to call");
            for untried in (1..=self.all.len() as u32).rev() {
                let chosen = self.passed_over.load(Relaxed);
                let (url, channel) = &self.all[chosen % self.all.len()];
                let request = self.bearer.on(question())?;
                // One that hangs leaves the others their share of the time.
                let share = (deadline - Instant::now()) / untried;
                away = match timeout(share, call(channel.clone(), request)).await {
                    Ok(Ok(answer)) => return Ok(answer),
                    Ok(Err(status)) if is_away(&status) => explained(url, status),
                    Ok(Err(status)) if !is_late(&status) => return Err(status),
                    Ok(Err(_)) | Err(_) => self.late(),
                };
                self.pass_over(chosen);
            }
            let wait = backoff(rounds, &away, &mut rand::rng());
            if rounds as usize >= ROUNDS || Instant::now() + wait >= deadline {
                return Err(away);
            }
            sleep(wait).await;
            rounds += 1;
        }
    }

    /// Whether a stream that ended so may be opened again: also one that was not opened in time, that the server had no
    /// room for, but said when it will, or whose token was renewed meanwhile.
    pub fn may_resume(&self, status: &Status) -> bool {
        let may = match status.code() {
            Code::DeadlineExceeded => true,
            Code::ResourceExhausted => status.get_details_retry_info().is_some(),
            Code::Unauthenticated => self.bearer.is_renewed(),
            _ => false,
        };
        may || is_away(status)
    }

    /// Once, however many calls find it away.
    fn pass_over(&self, chosen: usize) {
        self.passed_over.compare_exchange(chosen, chosen.wrapping_add(1), Relaxed, Relaxed).ok();
    }

    fn late(&self) -> Status {
        Status::deadline_exceeded(format!("no answer within {:?}", self.timeout))
    }
}

/// Whether there was no server, or it goes, or the connection broke. Only what is said here has a source.
fn is_away(status: &Status) -> bool {
    status.code() == Code::Unavailable || (status.source().is_some() && !is_late(status))
}

/// Why a stream broke, for people.
pub(super) fn why(status: &Status) -> String {
    match chain(status).last() {
        Some(cause) => format!("the connection broke: {}", clean(&cause.to_string())),
        None => clean(status.message()),
    }
}

/// tonic's own clock says CANCELLED.
fn is_late(status: &Status) -> bool {
    chain(status).any(|cause| cause.is::<tonic::TimeoutExpired>())
}

/// The same, with the server's address and the cause that says most, if it is about the connection.
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

    /// So many addresses, of which none is ever called.
    fn servers(count: u16) -> Servers {
        let url = |port| format!("http://127.0.0.1:{port}").parse().unwrap();
        let connect = (1..=count).map(url).collect();
        let timeout = Duration::from_secs(10);
        Servers::new(&Reach { connect, ca: None, token_file: None, timeout }, None).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_hangs_leaves_time_for_the_others() {
        let hangs = AtomicUsize::new(2);
        let call = async |_: Channel, _: Request<()>| match hangs.fetch_sub(1, Relaxed) {
            0 => Ok(Response::new("the third")),
            _ => pending().await,
        };
        assert_eq!(servers(3).ask((), call).await.unwrap(), "the third");
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
