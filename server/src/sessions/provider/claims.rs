//! The claims of an identity provider's token, and the session that follows from them. Without I/O.

use std::time::{Duration, SystemTime};

use clap::ValueEnum as _;
use jsonwebtoken::{Validation, decode};
use rides_proto::ids::CarId;
use serde_json::{Map, Value};

use super::{
    super::{MAX_TOKEN_LIFETIME, token::fingerprint},
    Role, Session, Unauthenticated,
    keys::Key,
};

/// The most by which the provider's clock may be ahead of this server's.
const MAX_CLOCK_SKEW: Duration = Duration::from_secs(60);
/// The longest `sub` in bytes, as in OpenID Connect Core, section 2.
const LONGEST_SUBJECT: usize = 255;

/// The values that a provider's token must have, and the names of its claims for role and car.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ExpectedClaims {
    /// The issuer: exactly the `iss` of the token.
    pub issuer: String,
    /// The audience: one of the `aud` of the token.
    pub audience: String,
    /// The name of the claim with the role: `rider`, `driver` or `dispatcher`. See [`claim`] for its form.
    pub role: String,
    /// The name of the claim with the car of a driver, a number.
    pub car: String,
}

impl ExpectedClaims {
    /// Returns the session of a token.
    ///
    /// # Errors
    /// [`Unauthenticated::Expired`] if the token has expired at `now`, [`Unauthenticated::Invalid`] if `key` has not
    /// signed it or a claim is missing or wrong.
    pub(super) fn session(
        &self,
        token: &str,
        key: &Key,
        now: SystemTime,
    ) -> Result<Session, Unauthenticated> {
        let decoded = decode::<Map<String, Value>>(token, &key.key, &self.validation(key));
        let decoded = decoded.map_err(|_which_check| Unauthenticated::Invalid)?;
        // A recipient must refuse critical extensions that it does not know (RFC 7515, section 4.1.11).
        if decoded.header.crit.is_some() {
            return Err(Unauthenticated::Invalid);
        }
        let claims = decoded.claims;
        let expires_at = moment(&claims, "exp").ok_or(Unauthenticated::Invalid)?;
        if expires_at <= now {
            return Err(Unauthenticated::Expired);
        }
        let begins = optional_moment(&claims, "nbf")?;
        let issued_at = optional_moment(&claims, "iat")?;
        let too_early = [begins, issued_at].into_iter().flatten().any(|from| from > now + MAX_CLOCK_SKEW);
        // A revocation is kept for `MAX_TOKEN_LIFETIME`. A token that is valid for longer would outlive it.
        if too_early || expires_at > now + MAX_TOKEN_LIFETIME {
            return Err(Unauthenticated::Invalid);
        }
        let (role, car) = self.role_and_car(&claims).ok_or(Unauthenticated::Invalid)?;
        let text = |name: &str| claims.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
        Ok(Session {
            id: text("sid").or(text("jti")).map_or_else(|| fingerprint(token), str::to_owned),
            subject: text("sub")
                .filter(|sub| sub.len() <= LONGEST_SUBJECT)
                .ok_or(Unauthenticated::Invalid)?
                .to_owned(),
            role,
            car,
            name: text("name").unwrap_or_default().to_owned(),
            // The provider's clock may be ahead. Without this, a session that began before a revocation could look
            // later.
            issued_at: issued_at
                .and_then(|at| at.checked_sub(MAX_CLOCK_SKEW))
                .unwrap_or(SystemTime::UNIX_EPOCH),
            expires_at,
            issued_here: false,
        })
    }

    fn validation(&self, key: &Key) -> Validation {
        let mut validation = Validation::new(key.algorithm);
        validation.set_issuer(&[&self.issuer]);
        validation.set_audience(&[&self.audience]);
        validation.set_required_spec_claims(&["iss", "aud", "sub", "exp"]);
        // `session` checks the expiry itself, against `now` and without leeway.
        validation.validate_exp = false;
        validation
    }

    /// Returns the role and, for a driver, the car. The car claim of other roles is ignored.
    fn role_and_car(&self, claims: &Map<String, Value>) -> Option<(Role, Option<CarId>)> {
        let role = role(claim(claims, &self.role)?)?;
        let car = match role {
            Role::Driver => Some(car(claim(claims, &self.car)?)?),
            Role::Rider | Role::Dispatcher => None,
        };
        Some((role, car))
    }
}

/// Returns the claim called `name`. A name with dots may also be a path into nested claims, for example
/// `realm_access.roles`.
fn claim<'a>(claims: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    claims.get(name).or_else(|| {
        let (outer, inner) = name.split_once('.')?;
        claim(claims.get(outer)?.as_object()?, inner)
    })
}

