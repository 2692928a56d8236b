//! The origin of a page, in the form of the `origin` header.

use std::{net::Ipv6Addr, str::FromStr};

use http::{HeaderValue, Uri};

/// An origin in the one form that browsers send.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Origin {
    value: HeaderValue,
    /// The host without its port, for an http or https origin.
    web_host: Option<String>,
}

impl Origin {
    /// The value of the header `origin`.
    pub(super) fn value(&self) -> &HeaderValue {
        &self.value
    }

    /// Returns the host of an http or https origin, and `None` for an origin with another scheme.
    pub fn web_host(&self) -> Option<&str> {
        self.web_host.as_deref()
    }
}

impl FromStr for Origin {
    type Err = String;

    /// Parses an origin. Capitals, a default port and a slash at the end are accepted and normalized.
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "null" => {
                return Err(
                    "null is the origin that browsers send for local files, sandboxed frames and data: URLs \
                            of any author, so that it would allow all pages: serve the page from a web server"
                        .to_owned(),
                );
            }
            _ if text.contains('*') => return Err("there is no wildcard: name each origin".to_owned()),
            _ if !text.is_ascii() => {
                return Err("must be written in punycode (xn--…), as browsers send it".to_owned());
            }
            _ => {}
        }
        let not_an_origin =
            || "must be SCHEME://HOST or SCHEME://HOST:PORT, like https://board.example".to_owned();
        let (scheme, rest) = text.split_once("://").ok_or_else(not_an_origin)?;
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if rest.contains(['/', '?', '#']) {
            return Err("an origin has no path: only SCHEME://HOST or SCHEME://HOST:PORT".to_owned());
        }
        let scheme = scheme.to_ascii_lowercase();
        if !is_scheme(&scheme) {
            return Err(not_an_origin());
        }
        let uri: Uri = format!("{scheme}://{rest}").parse().map_err(|_| not_an_origin())?;
        let authority = uri.authority().filter(|authority| !authority.host().is_empty());
        let host = authority.ok_or_else(not_an_origin)?.host();
        let port = match rest.strip_prefix(host) {
            Some("" | ":") => None,
            Some(port) => {
                let port = port.strip_prefix(':').and_then(|port| port.parse::<u16>().ok());
                Some(port.ok_or_else(|| "the port must be a number from 0 to 65535".to_owned())?)
            }
            None => return Err("an origin has no user name or password".to_owned()),
        };
        let (host, port) = match scheme.as_str() {
            "http" => (of_web(host), port.filter(|port| *port != 80)),
            "https" => (of_web(host), port.filter(|port| *port != 443)),
            // The scheme of an app. Its web view sends the host unchanged.
            _ => (host.to_owned(), port),
        };
        let port = port.map_or_else(String::new, |port| format!(":{port}"));
        let value =
            HeaderValue::from_str(&format!("{scheme}://{host}{port}")).map_err(|_| not_an_origin())?;
        let web_host = ["http", "https"].contains(&scheme.as_str()).then_some(host);
        Ok(Self { value, web_host })
    }
}

/// Returns `true` if `scheme` is one by RFC 3986, section 3.1, in lower case.
fn is_scheme(scheme: &str) -> bool {
    scheme.starts_with(|first: char| first.is_ascii_lowercase())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
}

/// Returns `host` in the form that browsers send: IPv6 addresses are shortened, and names are in lower case.
fn of_web(host: &str) -> String {
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    match address.and_then(|address| address.parse::<Ipv6Addr>().ok()) {
        Some(address) => format!("[{address}]"),
        None => host.to_ascii_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(text: &str) -> String {
        text.parse::<Origin>().unwrap().value().to_str().unwrap().to_owned()
    }

    #[test]
    fn an_origin_is_what_a_browser_sends() {
        for (text, browsers) in [
            ("https://board.example", "https://board.example"),
            ("https://board.example:443", "https://board.example"),
            ("http://board.example:80", "http://board.example"),
            ("http://board.example:443", "http://board.example:443"),
            ("https://board.example:80", "https://board.example:80"),
            ("https://board.example:08443", "https://board.example:8443"),
            ("HTTPS://Board.Example/", "https://board.example"),
            ("https://board.example:", "https://board.example"),
            ("http://127.0.0.1:8081", "http://127.0.0.1:8081"),
            ("http://[0:0::1]:8081", "http://[::1]:8081"),
            ("http://tauri.localhost", "http://tauri.localhost"),
            ("https://xn--bcher-kva.example", "https://xn--bcher-kva.example"),
        ] {
            assert_eq!(sent(text), browsers, "{text}");
        }
    }

    #[test]
    fn an_app_has_an_origin_of_its_own_scheme() {
        for app in [
            "capacitor://localhost",
            "ionic://localhost",
            "tauri://localhost",
            "app://.",
            "app://-",
            "app://Board",
            "chrome-extension://gighmmpiobklfepjocnamgkkbiglidom",
        ] {
            assert_eq!(sent(app), app);
            assert_eq!(app.parse::<Origin>().unwrap().web_host(), None);
        }
        assert_eq!("https://Board.example:1".parse::<Origin>().unwrap().web_host(), Some("board.example"));
    }

    #[test]
    fn what_is_no_origin_is_told_why() {
        for (text, says) in [
            ("null", "would allow all pages"),
            ("*", "no wildcard"),
            ("https://*.board.example", "no wildcard"),
            ("", "must be SCHEME://HOST"),
            ("board.example", "must be SCHEME://HOST"),
            ("board.example:443", "must be SCHEME://HOST"),
            ("https://", "must be SCHEME://HOST"),
            ("https:///", "must be SCHEME://HOST"),
            ("://board.example", "must be SCHEME://HOST"),
            ("https://board example", "must be SCHEME://HOST"),
            ("https://board.example\u{7f}", "must be SCHEME://HOST"),
            ("https://board.example/page", "no path"),
            ("https://board.example//", "no path"),
            ("https://board.example?q", "no path"),
            ("https://board.example#top", "no path"),
            ("https://board.example:https", "the port"),
            ("https://board.example:65536", "the port"),
            ("https://ada@board.example", "no user name"),
            ("https://bücher.example", "punycode"),
        ] {
            let error = text.parse::<Origin>().unwrap_err();
            assert!(error.contains(says), "{text:?}: {error}");
        }
    }
}
