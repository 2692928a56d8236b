//! `rides-server token …`: a token from the key in the data directory, also beside a running server.

use std::{
    io::{self, Write as _},
    time::SystemTime,
};

use anyhow::{Context as _, bail, ensure};

use crate::{
    config::TokenConfig,
    data_dir::DataDir,
    sessions::{Keys, Role, Session, Sessions},
};

/// Prints it on a line of its own. Blocks.
pub fn run(config: TokenConfig) -> anyhow::Result<()> {
    let TokenConfig { role, subject, car, expires, data_dir } = config;
    ensure!(role == Role::Driver || car.is_none(), "only a driver has a car");
    let dir = match data_dir.map_or_else(DataDir::of_platform, Ok)? {
        DataDir::At(dir) => dir,
        DataDir::Memory => {
            bail!("a server without a data directory keeps its key to itself: name one by --data-dir")
        }
    };
    let now = SystemTime::now();
    let session = Session { car, ..Session::new(role, &subject, now + expires) };
    let issued = Sessions::new(Keys::load(&dir)?).issue(session, now);
    writeln!(io::stdout(), "{}", issued.token).context("cannot write to stdout")
}
