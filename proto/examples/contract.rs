//! A program that prints contract.binpb: the contract as an encoded `FileDescriptorSet`, without comments. `buf
//! breaking` compares changes of the contract with the committed file.
//!
//! `cargo xtask contract` writes the file. A test in this file fails when the committed one is out of date.

use std::io::{self, Write as _};

use prost::Message as _;
use prost_types::FileDescriptorSet;

fn main() -> io::Result<()> {
    io::stdout().write_all(&contract().map_err(io::Error::other)?)
}

fn contract() -> Result<Vec<u8>, prost::DecodeError> {
    let mut set = FileDescriptorSet::decode(rides_proto::FILE_DESCRIPTOR_SET)?;
    for file in &mut set.file {
        file.source_code_info = None;
    }
    Ok(set.encode_to_vec())
}

#[cfg(test)]
mod tests {
    use std::fs;

    #[test]
    fn the_committed_contract_is_the_one_of_the_proto_files() {
        let committed = fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/contract.binpb")).unwrap_or_default();
        assert!(
            committed == super::contract().unwrap(),
            "proto/contract.binpb differs from the .proto files: run `cargo xtask contract`"
        );
    }
}
