//! The choice of hosts for which browsers are told to use TLS only (HSTS, RFC 6797).

use std::net::IpAddr;

use http::{Request, uri::Authority};

use super::allowed_hosts::{authority, is_loopback_host};

/// Returns `true` if the response to `request` may have the `strict-transport-security` header, which depends on the
/// host name in the request.
pub(super) fn applies_to<B>(request: &Request<B>) -> bool {
    let called = authority(request).and_then(|authority| Authority::try_from(authority).ok());
    called.is_some_and(|called| applies(called.host()))
}

/// Returns `true` if HSTS makes sense for `host`, which is a name or an address without a port.
///
/// It does not for `localhost` and its kind: for a year it would also apply to every other server of the machine, on
/// any port. It does not for addresses, either: browsers must ignore it there (RFC 6797, section 8.1.1).
fn applies(host: &str) -> bool {
    let is_address = host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
    !host.is_empty() && !is_address && !is_loopback_host(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_name_in_the_request_that_counts() {
        let named =
            |uri: &str, host: &str| applies_to(&Request::get(uri).header("host", host).body(()).unwrap());
        assert!(named("/", "board.example:8443"));
        assert!(named("https://board.example/", "localhost"), "the host of the request target counts first");
        assert!(!named("/", "localhost:8443") && !named("/", "127.0.0.1:8443") && !named("/", "no host"));
        assert!(!applies_to(&Request::get("/").body(()).unwrap()));
    }

    #[test]
    fn names_of_other_machines_may_be_strict_and_nothing_else_may() {
        for host in ["board.example", "Board.Example.", "localhost.example", "board"] {
            assert!(applies(host), "{host}");
        }
        for host in [
            "",
            "localhost",
            "LOCALHOST.",
            "board.localhost",
            "127.0.0.1",
            "[::1]",
            "::1",
            "10.0.0.5",
            "[2001:db8::1]",
        ] {
            assert!(!applies(host), "{host}");
        }
    }
}
