//! Where the server keeps what must outlive it.

use std::{convert::Infallible, path::PathBuf, str::FromStr};

use etcetera::{BaseStrategy as _, HomeDirError};

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
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(if text == ":memory:" { Self::Memory } else { Self::At(text.into()) })
    }
}
