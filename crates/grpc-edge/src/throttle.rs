//! Throttling of connections that send too many HTTP/2 frames, or whose calls are refused too often.
//!
//! Some HTTP/2 frames cost their sender nothing and make the server respond, or cancel a call that has just begun, and
//! HTTP/2 sets no limit on them. A refused call also costs the server more than its caller. So a connection that
//! exceeds `--max-frames-per-second` is read more slowly, and flow control makes its client send more slowly.

use std::{
    io::{self, IoSlice},
    mem::{self, MaybeUninit},
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::HeaderMap;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    task::yield_now,
    time::{Sleep, sleep},
};
use tonic::Code;

use super::{
    backlog::Backlog,
    protocol_detect::{HttpVersion, PREFACE},
    status,
    token_bucket::{BucketState, TokenBucket},
    transport::Transport,
};

/// The cost of a reset, in frames, whichever side sends it. A client stays below `--max-frames-per-second` even if it
/// cancels all the calls that `--max-calls-per-second` allows, and the server sends a reset for each because data was
/// on its way.
const RESET_COST: u32 = 4;
/// The most frames that are read while writes are blocked. h2 keeps a reply to each frame in memory until it can write
/// it, about 1 kB for a reset.
const MAX_FRAMES_WHILE_BLOCKED: u32 = 1_000;
/// The cost of a refused call, in frames.
const REFUSAL_COST: u32 = 100;
/// The most bytes of one read from a connection that is nearly in debt, or whose frames are many and small. h2 handles
/// everything that a read returns, so that a pause after a large read would come too late.
const SMALL_READ: usize = 1024;
/// The cost of one read, in frames, from which on the next read takes one piece.
const DENSE_READ_COST: u32 = 32;

/// Charges the connection for a call that was refused with RESOURCE_EXHAUSTED, according to the response `headers`.
/// Then the task yields before the client gets the response, so that other connections make progress during a burst of
/// refusals.
pub(super) async fn charge_refusal(account: &TokenBucket, headers: &HeaderMap) {
    if status::code_in(headers) == Some(Code::ResourceExhausted) {
        account.charge(REFUSAL_COST);
        yield_now().await;
    }
}

/// A byte stream that limits how fast its connection is read. It reads nothing while its account is overdrawn or calls
/// wait for their first poll, and at most [`MAX_FRAMES_WHILE_BLOCKED`] frames while writes are blocked.
pub(super) struct Throttled<S> {
    stream: S,
    /// `None` for a connection without a limit.
    account: Option<TokenBucket>,
    received: FrameHeaders,
    sent: FrameHeaders,
    /// Frames received since writes are blocked. `None` while they are not.
    frames_while_blocked: Option<u32>,
    pause: Option<Pin<Box<Sleep>>>,
    /// Limits the next read to [`SMALL_READ`], because the last one cost [`DENSE_READ_COST`] frames or more, or because
    /// it is the first one over HTTP/2.
    is_dense: bool,
    /// Makes the next poll return `Pending`. h2 hands over calls only when nothing is left to read.
    yield_next_poll: bool,
    backlog: Backlog,
}

impl<S> Throttled<S> {
    /// Creates it for a `stream` that is at its beginning and speaks `http`.
    pub(super) fn new(stream: S, http: HttpVersion, account: Option<TokenBucket>, backlog: Backlog) -> Self {
        Self {
            stream,
            account,
            received: FrameHeaders::received(http),
            sent: FrameHeaders::sent(http),
            frames_while_blocked: None,
            pause: None,
            is_dense: http == HttpVersion::Two,
            yield_next_poll: false,
            backlog,
        }
    }

    /// Records the result of a write of `slices`, and charges for the resets in it. h2 sends a reset for each frame of
    /// a stream that has ended. Such frames may be data frames, which are free when they are received.
    fn note_written<'a>(
        &mut self,
        slices: impl Iterator<Item = &'a [u8]>,
        written: &Poll<io::Result<usize>>,
    ) {
        let Poll::Ready(written) = written else {
            self.frames_while_blocked.get_or_insert(0);
            return;
        };
        self.frames_while_blocked = None;
        let (Some(account), Ok(written)) = (&self.account, written) else { return };
        let mut left = *written;
        for slice in slices {
            let (written, _) = slice.split_at(slice.len().min(left));
            account.charge(self.sent.cost(written, cost_of_sent));
            left -= written.len();
        }
    }
}

