//! The bearer token of a request.

use http::{HeaderMap, header::AUTHORIZATION};

use super::Unauthenticated;

/// Returns the token in `authorization: Bearer TOKEN`, the only place where a token is read.
///
/// # Errors
/// If the header is missing, is not a bearer token, or occurs twice, since no rule says which of two counts.
pub fn bearer(headers: &HeaderMap) -> Result<&str, Unauthenticated> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values.next().ok_or(Unauthenticated::Missing)?;
    if values.next().is_some() {
        return Err(Unauthenticated::Malformed);
    }
    let value = value.to_str().map_err(|_not_ascii| Unauthenticated::Malformed)?;
    let (scheme, token) = value.split_once(' ').ok_or(Unauthenticated::Malformed)?;
    if scheme.eq_ignore_ascii_case("bearer") { Ok(token.trim()) } else { Err(Unauthenticated::Malformed) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(values: &[&'static str]) -> HeaderMap {
        values.iter().map(|value| (AUTHORIZATION, value.parse().unwrap())).collect()
    }

    #[test]
    fn one_bearer_token_is_found() {
        assert_eq!(bearer(&headers(&["Bearer abc.def"])), Ok("abc.def"));
        assert_eq!(bearer(&headers(&["bearer abc"])), Ok("abc"));
    }

    #[test]
    fn of_anything_else_the_form_is_told() {
        assert_eq!(bearer(&headers(&[])), Err(Unauthenticated::Missing));
        for values in [&["Basic abc"][..], &["Bearer"], &["abc"], &["Bearer a", "Bearer b"], &["abc.def.ghi"]]
        {
            assert_eq!(bearer(&headers(values)), Err(Unauthenticated::Malformed), "{values:?}");
        }
    }
}
