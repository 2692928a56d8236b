//! How much of the server anybody may take.

use std::{net::IpAddr, num::NonZeroU32, ops::RangeInclusive, time::Duration};

use clap::Args;
use ipnet::IpNet;

use crate::sessions::{MOST_REVOKED, SESSION_LIFE};

/// Most that one address may sign out in an hour, and at once. What has signed out is kept until it would have been over
/// anyway: one address alone never has as many as there is room for.
const MOST_SIGN_OUTS: usize = 7_000;
const _: () = assert!(MOST_SIGN_OUTS as u64 * (1 + SESSION_LIFE.as_secs() / 3_600) < MOST_REVOKED as u64);

/// On what terms clients are served. [`Default`] is what the flags say when nobody says otherwise.
#[derive(Args, Clone, PartialEq, Debug)]
#[command(next_help_heading = "Limits")]
pub struct Limits {
    /// Connections at a time. More wait until one ends.
    #[arg(id = "max_connections", long = "max-connections", env = "RIDES_MAX_CONNECTIONS", default_value = "10000", value_name = "N", value_parser = count::<1_000_000>)]
    pub connections: usize,

    /// Connections at a time from one address. More are closed.
    #[arg(id = "max_connections_per_address", long = "max-connections-per-address", env = "RIDES_MAX_CONNECTIONS_PER_ADDRESS", default_value = "1000", value_name = "N", value_parser = count::<1_000_000>)]
    pub connections_per_address: usize,

    /// New connections a second from one address; twice as many at once. Somewhat more wait for their turn, for up to 3 s,
    /// and others are closed. One whose client speaks no HTTP, or that is ended for a flood, counts for twenty more.
    #[arg(id = "max_connections_per_second", long = "max-connections-per-second", env = "RIDES_MAX_CONNECTIONS_PER_SECOND", default_value = "100", value_name = "N", value_parser = rate)]
    pub connections_per_second: NonZeroU32,

    /// Calls at a time on one HTTP/2 connection.
    #[arg(id = "max_streams", long = "max-streams", env = "RIDES_MAX_STREAMS", default_value = "256", value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub streams: u32,

    /// Calls at a time of one session, or of an address without one, over all connections, open streams included. All
    /// of one address have four times as many.
    #[arg(id = "max_calls_per_address", long = "max-calls-per-address", env = "RIDES_MAX_CALLS_PER_ADDRESS", default_value = "1000", value_name = "N", value_parser = count::<1_000_000>)]
    pub calls_per_address: usize,

    /// New calls a second of one session, or of an address without one; twice as many at once. All of one address have
    /// four times as many.
    #[arg(id = "max_calls_per_second", long = "max-calls-per-second", env = "RIDES_MAX_CALLS_PER_SECOND", default_value = "100", value_name = "N", value_parser = rate)]
    pub calls_per_second: NonZeroU32,

    /// Sessions that may sign out from one address in an hour, and as many at once, up to 7000: each is remembered for
    /// 12 hours, and 100,000 in all.
    #[arg(id = "max_sign_outs_per_hour", long = "max-sign-outs-per-hour", env = "RIDES_MAX_SIGN_OUTS_PER_HOUR", default_value = "1000", value_name = "N", value_parser = sign_outs)]
    pub sign_outs_per_hour: NonZeroU32,

    /// Messages a second in one stream of a client's, and as many at once.
    #[arg(id = "max_messages_per_second", long = "max-messages-per-second", env = "RIDES_MAX_MESSAGES_PER_SECOND", default_value = "100000", value_name = "N", value_parser = rate)]
    pub messages_per_second: NonZeroU32,

    /// Open rides of one rider: booked, and not over yet. Dispatchers may book more for a rider.
    #[arg(id = "max_open_rides", long = "max-open-rides", env = "RIDES_MAX_OPEN_RIDES", default_value = "10", value_name = "N", value_parser = count::<1_000_000>)]
    pub open_rides: usize,