impl<S: Transport> AsyncRead for Throttled<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Self {
            stream,
            account,
            received,
            frames_while_blocked: unread,
            pause,
            is_dense,
            yield_next_poll: rests,
            backlog,
            ..
        } = &mut *self;
        if unread.is_some_and(|frames| frames >= MAX_FRAMES_WHILE_BLOCKED) {
            // No waker is registered here: the blocked write wakes the task of the connection, which also reads.
            return Poll::Pending;
        }
        if let Some(account) = account {
            while let Some(wait) = account.pause() {
                ready!(pause.get_or_insert_with(|| Box::pin(sleep(wait))).as_mut().poll(cx));
                *pause = None;
                // A read reports a reset only after all bytes before it, and those are read slowly.
                if let Some(error) = stream.take_error() {
                    return Poll::Ready(Err(error));
                }
            }
        }
        if mem::take(rests) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        ready!(backlog.poll_empty(cx));
        let in_pieces = *is_dense
            || unread.is_some()
            || account.as_ref().is_some_and(|account| account.state() != BucketState::Good);
        let before = buf.filled().len();
        ready!(match in_pieces {
            false => Pin::new(stream).poll_read(cx, buf),
            true => poll_read_piece(Pin::new(stream), cx, buf),
        })?;
        let mut frames = 0;
        let cost = received.cost(&buf.filled()[before..], |kind, length| {
            frames += 1;
            cost_of_received(kind, length)
        });
        if let Some(account) = account {
            account.charge(cost);
        }
        *is_dense = cost >= DENSE_READ_COST;
        *rests = *is_dense;
        if let Some(unread) = unread {
            *unread += frames;
        }
        Poll::Ready(Ok(()))
    }
}

