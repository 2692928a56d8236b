//! The limits of the port, as command-line flags.

use std::{net::IpAddr, num::NonZeroU32, time::Duration};

use ipnet::IpNet;

#[cfg(feature = "clap")]
use self::parse::{count, drain, network, rate, seconds, size};

/// The limits that clients are held to. [`Default`] has the defaults of the flags.
#[derive(Clone, PartialEq, Debug)]
#[cfg_attr(feature = "clap", derive(clap::Args), command(next_help_heading = "Limits"))]
pub struct Limits {
    /// Most open connections; more wait until one ends
    #[cfg_attr(feature = "clap", arg(id = "max_connections", long = "max-connections", default_value = "10000", value_name = "N", value_parser = count::<1_000_000>))]
    pub max_connections: usize,

    /// Most open connections from one address; more are closed
    #[cfg_attr(feature = "clap", arg(id = "max_connections_per_address", long = "max-connections-per-address", default_value = "1000", value_name = "N", value_parser = count::<1_000_000>))]
    pub max_connections_per_address: usize,

    /// Most new connections per second from one address; twice as many may come at once
    #[cfg_attr(feature = "clap", arg(id = "max_connections_per_second", long = "max-connections-per-second", default_value = "100", value_name = "N", value_parser = rate))]
    pub max_connections_per_second: NonZeroU32,

    /// Most calls in progress on one HTTP/2 connection
    #[cfg_attr(feature = "clap", arg(id = "max_streams", long = "max-streams", default_value = "256", value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000)))]
    pub max_streams: u32,

    /// Most calls in progress of one session, or of one address without a session
    #[cfg_attr(feature = "clap", arg(id = "max_calls_per_address", long = "max-calls-per-address", default_value = "1000", value_name = "N", value_parser = count::<1_000_000>))]
    pub max_calls_per_address: usize,

    /// Most new calls per second of one session, or of one address without a session
    #[cfg_attr(feature = "clap", arg(id = "max_calls_per_second", long = "max-calls-per-second", default_value = "100", value_name = "N", value_parser = rate))]
    pub max_calls_per_second: NonZeroU32,

    /// Most messages per second in one client stream, with bursts of as many; more are read later
    #[cfg_attr(feature = "clap", arg(id = "max_messages_per_second", long = "max-messages-per-second", default_value = "100000", value_name = "N", value_parser = rate))]
    pub max_messages_per_second: NonZeroU32,

