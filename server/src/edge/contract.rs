//! What is served, read from the compiled contract.

use std::{collections::HashMap, time::Duration};

use anyhow::Context as _;
use prost::Message as _;
use prost_types::{FileDescriptorProto, FileDescriptorSet};

/// The services and methods on the port.
pub struct Contract {
    services: Vec<String>,
    methods: HashMap<String, Method>,
}

/// What the port needs to know of a method.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Method {
    /// Who streams.
    pub kind: Kind,
    /// The largest request message, in bytes.
    pub largest: usize,
}

/// How many messages go which way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// One there, one back.
    Unary,
    /// One there, a stream back.
    Watch,
    /// A stream there, one back once it has ended.
    Upload,
    /// A stream each way.
    Duplex,
}

impl Kind {
    /// How long a call may take, whatever its caller says: after that it is over with DEADLINE_EXCEEDED.
    ///
    /// Streams last as long as somebody's day; whoever is there longer takes up where it was.
    pub fn ceiling(self) -> Duration {
        match self {
            Self::Unary => Duration::from_secs(30),
            Self::Watch | Self::Upload | Self::Duplex => Duration::from_secs(24 * 60 * 60),
        }
    }

    /// Whether the request is exactly one message.
    pub fn takes_one_message(self) -> bool {
        matches!(self, Self::Unary | Self::Watch)
    }
}

impl Contract {
    /// From encoded file descriptor sets, with request messages of up to `largest` bytes. Fails if a set is none.
    pub fn new(descriptor_sets: &[&[u8]], largest: usize) -> anyhow::Result<Self> {
        let mut contract = Self { services: Vec::new(), methods: HashMap::new() };
        for set in descriptor_sets {
            let set = FileDescriptorSet::decode(*set).context("the compiled contract is damaged")?;
            set.file.iter().for_each(|file| contract.add(file, largest));
        }
        Ok(contract)
    }

    /// The same, with request messages of up to `largest` bytes for the method at `path`.
    #[must_use]
    pub fn with_largest(mut self, path: &str, largest: usize) -> Self {
        if let Some(method) = self.methods.get_mut(path) {
            method.largest = largest;
        }
        self
    }

    /// Full names, as in `rides.v1.Rides`.
    pub fn services(&self) -> &[String] {
        &self.services
    }

    /// The method at `path`, as in `/rides.v1.Rides/Book`.
    pub fn method(&self, path: &str) -> Option<Method> {
        self.methods.get(path).copied()
    }

    fn add(&mut self, file: &FileDescriptorProto, largest: usize) {
        for service in &file.service {
            let name = format!("{}.{}", file.package(), service.name());
            let methods = service.method.iter().map(|method| {
                let kind = match (method.client_streaming(), method.server_streaming()) {
                    (false, false) => Kind::Unary,
                    (false, true) => Kind::Watch,
                    (true, false) => Kind::Upload,
                    (true, true) => Kind::Duplex,
                };
                (format!("/{name}/{}", method.name()), Method { kind, largest })
            });
            self.methods.extend(methods);
            self.services.push(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_knows_what_is_in_the_proto_files() {
        let contract = Contract::new(&[rides_proto::FILE_DESCRIPTOR_SET], 1_000)
            .unwrap()
            .with_largest("/rides.v1.Fleet/Drive", 10);
        for (path, kind, largest) in [
            ("/rides.v1.Rides/Book", Kind::Unary, 1_000),
            ("/rides.v1.Fleet/Watch", Kind::Watch, 1_000),
            ("/rides.v1.Rides/Track", Kind::Upload, 1_000),
            ("/rides.v1.Fleet/Drive", Kind::Duplex, 10),
        ] {
            assert_eq!(contract.method(path), Some(Method { kind, largest }), "{path}");
        }
        assert_eq!(contract.method("/rides.v1.Fleet/Nonsense"), None);
        assert!(contract.services().contains(&"rides.v1.Rides".to_owned()));
    }

    #[test]
    fn damage_is_an_error() {
        assert!(Contract::new(&[b"\xff"], 1).is_err());
    }
}
