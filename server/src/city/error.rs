//! Why a file is no map of a city.

use std::io;

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
    /// The file says that reading it takes more than we can do.
    #[error("the map needs a feature that is not supported: {0}")]
    Unsupported(String),
    /// A well-formed file in which no car can drive from anywhere to anywhere.
    #[error("the map has no street that cars may drive on")]
    NoStreets,
}
