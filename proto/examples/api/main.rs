//! A program that prints docs/api.md: the contract as one page, made from the comments in rides/v1/*.proto.
//!
//! `cargo xtask api` writes the file. A test in this file fails when the committed page is out of date.

mod comments;
mod contract;
mod markdown;

use std::io::{self, Write as _};

use contract::Contract;

fn main() -> io::Result<()> {
    let page = page().map_err(io::Error::other)?;
    io::stdout().write_all(page.as_bytes())
}

fn page() -> Result<String, prost::DecodeError> {
    Ok(markdown::page(&Contract::read(rides_proto::FILE_DESCRIPTOR_SET)?))
}

#[cfg(test)]
mod tests {
    use std::fs;

    #[test]
    fn the_page_says_what_the_contract_says() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/api.md");
        let (written, due) = (fs::read_to_string(path).unwrap_or_default(), super::page().unwrap());
        let first = written.lines().zip(due.lines()).position(|(written, due)| written != due);
        let same = first.is_none() && written.lines().count() == due.lines().count();
        let line = first.map_or_else(|| "at the end".to_owned(), |line| format!("from line {}", line + 1));
        assert!(same, "docs/api.md differs from the .proto files {line}: run `cargo xtask api`");
    }
}
