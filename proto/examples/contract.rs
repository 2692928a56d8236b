//! Prints contract.binpb: the contract as an encoded `FileDescriptorSet`, without comments. Changes of the contract are
//! compared with the committed one.
//!
//! `cargo xtask contract` writes it; a test here says when it is due.

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
            "proto/contract.binpb is not what the .proto files say: `cargo xtask contract` adds what is new"
        );
    }
}
