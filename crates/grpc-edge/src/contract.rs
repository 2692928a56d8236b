//! The services and methods on the port, read from the compiled contract.

use std::{collections::HashMap, num::NonZeroU32, time::Duration};

use anyhow::{Context as _, ensure};
use prost::Message as _;
use prost_types::{FileDescriptorProto, FileDescriptorSet};

/// The services and methods on the port.
pub struct Contract {
    services: Vec<String>,
    methods: HashMap<String, Method>,
    /// The paths in the order of [`Method::index`].
    paths: Vec<String>,
    /// The policies in the order of [`Method::index`].
    policies: Vec<MethodPolicy>,
}

/// The limits of one method, besides those of all methods in [`Limits`](super::Limits).
#[derive(Clone, Default, Debug)]
pub struct MethodPolicy {
    /// The most calls in progress, of all callers together.
    pub max_in_progress: Option<MethodLimit<usize>>,
    /// The most calls from one address within an hour. As many may be made at once.
    pub max_per_hour: Option<MethodLimit<NonZeroU32>>,
}

/// A limit, and the error of a call beyond it: RESOURCE_EXHAUSTED.
#[derive(Clone, Debug)]
pub struct MethodLimit<N> {
    /// The number of calls.
    pub limit: N,
    /// The reason in `ErrorInfo`.
    pub reason: &'static str,
    /// The message of the error.
    pub message: String,
}

/// The properties of a method.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Method {
    index: usize,
    /// The sides that stream.
    pub kind: MethodKind,
    /// The largest request message, in bytes.
    pub max_message_size: usize,
}

impl Method {
    /// A method of a contract with no other method.
    #[cfg(any(test, feature = "fuzz"))]
    pub(super) fn alone(kind: MethodKind, max_message_size: usize) -> Self {
        Self { index: 0, kind, max_message_size }
    }

    /// The number of the method in its contract, from 0. Programs keep facts about methods in a vector by it.
    pub fn index(self) -> usize {
        self.index
    }
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
    /// Returns the longest duration of a call, also if its client allows more. The call then ends with
    /// DEADLINE_EXCEEDED.
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
    /// When a set cannot be decoded, or has the same method as another.
    pub fn new(descriptor_sets: &[&[u8]], max_message_size: usize) -> anyhow::Result<Self> {
        let mut contract =
            Self { services: Vec::new(), methods: HashMap::new(), paths: Vec::new(), policies: Vec::new() };
        for set in descriptor_sets {
            let set = FileDescriptorSet::decode(*set).context("failed to decode the compiled contract")?;
            set.file.iter().try_for_each(|file| contract.add(file, max_message_size))?;
        }
        Ok(contract)
    }

    /// Sets the largest request message of the method at `path`, in bytes.
    ///
    /// # Errors
    /// When the contract has no such method.
    pub fn with_max_message_size(mut self, path: &str, max_message_size: usize) -> anyhow::Result<Self> {
        let method = self.methods.get_mut(path).with_context(|| unknown(path))?;
        method.max_message_size = max_message_size;
        Ok(self)
    }

    /// Sets the policy of the method at `path`.
    ///
    /// # Errors
    /// When the contract has no such method.
    pub fn with_policy(mut self, path: &str, policy: MethodPolicy) -> anyhow::Result<Self> {
        let method = self.methods.get(path).with_context(|| unknown(path))?;
        self.policies[method.index] = policy;
        Ok(self)
    }

    /// The full names of the services, for example `board.v1.Board`.
    pub fn services(&self) -> &[String] {
        &self.services
    }

    /// Returns the method at `path`, for example `/board.v1.Board/Book`.
    pub fn method(&self, path: &str) -> Option<Method> {
        self.methods.get(path).copied()
    }

    /// The paths of all methods, in the order of [`Method::index`].
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.paths.iter().map(String::as_str)
    }

    /// The policies of all methods, in the order of [`Method::index`].
    pub(super) fn policies(&self) -> &[MethodPolicy] {
        &self.policies
    }

    fn add(&mut self, file: &FileDescriptorProto, max_message_size: usize) -> anyhow::Result<()> {
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
                let method = Method { index: self.paths.len(), kind, max_message_size };
                ensure!(self.methods.insert(path.clone(), method).is_none(), "the contract has {path} twice");
                self.paths.push(path);
                self.policies.push(MethodPolicy::default());
            }
            self.services.push(name);
        }
        Ok(())
    }
}

fn unknown(path: &str) -> String {
    format!("the contract has no method {path}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{BIDIRECTIONAL, CLIENT_STREAM, SERVER_STREAM, UNARY, contract, descriptor_set};

    #[test]
    fn it_knows_what_is_in_the_proto_files() {
        let contract = contract(1_000).with_max_message_size(BIDIRECTIONAL, 10).unwrap();
        for (path, kind, largest) in [
            (UNARY, MethodKind::Unary, 1_000),
            (SERVER_STREAM, MethodKind::ServerStreaming, 1_000),
            (CLIENT_STREAM, MethodKind::ClientStreaming, 1_000),
            (BIDIRECTIONAL, MethodKind::Bidirectional, 10),
        ] {
            let method = contract.method(path).expect(path);
            assert_eq!((method.kind, method.max_message_size), (kind, largest), "{path}");
        }
        assert_eq!(contract.method("/test.v1.Test/Nonsense"), None);
        assert_eq!(contract.services(), ["test.v1.Test"]);
    }

    #[test]
    fn each_method_has_an_index_and_comes_once() {
        let contract = contract(1);
        for (index, path) in contract.paths().enumerate() {
            assert_eq!(contract.method(path).map(Method::index), Some(index), "{path}");
        }
        let set = descriptor_set();
        let why = Contract::new(&[&set, &set], 1).err().unwrap().to_string();
        assert_eq!(why, "the contract has /test.v1.Test/Unary twice");
    }

    #[test]
    fn a_limit_of_an_unknown_method_is_an_error() {
        const PATH: &str = "/test.v1.Test/Nonsense";
        let why = "the contract has no method /test.v1.Test/Nonsense";
        assert_eq!(contract(1).with_max_message_size(PATH, 1).err().unwrap().to_string(), why);
        assert_eq!(contract(1).with_policy(PATH, MethodPolicy::default()).err().unwrap().to_string(), why);
    }

    #[test]
    fn damage_is_an_error() {
        assert!(Contract::new(&[b"\xff"], 1).is_err());
    }
}
