//! What is served, read from the compiled contract.

use std::collections::HashMap;

use anyhow::Context as _;
use prost::Message as _;
use prost_types::{FileDescriptorProto, FileDescriptorSet};

/// The services and methods on the port.
pub struct Contract {
    services: Vec<String>,
    /// Whether it is an upload, by path.
    paths: HashMap<String, bool>,
}

impl Contract {
    /// From encoded file descriptor sets. Fails if one is not.
    pub fn new(descriptor_sets: &[&[u8]]) -> anyhow::Result<Self> {
        let mut contract = Self { services: Vec::new(), paths: HashMap::new() };
        for set in descriptor_sets {
            let set = FileDescriptorSet::decode(*set).context("the compiled contract is damaged")?;
            set.file.iter().for_each(|file| contract.add(file));
        }
        Ok(contract)
    }

    /// Full names, as in `rides.v1.Rides`.
    pub fn services(&self) -> &[String] {
        &self.services
    }

    /// Whether `path` is a method's, as in `/rides.v1.Rides/Book`.
    pub fn has_path(&self, path: &str) -> bool {
        self.paths.contains_key(path)
    }

    /// Whether the answer of the method at `path` waits for a stream of the client's to end.
    pub fn is_upload(&self, path: &str) -> bool {
        self.paths.get(path).copied().unwrap_or(false)
    }

    fn add(&mut self, file: &FileDescriptorProto) {
        for service in &file.service {
            let name = format!("{}.{}", file.package(), service.name());
            let paths = service.method.iter().map(|method| {
                let is_upload = method.client_streaming() && !method.server_streaming();
                (format!("/{name}/{}", method.name()), is_upload)
            });
            self.paths.extend(paths);
            self.services.push(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_knows_what_is_in_the_proto_files() {
        let contract = Contract::new(&[rides_proto::FILE_DESCRIPTOR_SET]).unwrap();
        assert!(contract.has_path("/rides.v1.Fleet/Watch"));
        assert!(!contract.has_path("/rides.v1.Fleet/Nonsense"));
        assert!(contract.is_upload("/rides.v1.Rides/Track"));
        assert!(!contract.is_upload("/rides.v1.Fleet/Drive"), "it is answered as it goes");
        assert!(!contract.is_upload("/rides.v1.Fleet/Watch"));
        assert!(contract.services().contains(&"rides.v1.Rides".to_owned()));
    }

    #[test]
    fn damage_is_an_error() {
        assert!(Contract::new(&[b"\xff"]).is_err());
    }
}
