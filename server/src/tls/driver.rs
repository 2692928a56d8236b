//! The client certificate of a driver. It names a car by a URI in its subject alternative names, for example
//! `rides:car:7`.

use std::time::{Duration, SystemTime};

use rides_proto::ids::CarId;
use rustls::pki_types::CertificateDer;
use tokio_util::sync::CancellationToken;
use x509_parser::{certificate::X509Certificate, extensions::GeneralName, prelude::FromDer as _};

use crate::clock;

const PREFIX: &str = "rides:car:";

/// A driver's certificate that was valid in the handshake. It may have expired or been revoked since.
#[derive(Debug)]
pub struct DriverCertificate {
    /// The car that the certificate names.
    pub car: CarId,
    /// The time from which the certificate is not valid.
    until: SystemTime,
    /// The certificate chain, the client's own first.
    pub(super) chain: Vec<CertificateDer<'static>>,
    /// A token that is cancelled when the certificate is revoked.
    pub(super) revoked: CancellationToken,
}

impl DriverCertificate {
    /// Reads the first certificate of a chain. `None` if it does not name exactly one car.
    pub(super) fn of(chain: &[CertificateDer<'_>]) -> Option<Self> {
        let (_, shown) = X509Certificate::from_der(chain.first()?).ok()?;
        Some(Self {
            car: named(&shown)?,
            // The certificate is valid to the end of its last second.
            until: moment(shown.validity().not_after.timestamp().saturating_add(1)),
            chain: chain.iter().map(|link| link.clone().into_owned()).collect(),
            revoked: CancellationToken::new(),
        })
    }

    /// Returns `true` if the certificate has expired or was revoked.
    pub(crate) fn is_over(&self, now: SystemTime) -> bool {
        self.until <= now || self.revoked.is_cancelled()
    }

    /// Returns when the certificate has expired or was revoked.
    pub(crate) async fn over(&self) {
        tokio::select! {
            () = clock::sleep_until(self.until) => {}
            () = self.revoked.cancelled() => {}
        }
    }
}

/// Returns the URI of `car`.
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
