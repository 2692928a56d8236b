//! The data directory, for state that outlives the server.

mod watched_files;

use std::{path::PathBuf, str::FromStr};

use etcetera::{BaseStrategy as _, HomeDirError};

pub use self::watched_files::{FileLost, WatchedFiles};

/// A value of `--data-dir`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DataDir {
    /// A directory. It is created if it is missing.
    At(PathBuf),
    /// Memory only, until the process ends.
    Memory,
}

impl DataDir {
    /// Returns the platform's data directory of the current user, for example `~/.local/share/rides`.
    ///
    /// # Errors
    /// If the user has no home directory.
    pub fn of_platform() -> Result<Self, HomeDirError> {
        Ok(Self::At(etcetera::base_strategy::choose_native_strategy()?.data_dir().join("rides")))
    }
}

impl FromStr for DataDir {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "" => Err("the value is empty: give a directory, or :memory:"),
            ":memory:" => Ok(Self::Memory),
            _ => Ok(Self::At(text.into())),
        }
    }
}
