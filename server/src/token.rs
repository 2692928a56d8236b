//! `rides-server token`: prints a token signed with the key in the data directory, or revokes sessions. A server may
//! use the same directory meanwhile.

use std::{
    io::{self, Write as _},
    path::PathBuf,
    time::SystemTime,
};

use anyhow::{Context as _, bail, ensure};

use crate::{
    config::{RevokeConfig, TokenAction, TokenConfig},
    data_dir::DataDir,
    sessions::{Revocations, Role, SESSION_LIFETIME, Session, SessionScope, Sessions, TokenKeys},
};

/// Prints a token or revokes sessions. Blocks.
///
/// # Errors
/// If the data directory has no key, or the output or the revocation cannot be written.
pub fn run(config: TokenConfig) -> anyhow::Result<()> {
    match config.action {
        Some(TokenAction::Revoke(whose)) => revoke(whose, config.data_dir),
        None => print(config),
    }
}

/// Prints a token on one line.
fn print(config: TokenConfig) -> anyhow::Result<()> {
    let TokenConfig { role, subject, car, expires, data_dir, .. } = config;
    let (role, subject) = role.zip(subject).context("--role and --subject are required")?;
    ensure!(role == Role::Driver || car.is_none(), "--car is for --role driver only");
    let keys = TokenKeys::load(&directory(data_dir)?)?;
    let now = SystemTime::now();
    let session = Session { car, ..Session::new(role, &subject, now + expires.unwrap_or(SESSION_LIFETIME)) };
    let issued = Sessions::new(keys).issue(session, now);
    writeln!(io::stdout(), "{}", issued.token).context("cannot write to stdout")
}

fn revoke(config: RevokeConfig, data_dir: Option<DataDir>) -> anyhow::Result<()> {
    let RevokeConfig { session, subject } = config;
    let whose = session.map(SessionScope::Session).or(subject.map(SessionScope::Subject));
    let dir = directory(data_dir)?;
    // Without a key this is not the directory of a server, and the revocation would have no effect.
    TokenKeys::load(&dir)?;
    let whose = whose.context("--session or --subject is required")?;
    Revocations::revoke_in(&dir, whose, SystemTime::now())
        .with_context(|| format!("nothing was revoked in {}", dir.display()))
}

fn directory(data_dir: Option<DataDir>) -> anyhow::Result<PathBuf> {
    match data_dir.map_or_else(DataDir::of_platform, Ok)? {
        DataDir::At(dir) => Ok(dir),
        DataDir::Memory => {
            bail!(
                "a server with --data-dir :memory: has its key in memory only: set --data-dir to a directory"
            )
        }
    }
}