/// Returns the role in a text or in a list of texts. `None` if there is no role of this server, or more than one.
fn role(value: &Value) -> Option<Role> {
    let known = |value: &Value| Role::from_str(value.as_str()?, false).ok();
    match value {
        Value::Array(values) => {
            let mut roles = values.iter().filter_map(known);
            let role = roles.next()?;
            roles.all(|other| other == role).then_some(role)
        }
        value => known(value),
    }
}

/// Returns the car in a number or in a text of digits, since many providers have only claims of text.
fn car(value: &Value) -> Option<CarId> {
    value.as_i64().or_else(|| value.as_str()?.parse().ok()).and_then(CarId::new)
}

/// Returns the time in an optional claim.
///
/// # Errors
/// If the claim is there and is not a time. Ignoring it could accept a token that is not valid yet.
fn optional_moment(claims: &Map<String, Value>, name: &str) -> Result<Option<SystemTime>, Unauthenticated> {
    match claims.contains_key(name) {
        true => moment(claims, name).map(Some).ok_or(Unauthenticated::Invalid),
        false => Ok(None),
    }
}

/// Returns the time in a claim: seconds since 1970, rounded down since some providers send fractions.
fn moment(claims: &Map<String, Value>, name: &str) -> Option<SystemTime> {
    let seconds = claims.get(name)?.as_f64()?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::try_from_secs_f64(seconds.floor()).ok()?)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn expected(role: &str, car: &str) -> ExpectedClaims {
        let [issuer, audience, role, car] = ["https://id.example", "rides", role, car].map(str::to_owned);
        ExpectedClaims { issuer, audience, role, car }
    }

    fn part(expected: &ExpectedClaims, claims: &Value) -> Option<(Role, Option<i64>)> {
        let part = expected.role_and_car(claims.as_object().unwrap());
        part.map(|(role, car)| (role, car.map(CarId::get)))
    }

    #[test]
    fn a_role_is_one_of_ours_and_only_one() {
        let expected = expected("role", "car");
        for (role, found) in [
            (json!("rider"), Some(Role::Rider)),
            (json!("dispatcher"), Some(Role::Dispatcher)),
            (json!(["offline_access", "dispatcher"]), Some(Role::Dispatcher)),
            (json!(["rider", "rider"]), Some(Role::Rider)),
            (json!(["rider", "dispatcher"]), None),
            (json!(["offline_access"]), None),
            (json!([]), None),
            (json!("Dispatcher"), None),
            (json!("admin"), None),
            (json!(7), None),
        ] {
            assert_eq!(part(&expected, &json!({ "role": role })).map(|(role, _)| role), found, "{role}");
        }
        assert_eq!(part(&expected, &json!({})), None);
    }

    #[test]
    fn a_driver_has_a_car() {
        let expected = expected("role", "car");
        for (car, found) in [
            (json!(7), Some(7)),
            (json!("7"), Some(7)),
            (json!(0), None),
            (json!(-7), None),
            (json!("seven"), None),
            (json!(7.5), None),
            (Value::Null, None),
        ] {
            let claims = json!({ "role": "driver", "car": car });
            assert_eq!(part(&expected, &claims), found.map(|car| (Role::Driver, Some(car))), "{car}");
            let rider = json!({ "role": "rider", "car": car });
            assert_eq!(part(&expected, &rider), Some((Role::Rider, None)), "{car}");
        }
    }

    #[test]
    fn a_claim_may_be_inside_another_or_have_dots_in_its_name() {
        let claims =
            json!({ "realm_access": { "roles": ["driver"] }, "https://rides.example/car": 7, "a": 1 });
        let expected = expected("realm_access.roles", "https://rides.example/car");
        assert_eq!(part(&expected, &claims), Some((Role::Driver, Some(7))));
        let claims = claims.as_object().unwrap();
        for missing in ["realm_access.groups", "a.b", "b", "", "."] {
            assert_eq!(claim(claims, missing), None, "{missing}");
        }
    }

    #[test]
    fn moments_are_seconds_since_1970() {
        let at = |value: Value| moment(json!({ "exp": value }).as_object().unwrap(), "exp");
        let expected = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        assert_eq!((at(json!(1_800_000_000)), at(json!(1_800_000_000.9))), (Some(expected), Some(expected)));
        for bad in [json!(-1), json!(1e300), json!("1800000000"), Value::Null] {
            assert_eq!(at(bad.clone()), None, "{bad}");
        }
    }
}
