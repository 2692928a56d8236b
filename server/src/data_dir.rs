//! Where the server keeps what must outlive it.

mod kept_files;

use std::{path::PathBuf, str::FromStr};

use etcetera::{BaseStrategy as _, HomeDirError};

pub use self::kept_files::{FileLost, KeptFiles};

/// A directory, or nowhere.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DataDir {
    /// This one. It is made where it is not.
    At(PathBuf),
    /// In memory: all is forgotten at the end.
    Memory,
}

impl DataDir {
    /// The platform's folder for data of the person who runs this, like `~/.local/share/rides`.
    pub fn of_platform() -> Result<Self, HomeDirError> {
        Ok(Self::At(etcetera::base_strategy::choose_native_strategy()?.data_dir().join("rides")))
    }
}

impl FromStr for DataDir {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "" => Err("it is empty: name a directory, or :memory:"),
            ":memory:" => Ok(Self::Memory),
            _ => Ok(Self::At(text.into())),
        }
    }
}
