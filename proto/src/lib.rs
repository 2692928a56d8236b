//! The `rides.v1` contract, for the server and for the page.
//!
//! [`v1`] is generated from `rides/v1/*.proto`: messages, clients and servers. The other modules are the types on which
//! both ends must agree to the bit: [`geo`] (points, boxes and lines in degrees), [`tiles`] (the Web-Mercator cells of
//! fleet frames) and [`ids`]. [`convert`] converts between them and the messages. [`math`] has the functions that
//! [`tiles`] and the map need.

pub mod convert;
pub mod geo;
pub mod ids;
pub mod math;
pub mod tiles;

/// The messages, clients and servers, generated from `rides/v1/*.proto`. The comments there are the documentation.
#[allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic)]
#[allow(clippy::semicolon_if_nothing_returned, clippy::needless_pass_by_value, clippy::uninlined_format_args)]
pub mod v1 {
    tonic::include_proto!("rides.v1");
}

/// The encoded `FileDescriptorSet` of the contract with its comments, for server reflection, JSON and docs/api.md.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/rides.bin"));
