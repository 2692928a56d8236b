//! Why a file is no map of a city.

use std::io;

use super::formats::Format;

/// A map that cannot be used: one line that names the file and says what is wrong with it.
#[derive(Debug, thiserror::Error)]
#[error("{map}: {problem}")]
pub struct CityError {
    /// The file, or the name the map was given.
    pub map: String,
    /// What is wrong. Part of this error's own text, hence not its source.
    pub problem: Problem,
}

/// What is wrong with a map.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// The file is missing, is no regular file, or the system does not let us read it.
    #[error("the map cannot be read: {0}")]
    Unreadable(io::Error),
    /// No bytes at all.
    #[error("the map is empty")]
    Empty,
    /// Something else than OpenStreetMap PBF.
    #[error("this is not an OpenStreetMap PBF file (.osm.pbf)")]
    NotPbf,
    /// Something else than OpenStreetMap PBF, of a format that is known by its first bytes.
    #[error("this is {}, and a map is an OpenStreetMap PBF file (.osm.pbf): {}", .0.name, .0.remedy)]
    OtherFormat(Format),
    /// The file ends in the middle of a block.
    #[error("the map is cut short: its last block ends at byte {expected}, the file at byte {actual}")]
    Truncated {
        /// Bytes there should be, at least.
        expected: u64,
        /// Bytes there are.
        actual: u64,
    },
    /// A block does not decode.
    #[error("the map is damaged: {0}")]
    Damaged(String),
    /// A block is compressed in a way that the format allows and hardly any file uses.
    #[error(
        "the map is compressed with {0}, which is not supported: use a file with zlib, as \"osmium cat IN -o OUT.osm.pbf\" \
         writes"
    )]
    Compression(&'static str),
    /// The file says that reading it takes more than we can do.
    #[error("the map needs the feature {feature}, which is not supported: {}", remedy_for(feature))]
    Unsupported {
        /// The name, as in the file's header.
        feature: String,
    },
    /// A well-formed file in which no car can drive from anywhere to anywhere.
    #[error(
        "the map has no street that cars may drive on: no ways with highway=* that are open to cars and lead back to \
         where they began; a file that was filtered, or cut between two blocks, has none either"
    )]
    NoStreets,
    /// There are streets, but the nodes that they refer to are elsewhere.
    #[error(
        "the map has streets but not the nodes that they consist of: \"osmium tags-filter\" keeps them without -R, and \
         \"osmium getid\" adds them with -r"
    )]
    NoNodes,
    /// The streets lie on both sides of the 180th meridian.
    #[error(
        "the streets of the map cross the antimeridian (180° of longitude), which is not supported: cut out one side, \
         for example with \"osmium extract --bbox WEST,SOUTH,180,NORTH IN -o OUT.osm.pbf\""
    )]
    Antimeridian,
    /// The streets lie where maps of this projection end.
    #[error(
        "the streets of the map lie beyond 85° of latitude, where the projection of web maps (Web Mercator) ends: this \
         area cannot be shown"
    )]
    TooNearThePole,
}

fn remedy_for(feature: &str) -> &'static str {
    match feature {
        "HistoricalInformation" => {
            "the file has all versions of everything; \"osmium time-filter IN -o OUT.osm.pbf\" keeps the newest"
        }
        _ => "\"osmium cat IN -o OUT.osm.pbf\" writes a file without it, if it knows the feature",
    }
}
