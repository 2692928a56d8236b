//! The Content-Security-Policy of the page.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use http::HeaderValue;
use sha2::{Digest as _, Sha256};

/// Returns the policy of `html`. It allows files of this origin, and the inline scripts and styles in `html`: the build
/// puts the page's styles there, and a small script that starts it. Everything else is forbidden, also style
/// attributes.
pub(super) fn policy(html: &str) -> HeaderValue {
    let (scripts, styles) = (hashes(html, "script"), hashes(html, "style"));
    let policy = format!(
        "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'{scripts}; style-src 'self'{styles}; \
         connect-src 'self'; img-src 'self' data:; manifest-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
    );
    HeaderValue::try_from(policy).unwrap_or(HeaderValue::from_static("default-src 'none'"))
}

/// Returns the hashes of all inline `tag` elements in `html`, in the syntax of the policy.
fn hashes(html: &str, tag: &str) -> String {
    let (begin, end) = (format!("<{tag}"), format!("</{tag}>"));
    let contents = html.split(&begin).skip(1).filter_map(|rest| {
        let (attributes, rest) = rest.split_once('>')?;
        let (content, _) = rest.split_once(&end)?;
        (!attributes.contains("src=")).then_some(content)
    });
    contents.map(|content| format!(" 'sha256-{}'", BASE64_STANDARD.encode(Sha256::digest(content)))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inline_scripts_are_allowed_by_their_hash() {
        let html = "<html><script type=\"module\">alert(1)</script><script src=\"/a.js\"></script></html>";
        let policy = policy(html);
        let policy = policy.to_str().unwrap();
        // printf 'alert(1)' | openssl dgst -sha256 -binary | base64
        assert!(policy.contains("'wasm-unsafe-eval' 'sha256-bhHHL3z2vDgxUt0W3dWQOrprscmda2Y5pLsLg4GF+pI=';"));
        assert_eq!(policy.matches("sha256-").count(), 1);
    }

    #[test]
    fn inline_styles_are_allowed_by_their_hash() {
        let policy = policy("<head><style>p{}</style></head><p style=\"color:red\">");
        let policy = policy.to_str().unwrap();
        // printf 'p{}' | openssl dgst -sha256 -binary | base64
        assert!(policy.contains("style-src 'self' 'sha256-gG2yISYereRMiG2lMXrbiUgi0Ubw9p7QCeWcroOvy9Y=';"));
        assert_eq!(policy.matches("sha256-").count(), 1);
    }

    #[test]
    fn a_page_without_scripts_gets_no_hashes() {
        assert!(!policy("<p>hello").to_str().unwrap().contains("sha256"));
        assert!(!policy("<script").to_str().unwrap().contains("sha256"));
    }
}