    /// Open rides that guests have booked from one address.
    #[arg(id = "max_open_rides_per_address", long = "max-open-rides-per-address", env = "RIDES_MAX_OPEN_RIDES_PER_ADDRESS", default_value = "50", value_name = "N", value_parser = count::<1_000_000>)]
    pub open_rides_per_address: usize,

    /// Open rides that guests with a token have booked from exempt addresses, all together.
    #[arg(id = "max_open_rides_at_exempt_addresses", long = "max-open-rides-at-exempt-addresses", env = "RIDES_MAX_OPEN_RIDES_AT_EXEMPT_ADDRESSES", default_value = "1000", value_name = "N", value_parser = count::<1_000_000>)]
    pub open_rides_at_exempt_addresses: usize,

    /// Viewers of the fleet at a time, in all.
    #[arg(id = "max_viewers", long = "max-viewers", env = "RIDES_MAX_VIEWERS", default_value = "10000", value_name = "N", value_parser = count::<1_000_000>)]
    pub viewers: usize,

    /// Addresses that stand for many clients, like a proxy's: only sessions are told apart there.
    #[arg(
        id = "exempt_addresses",
        long = "exempt-addresses",
        env = "RIDES_EXEMPT_ADDRESSES",
        default_value = "127.0.0.0/8,::1/128",
        value_name = "CIDR",
        value_delimiter = ',',
        value_parser = network
    )]
    pub exempt: Vec<IpNet>,

    /// The largest request message, in bytes. A few methods have limits of their own.
    #[arg(id = "max_message_size", long = "max-message-size", env = "RIDES_MAX_MESSAGE_SIZE", default_value = "65536", value_name = "BYTES", value_parser = size::<1_024, 4_194_304>)]
    pub message: usize,

    /// The headers of a request, in bytes.
    #[arg(id = "max_header_size", long = "max-header-size", env = "RIDES_MAX_HEADER_SIZE", default_value = "16384", value_name = "BYTES", value_parser = size::<8_192, 1_048_576>)]
    pub headers: usize,

    /// How long a client may take to begin, and to send the headers of a request, in seconds.
    #[arg(id = "header_timeout", long = "header-timeout", env = "RIDES_HEADER_TIMEOUT", default_value = "30", value_name = "SECONDS", value_parser = seconds)]
    pub header_timeout: Duration,

    /// How long a request, or the first message of a client's stream, may take to arrive, in seconds.
    #[arg(id = "body_timeout", long = "body-timeout", env = "RIDES_BODY_TIMEOUT", default_value = "30", value_name = "SECONDS", value_parser = seconds)]
    pub body_timeout: Duration,

    /// How long a client's stream may say nothing between two messages, in seconds.
    #[arg(id = "upload_timeout", long = "upload-timeout", env = "RIDES_UPLOAD_TIMEOUT", default_value = "600", value_name = "SECONDS", value_parser = seconds)]
    pub upload_timeout: Duration,

    /// How long an HTTP/2 connection without a call is kept, in seconds.
    #[arg(id = "idle_timeout", long = "idle-timeout", env = "RIDES_IDLE_TIMEOUT", default_value = "300", value_name = "SECONDS", value_parser = seconds)]
    pub idle_timeout: Duration,

    /// How often an HTTP/2 client is asked whether it is there, in seconds.
    #[arg(id = "ping_interval", long = "ping-interval", env = "RIDES_PING_INTERVAL", default_value = "10", value_name = "SECONDS", value_parser = seconds)]
    pub ping: Duration,

    /// How long it may take to answer, in seconds.
    #[arg(id = "ping_timeout", long = "ping-timeout", env = "RIDES_PING_TIMEOUT", default_value = "5", value_name = "SECONDS", value_parser = seconds)]
    pub pong: Duration,

    /// Cancelled calls of one HTTP/2 connection that the server has not handled yet. One more closes the connection.
    #[arg(id = "max_resets", long = "max-resets", env = "RIDES_MAX_RESETS", default_value = "1000", value_name = "N", value_parser = count::<100_000>)]
    pub resets: usize,

    /// HTTP/2 frames a second of one connection, but for data; twice as many at once. A reset counts for four, and a call
    /// refused with RESOURCE_EXHAUSTED for a hundred, over HTTP/1.1 too. A connection that is over it is read more slowly.
    #[arg(id = "max_frames_per_second", long = "max-frames-per-second", env = "RIDES_MAX_FRAMES_PER_SECOND", default_value = "1000", value_name = "N", value_parser = rate)]
    pub frames_per_second: NonZeroU32,

    /// How long calls in progress may take to end at shutdown, in seconds up to 600.
    #[arg(id = "drain_timeout", long = "drain-timeout", env = "RIDES_DRAIN_TIMEOUT", default_value = "10", value_name = "SECONDS", value_parser = drain)]
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        let loopback = ["127.0.0.0/8", "::1/128"];
        Self {
            connections: 10_000,
            connections_per_address: 1_000,
            connections_per_second: NonZeroU32::MIN.saturating_add(99),
            streams: 256,
            calls_per_address: 1_000,
            calls_per_second: NonZeroU32::MIN.saturating_add(99),
            sign_outs_per_hour: NonZeroU32::MIN.saturating_add(999),
            messages_per_second: NonZeroU32::MIN.saturating_add(99_999),
            open_rides: 10,
            open_rides_per_address: 50,
            open_rides_at_exempt_addresses: 1_000,
            viewers: 10_000,
            exempt: loopback.iter().filter_map(|net| net.parse().ok()).collect(),
            message: 64 * 1024,
            headers: 16 * 1024,
            header_timeout: Duration::from_secs(30),
            body_timeout: Duration::from_secs(30),
            upload_timeout: Duration::from_secs(600),
            idle_timeout: Duration::from_secs(300),
            ping: Duration::from_secs(10),
            pong: Duration::from_secs(5),
            resets: 1_000,
            frames_per_second: NonZeroU32::MIN.saturating_add(999),
            drain: Duration::from_secs(10),
        }
    }
}

