//! A builder of small maps for tests, encoded as in the OpenStreetMap wiki ("PBF Format").

use prost::Message;

use crate::city::{City, CityError, fuzz::pack};

/// A map under construction.
#[derive(Default)]
pub(super) struct MapBuilder {
    header: HeaderBlock,
    block: PrimitiveBlock,
}

impl MapBuilder {
    /// Adds a node at a position in degrees.
    pub(super) fn node(self, id: i64, lat: f64, lng: f64) -> Self {
        self.tagged(id, lat, lng, &[])
    }

    pub(super) fn tagged(mut self, id: i64, lat: f64, lng: f64, tags: &[(&str, &str)]) -> Self {
        let (keys, vals) = self.strings(tags);
        let [lat, lon] = [lat, lng].map(|degrees| (degrees * 1e7).round() as i64);
        self.block.groups.push(Group { nodes: vec![Node { id, keys, vals, lat, lon }], ways: vec![] });
        self
    }

    /// Adds a line of nodes.
    pub(super) fn way(mut self, id: i64, nodes: &[i64], tags: &[(&str, &str)]) -> Self {
        let (keys, vals) = self.strings(tags);
        let before = std::iter::once(&0).chain(nodes);
        let refs = nodes.iter().zip(before).map(|(node, before)| node - before).collect();
        self.block.groups.push(Group { nodes: vec![], ways: vec![Way { id, keys, vals, refs }] });
        self
    }

    /// Adds a residential street.
    pub(super) fn street(self, id: i64, nodes: &[i64], name: &str) -> Self {
        self.way(id, nodes, &[("highway", "residential"), ("name", name)])
    }

    /// Sets the header box: south, west, north and east in degrees.
    pub(super) fn boxed(mut self, edges: [f64; 4]) -> Self {
        let [bottom, left, top, right] = edges.map(|degrees| (degrees * 1e9) as i64);
        self.header.bbox = Some(HeaderBox { left, right, top, bottom });
        self
    }

    pub(super) fn requiring(mut self, feature: &str) -> Self {
        self.header.required_features.push(feature.into());
        self
    }

    pub(super) fn optionally(mut self, feature: &str) -> Self {
        self.header.optional_features.push(feature.into());
        self
    }

    pub(super) fn city(self) -> Result<City, CityError> {
        City::from_pbf("drawn", &self.file())
    }

    pub(super) fn file(mut self) -> Vec<u8> {
        self.header.required_features.push("OsmSchema-V0.6".into());
        let blobs = [("OSMHeader", self.header.encode_to_vec()), ("OSMData", self.block.encode_to_vec())];
        pack(&blobs.map(|(kind, blob)| (kind.to_owned(), blob)))
    }

    fn strings(&mut self, tags: &[(&str, &str)]) -> (Vec<u32>, Vec<u32>) {
        let strings = &mut self.block.strings.get_or_insert_with(|| StringTable { s: vec![vec![]] }).s;
        let mut add = |text: &str| {
            strings.push(text.into());
            strings.len() as u32 - 1
        };
        tags.iter().map(|(key, value)| (add(key), add(value))).unzip()
    }
}

#[derive(Message)]
struct HeaderBox {
    #[prost(sint64, required, tag = "1")]
    left: i64,
    #[prost(sint64, required, tag = "2")]
    right: i64,
    #[prost(sint64, required, tag = "3")]
    top: i64,
    #[prost(sint64, required, tag = "4")]
    bottom: i64,
}

#[derive(Message)]
struct HeaderBlock {
    #[prost(message, optional, tag = "1")]
    bbox: Option<HeaderBox>,
    #[prost(string, repeated, tag = "4")]
    required_features: Vec<String>,
    #[prost(string, repeated, tag = "5")]
    optional_features: Vec<String>,
}

#[derive(Message)]
struct PrimitiveBlock {
    #[prost(message, optional, tag = "1")]
    strings: Option<StringTable>,
    #[prost(message, repeated, tag = "2")]
    groups: Vec<Group>,
}

#[derive(Message)]
struct StringTable {
    #[prost(bytes = "vec", repeated, tag = "1")]
    s: Vec<Vec<u8>>,
}

#[derive(Message)]
struct Group {
    #[prost(message, repeated, tag = "1")]
    nodes: Vec<Node>,
    #[prost(message, repeated, tag = "3")]
    ways: Vec<Way>,
}

#[derive(Message)]
struct Node {
    #[prost(sint64, tag = "1")]
    id: i64,
    #[prost(uint32, repeated, tag = "2")]
    keys: Vec<u32>,
    #[prost(uint32, repeated, tag = "3")]
    vals: Vec<u32>,
    #[prost(sint64, required, tag = "8")]
    lat: i64,
    #[prost(sint64, required, tag = "9")]
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
