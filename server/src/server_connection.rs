//! The connection of this program's own clients, `sim` and `client`, to a server: address, TLS, token and retries.

mod drive_stream;
mod errand;

use std::{path::Path, time::Duration};

use anyhow::{Context as _, ensure};
use rand::Rng;
use tonic::{
    Status,
    metadata::{Ascii, MetadataValue},
    transport::{Channel, Endpoint},
};
use tonic_types::StatusExt as _;

pub use self::{
    drive_stream::{DriveSender, DriveStream},
    errand::{DriverTask, DriverTaskStep},
};
use crate::tls::{Tls, client::Connector};

/// A server and the settings of connections to it.
#[derive(Clone)]
pub struct Server {
    endpoint: Endpoint,
    /// The connector for a server with TLS.
    tls: Option<Connector>,
}

impl Server {
    /// Returns the server at `url`, with TLS if the scheme is https. A CA in the file `ca` must have signed the
    /// server's certificate, or by default a CA that this system trusts.
    ///
    /// # Errors
    /// If `url` is not a URL, or `ca` cannot be read. Also if `ca` is given for plain HTTP: a caller that names a CA
    /// expects TLS, and would send its token unencrypted.
    pub fn new(url: &str, ca: Option<&Path>) -> anyhow::Result<Self> {
        let tls = url.starts_with("https:").then(|| Connector::trusting(ca)).transpose()?;
        ensure!(tls.is_some() || ca.is_none(), "{url} is not over TLS: use an https: URL, or leave out --ca");
        Self::over(url, tls)
    }

    /// Returns the server in this process, at `url`. It is trusted by its very certificate.
    ///
    /// # Errors
    /// If `url` is not a URL.
    pub fn this_process(url: &str, tls: Option<&Tls>) -> anyhow::Result<Self> {
        let tls = tls.map(|tls| Connector::to_own_server(tls.served().clone())).transpose()?;
        Self::over(url, tls)
    }

    fn over(url: &str, tls: Option<Connector>) -> anyhow::Result<Self> {
        let endpoint = Endpoint::from_shared(url.to_owned())
            .with_context(|| format!("{url} is not the URL of a server"))?
            .connect_timeout(Duration::from_secs(5))
            .http2_keep_alive_interval(Duration::from_secs(10))
            .keep_alive_timeout(Duration::from_secs(5))
            .tcp_nodelay(true);
        Ok(Self { endpoint, tls })
    }

    /// Sets the HTTP/2 window of each stream to `bytes`, instead of hyper's 2 MiB. The server can send this much ahead
    /// of the reader.
    pub fn with_window(self, bytes: u32) -> Self {
        Self { endpoint: self.endpoint.initial_stream_window_size(bytes), ..self }
    }

    /// Returns a channel, which connects at the first call and reconnects by itself.
    pub fn connect(&self) -> Channel {
        match &self.tls {
            Some(tls) => self.endpoint.connect_with_connector_lazy(tls.clone()),
            None => self.endpoint.connect_lazy(),
        }
    }
}

/// The metadata key of the token.
pub const AUTHORIZATION: &str = "authorization";

/// Returns the metadata value for `token`, which `Debug` does not print. `None` if `token` is not a single word.
pub fn bearer(token: &str) -> Option<MetadataValue<Ascii>> {
    let token = token.trim();
    let mut value: MetadataValue<Ascii> = format!("Bearer {token}").parse().ok()?;
    value.set_sensitive(true);
    (!token.is_empty() && !token.contains(char::is_whitespace)).then_some(value)
}

/// Returns the delay before retry number `attempt` (from 1), after a call that ended with `status`.
///
/// It is the delay in the status's `RetryInfo` plus a random part. The limit of the random part doubles from 0.25 s to
/// 8 s. It is random, so that clients that lost a server at the same time do not return at the same time.
pub fn backoff(attempt: u32, status: &Status, rng: &mut impl Rng) -> Duration {
    let asked = status.get_details_retry_info().and_then(|info| info.retry_delay).unwrap_or_default();
    let most = Duration::from_millis(250) * 2u32.pow(attempt.saturating_sub(1).min(5));
    asked + most.mul_f64(rng.random())
}

#[cfg(test)]
mod tests {
    use rand::{SeedableRng as _, rngs::SmallRng};
    use tonic::Code;
    use tonic_types::ErrorDetails;

    use super::*;

    #[test]
    fn a_ca_is_for_a_server_over_tls() {
        let ca = Path::new("ca.pem");
        let refused = Server::new("http://rides.example:8080", Some(ca)).err().unwrap();
        assert!(refused.to_string().starts_with("http://rides.example:8080 is not over TLS"), "{refused}");
        assert!(Server::new("http://rides.example:8080", None).is_ok());
    }

    #[test]
    fn a_token_is_one_word_and_nobody_sees_it() {
        let value = bearer(" abc.def\n").unwrap();
        assert_eq!(value, "Bearer abc.def");
        assert!(!format!("{value:?}").contains("abc"));
        for none in ["", " \n", "two words", "a\u{1}b"] {
            assert!(bearer(none).is_none(), "{none:?}");
        }
    }

    /// L12 in docs/failures.md.
    #[test]
    fn who_lost_a_server_together_does_not_come_back_together_nor_before_its_time() {
        let mut rng = SmallRng::seed_from_u64(1);
        let asked = Duration::from_secs(1);
        let going = ErrorDetails::with_retry_info(Some(asked));
        let going = Status::with_error_details(Code::Unavailable, "going", going);
        let gone = Status::unavailable("gone");
        for (attempt, most) in [(1, 0.25), (2, 0.5), (6, 8.0), (100, 8.0)] {
            let waits: Vec<_> = (0..1_000).map(|_| backoff(attempt, &gone, &mut rng).as_secs_f64()).collect();
            assert!(waits.iter().all(|wait| (0.0..=most).contains(wait)));
            let in_each_tenth = |n: u32| {
                let tenth = f64::from(n) * most / 10.0..f64::from(n + 1) * most / 10.0;
                waits.iter().filter(|wait| tenth.contains(wait)).count()
            };
            assert!((0..10).all(|n| in_each_tenth(n) > 50), "{waits:?}");
            assert!(backoff(attempt, &going, &mut rng) >= asked);
        }
    }
}