impl Limits {
    /// Whether `address` stands for many clients.
    pub(super) fn is_exempt(&self, address: IpAddr) -> bool {
        self.exempt.iter().any(|net| net.contains(&address))
    }
}

/// An address alone is a network of one.
fn network(text: &str) -> Result<IpNet, String> {
    let alone = |_| text.parse::<IpAddr>().map(IpNet::from);
    text.parse::<IpNet>().or_else(alone).map_err(|_| "an address, or a network such as 10.0.0.0/8".to_owned())
}

fn count<const MOST: usize>(text: &str) -> Result<usize, String> {
    whole(text, 1..=MOST)
}

fn size<const LEAST: usize, const MOST: usize>(text: &str) -> Result<usize, String> {
    whole(text, LEAST..=MOST)
}

fn rate(text: &str) -> Result<NonZeroU32, String> {
    rate_up_to(1_000_000, text)
}

fn sign_outs(text: &str) -> Result<NonZeroU32, String> {
    rate_up_to(MOST_SIGN_OUTS, text)
}

fn rate_up_to(most: usize, text: &str) -> Result<NonZeroU32, String> {
    let rate = whole(text, 1..=most)?;
    u32::try_from(rate).ok().and_then(NonZeroU32::new).ok_or_else(|| "must be a rate".to_owned())
}

fn whole(text: &str, range: RangeInclusive<usize>) -> Result<usize, String> {
    text.parse()
        .ok()
        .filter(|number| range.contains(number))
        .ok_or_else(|| format!("must be a whole number from {} to {}", range.start(), range.end()))
}

fn seconds(text: &str) -> Result<Duration, String> {
    duration(text, 0.1..=86_400.0)
}

fn drain(text: &str) -> Result<Duration, String> {
    duration(text, 0.0..=600.0)
}

/// NaN lies in no range, and the ranges are finite, so infinities are out too.
fn duration(text: &str, range: RangeInclusive<f64>) -> Result<Duration, String> {
    text.parse()
        .ok()
        .filter(|seconds| range.contains(seconds))
        .map(Duration::from_secs_f64)
        .ok_or_else(|| format!("must be a number from {} to {}", range.start(), range.end()))
}
