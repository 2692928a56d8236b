//! A contract for tests: one service with a method of each kind.

use prost::Message as _;
use prost_types::{
    DescriptorProto, FileDescriptorProto, FileDescriptorSet, MethodDescriptorProto, ServiceDescriptorProto,
};

use super::Contract;

pub(super) const UNARY: &str = "/test.v1.Test/Unary";
pub(super) const SERVER_STREAM: &str = "/test.v1.Test/ServerStream";
pub(super) const CLIENT_STREAM: &str = "/test.v1.Test/ClientStream";
pub(super) const BIDIRECTIONAL: &str = "/test.v1.Test/Bidirectional";

/// The contract of `test.v1.Test`, with request messages of at most `max_message_size` bytes.
pub(super) fn contract(max_message_size: usize) -> Contract {
    Contract::new(&[&descriptor_set()], max_message_size).unwrap()
}

/// The encoded file descriptor set of `test.v1.Test`.
pub(super) fn descriptor_set() -> Vec<u8> {
    let method = |path: &str, client_streams, server_streams| MethodDescriptorProto {
        name: path.rsplit('/').next().map(str::to_owned),
        input_type: Some(".test.v1.Empty".to_owned()),
        output_type: Some(".test.v1.Empty".to_owned()),
        client_streaming: Some(client_streams),
        server_streaming: Some(server_streams),
        ..Default::default()
    };
    let service = ServiceDescriptorProto {
        name: Some("Test".to_owned()),
        method: vec![
            method(UNARY, false, false),
            method(SERVER_STREAM, false, true),
            method(CLIENT_STREAM, true, false),
            method(BIDIRECTIONAL, true, true),
        ],
        ..Default::default()
    };
    let file = FileDescriptorProto {
        name: Some("test.proto".to_owned()),
        package: Some("test.v1".to_owned()),
        syntax: Some("proto3".to_owned()),
        message_type: vec![DescriptorProto { name: Some("Empty".to_owned()), ..Default::default() }],
        service: vec![service],
        ..Default::default()
    };
    FileDescriptorSet { file: vec![file] }.encode_to_vec()
}
