//! The declarations of the contract with their comments, read from the descriptors.

use prost::Message as _;
use prost_types::{
    DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorProto, FileDescriptorSet,
    ServiceDescriptorProto,
    field_descriptor_proto::{Label, Type as Scalar},
};

use crate::comments::Comments;

/// The services in the order of the page. Others follow.
const ORDER: [&str; 4] = ["Rides", "Fleet", "City", "Sessions"];

/// All services and types of `rides.v1`.
pub(crate) struct Contract {
    pub(crate) services: Vec<Service>,
    pub(crate) types: Vec<Type>,
}

pub(crate) struct Service {
    pub(crate) name: String,
    pub(crate) about: String,
    pub(crate) rpcs: Vec<Rpc>,
}

pub(crate) struct Rpc {
    pub(crate) name: String,
    pub(crate) about: String,
    pub(crate) takes: Side,
    pub(crate) gives: Side,
}

/// One side of a call.
pub(crate) struct Side {
    pub(crate) message: String,
    pub(crate) streams: bool,
}

/// A message or an enum. A nested one is named `Outer.Inner` and follows the outer one.
pub(crate) struct Type {
    pub(crate) name: String,
    pub(crate) about: String,
    pub(crate) body: Body,
}

pub(crate) enum Body {
    Message(Vec<Field>),
    Enum(Vec<Value>),
}

pub(crate) struct Field {
    pub(crate) number: i32,
    pub(crate) name: String,
    /// `repeated ` or `optional ` with a space, or empty.
    pub(crate) label: &'static str,
    pub(crate) kind: Kind,
    pub(crate) about: String,
    /// The name of the `oneof` that contains the field.
    pub(crate) oneof: Option<String>,
}

/// The type of a field.
pub(crate) enum Kind {
    Scalar(&'static str),
    /// A message or an enum, of this contract or of protobuf itself.
    Named(String),
}

pub(crate) struct Value {
    pub(crate) number: i32,
    pub(crate) name: String,
    pub(crate) about: String,
}

/// Field numbers of descriptor.proto. A path in `SourceCodeInfo` consists of them and of indices.
mod at {
    pub(super) const PACKAGE: i32 = 2;
    pub(super) const MESSAGE: i32 = 4;
    pub(super) const ENUM: i32 = 5;
    pub(super) const SERVICE: i32 = 6;
    pub(super) const METHOD: i32 = 2;
    pub(super) const FIELD: i32 = 2;
    pub(super) const NESTED: i32 = 3;
    pub(super) const NESTED_ENUM: i32 = 4;
    pub(super) const VALUE: i32 = 2;
}

impl Contract {
    pub(crate) fn read(descriptors: &[u8]) -> Result<Self, prost::DecodeError> {
        let set = FileDescriptorSet::decode(descriptors)?;
        let mut contract = Self { services: Vec::new(), types: Vec::new() };
        set.file.iter().filter(|file| file.package() == "rides.v1").for_each(|file| contract.add(file));
        let rank =
            |service: &Service| ORDER.iter().position(|name| *name == service.name).unwrap_or(ORDER.len());
        contract.services.sort_by_key(rank);
        Ok(contract)
    }

    fn add(&mut self, file: &FileDescriptorProto) {
        let comments = Comments::of(file);
        for (n, service) in (0..).zip(&file.service) {
            self.services.push(self::service(service, &[at::SERVICE, n], &comments));
        }
        for (n, message) in (0..).zip(&file.message_type) {
            self.add_message("", message, &[at::MESSAGE, n], &comments);
        }
        for (n, of) in (0..).zip(&file.enum_type) {
            self.types.push(enumeration("", of, &[at::ENUM, n], &comments));
        }
    }

    fn add_message(&mut self, outer: &str, message: &DescriptorProto, path: &[i32], comments: &Comments) {
        let name = format!("{outer}{}", message.name());
        let fields = (0..).zip(&message.field);
        let fields = fields
            .map(|(n, field)| self::field(field, message, comments.at(&[path, &[at::FIELD, n]].concat())));
        let body = Body::Message(fields.collect());
        self.types.push(Type { name: name.clone(), about: comments.at(path), body });
        let inside = format!("{name}.");
        for (n, nested) in (0..).zip(&message.nested_type) {
            self.add_message(&inside, nested, &[path, &[at::NESTED, n]].concat(), comments);
        }
        for (n, of) in (0..).zip(&message.enum_type) {
            self.types.push(enumeration(&inside, of, &[path, &[at::NESTED_ENUM, n]].concat(), comments));
        }
    }
}

/// Reads a service. If the service has no comment, the comment above the `package` line of its file describes it.
fn service(service: &ServiceDescriptorProto, path: &[i32], comments: &Comments) -> Service {
    let rpcs = (0..).zip(&service.method).map(|(n, method)| {
        let side = |name: &str, streams| Side { message: short(name), streams };
        Rpc {
            name: method.name().to_owned(),
            about: comments.at(&[path, &[at::METHOD, n]].concat()),
            takes: side(method.input_type(), method.client_streaming()),
            gives: side(method.output_type(), method.server_streaming()),
        }
    });
    let own = comments.at(path);
    let about = if own.is_empty() { comments.at(&[at::PACKAGE]) } else { own };
    Service { name: service.name().to_owned(), about, rpcs: rpcs.collect() }
}

fn enumeration(outer: &str, of: &EnumDescriptorProto, path: &[i32], comments: &Comments) -> Type {
    let values = (0..).zip(&of.value).map(|(n, value)| Value {
        number: value.number(),
        name: value.name().to_owned(),
        about: comments.at(&[path, &[at::VALUE, n]].concat()),
    });
    let body = Body::Enum(values.collect());
    Type { name: format!("{outer}{}", of.name()), about: comments.at(path), body }
}

fn field(field: &FieldDescriptorProto, of: &DescriptorProto, about: String) -> Field {
    let label = match field.label() {
        Label::Repeated => "repeated ",
        _ if field.proto3_optional() => "optional ",
        _ => "",
    };
    // protobuf gives each `optional` field a synthetic oneof, which is not in the source.
    let oneof = field.oneof_index.filter(|_| !field.proto3_optional());
    let oneof = oneof.and_then(|n| of.oneof_decl.get(usize::try_from(n).ok()?));
    Field {
        number: field.number(),
        name: field.name().to_owned(),
        label,
        kind: kind(field),
        about,
        oneof: oneof.map(|oneof| oneof.name().to_owned()),
    }
}

fn kind(field: &FieldDescriptorProto) -> Kind {
    Kind::Scalar(match field.r#type() {
        Scalar::Message | Scalar::Enum | Scalar::Group => return Kind::Named(short(field.type_name())),
        Scalar::Double => "double",
        Scalar::Float => "float",
        Scalar::Int64 => "int64",
        Scalar::Uint64 => "uint64",
        Scalar::Int32 => "int32",
        Scalar::Fixed64 => "fixed64",
        Scalar::Fixed32 => "fixed32",
        Scalar::Bool => "bool",
        Scalar::String => "string",
        Scalar::Bytes => "bytes",
        Scalar::Uint32 => "uint32",
        Scalar::Sfixed32 => "sfixed32",
        Scalar::Sfixed64 => "sfixed64",
        Scalar::Sint32 => "sint32",
        Scalar::Sint64 => "sint64",
    })
}

/// Returns the name without its leading dot, and without the package if that is `rides.v1`.
fn short(name: &str) -> String {
    let name = name.trim_start_matches('.');
    name.strip_prefix("rides.v1.").unwrap_or(name).to_owned()
}
