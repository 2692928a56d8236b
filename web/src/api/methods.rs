//! The RPCs that the page calls.

use grpc_web_fetch::Method;
use rides_proto::v1;

/// `rides.v1.Rides.Quote`
pub const QUOTE: Method<v1::QuoteRequest, v1::QuoteResponse> = Method::new("/rides.v1.Rides/Quote");
/// `rides.v1.Rides.Book`
pub const BOOK: Method<v1::BookRequest, v1::BookResponse> = Method::new("/rides.v1.Rides/Book");
/// `rides.v1.Rides.Cancel`
pub const CANCEL: Method<v1::CancelRequest, v1::CancelResponse> = Method::new("/rides.v1.Rides/Cancel");
/// `rides.v1.Rides.List`
pub const LIST: Method<v1::ListRequest, v1::ListResponse> = Method::new("/rides.v1.Rides/List");
/// `rides.v1.Rides.Watch`, a server-streaming RPC
pub const WATCH_RIDE: Method<v1::WatchRequest, v1::WatchResponse> = Method::new("/rides.v1.Rides/Watch");
/// `rides.v1.Fleet.Watch`, a server-streaming RPC
pub const WATCH_FLEET: Method<v1::WatchFleetRequest, v1::WatchFleetResponse> =
    Method::new("/rides.v1.Fleet/Watch");
/// `rides.v1.City.GetMap`, a server-streaming RPC
pub const GET_MAP: Method<v1::GetMapRequest, v1::GetMapResponse> = Method::new("/rides.v1.City/GetMap");
/// `rides.v1.City.FindPlaces`
pub const FIND_PLACES: Method<v1::FindPlacesRequest, v1::FindPlacesResponse> =
    Method::new("/rides.v1.City/FindPlaces");
/// `rides.v1.Sessions.SignIn`
pub const SIGN_IN: Method<v1::SignInRequest, v1::SignInResponse> = Method::new("/rides.v1.Sessions/SignIn");
/// `rides.v1.Sessions.SignOut`
pub const SIGN_OUT: Method<v1::SignOutRequest, v1::SignOutResponse> =
    Method::new("/rides.v1.Sessions/SignOut");
/// `rides.v1.Sessions.Renew`
pub const RENEW: Method<v1::RenewRequest, v1::RenewResponse> = Method::new("/rides.v1.Sessions/Renew");
/// `rides.v1.Sessions.WhoAmI`
pub const WHO_AM_I: Method<v1::WhoAmIRequest, v1::WhoAmIResponse> = Method::new("/rides.v1.Sessions/WhoAmI");

#[cfg(test)]
mod tests {
    use std::any::type_name;

    use prost::Message as _;

    use super::*;

    /// Returns the request type, the response type and `server_streaming` of a method in the descriptor.
    fn contract(path: &str) -> (String, String, bool) {
        let files =
            prost_types::FileDescriptorSet::decode(rides_proto::FILE_DESCRIPTOR_SET).expect("decodes");
        let (service, name) = path.trim_start_matches('/').rsplit_once('/').expect("a path");
        let services = files.file.iter().flat_map(|file| {
            file.service
                .iter()
                .map(move |service| (format!("{}.{}", file.package(), service.name()), service))
        });
        let (_, service) = services.into_iter().find(|(full, _)| full == service).expect("such a service");
        let method = service.method.iter().find(|method| method.name() == name).expect("such a method");
        assert!(!method.client_streaming());
        (method.input_type().to_owned(), method.output_type().to_owned(), method.server_streaming())
    }

    fn agrees<Q, A>(method: &Method<Q, A>, streams: bool) {
        let wire = |rust: &str| format!(".rides.v1.{}", rust.rsplit("::").next().expect("a name"));
        let ours = (wire(type_name::<Q>()), wire(type_name::<A>()), streams);
        assert_eq!(contract(method.path()), ours, "{}", method.path());
    }

    #[test]
    fn methods_are_those_of_the_contract() {
        agrees(&QUOTE, false);
        agrees(&BOOK, false);
        agrees(&CANCEL, false);
        agrees(&LIST, false);
        agrees(&WATCH_RIDE, true);
        agrees(&WATCH_FLEET, true);
        agrees(&GET_MAP, true);
        agrees(&FIND_PLACES, false);
        agrees(&SIGN_IN, false);
        agrees(&SIGN_OUT, false);
        agrees(&RENEW, false);
        agrees(&WHO_AM_I, false);
    }
}
