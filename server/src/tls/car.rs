//! Which car a certificate names: a URI among its subject alternative names, `rides:car:7`.

use rides_proto::ids::CarId;
use rustls::pki_types::CertificateDer;
use webpki::EndEntityCert;

const PREFIX: &str = "rides:car:";

/// The URI that names `car`.
pub(super) fn uri(car: CarId) -> String {
    format!("{PREFIX}{}", car.get())
}

/// The one car that a certificate names. Several are none.
pub(super) fn named(certificate: &CertificateDer<'_>) -> Option<CarId> {
    let certificate = EndEntityCert::try_from(certificate).ok()?;
    let mut cars = certificate.valid_uri_names().filter_map(car);
    let car = cars.next()?;
    cars.next().is_none().then_some(car)
}

fn car(uri: &str) -> Option<CarId> {
    uri.strip_prefix(PREFIX)?.parse().ok().and_then(CarId::new)
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
