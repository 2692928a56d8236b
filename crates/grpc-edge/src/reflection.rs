//! Server reflection (`grpc.reflection.v1`).
//!
//! It is written by hand, because the service in `tonic-reflection` has three faults. It ends the stream at an unknown
//! name, where the protocol wants an error response. It does not know extensions. It gives enum values names that are
//! not those of protobuf.
//!
//! `v1alpha` has the same messages: `crates/grpc-edge/src/legacy_paths.rs` routes its calls here.

use std::{collections::HashMap, sync::Arc};

use futures_util::{StreamExt as _, stream::BoxStream};
use prost::{DecodeError, Message as _};
use prost_reflect::{DescriptorPool, FileDescriptor};
use prost_types::FileDescriptorSet;
use tonic::{Request, Response, Status, Streaming};
use tonic_reflection::pb::v1::{
    ErrorResponse, ExtensionNumberResponse, ExtensionRequest, FileDescriptorResponse, ListServiceResponse,
    ServerReflectionRequest, ServerReflectionResponse, ServiceResponse,
    server_reflection_request::MessageRequest as Asked, server_reflection_response::MessageResponse as Said,
    server_reflection_server::ServerReflection,
};

/// The implementation of server reflection. Cheap to clone.
#[derive(Clone)]
pub struct ReflectionService(Arc<DescriptorIndex>);

impl ReflectionService {
    /// Makes a service for these encoded file descriptor sets, and for the `google.rpc` messages in the details of
    /// errors.
    ///
    /// # Errors
    /// If a set cannot be decoded, or needs a file that is neither in it nor in a set before it.
    pub fn new(descriptor_sets: &[&[u8]]) -> anyhow::Result<Self> {
        let mut pool = DescriptorPool::new();
        descriptor_sets.iter().try_for_each(|set| pool.decode_file_descriptor_set(*set))?;
        pool.add_file_descriptor_set(google_rpc()?)?;
        Ok(Self(Arc::new(DescriptorIndex { symbols: symbols(&pool), pool })))
    }
}

#[tonic::async_trait]
impl ServerReflection for ReflectionService {
    type ServerReflectionInfoStream = BoxStream<'static, Result<ServerReflectionResponse, Status>>;

    async fn server_reflection_info(
        &self,
        request: Request<Streaming<ServerReflectionRequest>>,
    ) -> Result<Response<Self::ServerReflectionInfoStream>, Status> {
        let told = Arc::clone(&self.0);
        let answers = request.into_inner().map(move |asked| Ok(told.respond(asked?)));
        Ok(Response::new(answers.boxed()))
    }
}

/// The index of all descriptors. Pure.
struct DescriptorIndex {
    pool: DescriptorPool,
    /// The file of each symbol, by the full name of the symbol.
    symbols: HashMap<String, FileDescriptor>,
}

impl DescriptorIndex {
    fn respond(&self, request: ServerReflectionRequest) -> ServerReflectionResponse {
        let said = self.find(request.message_request.as_ref()).unwrap_or_else(|unknown| {
            let error_code = unknown.code().into();
            Said::ErrorResponse(ErrorResponse { error_code, error_message: unknown.message().to_owned() })
        });
        ServerReflectionResponse {
            valid_host: request.host.clone(),
            original_request: Some(request),
            message_response: Some(said),
        }
    }

    fn find(&self, asked: Option<&Asked>) -> Result<Said, Status> {
        match asked {
            Some(Asked::FileByFilename(name)) => file(self.pool.get_file_by_name(name).as_ref(), name),
            Some(Asked::FileContainingSymbol(name)) => file(self.symbols.get(name), name),
            Some(Asked::FileContainingExtension(wanted)) => self.extension(wanted),
            Some(Asked::AllExtensionNumbersOfType(name)) => self.extension_numbers(name),
            Some(Asked::ListServices(_)) => Ok(self.services()),
            None => Err(Status::invalid_argument(
                "message_request must be set to a request that this server knows",
            )),
        }
    }

    fn extension(&self, wanted: &ExtensionRequest) -> Result<Said, Status> {
        let ExtensionRequest { containing_type: name, extension_number: number } = wanted;
        let extended = self.pool.get_message_by_name(name);
        let extension = u32::try_from(*number).ok().and_then(|number| extended?.get_extension(number));
        let found = extension.map(|extension| extension.parent_file());
        file(found.as_ref(), &format!("extension {number} of {name}"))
    }

