//! The errors of reading a map.

use std::io;

use super::formats::Format;

/// The error of a map that cannot be used. Its text is one line with the file and the problem.
#[derive(Debug, thiserror::Error)]
#[error("{map}: {problem}")]
pub struct CityError {
    /// The path of the file, or the name of the map.
    pub map: String,
    /// The problem. It is part of the text of this error, and so not its source.
    pub problem: Problem,
}

/// The reason why a map cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// The file is missing, is not a regular file, or may not be read.
    #[error("the map cannot be read: {0}")]
    Unreadable(io::Error),
    /// The file has no bytes.
    #[error("the map is empty")]
    Empty,
    /// The file is not OpenStreetMap PBF.
    #[error("this is not an OpenStreetMap PBF file (.osm.pbf)")]
    NotPbf,
    /// The file is not OpenStreetMap PBF, but a known other format.
    #[error("this is {}, not an OpenStreetMap PBF file (.osm.pbf): {}", .0.name, .0.remedy)]
    OtherFormat(Format),
    /// The file ends in the middle of a block.
    #[error("the map is cut short: its last block ends at byte {expected}, the file at byte {actual}")]
    Truncated {
        /// The least size that the file should have, in bytes.
        expected: u64,
        /// The size of the file, in bytes.
        actual: u64,
    },
    /// A block cannot be decoded.
    #[error("the map is damaged: {0}")]
    Damaged(String),
    /// A block has a compression that the format allows, but that is rarely used.
    #[error(
        "the map is compressed with {0}, which is not supported: use a file with zlib, as \"osmium cat IN -o OUT.osm.pbf\" \
         writes"
    )]
    Compression(&'static str),
    /// The file requires a feature that is not supported.
    #[error("the map needs the feature {feature}, which is not supported: {}", remedy_for(feature))]
    Unsupported {
        /// The name of the feature in the header of the file.
        feature: String,
    },
    /// The file is valid, but has no street on which a car can drive and come back.
    #[error(
        "the map has no street that cars may drive on: it needs ways with highway=* that are open to cars, two-way or in a \
         loop; check that the file was not filtered, or cut between two blocks"
    )]
    NoStreets,
    /// The file has streets, but not the nodes of them.
    #[error(
        "the map has streets but not the nodes that they consist of: \"osmium tags-filter\" keeps them without -R, and \
         \"osmium getid\" adds them with -r"
    )]
    NoNodes,
    /// The streets are on both sides of the 180th meridian.
    #[error(
        "the streets of the map cross the antimeridian (180° of longitude), which is not supported: cut out one side, \
         for example with \"osmium extract --bbox WEST,SOUTH,180,NORTH IN -o OUT.osm.pbf\""
    )]
    Antimeridian,
    /// The streets are beyond the limit of the map projection.
    #[error(
        "the streets of the map lie beyond 85° of latitude, where the projection of web maps (Web Mercator) ends: this \
         area cannot be shown"
    )]
    TooNearThePole,
}

fn remedy_for(feature: &str) -> &'static str {
    match feature {
        "HistoricalInformation" => {
            "it is a history file; \"osmium time-filter IN -o OUT.osm.pbf\" keeps only the newest versions"
        }
        _ => "\"osmium cat IN -o OUT.osm.pbf\" writes a file without it, if it knows the feature",
    }
}
