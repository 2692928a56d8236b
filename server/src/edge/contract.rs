//! What is served, read from the compiled contract.

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

/// What the port needs to know of a method.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Method {
    /// Who streams.
    pub kind: Kind,
    /// The largest request message, in bytes.
    pub largest: usize,
    /// Who may call it.
    pub access: Access,
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
    /// From encoded file descriptor sets, with request messages of up to `largest` bytes. Fails if a set is none, and if it
    /// has a method of which the table of access says nothing.
    pub fn new(descriptor_sets: &[&[u8]], largest: usize) -> anyhow::Result<Self> {
        let mut contract = Self { services: Vec::new(), methods: HashMap::new() };
        for set in descriptor_sets {
            let set = FileDescriptorSet::decode(*set).context("the compiled contract is damaged")?;
            set.file.iter().try_for_each(|file| contract.add(file, largest))?;
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

    /// Every path.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.methods.keys().map(String::as_str)
    }

    fn add(&mut self, file: &FileDescriptorProto, largest: usize) -> anyhow::Result<()> {
        for service in &file.service {
            let name = format!("{}.{}", file.package(), service.name());
            for method in &service.method {
                let kind = match (method.client_streaming(), method.server_streaming()) {
                    (false, false) => Kind::Unary,
                    (false, true) => Kind::Watch,
                    (true, false) => Kind::Upload,
                    (true, true) => Kind::Duplex,
                };
                let path = format!("/{name}/{}", method.name());
                let access = Access::to(&path).with_context(|| format!("who may call {path}?"))?;
                self.methods.insert(path, Method { kind, largest, access });
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
            .with_largest("/rides.v1.Fleet/Drive", 10);
        for (path, kind, largest) in [
            ("/rides.v1.Rides/Book", Kind::Unary, 1_000),
            ("/rides.v1.Fleet/Watch", Kind::Watch, 1_000),
            ("/rides.v1.Rides/Track", Kind::Upload, 1_000),
            ("/rides.v1.Fleet/Drive", Kind::Duplex, 10),
        ] {
            let method = contract.method(path).expect(path);
            assert_eq!((method.kind, method.largest), (kind, largest), "{path}");
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
        assert!(why.starts_with("who may call /rides.v1.") && why.ends_with("/New?"), "{why}");
    }

    #[test]
    fn damage_is_an_error() {
        assert!(Contract::new(&[b"\xff"], 1).is_err());
    }
}
