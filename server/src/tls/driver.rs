//! The client certificate of a driver. It names a car by a URI in its subject alternative names, for example
//! `rides:car:7`.

use rides_proto::ids::CarId;

use grpc_edge::ClientCertificate;

const PREFIX: &str = "rides:car:";

/// Returns the car that a certificate names. `None` if it does not name exactly one car.
pub fn certified_car(certificate: &ClientCertificate) -> Option<CarId> {
    let mut cars = certificate.uris().iter().filter_map(|uri| car(uri));
    let car = cars.next()?;
    cars.next().is_none().then_some(car)
}

/// Returns the URI of `car`.
pub(super) fn uri(car: CarId) -> String {
    format!("{PREFIX}{}", car.get())
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
