//! Legacy paths of methods, for older clients: those of a `rides.proto` without a package, and of reflection v1alpha.
//!
//! Their messages have the same encoding as those of today.

/// Pairs of a legacy path and the path of the same method today.
const METHODS: [(&str, &str); 3] = [
    ("/Rides/Start", "/rides.v1.Rides/Start"),
    ("/Rides/Track", "/rides.v1.Rides/Track"),
    (
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    ),
];

/// Returns the path of today for a legacy path, and `None` for any other path.
pub(super) fn current_path(path: &str) -> Option<&'static str> {
    METHODS.iter().find(|(older, _)| *older == path).map(|(_, now)| *now)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edge::Contract;

    #[test]
    fn older_names_are_of_methods_that_are_still_there() {
        let sets = [rides_proto::FILE_DESCRIPTOR_SET, tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET];
        let contract = Contract::new(&sets, 1).unwrap();
        assert!(METHODS.iter().all(|(_, now)| contract.method(now).is_some()));
        assert!(METHODS.iter().all(|(older, _)| contract.method(older).is_none()));
        assert_eq!(current_path("/Rides/Start"), Some("/rides.v1.Rides/Start"));
        for path in ["/rides.v1.Rides/Start", "/Rides/Book", "/rides/Start", "/Rides/Start/", ""] {
            assert_eq!(current_path(path), None, "{path}");
        }
    }
}
