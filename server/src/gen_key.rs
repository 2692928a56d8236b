//! `rides-server gen-key`: creates a development CA and its certificates.

use std::{
    io::{self, Write as _},
    path::PathBuf,
};

use anyhow::{Context as _, bail};
use rides_proto::ids::CarId;

use crate::{
    config::GenKeyConfig,
    data_dir::DataDir,
    tls::{CertificateFiles, development::DevelopmentCa},
};

/// Creates the missing keys and certificates, and prints their paths. Blocks.
///
/// # Errors
/// If there is no data directory, or a file cannot be read or written.
pub fn run(config: GenKeyConfig) -> anyhow::Result<()> {
    let development = DevelopmentCa::at(&directory(config.data_dir)?);
    development.ensure(&config.host)?;
    let mut made = vec![("the server".to_owned(), development.server())];
    for car in config.car.into_iter().filter_map(CarId::new) {
        development.ensure_driver(car)?;
        made.push((format!("the driver of car {}", car.get()), development.driver(car)));
    }
    say(&development, &made).context("cannot write to stdout")
}

fn directory(data_dir: Option<DataDir>) -> anyhow::Result<PathBuf> {
    match data_dir.map_or_else(DataDir::of_platform, Ok)? {
        DataDir::At(dir) => Ok(dir),
        DataDir::Memory => bail!("keys need a place on the disk: set --data-dir to a directory"),
    }
}

fn say(development: &DevelopmentCa, made: &[(String, CertificateFiles)]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    for (whose, CertificateFiles { cert, key }) in made {
        writeln!(out, "Certificate and key of {whose}:\n  {}\n  {}", cert.display(), key.display())?;
    }
    writeln!(out, "{development}")
}
