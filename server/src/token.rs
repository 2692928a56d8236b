//! `rides-server token …`: a token from the key in the data directory, and the end of one, also beside a running server.

use std::{
    io::{self, Write as _},
    path::PathBuf,
    time::SystemTime,
};

use anyhow::{Context as _, bail, ensure};

use crate::{
    config::{RevokeConfig, TokenAction, TokenConfig},
    data_dir::DataDir,
    sessions::{Keys, Revocations, Role, SESSION_LIFE, Session, Sessions, Whose},
};

/// Does what it is told. Blocks.
pub fn run(config: TokenConfig) -> anyhow::Result<()> {
    match config.action {
        Some(TokenAction::Revoke(whose)) => revoke(whose, config.data_dir),
        None => print(config),
    }
}

/// Prints it on a line of its own.
fn print(config: TokenConfig) -> anyhow::Result<()> {
    let TokenConfig { role, subject, car, expires, data_dir, .. } = config;
    let (role, subject) = role.zip(subject).context("for whom is the token to be?")?;
    ensure!(role == Role::Driver || car.is_none(), "only a driver has a car");
    let keys = Keys::load(&directory(data_dir)?)?;
    let now = SystemTime::now();
    let session = Session { car, ..Session::new(role, &subject, now + expires.unwrap_or(SESSION_LIFE)) };
    let issued = Sessions::new(keys).issue(session, now);
    writeln!(io::stdout(), "{}", issued.token).context("cannot write to stdout")
}

fn revoke(config: RevokeConfig, data_dir: Option<DataDir>) -> anyhow::Result<()> {
    let RevokeConfig { session, subject } = config;
    let whose = session.map(Whose::Session).or(subject.map(Whose::Subject));
    let dir = directory(data_dir)?;
    // Another directory's tokens would go on, and nobody would know.
    Keys::load(&dir)?;
    let whose = whose.context("whose sessions are to end?")?;
    Revocations::revoke_in(&dir, whose, SystemTime::now())
        .with_context(|| format!("nothing was revoked in {}", dir.display()))
}

fn directory(data_dir: Option<DataDir>) -> anyhow::Result<PathBuf> {
    match data_dir.map_or_else(DataDir::of_platform, Ok)? {
        DataDir::At(dir) => Ok(dir),
        DataDir::Memory => {
            bail!("a server without a data directory keeps its key to itself: name one by --data-dir")
        }
    }
}