    /// Addresses and networks that are exempt from limits per address and per connection, for example a proxy
    #[cfg_attr(feature = "clap", arg(
        id = "exempt_addresses",
        long = "exempt-addresses",
        default_value = "127.0.0.0/8,::1/128",
        value_name = "CIDR",
        value_delimiter = ',',
        value_parser = network
    ))]
    pub exempt_addresses: Vec<IpNet>,

    /// Largest request message, in bytes; a few methods have limits of their own
    #[cfg_attr(feature = "clap", arg(id = "max_message_size", long = "max-message-size", default_value = "65536", value_name = "BYTES", value_parser = size::<1_024, 4_194_304>))]
    pub max_message_size: usize,

    /// Largest size of the headers of a request, in bytes
    #[cfg_attr(feature = "clap", arg(id = "max_header_size", long = "max-header-size", default_value = "16384", value_name = "BYTES", value_parser = size::<8_192, 1_048_576>))]
    pub max_header_size: usize,

    /// Close a connection that has not sent the headers of a request within this time, in seconds
    #[cfg_attr(feature = "clap", arg(id = "header_timeout", long = "header-timeout", default_value = "30", value_name = "SECONDS", value_parser = seconds))]
    pub header_timeout: Duration,

    /// End a call whose first message has not arrived within this time, in seconds
    #[cfg_attr(feature = "clap", arg(id = "body_timeout", long = "body-timeout", default_value = "30", value_name = "SECONDS", value_parser = seconds))]
    pub body_timeout: Duration,

    /// End a client stream that has sent no message for this long, in seconds
    #[cfg_attr(feature = "clap", arg(id = "upload_timeout", long = "upload-timeout", default_value = "600", value_name = "SECONDS", value_parser = seconds))]
    pub upload_timeout: Duration,

    /// Close an HTTP/2 connection that has had no call for this long, in seconds
    #[cfg_attr(feature = "clap", arg(id = "idle_timeout", long = "idle-timeout", default_value = "300", value_name = "SECONDS", value_parser = seconds))]
    pub idle_timeout: Duration,

    /// Interval between HTTP/2 pings to a client, in seconds
    #[cfg_attr(feature = "clap", arg(id = "ping_interval", long = "ping-interval", default_value = "10", value_name = "SECONDS", value_parser = seconds))]
    pub ping_interval: Duration,

    /// Close an HTTP/2 connection that has not answered a ping for this long, in seconds
    #[cfg_attr(feature = "clap", arg(id = "ping_timeout", long = "ping-timeout", default_value = "5", value_name = "SECONDS", value_parser = seconds))]
    pub ping_timeout: Duration,

    /// Most cancelled calls that wait to be handled on one HTTP/2 connection; one more closes it
    #[cfg_attr(feature = "clap", arg(id = "max_resets", long = "max-resets", default_value = "1000", value_name = "N", value_parser = count::<100_000>))]
    pub max_resets: usize,

    /// Most HTTP/2 frames per second on one connection, without data frames; beyond, it is read more slowly
    #[cfg_attr(feature = "clap", arg(id = "max_frames_per_second", long = "max-frames-per-second", default_value = "1000", value_name = "N", value_parser = rate))]
    pub max_frames_per_second: NonZeroU32,

    /// Time that calls in progress have to end at shutdown, in seconds, from 0 to 600
    #[cfg_attr(feature = "clap", arg(id = "drain_timeout", long = "drain-timeout", default_value = "10", value_name = "SECONDS", value_parser = drain))]
    pub drain_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        let loopback = ["127.0.0.0/8", "::1/128"];
        Self {
            max_connections: 10_000,
            max_connections_per_address: 1_000,
            max_connections_per_second: NonZeroU32::MIN.saturating_add(99),
            max_streams: 256,
            max_calls_per_address: 1_000,
            max_calls_per_second: NonZeroU32::MIN.saturating_add(99),
            max_messages_per_second: NonZeroU32::MIN.saturating_add(99_999),
            exempt_addresses: loopback.iter().filter_map(|net| net.parse().ok()).collect(),
            max_message_size: 64 * 1024,
            max_header_size: 16 * 1024,
            header_timeout: Duration::from_secs(30),
            body_timeout: Duration::from_secs(30),
            upload_timeout: Duration::from_secs(600),
            idle_timeout: Duration::from_secs(300),
            ping_interval: Duration::from_secs(10),
            ping_timeout: Duration::from_secs(5),
            max_resets: 1_000,
            max_frames_per_second: NonZeroU32::MIN.saturating_add(999),
            drain_timeout: Duration::from_secs(10),
        }
    }
}

impl Limits {
    /// Returns `true` if `address` is one of `--exempt-addresses`.
    pub(super) fn is_exempt(&self, address: IpAddr) -> bool {
        self.exempt_addresses.iter().any(|net| net.contains(&address))
    }
}

#[cfg(feature = "clap")]
mod parse {
    //! The parsers of the flags.

    use std::{net::IpAddr, num::NonZeroU32, ops::RangeInclusive, time::Duration};

    use ipnet::IpNet;

    /// Parses a network, or an address as a network of one address.
    pub(super) fn network(text: &str) -> Result<IpNet, String> {
        let alone = |_| text.parse::<IpAddr>().map(IpNet::from);
        text.parse::<IpNet>()
            .or_else(alone)
            .map_err(|_| "must be an address or a network, for example 10.0.0.0/8".to_owned())
    }

    pub(super) fn count<const MOST: usize>(text: &str) -> Result<usize, String> {
        whole(text, 1..=MOST)
    }

    pub(super) fn size<const LEAST: usize, const MOST: usize>(text: &str) -> Result<usize, String> {
        whole(text, LEAST..=MOST)
    }

    pub(super) fn rate(text: &str) -> Result<NonZeroU32, String> {
        let rate = whole(text, 1..=1_000_000)?;
        u32::try_from(rate).ok().and_then(NonZeroU32::new).ok_or_else(|| "must be a rate".to_owned())
    }

    fn whole(text: &str, range: RangeInclusive<usize>) -> Result<usize, String> {
        text.parse()
            .ok()
            .filter(|number| range.contains(number))
            .ok_or_else(|| format!("must be a whole number from {} to {}", range.start(), range.end()))
    }

    pub(super) fn seconds(text: &str) -> Result<Duration, String> {
        duration(text, 0.1..=86_400.0)
    }

    pub(super) fn drain(text: &str) -> Result<Duration, String> {
        duration(text, 0.0..=600.0)
    }

    /// Parses a number of seconds within `range`. A range contains no NaN, and a finite one no infinity.
    fn duration(text: &str, range: RangeInclusive<f64>) -> Result<Duration, String> {
        text.parse()
            .ok()
            .filter(|seconds| range.contains(seconds))
            .map(Duration::from_secs_f64)
            .ok_or_else(|| format!("must be a number from {} to {}", range.start(), range.end()))
    }
}