fn poll_read_piece(
    stream: Pin<&mut impl AsyncRead>,
    cx: &mut Context<'_>,
    buf: &mut ReadBuf<'_>,
) -> Poll<io::Result<()>> {
    let mut piece = [MaybeUninit::uninit(); SMALL_READ];
    let mut piece = ReadBuf::uninit(&mut piece[..buf.remaining().min(SMALL_READ)]);
    ready!(stream.poll_read(cx, &mut piece))?;
    buf.put_slice(piece.filled());
    Poll::Ready(Ok(()))
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Throttled<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.note_written([bytes].into_iter(), &written);
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.note_written(slices.iter().map(|slice| &**slice), &written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

const FRAME_HEADER_LEN: usize = 9;
const DATA: u8 = 0;
const RST_STREAM: u8 = 3;

/// A parser of the frame headers in one direction of a connection. It skips payloads.
enum FrameHeaders {
    /// The connection is not HTTP/2.
    None,
    /// A frame: the `have` bytes of its header received so far, and the `left` bytes of its payload still to come.
    Frame { head: [u8; FRAME_HEADER_LEN], have: usize, left: usize },
}

impl FrameHeaders {
    /// Creates the parser of what the client sends.
    fn received(http: HttpVersion) -> Self {
        match http {
            HttpVersion::One => Self::None,
            // The preface is skipped like a payload.
            HttpVersion::Two => {
                Self::Frame { head: [0; FRAME_HEADER_LEN], have: FRAME_HEADER_LEN, left: PREFACE.len() }
            }
        }
    }

    /// Creates the parser of what the server sends, which has no preface.
    fn sent(http: HttpVersion) -> Self {
        match http {
            HttpVersion::One => Self::None,
            HttpVersion::Two => Self::Frame { head: [0; FRAME_HEADER_LEN], have: 0, left: 0 },
        }
    }

    /// Returns the cost of the next `bytes`, in frames. `cost_of` has the cost of a frame by its type and payload
    /// length.
    fn cost(&mut self, mut bytes: &[u8], mut cost_of: impl FnMut(u8, usize) -> u32) -> u32 {
        let mut cost = 0;
        while !bytes.is_empty() {
            bytes = match self {
                Self::None => return cost,
                Self::Frame { head, have, left } if *have < FRAME_HEADER_LEN => {
                    let (came, rest) = bytes.split_at(bytes.len().min(FRAME_HEADER_LEN - *have));
                    head[*have..*have + came.len()].copy_from_slice(came);
                    *have += came.len();
                    if *have == FRAME_HEADER_LEN {
                        let [a, b, c, kind, ..] = *head;
                        *left = u32::from_be_bytes([0, a, b, c]) as usize;
                        cost += cost_of(kind, *left);
                        *have = if *left == 0 { 0 } else { FRAME_HEADER_LEN };
                    }
                    rest
                }
                Self::Frame { have, left, .. } => {
                    let (payload, rest) = bytes.split_at(bytes.len().min(*left));
                    *left -= payload.len();
                    *have = if *left == 0 { 0 } else { FRAME_HEADER_LEN };
                    rest
                }
            };
        }
        cost
    }
}

/// Returns the cost of a received frame. Data is free, since flow control limits it. Empty data frames escape flow
/// control.
fn cost_of_received(kind: u8, length: usize) -> u32 {
    match kind {
        DATA if length > 0 => 0,
        RST_STREAM => RESET_COST,
        _ => 1,
    }
}

/// Returns the cost of a frame that the server sends.
fn cost_of_sent(kind: u8, _length: usize) -> u32 {
    if kind == RST_STREAM { RESET_COST } else { 0 }
}

#[cfg(test)]
mod tests {
    use std::{num::NonZeroU32, time::Duration};

    use futures_util::FutureExt as _;
    use proptest::prelude::*;
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _, duplex},
        net::{TcpListener, TcpStream},
        time::Instant,
    };

    use super::*;
    use crate::token_bucket::{MAX_DEBT, PAUSE_FACTOR};

    const SETTINGS: u8 = 4;
    const PING: u8 = 6;

    fn frame(kind: u8, payload: usize) -> Vec<u8> {
        let length = (payload as u32).to_be_bytes();
        [&length[1..], &[kind, 0, 0, 0, 0, 0], &vec![0; payload]].concat()
    }

    fn cost(http: HttpVersion, bytes: &[u8], pieces: usize) -> u32 {
        let mut heads = FrameHeaders::received(http);
        bytes.chunks(pieces).map(|piece| heads.cost(piece, cost_of_received)).sum()
    }

    proptest! {
        #[test]
        fn frames_cost_the_same_in_any_pieces(
            frames in prop::collection::vec((0u8..10, 0usize..40), 0..20),
            pieces in 1usize..60,
        ) {
            let bytes = frames.iter().flat_map(|(kind, length)| frame(*kind, *length));
            let bytes: Vec<u8> = PREFACE.iter().copied().chain(bytes).collect();
            let expected: u32 = frames.iter().map(|(kind, length)| cost_of_received(*kind, *length)).sum();
            prop_assert_eq!(cost(HttpVersion::Two, &bytes, pieces), expected);
        }

        #[test]
        fn what_is_no_http2_costs_nothing(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assume!(!bytes.starts_with(b"P"));
            prop_assert_eq!(cost(HttpVersion::One, &bytes, 7), 0);
        }
    }

    #[test]
    fn data_is_free_and_an_empty_frame_of_it_is_not() {
        let cost =
            |kind, length| cost(HttpVersion::Two, &[PREFACE.as_slice(), &frame(kind, length)].concat(), 1000);
        assert_eq!([cost(DATA, 1), cost(DATA, 0), cost(RST_STREAM, 4), cost(PING, 8)], [0, 1, RESET_COST, 1]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_is_read_at_its_pace_and_never_waits_for_long() {
        let account = TokenBucket::new(NonZeroU32::new(100).unwrap());
        let (near, mut far) = duplex(1 << 20);
        let mut near = Throttled::new(near, HttpVersion::Two, Some(account.clone()), Backlog::default());
        far.write_all(PREFACE).await.unwrap();
        far.write_all(&frame(PING, 8).repeat(600)).await.unwrap();
        let begun = Instant::now();
        let mut pings = vec![0; 17];
        near.read_exact(&mut [0; PREFACE.len()]).await.unwrap();
        for _ in 0..600 {
            near.read_exact(&mut pings).await.unwrap();
        }
        // A burst of 200, then 100 per second.
        let lasted = begun.elapsed();
        assert!(lasted > Duration::from_millis(3_900) && lasted < Duration::from_secs(6), "{lasted:?}");

        account.charge(u32::MAX);
        far.write_all(b"!").await.unwrap();
        let begun = Instant::now();
        near.read_u8().await.unwrap();
        assert!(begun.elapsed() <= MAX_DEBT.mul_f64(PAUSE_FACTOR.end), "{:?}", begun.elapsed());
    }

    /// CLIENT-2: h2 by itself would end the connection after 1,024 resets over its whole life.
    #[tokio::test(start_paused = true)]
    async fn resets_that_we_send_cost_the_connection_and_nothing_else_does() {
        let account = TokenBucket::new(NonZeroU32::new(10).unwrap());
        let (near, _far) = duplex(1 << 20);
        let mut near = Throttled::new(near, HttpVersion::Two, Some(account.clone()), Backlog::default());
        near.write_all(&[frame(SETTINGS, 6), frame(DATA, 2_000)].concat().repeat(100)).await.unwrap();
        let resets = frame(RST_STREAM, 4).repeat(4);
        for piece in resets.chunks(5) {
            near.write_all(piece).await.unwrap();
        }
        assert_eq!(account.state(), BucketState::Low, "16 of 20 frames");
        let resets = [IoSlice::new(&resets[..20]), IoSlice::new(&resets[20..])];
        assert_eq!(near.write_vectored(&resets).await.unwrap(), 52);
        assert_eq!(account.state(), BucketState::Exhausted(Duration::from_millis(1_200)));
    }

    /// CLIENT-2: a client that reads nothing cannot make the server keep an unlimited number of replies, also from an
    /// exempt address.
    #[tokio::test(start_paused = true)]
    async fn a_client_that_reads_nothing_is_read_no_further() {
        let (near, mut far) = duplex(1 << 20);
        let mut near = Throttled::new(near, HttpVersion::Two, None, Backlog::default());
        far.write_all(PREFACE).await.unwrap();
        far.write_all(&frame(DATA, 1).repeat(5_000)).await.unwrap();
        near.read_exact(&mut [0; PREFACE.len()]).await.unwrap();
        near.write_all(&vec![0; 1 << 20]).await.unwrap();
        assert!(near.write_u8(0).now_or_never().is_none(), "the write is blocked");
        let mut read = 0;
        let mut more = [0; 64 * 1024];
        while let Some(count) = near.read(&mut more).now_or_never() {
            read += count.unwrap();
        }
        let frames = read / 10;
        assert!(
            (MAX_FRAMES_WHILE_BLOCKED as usize..MAX_FRAMES_WHILE_BLOCKED as usize + 110).contains(&frames),
            "{frames} were read"
        );

        far.read_exact(&mut more).await.unwrap();
        near.write_u8(0).await.unwrap();
        assert!(near.read(&mut more).now_or_never().is_some(), "reading goes on after a write");
    }

    /// CLIENT-1: calls that are opened and cancelled in a burst do not pile up before the calls of other connections.
    #[tokio::test(start_paused = true)]
    async fn many_small_frames_are_read_in_pieces_and_not_before_the_calls_that_they_began() {
        let backlog = Backlog::default();
        let (near, mut far) = duplex(8 * SMALL_READ);
        let mut near = Throttled::new(near, HttpVersion::Two, None, backlog.clone());
        far.write_all(PREFACE).await.unwrap();
        far.write_all(&frame(PING, 8).repeat(400)).await.unwrap();
        let mut all = vec![0; 8 * SMALL_READ];
        let mut read = async || near.read(&mut all).now_or_never().map(Result::unwrap);
        assert_eq!([read().await, read().await, read().await], [Some(SMALL_READ), None, Some(SMALL_READ)]);
        let call = backlog.begin();
        assert_eq!([read().await, read().await, read().await], [None; 3]);
        drop(call);
        assert_eq!([read().await, read().await], [Some(SMALL_READ), None]);
    }

    /// R7: the received bytes of an overdrawn connection would take minutes to read. After a reset they are dropped.
    #[tokio::test(start_paused = true)]
    async fn a_client_that_has_reset_its_connection_is_not_read_to_the_end() {
        let account = TokenBucket::new(NonZeroU32::new(10).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut far = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (near, _) = listener.accept().await.unwrap();
        let flood = [PREFACE.as_slice(), &frame(PING, 8).repeat(1_000)].concat();
        far.write_all(&flood).await.unwrap();
        far.set_zero_linger().unwrap();
        drop(far);
        let mut near = Throttled::new(near, HttpVersion::Two, Some(account), Backlog::default());
        let mut all = Vec::new();
        let error = near.read_to_end(&mut all).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        assert!(all.len() <= 2 * SMALL_READ, "{} bytes were read first", all.len());
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_nearly_in_debt_is_read_in_pieces() {
        let account = TokenBucket::new(NonZeroU32::new(1_000).unwrap());
        let (near, mut far) = duplex(8 * SMALL_READ);
        let mut near = Throttled::new(near, HttpVersion::One, Some(account.clone()), Backlog::default());
        far.write_all(&[7; 6 * SMALL_READ]).await.unwrap();
        let mut all = vec![0; 8 * SMALL_READ];
        assert_eq!(near.read(&mut all[..4 * SMALL_READ]).await.unwrap(), 4 * SMALL_READ);
        account.charge(1_500);
        assert_eq!(near.read(&mut all[..7]).await.unwrap(), 7);
        assert_eq!(near.read(&mut all).await.unwrap(), SMALL_READ);
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_refused_pays_and_who_is_answered_does_not() {
        let account = TokenBucket::new(NonZeroU32::new(1_000).unwrap());
        let with =
            |status: &str| HeaderMap::from_iter([("grpc-status".parse().unwrap(), status.parse().unwrap())]);
        for _ in 0..1_000 {
            charge_refusal(&account, &with("0")).await;
            charge_refusal(&account, &with("13")).await;
            charge_refusal(&account, &HeaderMap::new()).await;
        }
        assert_eq!(account.state(), BucketState::Good);
        for _ in 0..21 {
            charge_refusal(&account, &with("8")).await;
        }
        assert_eq!(account.state(), BucketState::Exhausted(Duration::from_millis(100)));
    }
}
