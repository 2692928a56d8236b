//! `grpc.health.v1`, generated from `proto/grpc/health/v1/health.proto`.
#![allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic)]

tonic::include_proto!("grpc.health.v1");

/// The encoded `FileDescriptorSet` of the package.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/health.bin"));