    fn extension_numbers(&self, name: &str) -> Result<Said, Status> {
        let message = self.pool.get_message_by_name(name).ok_or_else(|| unknown(name))?;
        Ok(Said::AllExtensionNumbersResponse(ExtensionNumberResponse {
            base_type_name: name.to_owned(),
            extension_number: message.extensions().map(|extension| extension.number() as i32).collect(),
        }))
    }

    fn services(&self) -> Said {
        let named =
            self.pool.services().map(|service| ServiceResponse { name: service.full_name().to_owned() });
        Said::ListServicesResponse(ListServiceResponse { service: named.collect() })
    }
}

/// Returns the files of `google.rpc.Status` and of its details, which clients need to decode errors. The files of
/// `tonic-types` have no folder in their names, so they get the standard one, `google/rpc/`.
fn google_rpc() -> Result<FileDescriptorSet, DecodeError> {
    let mut set = FileDescriptorSet::decode(tonic_types::pb::FILE_DESCRIPTOR_SET)?;
    for file in set.file.iter_mut().filter(|file| file.package() == "google.rpc") {
        file.name = Some(format!("google/rpc/{}", file.name()));
    }
    Ok(set)
}

/// Returns the file of each symbol in `pool`, packages excepted. The full name of an enum value is in the scope of
/// its enum's parent, as protobuf defines it.
fn symbols(pool: &DescriptorPool) -> HashMap<String, FileDescriptor> {
    let mut symbols = HashMap::new();
    let mut add = |name: &str, file| _ = symbols.insert(name.to_owned(), file);
    for service in pool.services() {
        add(service.full_name(), service.parent_file());
        service.methods().for_each(|method| add(method.full_name(), method.parent_file()));
    }
    for message in pool.all_messages() {
        add(message.full_name(), message.parent_file());
        message.fields().for_each(|field| add(field.full_name(), field.parent_file()));
        message.oneofs().for_each(|oneof| add(oneof.full_name(), oneof.parent_file()));
    }
    for kind in pool.all_enums() {
        add(kind.full_name(), kind.parent_file());
        kind.values().for_each(|value| add(value.full_name(), value.parent_file()));
    }
    pool.all_extensions().for_each(|extension| add(extension.full_name(), extension.parent_file()));
    symbols
}

/// Makes a response with one file. Clients request the dependencies of the file by name.
fn file(found: Option<&FileDescriptor>, wanted: &str) -> Result<Said, Status> {
    let file_descriptor_proto = vec![found.ok_or_else(|| unknown(wanted))?.encode_to_vec()];
    Ok(Said::FileDescriptorResponse(FileDescriptorResponse { file_descriptor_proto }))
}

fn unknown(what: &str) -> Status {
    Status::not_found(format!("{what} is not known to this server"))
}

#[cfg(test)]
mod tests {
    use prost_types::{
        DescriptorProto, FieldDescriptorProto, FileDescriptorProto,
        descriptor_proto::ExtensionRange,
        field_descriptor_proto::{Label, Type},
    };
    use tonic::Code;
    use tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET as REFLECTION;

    use super::*;
    use crate::health_v1;

    /// Makes the index of two contracts, and of a message with one extension.
    fn told() -> Arc<DescriptorIndex> {
        let range = ExtensionRange { start: Some(100), end: Some(200), options: None };
        let base =
            DescriptorProto { name: Some("Base".into()), extension_range: vec![range], ..Default::default() };
        let more = FieldDescriptorProto {
            name: Some("more".into()),
            number: Some(107),
            label: Some(Label::Optional.into()),
            r#type: Some(Type::Bool.into()),
            extendee: Some(".test.Base".into()),
            ..Default::default()
        };
        let file = FileDescriptorProto {
            name: Some("test.proto".into()),
            package: Some("test".into()),
            message_type: vec![base],
            extension: vec![more],
            ..Default::default()
        };
        let extended = FileDescriptorSet { file: vec![file] }.encode_to_vec();
        ReflectionService::new(&[health_v1::FILE_DESCRIPTOR_SET, REFLECTION, &extended]).unwrap().0
    }

    /// Returns the name of the file in the response, or the code of the error.
    fn file_of(asked: &Asked) -> Result<String, Code> {
        match told().find(Some(asked)).map_err(|unknown| unknown.code())? {
            Said::FileDescriptorResponse(FileDescriptorResponse { file_descriptor_proto: files }) => {
                Ok(FileDescriptorProto::decode(files[0].as_slice()).unwrap().name().to_owned())
            }
            other => panic!("{other:?}"),
        }
    }

