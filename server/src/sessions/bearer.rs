//! The token a call carries.

use tonic::metadata::MetadataMap;

use super::Unauthenticated;

/// The token in `authorization: Bearer TOKEN`, the only place it is looked for.
///
/// Fails if there is none, or more than one: then it would be anyone's guess which counts.
pub fn bearer(metadata: &MetadataMap) -> Result<&str, Unauthenticated> {
    let mut values = metadata.get_all("authorization").iter();
    let value = values.next().ok_or(Unauthenticated::Missing)?;
    if values.next().is_some() {
        return Err(Unauthenticated::Invalid);
    }
    let value = value.to_str().map_err(|_not_ascii| Unauthenticated::Invalid)?;
    let (scheme, token) = value.split_once(' ').ok_or(Unauthenticated::Invalid)?;
    if scheme.eq_ignore_ascii_case("bearer") { Ok(token.trim()) } else { Err(Unauthenticated::Invalid) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata(values: &[&'static str]) -> MetadataMap {
        let mut metadata = MetadataMap::new();
        for value in values {
            metadata.append("authorization", value.parse().unwrap());
        }
        metadata
    }

    #[test]
    fn one_bearer_token_is_found() {
        assert_eq!(bearer(&metadata(&["Bearer abc.def"])), Ok("abc.def"));
        assert_eq!(bearer(&metadata(&["bearer abc"])), Ok("abc"));
    }

    #[test]
    fn anything_else_is_not() {
        assert_eq!(bearer(&metadata(&[])), Err(Unauthenticated::Missing));
        for values in [&["Basic abc"][..], &["Bearer"], &["abc"], &["Bearer a", "Bearer b"]] {
            assert_eq!(bearer(&metadata(values)), Err(Unauthenticated::Invalid), "{values:?}");
        }
    }
}
