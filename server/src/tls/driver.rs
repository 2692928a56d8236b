//! A driver's certificate: it names a car by a URI among its subject alternative names, `rides:car:7`, and is good for a
//! time, unless it is revoked.

use std::time::{Duration, SystemTime};

use rides_proto::ids::CarId;
use rustls::pki_types::CertificateDer;
use tokio_util::sync::CancellationToken;
use x509_parser::{certificate::X509Certificate, extensions::GeneralName, prelude::FromDer as _};

use crate::clock;

const PREFIX: &str = "rides:car:";

/// One that a client has shown, and that was good then.
#[derive(Debug)]
pub struct DriversCertificate {
    /// What it names.
    pub car: CarId,
    /// From then on it is over.
    until: SystemTime,
    /// Its own first.
    pub(super) chain: Vec<CertificateDer<'static>>,
    /// Cancelled once it is.
    pub(super) revoked: CancellationToken,
}

impl DriversCertificate {
    /// `None` if it names no car, or several.
    pub(super) fn of(chain: &[CertificateDer<'_>]) -> Option<Self> {
        let (_, shown) = X509Certificate::from_der(chain.first()?).ok()?;
        Some(Self {
            car: named(&shown)?,
            // To the end of its last second. Before 1970 none was given out.
            until: moment(shown.validity().not_after.timestamp().saturating_add(1)),
            chain: chain.iter().map(|link| link.clone().into_owned()).collect(),
            revoked: CancellationToken::new(),
        })
    }

    /// Whether it is over, or revoked.
    pub(crate) fn is_over(&self, now: SystemTime) -> bool {
        self.until <= now || self.revoked.is_cancelled()
    }

    /// Once it is.
    pub(crate) async fn over(&self) {
        tokio::select! {
            () = clock::past(self.until) => {}
            () = self.revoked.cancelled() => {}
        }
    }
}

/// The URI that names `car`.
pub(super) fn uri(car: CarId) -> String {
    format!("{PREFIX}{}", car.get())
}

fn named(certificate: &X509Certificate<'_>) -> Option<CarId> {
    let names = certificate.subject_alternative_name().ok()??;
    let mut cars = names.value.general_names.iter().filter_map(|name| match name {
        GeneralName::URI(uri) => car(uri),
        _ => None,
    });
    let car = cars.next()?;
    cars.next().is_none().then_some(car)
}

fn car(uri: &str) -> Option<CarId> {
    uri.strip_prefix(PREFIX)?.parse().ok().and_then(CarId::new)
}

fn moment(unix_seconds: i64) -> SystemTime {
    let since = Duration::from_secs(unix_seconds.max(0).unsigned_abs());
    SystemTime::UNIX_EPOCH.checked_add(since).unwrap_or(SystemTime::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_car_is_a_car() {
        assert_eq!(car(&uri(CarId::new(7).unwrap())), CarId::new(7));
        for none in ["rides:car:", "rides:car:0", "rides:car:-7", "rides:car:seven", "rides:rider:7", "7"] {
            assert_eq!(car(none), None, "{none}");
        }
    }
}