    fn symbol(name: &str) -> Result<String, Code> {
        file_of(&Asked::FileContainingSymbol(name.to_owned()))
    }

    #[test]
    fn every_kind_of_symbol_is_known_by_its_full_name() {
        for name in [
            "grpc.health.v1.Health",
            "grpc.health.v1.Health.Check",
            "grpc.health.v1.HealthCheckRequest",
            "grpc.health.v1.HealthCheckRequest.service",
            "grpc.health.v1.HealthCheckResponse.ServingStatus",
            "grpc.health.v1.HealthCheckResponse.SERVING",
            "grpc.health.v1.HealthListResponse.StatusesEntry",
            "grpc.health.v1.HealthListResponse.StatusesEntry.key",
        ] {
            assert_eq!(symbol(name), Ok("grpc/health/v1/health.proto".into()), "{name}");
        }
        let oneof = symbol("grpc.reflection.v1.ServerReflectionRequest.message_request");
        assert_eq!(oneof, symbol("grpc.reflection.v1.ServerReflection"));
        assert!(oneof.is_ok());
        assert_eq!(symbol("google.protobuf.Duration"), Ok("google/protobuf/duration.proto".into()));
        assert_eq!(symbol("google.rpc.Status"), Ok("google/rpc/status.proto".into()));
        assert_eq!(symbol("test.more"), Ok("test.proto".into()));
        for name in [
            "",
            "grpc.health.v1",
            ".grpc.health.v1.Health",
            "grpc.health.v1.HealthCheckResponse.ServingStatus.SERVING",
            "Health",
        ] {
            assert_eq!(symbol(name), Err(Code::NotFound), "{name}");
        }
    }

    #[test]
    fn files_are_known_with_all_they_depend_on() {
        let told = told();
        assert!(told.pool.files().all(|file| {
            file.dependencies()
                .all(|needed| file_of(&Asked::FileByFilename(needed.name().to_owned())).is_ok())
        }));
        assert_eq!(file_of(&Asked::FileByFilename("health.proto".into())), Err(Code::NotFound));
    }

    #[test]
    fn extensions_are_known_by_number() {
        let numbered = |of: &str, extension_number| {
            let containing_type = of.to_owned();
            file_of(&Asked::FileContainingExtension(ExtensionRequest { containing_type, extension_number }))
        };
        assert_eq!(numbered("test.Base", 107), Ok("test.proto".into()));
        for (of, number) in [
            ("test.Base", 108),
            ("test.Base", -1),
            ("grpc.health.v1.HealthCheckRequest", 107),
            ("Nobody", 107),
        ] {
            assert_eq!(numbered(of, number), Err(Code::NotFound), "{of} {number}");
        }
        let numbers = |of: &str| match told().extension_numbers(of) {
            Ok(Said::AllExtensionNumbersResponse(all)) => Ok((all.base_type_name, all.extension_number)),
            other => Err(other.unwrap_err().code()),
        };
        assert_eq!(numbers("test.Base"), Ok(("test.Base".into(), vec![107])));
        assert_eq!(
            numbers("grpc.health.v1.HealthCheckRequest"),
            Ok(("grpc.health.v1.HealthCheckRequest".into(), vec![]))
        );
        assert_eq!(
            numbers("grpc.health.v1.HealthCheckResponse.ServingStatus"),
            Err(Code::NotFound),
            "not a message"
        );
    }

    #[test]
    fn an_answer_says_what_was_asked() {
        for message_request in
            [None, Some(Asked::FileByFilename("nonsense".into())), Some(Asked::ListServices("*".into()))]
        {
            let request = ServerReflectionRequest { host: "here".into(), message_request };
            let answer = told().respond(request.clone());
            assert_eq!((answer.valid_host.as_str(), answer.original_request), ("here", Some(request)));
        }
        let nothing = told().respond(ServerReflectionRequest::default()).message_response;
        assert!(
            matches!(nothing, Some(Said::ErrorResponse(why)) if why.error_code == Code::InvalidArgument as i32)
        );
    }

    #[test]
    fn damage_is_an_error() {
        assert!(ReflectionService::new(&[b"\xff"]).is_err());
    }
}
