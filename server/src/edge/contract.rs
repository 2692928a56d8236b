//! The services and methods on the port, read from the compiled contract.

use std::{collections::HashMap, time::Duration};

use anyhow::Context as _;
use prost::Message as _;
use prost_types::{FileDescriptorProto, FileDescriptorSet};

use crate::access::table::Access;

/// The services and methods on the port.
pub struct Contract {
    services: Vec<String>,
    methods: HashMap<String, Method>,
}

/// The properties of a method.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Method {
    /// The sides that stream.
    pub kind: MethodKind,
    /// The largest request message, in bytes.
    pub max_message_size: usize,
    /// The roles that may call the method.
    pub access: Access,
}

/// The kind of a method: the sides that send a stream of messages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MethodKind {
    /// One request, one response.
    Unary,
    /// Server streaming: one request, a stream of responses.
    ServerStreaming,
    /// Client streaming: a stream of requests, one response.
    ClientStreaming,
    /// Bidirectional streaming.
    Bidirectional,
}

impl MethodKind {
    /// Returns the longest duration of a call, also if its client allows more. The call then ends with DEADLINE_EXCEEDED.
    ///
    /// Streams last for at most a day. A client that stays longer resumes its stream.
    pub fn max_duration(self) -> Duration {
        match self {
            Self::Unary => Duration::from_secs(30),
            Self::ServerStreaming | Self::ClientStreaming | Self::Bidirectional => {
                Duration::from_secs(24 * 60 * 60)
            }
        }
    }

    /// Returns `true` if the request is exactly one message.
    pub fn takes_one_message(self) -> bool {
        matches!(self, Self::Unary | Self::ServerStreaming)
    }
}

impl Contract {
    /// Reads encoded file descriptor sets. Request messages may have up to `max_message_size` bytes.
    ///
    /// # Errors
    /// When a set cannot be decoded, or has a method that is not in the access table.
    pub fn new(descriptor_sets: &[&[u8]], largest: usize) -> anyhow::Result<Self> {
        let mut contract = Self { services: Vec::new(), methods: HashMap::new() };
        for set in descriptor_sets {
            let set = FileDescriptorSet::decode(*set).context("failed to decode the compiled contract")?;
            set.file.iter().try_for_each(|file| contract.add(file, largest))?;
        }
        Ok(contract)
    }

    /// Sets the largest request message of the method at `path`, in bytes.
    #[must_use]
    pub fn with_max_message_size(mut self, path: &str, largest: usize) -> Self {
        if let Some(method) = self.methods.get_mut(path) {
            method.max_message_size = largest;
        }
        self
    }

    /// The full names of the services, for example `rides.v1.Rides`.
    pub fn services(&self) -> &[String] {
        &self.services
    }

    /// Returns the method at `path`, for example `/rides.v1.Rides/Book`.
    pub fn method(&self, path: &str) -> Option<Method> {
        self.methods.get(path).copied()
    }

    /// The paths of all methods, in no order.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.methods.keys().map(String::as_str)
    }

    fn add(&mut self, file: &FileDescriptorProto, largest: usize) -> anyhow::Result<()> {
        for service in &file.service {
            let name = format!("{}.{}", file.package(), service.name());
            for method in &service.method {
                let kind = match (method.client_streaming(), method.server_streaming()) {
                    (false, false) => MethodKind::Unary,
                    (false, true) => MethodKind::ServerStreaming,
                    (true, false) => MethodKind::ClientStreaming,
                    (true, true) => MethodKind::Bidirectional,
                };
                let path = format!("/{name}/{}", method.name());
                let access = Access::for_method(&path)
                    .with_context(|| format!("the access table (server/src/access/table.rs) lacks {path}"))?;
                self.methods.insert(path, Method { kind, max_message_size: largest, access });
            }
            self.services.push(name);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_knows_what_is_in_the_proto_files() {
        let contract = Contract::new(&[rides_proto::FILE_DESCRIPTOR_SET], 1_000)
            .unwrap()
            .with_max_message_size("/rides.v1.Fleet/Drive", 10);
        for (path, kind, largest) in [
            ("/rides.v1.Rides/Book", MethodKind::Unary, 1_000),
            ("/rides.v1.Fleet/Watch", MethodKind::ServerStreaming, 1_000),
            ("/rides.v1.Rides/Track", MethodKind::ClientStreaming, 1_000),
            ("/rides.v1.Fleet/Drive", MethodKind::Bidirectional, 10),
        ] {
            let method = contract.method(path).expect(path);
            assert_eq!((method.kind, method.max_message_size), (kind, largest), "{path}");
        }
        assert_eq!(contract.method("/rides.v1.Fleet/Nonsense"), None);
        assert!(contract.services().contains(&"rides.v1.Rides".to_owned()));
    }

    #[test]
    fn a_method_that_is_not_in_the_table_stops_the_server() {
        let mut set = FileDescriptorSet::decode(rides_proto::FILE_DESCRIPTOR_SET).unwrap();
        let service = set.file.iter_mut().find_map(|file| file.service.first_mut()).unwrap();
        service.method[0].name = Some("New".to_owned());
        let why = Contract::new(&[&set.encode_to_vec()], 1).err().unwrap().to_string();
        assert!(why.starts_with("the access table") && why.ends_with("/New"), "{why}");
    }

    #[test]
    fn damage_is_an_error() {
        assert!(Contract::new(&[b"\xff"], 1).is_err());
    }
}
