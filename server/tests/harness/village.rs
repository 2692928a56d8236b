//! A map of six streets that cross at nine corners. A server loads it at once.

use std::{fs, path::Path};

use bytes::{BufMut as _, BytesMut};
use prost::Message;
use rides_proto::v1::Location;

/// The number of corners on each street.
const CORNERS: i64 = 3;
/// The distance between two corners in units of the format: 100 nanodegrees. It is about 110 m.
const APART: i64 = 10_000;
/// The south-west corner, 60° N 25° E, in the same units.
const ORIGIN: (i64, i64) = (600_000_000, 250_000_000);

/// Returns a corner, counted from the south-west one: `(0, 0)` to `(2, 2)`.
pub(crate) fn corner(north: i64, east: i64) -> Location {
    let (lat, lng) = units(north, east);
    Location { lat: lat as f64 / 1e7, lng: lng as f64 / 1e7 }
}

fn units(north: i64, east: i64) -> (i64, i64) {
    (ORIGIN.0 + north * APART, ORIGIN.1 + 2 * east * APART)
}

/// Writes the map as an .osm.pbf file.
pub(crate) fn build(path: &Path) {
    let header = HeaderBlock { required_features: vec!["OsmSchema-V0.6".into()] };
    let mut file = BytesMut::new();
    put_blob(&mut file, "OSMHeader", &header);
    put_blob(&mut file, "OSMData", &streets());
    fs::write(path, file).unwrap();
}

fn streets() -> PrimitiveBlock {
    let at = |north, east| north * CORNERS + east + 1;
    let every = 0..CORNERS;
    let nodes = every.clone().flat_map(|north| {
        every.clone().map(move |east| {
            let (lat, lon) = units(north, east);
            Node { id: at(north, east), lat, lon }
        })
    });
    let across = every.clone().map(|north| [at(north, 0), at(north, 1), at(north, 2)]);
    let along = every.clone().map(|east| [at(0, east), at(1, east), at(2, east)]);
    let ways = across.chain(along).enumerate().map(|(n, [first, second, third])| Way {
        id: n as i64 + 1,
        keys: vec![1],
        vals: vec![2],
        refs: vec![first, second - first, third - second],
    });
    let strings = ["", "highway", "residential"].map(|text| text.as_bytes().to_vec());
    PrimitiveBlock {
        strings: Some(StringTable { s: strings.to_vec() }),
        groups: vec![
            PrimitiveGroup { nodes: nodes.collect(), ways: vec![] },
            PrimitiveGroup { nodes: vec![], ways: ways.collect() },
        ],
    }
}

fn put_blob(file: &mut BytesMut, kind: &str, content: &impl Message) {
    let raw = content.encode_to_vec();
    let blob = Blob { raw_size: raw.len() as i32, raw }.encode_to_vec();
    let header = BlobHeader { kind: kind.into(), datasize: blob.len() as i32 }.encode_to_vec();
    file.put_u32(header.len() as u32);
    file.put_slice(&header);
    file.put_slice(&blob);
}

// The messages of the file, from the page "PBF Format" of the OpenStreetMap wiki.

#[derive(Message)]
struct BlobHeader {
    #[prost(string, tag = "1")]
    kind: String,
    #[prost(int32, tag = "3")]
    datasize: i32,
}

#[derive(Message)]
struct Blob {
    #[prost(bytes = "vec", tag = "1")]
    raw: Vec<u8>,
    #[prost(int32, tag = "2")]
    raw_size: i32,
}

#[derive(Message)]
struct HeaderBlock {
    #[prost(string, repeated, tag = "4")]
    required_features: Vec<String>,
}

#[derive(Message)]
struct PrimitiveBlock {
    #[prost(message, optional, tag = "1")]
    strings: Option<StringTable>,
    #[prost(message, repeated, tag = "2")]
    groups: Vec<PrimitiveGroup>,
}

#[derive(Message)]
struct StringTable {
    #[prost(bytes = "vec", repeated, tag = "1")]
    s: Vec<Vec<u8>>,
}

#[derive(Message)]
struct PrimitiveGroup {
    #[prost(message, repeated, tag = "1")]
    nodes: Vec<Node>,
    #[prost(message, repeated, tag = "3")]
    ways: Vec<Way>,
}

#[derive(Message)]
struct Node {
    #[prost(sint64, tag = "1")]
    id: i64,
    #[prost(sint64, tag = "8")]
    lat: i64,
    #[prost(sint64, tag = "9")]
    lon: i64,
}

#[derive(Message)]
struct Way {
    #[prost(int64, tag = "1")]
    id: i64,
    #[prost(uint32, repeated, tag = "2")]
    keys: Vec<u32>,
    #[prost(uint32, repeated, tag = "3")]
    vals: Vec<u32>,
    #[prost(sint64, repeated, tag = "8")]
    refs: Vec<i64>,
}
