//! The reader of OpenStreetMap PBF files: bytes to plain nodes, ways and relations, without interpretation.
//!
//! A file is a sequence of blobs, each behind a header with its size (OpenStreetMap wiki, "PBF Format").

use std::{
    collections::{HashMap, HashSet},
    io::{Cursor, SeekFrom},
};

use osmpbf::{
    BlobDecode, BlobReader, BlobType, Element, HeaderBBox, HeaderBlock, PrimitiveBlock, RelMemberType,
    Relation, Way,
};
use rides_proto::geo::LatLng;

use super::{
    catch_panic::catch_panic,
    error::Problem,
    formats::{other_format, unsupported_compression},
};

/// The longest tag value in OpenStreetMap, in characters. Longer values are cut.
const MAX_VALUE_CHARS: usize = 255;
/// The keys of nodes of which the tags are kept.
const NODE_KEYS: [&str; 2] = ["barrier", "place"];
/// The largest difference in longitude between neighbours of a line, in degrees. A larger one means that the line
/// crosses the antimeridian.
const HALF_WAY_ROUND_DEG: f64 = 180.0;

/// The contents of a file.
#[derive(Default)]
pub(super) struct Osm {
    /// The box in the header, not validated.
    pub(super) header_box: Option<HeaderBox>,
    /// Nodes by id, without those that are not on Earth.
    pub(super) nodes: HashMap<i64, LatLng>,
    /// The tags of nodes that are barriers or places.
    pub(super) node_tags: HashMap<i64, Tags>,
    /// Ways, without repeated ids.
    pub(super) ways: Vec<OsmWay>,
    /// Relations of type multipolygon: areas with rings of several ways.
    pub(super) multipolygons: Vec<Multipolygon>,
    way_ids: HashSet<i64>,
}

/// The edges of a box in degrees. The values are as in the file and may be any numbers.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct HeaderBox {
    /// The latitude of the southern edge.
    pub south: f64,
    /// The longitude of the western edge.
    pub west: f64,
    /// The latitude of the northern edge.
    pub north: f64,
    /// The longitude of the eastern edge.
    pub east: f64,
}

/// A line, or the ring around an area.
pub(super) struct OsmWay {
    pub(super) id: i64,
    pub(super) tags: Tags,
    /// Ids of nodes. An extract may lack some of the nodes.
    pub(super) nodes: Vec<i64>,
}

/// An area with rings of several ways.
pub(super) struct Multipolygon {
    pub(super) tags: Tags,
    /// Ids of the ways around the area, and of the ways around its holes.
    pub(super) outer: Vec<i64>,
    pub(super) inner: Vec<i64>,
}

/// A short list of keys and values.
#[derive(Default, Clone, Debug)]
pub(super) struct Tags(Vec<(Box<str>, Box<str>)>);

impl Tags {
    /// Returns the value of `key`.
    pub(super) fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(k, _)| **k == *key).map(|(_, v)| &**v)
    }

    /// Returns `true` if the value of `key` is one of `values`.
    pub(super) fn is(&self, key: &str, values: &[&str]) -> bool {
        self.get(key).is_some_and(|value| values.contains(&value))
    }

    /// All keys with their values.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (&**key, &**value))
    }

    /// Returns `true` if `key` is present and its value is not "no".
    pub(super) fn has(&self, key: &str) -> bool {
        self.get(key).is_some_and(|value| value != "no")
    }
}

impl<'a> FromIterator<(&'a str, &'a str)> for Tags {
    fn from_iter<I: IntoIterator<Item = (&'a str, &'a str)>>(tags: I) -> Self {
        Self(tags.into_iter().map(|(key, value)| (key.into(), shortened(value).into())).collect())
    }
}

fn shortened(value: &str) -> &str {
    value.char_indices().nth(MAX_VALUE_CHARS).map_or(value, |(end, _)| &value[..end])
}

impl Osm {
    /// Reads a whole file. Any input gives a result or an error, and never a panic.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Problem> {
        check_framing(bytes)?;
        // osmpbf panics on some damage that passes the checksum of a blob: a relation member of unknown kind and,
        // with overflow checks, sums of coordinates beyond 64 bits.
        catch_panic(|| read_blobs(bytes))
            .unwrap_or_else(|_| Err(Problem::Damaged("a block holds impossible numbers".into())))
    }

    /// Returns the points of a line of node ids, split at nodes that are not in the file and at the antimeridian.
    /// Each piece has at least two points.
    pub(super) fn pieces<'a>(&'a self, ids: &'a [i64]) -> impl Iterator<Item = Vec<LatLng>> + 'a {
        ids.split(|id| !self.nodes.contains_key(id))
            .map(|piece| self.known_points(piece))
            .flat_map(|line| {
                line.chunk_by(|a, b| !are_across_antimeridian(*a, *b)).map(<[_]>::to_vec).collect::<Vec<_>>()
            })
            .filter(|piece| piece.len() >= 2)
    }

    /// Returns the corners of an area from the ids of its ring, in which the first id is repeated at the end. Skips
    /// nodes that are not in the file. Empty if the ring crosses the antimeridian.
    pub(super) fn ring(&self, ids: &[i64]) -> Vec<LatLng> {
        let ring = self.known_points(ids.get(1..).unwrap_or_default());
        let next = ring.iter().cycle().skip(1);
        let is_across = ring.iter().zip(next).any(|(a, b)| are_across_antimeridian(*a, *b));
        if is_across { vec![] } else { ring }
    }

    /// Returns the points of a line of node ids, without nodes that are not in the file.
    pub(super) fn known_points(&self, ids: &[i64]) -> Vec<LatLng> {
        ids.iter().filter_map(|id| self.nodes.get(id).copied()).collect()
    }
}

