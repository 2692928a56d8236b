//! The detection of files in other formats by their first bytes, and of compressions in PBF files that are not
//! supported.

use prost::encoding::{DecodeContext, decode_key, skip_field};

/// A file format that may be mistaken for a map.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Format {
    /// The name of the format, to be read after "this is".
    pub name: &'static str,
    /// The advice for the user.
    pub remedy: &'static str,
}

const XML: Format =
    Format { name: "OpenStreetMap XML", remedy: "\"osmium cat IN.osm -o OUT.osm.pbf\" converts it" };
const O5M: Format =
    Format { name: "an o5m file", remedy: "\"osmium cat IN.o5m -o OUT.osm.pbf\" converts it" };
const GZIP: Format = Format {
    name: "a gzip file",
    remedy: "for OpenStreetMap data, \"osmium cat IN.osm.gz -o OUT.osm.pbf\" converts it",
};
const BZIP2: Format = Format {
    name: "a bzip2 file",
    remedy: "for OpenStreetMap data, \"osmium cat IN.osm.bz2 -o OUT.osm.pbf\" converts it",
};
const PACKED: Format =
    Format { name: "a compressed file", remedy: "decompress it, and use the .osm.pbf file inside" };
const ZIP: Format = Format {
    name: "a zip archive, for example with shapefiles",
    remedy: "download the .osm.pbf file of the same area",
};
const SHAPEFILE: Format =
    Format { name: "a shapefile", remedy: "download the .osm.pbf file of the same area" };
const JSON: Format =
    Format { name: "JSON, such as GeoJSON", remedy: "download the .osm.pbf file of the same area" };
const SQLITE: Format = Format {
    name: "a database, such as GeoPackage or MBTiles",
    remedy: "download the .osm.pbf file of the same area",
};
const HTML: Format = Format {
    name: "a web page",
    remedy: "the download failed, or the address is not that of the file: download the .osm.pbf file itself",
};

const BEGINNINGS: [(&[u8], Format); 17] = [
    (b"<!doctype html", HTML),
    (b"<html", HTML),
    (b"<?xml", XML),
    (b"<osm", XML),
    (b"\xff\xe0", O5M),
    (b"\x1f\x8b", GZIP),
    (b"bzh", BZIP2),
    (b"\xfd7zxz", PACKED),
    (b"\x28\xb5\x2f\xfd", PACKED),
    (b"7z\xbc\xaf", PACKED),
    (b"rar!", PACKED),
    (b"pk\x03\x04", ZIP),
    (b"pk\x05\x06", ZIP),
    (b"\0\0\x27\x0a", SHAPEFILE),
    (b"{", JSON),
    (b"[", JSON),
    (b"sqlite format 3", SQLITE),
];

/// Returns the format of a file that is not PBF, or `None` if the format is unknown.
pub(super) fn other_format(file: &[u8]) -> Option<Format> {
    let file = file.strip_prefix(b"\xef\xbb\xbf").unwrap_or(file).trim_ascii_start();
    let begins = |start: &[u8]| file.get(..start.len()).is_some_and(|head| head.eq_ignore_ascii_case(start));
    BEGINNINGS.iter().find(|(start, _)| begins(start)).map(|(_, format)| *format)
}

/// Returns the compression of a blob if it is not supported. `blob` is an encoded `Blob` message of the PBF format:
/// the number of the field with the data tells the compression.
pub(super) fn unsupported_compression(mut blob: &[u8]) -> Option<&'static str> {
    let context = DecodeContext::default();
    while !blob.is_empty() {
        let (field, wire_type) = decode_key(&mut blob).ok()?;
        match field {
            1 | 3 => return None,
            4 => return Some("lzma"),
            5 => return Some("bzip2"),
            6 => return Some("lz4"),
            7 => return Some("zstd"),
            _ => skip_field(wire_type, field, &mut blob, context.clone()).ok()?,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_another_format_is_told_by_how_it_begins() {
        for (file, expected) in [
            (&b"<?xml version='1.0'?><osm version=\"0.6\">"[..], Some(XML)),
            (b"\xef\xbb\xbf\r\n<osm version=\"0.6\">", Some(XML)),
            (b"<!DOCTYPE HTML><title>Not found</title>", Some(HTML)),
            (b"\x1f\x8b\x08\0", Some(GZIP)),
            (b"BZh91AY&SY", Some(BZIP2)),
            (b"PK\x03\x04\x14\0", Some(ZIP)),
            (b"\0\0\x27\x0a\0\0\0\0", Some(SHAPEFILE)),
            (b"{\"type\": \"FeatureCollection\"}", Some(JSON)),
            (b"SQLite format 3\0", Some(SQLITE)),
            (b"\xff\xe0\x04o5m2", Some(O5M)),
            (b"\0\0\0\x0e\x0a\x09OSMHeader", None),
            (b"", None),
        ] {
            assert_eq!(other_format(file), expected, "{file:?}");
        }
    }

    #[test]
    fn a_compression_is_named_by_the_field_that_holds_the_data() {
        let size = [0x10, 7];
        for (tag, expected) in [
            (0x0a, None),
            (0x1a, None),
            (0x22, Some("lzma")),
            (0x2a, Some("bzip2")),
            (0x32, Some("lz4")),
            (0x3a, Some("zstd")),
        ] {
            let blob = [&size[..], &[tag, 1, 0]].concat();
            assert_eq!(unsupported_compression(&blob), expected, "{tag:#x}");
        }
        for damaged in [&b""[..], b"\x10", b"\xff\xff\xff", b"\x12\x7f"] {
            assert_eq!(unsupported_compression(damaged), None, "{damaged:?}");
        }
    }
}
