//! The fuzz target for map files.

use prost::Message as _;

use super::City;

/// A header that requires only the basic schema.
const HEADER: &[u8] = b"\x22\x0eOsmSchema-V0.6";

/// Reads the input as a file, and as a data block of a valid file, so that the fuzzer gets past the framing.
pub fn pbf(input: &[u8]) {
    drive(input);
    drive(&around(input));
}

/// Returns a valid file with one data block.
pub(super) fn around(block: &[u8]) -> Vec<u8> {
    pack(&[("OSMHeader".into(), HEADER.to_vec()), ("OSMData".into(), block.to_vec())])
}

/// Checks that routes can be found in every file that is accepted as a city.
fn drive(file: &[u8]) {
    let Ok(city) = City::from_pbf("fuzz", file) else { return };
    let bounds = city.bounds();
    let [from, to] = [bounds.south_west(), bounds.center()].map(|point| city.snap(point));
    if let Some(route) = city.route(&from, &to) {
        assert_eq!(city.drive_time(&from, &to), Some(route.duration));
    }
    city.find_places("a", 8);
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct BlobHeader {
    #[prost(string, tag = "1")]
    pub(super) kind: String,
    #[prost(int32, tag = "3")]
    pub(super) datasize: i32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Blob {
    #[prost(bytes = "vec", tag = "1")]
    pub(super) raw: Vec<u8>,
    #[prost(bytes = "vec", tag = "3")]
    pub(super) zlib_data: Vec<u8>,
}

/// Returns a file with these blobs, without compression. It has no checksums, so damaged contents are not rejected
/// early.
pub(super) fn pack(blobs: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut file = vec![];
    for (kind, raw) in blobs {
        let blob = Blob { raw: raw.clone(), ..Blob::default() }.encode_to_vec();
        let header = BlobHeader { kind: kind.clone(), datasize: blob.len() as i32 }.encode_to_vec();
        file.extend((header.len() as u32).to_be_bytes());
        file.extend(header);
        file.extend(blob);
    }
    file
}
