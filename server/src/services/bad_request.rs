//! The error of a request with bad fields. It names all of them, not only the first.

use std::collections::HashMap;

use rides_proto::geo::NotOnEarth;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt as _};

/// The maximum number of fields that a status names. A status is sent in headers, and clients accept 8 KiB of those.
const MAX_NAMED: usize = 10;

/// One or more bad fields of a request. Converts to INVALID_ARGUMENT.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BadRequest {
    first: Violation,
    others: Vec<Violation>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Violation {
    /// The path of the field in the request, for example `cursors[3].cell`.
    field: String,
    reason: &'static str,
    text: String,
}

/// Makes the error of one bad field. `field` is its path in the request.
pub fn invalid(field: impl Into<String>, text: impl Into<String>) -> BadRequest {
    invalid_because(field, "INVALID_FIELD", text)
}

/// Makes the error of one bad field, with a machine-readable reason.
pub fn invalid_because(
    field: impl Into<String>,
    reason: &'static str,
    text: impl Into<String>,
) -> BadRequest {
    let first = Violation { field: field.into(), reason, text: text.into() };
    BadRequest { first, others: Vec::new() }
}

/// Makes the error of a field that holds a point which is not on Earth.
pub fn not_on_earth(field: impl Into<String>, why: NotOnEarth) -> BadRequest {
    invalid_because(field, "NOT_ON_EARTH", why.to_string())
}

impl BadRequest {
    /// Appends the bad fields of `other`.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.others.push(other.first);
        self.others.extend(other.others);
        self
    }

    /// Prefixes the path of each field with `path`, the path of the message that holds the fields.
    #[must_use]
    pub fn within(mut self, path: &str) -> Self {
        self.first.field = format!("{path}.{}", self.first.field);
        for violation in &mut self.others {
            violation.field = format!("{path}.{}", violation.field);
        }
        self
    }
}

impl From<BadRequest> for Status {
    fn from(BadRequest { first, mut others }: BadRequest) -> Self {
        let unnamed = others.len().saturating_sub(MAX_NAMED - 1);
        others.truncate(MAX_NAMED - 1);
        let mut details = ErrorDetails::with_error_info(first.reason, "", HashMap::new());
        let named: Vec<_> = std::iter::once(first).chain(others).collect();
        let mut text: Vec<_> =
            named.iter().map(|Violation { field, text, .. }| format!("{field}: {text}")).collect();
        if unnamed > 0 {
            text.push(format!("and {unnamed} more"));
        }
        let violations = named.into_iter().map(|Violation { field, reason, text }| FieldViolation {
            reason: reason.to_owned(),
            ..FieldViolation::new(field, text)
        });
        details.set_bad_request(violations.collect::<Vec<_>>());
        Self::with_error_details(Code::InvalidArgument, text.join("; "), details)
    }
}

/// The results of reading several fields.
pub trait Fields {
    /// The values of all fields.
    type Read;

    /// Returns all values. Fails with all bad fields if there is one.
    fn all(self) -> Result<Self::Read, BadRequest>;
}

/// Returns the values of all `fields`. Fails with all bad ones if there is one.
pub fn all<F: Fields>(fields: F) -> Result<F::Read, BadRequest> {
    fields.all()
}

impl<T> Fields for Vec<Result<T, BadRequest>> {
    type Read = Vec<T>;

    fn all(self) -> Result<Vec<T>, BadRequest> {
        let mut read = Vec::with_capacity(self.len());
        let mut bad: Option<BadRequest> = None;
        for one in self {
            match one {
                Ok(one) => read.push(one),
                Err(more) => {
                    bad = Some(match bad {
                        Some(bad) => bad.and(more),
                        None => more,
                    });
                }
            }
        }
        bad.map_or(Ok(read), Err)
    }
}

impl<A, B> Fields for (Result<A, BadRequest>, Result<B, BadRequest>) {
    type Read = (A, B);

    fn all(self) -> Result<(A, B), BadRequest> {
        match self {
            (Ok(a), Ok(b)) => Ok((a, b)),
            (Err(a), Err(b)) => Err(a.and(b)),
            (Err(bad), Ok(_)) | (Ok(_), Err(bad)) => Err(bad),
        }
    }
}

/// Implements [`Fields`] for a tuple, based on the implementation for the tuple without its last element.
macro_rules! fields {
    ($($one:ident)*; $last:ident) => {
        impl<$($one,)* $last> Fields for ($(Result<$one, BadRequest>,)* Result<$last, BadRequest>) {
            type Read = ($($one,)* $last);

            #[allow(non_snake_case)]
            fn all(self) -> Result<Self::Read, BadRequest> {
                let ($($one,)* $last) = self;
                let (($($one,)*), $last) = (($($one,)*).all(), $last).all()?;
                Ok(($($one,)* $last))
            }
        }
    };
}

fields!(A B; C);
fields!(A B C; D);
fields!(A B C D; E);
fields!(A B C D E; F);

#[cfg(test)]
mod tests {
    use super::*;

    fn good<T>(value: T) -> Result<T, BadRequest> {
        Ok(value)
    }

    fn bad(field: &str) -> Result<u8, BadRequest> {
        Err(invalid_because(field, "MISSING", "must be set"))
    }

    fn named(status: &Status) -> Vec<(String, String)> {
        let violations = status.get_details_bad_request().expect("details").field_violations;
        violations.into_iter().map(|violation| (violation.field, violation.reason)).collect()
    }

    #[test]
    fn a_bad_field_is_named_in_text_and_in_details() {
        let status = Status::from(not_on_earth("pickup", NotOnEarth::Latitude));
        assert_eq!(status.code(), Code::InvalidArgument);
        assert_eq!(status.message(), "pickup: latitude must be a number from -90 to 90");
        assert_eq!(named(&status), [("pickup".to_owned(), "NOT_ON_EARTH".to_owned())]);
        let details = status.get_error_details();
        assert_eq!(details.error_info().map(|info| info.reason.as_str()), Some("NOT_ON_EARTH"));
        assert!(details.retry_info().is_none(), "the same would fail again");
    }

    /// CLIENT-10
    #[test]
    fn every_bad_field_is_named_in_the_order_of_the_request() {
        assert_eq!(all((good(1), good("two"), good(3.0))), Ok((1, "two", 3.0)));
        let many = all((bad("a"), good(2), bad("c"), bad("d").map_err(|bad| bad.within("d"))));
        let status = Status::from(many.unwrap_err());
        assert_eq!(status.message(), "a: must be set; c: must be set; d.d: must be set");
        assert_eq!(named(&status).into_iter().map(|(field, _)| field).collect::<Vec<_>>(), ["a", "c", "d.d"]);
        let one = Status::from(all((good(1), good(2), good(3), good(4), good(5), bad("f"))).unwrap_err());
        assert_eq!(named(&one), [("f".to_owned(), "MISSING".to_owned())]);
    }

    #[test]
    fn a_status_of_many_bad_fields_still_fits_into_headers() {
        let many: Vec<_> = (0..4_096).map(|n| bad(&format!("cursors[{n}].cell"))).collect();
        let status = Status::from(all(many).unwrap_err());
        assert_eq!(named(&status).len(), MAX_NAMED);
        assert!(status.message().ends_with("; and 4086 more"), "{}", status.message());
        assert!(status.message().len() + status.details().len() * 4 / 3 < 4_096);
    }
}