/// Returns `true` if the short way between two points crosses the 180th meridian.
pub(super) fn are_across_antimeridian(a: LatLng, b: LatLng) -> bool {
    (a.lng() - b.lng()).abs() > HALF_WAY_ROUND_DEG
}

/// Checks the blob headers of a file and skips the blobs. Needed because the reader takes a truncated file for a
/// complete one, and a blob with an unknown compression for an empty one.
fn check_framing(bytes: &[u8]) -> Result<(), Problem> {
    if bytes.is_empty() {
        return Err(Problem::Empty);
    }
    if let Some(format) = other_format(bytes) {
        return Err(Problem::OtherFormat(format));
    }
    let mut blobs = BlobReader::new_seekable(Cursor::new(bytes))?;
    let mut end = 0;
    while let Some(blob) = blobs.next_header_skip_blob() {
        let (header, _) = blob.map_err(|e| if end == 0 { Problem::NotPbf } else { e.into() })?;
        let is_known = matches!(header.blob_type(), BlobType::OsmHeader | BlobType::OsmData);
        if end == 0 && header.blob_type() != BlobType::OsmHeader {
            return Err(Problem::NotPbf);
        }
        let next = blobs.seek_raw(SeekFrom::Current(0))?;
        if next <= end {
            return Err(Problem::Damaged(format!("the block at byte {end} has a negative size")));
        }
        let size = u64::try_from(header.get_blob_size()).unwrap_or_default();
        let blob = usize::try_from(next - size).ok().zip(usize::try_from(next).ok());
        let blob = blob.and_then(|(start, end)| bytes.get(start..end)).filter(|_| is_known);
        if let Some(compression) = blob.and_then(unsupported_compression) {
            return Err(Problem::Compression(compression));
        }
        end = next;
    }
    match bytes.len() as u64 {
        _ if end == 0 => Err(Problem::NotPbf),
        actual if actual == end => Ok(()),
        actual => Err(Problem::Truncated { expected: end.max(actual + 1), actual }),
    }
}

fn read_blobs(bytes: &[u8]) -> Result<Osm, Problem> {
    let mut osm = Osm::default();
    for blob in BlobReader::new(Cursor::new(bytes)) {
        match blob?.decode()? {
            BlobDecode::OsmHeader(header) => osm.read_header(&header)?,
            BlobDecode::OsmData(block) => osm.read_block(&block),
            BlobDecode::Unknown(_) => {}
        }
    }
    Ok(osm)
}

impl Osm {
    fn read_header(&mut self, header: &HeaderBlock) -> Result<(), Problem> {
        let known = ["OsmSchema-V0.6", "DenseNodes"];
        if let Some(feature) = header.required_features().iter().find(|f| !known.contains(&f.as_str())) {
            return Err(Problem::Unsupported { feature: feature.clone() });
        }
        self.header_box = header.bbox().map(|HeaderBBox { left, right, top, bottom }| HeaderBox {
            south: bottom,
            west: left,
            north: top,
            east: right,
        });
        Ok(())
    }

    fn read_block(&mut self, block: &PrimitiveBlock) {
        for element in block.elements() {
            match element {
                Element::DenseNode(node) => {
                    self.add_node(node.id(), node.lat(), node.lon());
                    self.add_node_tags(node.id(), node.tags());
                }
                Element::Node(node) => {
                    self.add_node(node.id(), node.lat(), node.lon());
                    self.add_node_tags(node.id(), node.tags());
                }
                Element::Way(way) => self.add_way(&way),
                Element::Relation(relation) => self.multipolygons.extend(multipolygon(&relation)),
            }
        }
    }

    fn add_node(&mut self, id: i64, lat: f64, lng: f64) {
        if let Ok(at) = LatLng::new(lat, lng) {
            self.nodes.insert(id, at);
        }
    }

    fn add_node_tags<'a>(&mut self, id: i64, tags: impl Iterator<Item = (&'a str, &'a str)> + Clone) {
        if tags.clone().any(|(key, _)| NODE_KEYS.contains(&key)) {
            self.node_tags.insert(id, tags.collect());
        }
    }

    fn add_way(&mut self, way: &Way<'_>) {
        if !self.way_ids.insert(way.id()) {
            return;
        }
        // The optional feature LocationsOnWays stores positions in ways. The nodes themselves may be missing.
        for (id, at) in way.refs().zip(way.node_locations()) {
            if !self.nodes.contains_key(&id) {
                self.add_node(id, at.lat(), at.lon());
            }
        }
        self.ways.push(OsmWay { id: way.id(), tags: way.tags().collect(), nodes: way.refs().collect() });
    }
}

fn multipolygon(relation: &Relation<'_>) -> Option<Multipolygon> {
    let tags: Tags = relation.tags().collect();
    if !tags.is("type", &["multipolygon"]) {
        return None;
    }
    let (mut outer, mut inner) = (vec![], vec![]);
    for member in relation.members().filter(|member| member.member_type == RelMemberType::Way) {
        let is_hole = member.role().is_ok_and(|role| role == "inner");
        if is_hole { &mut inner } else { &mut outer }.push(member.member_id);
    }
    Some(Multipolygon { tags, outer, inner })
}

impl From<osmpbf::Error> for Problem {
    fn from(error: osmpbf::Error) -> Self {
        Self::Damaged(error.to_string())
    }
}
