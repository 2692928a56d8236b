//! A certificate authority for development, in the data directory. It is created once, and signs the certificates of
//! the server and of drivers.

use std::{
    fmt,
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use anyhow::Context as _;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};
use rides_proto::ids::CarId;
use time::OffsetDateTime;

use super::{CertificateFiles, driver};
use crate::files::{self, Access};

/// The names in each server certificate, beside those that are asked for.
const HOSTS: [&str; 3] = ["localhost", "127.0.0.1", "::1"];
const CA_LIFE: Duration = days(10 * 365);
/// The lifetime of other certificates. Browsers accept at most 398 days.
const LIFE: Duration = days(397);
/// The age from which a certificate is replaced at the next start.
const RENEW_AFTER: Duration = days(300);
/// The time by which a certificate is backdated, since clocks differ.
const BACKDATED: Duration = days(1);

const fn days(n: u64) -> Duration {
    Duration::from_secs(n * 24 * 60 * 60)
}

/// The directory of the authority and of the certificates that it has signed.
#[derive(Clone, Debug)]
pub struct DevelopmentCa {
    dir: PathBuf,
}

impl DevelopmentCa {
    /// Returns the authority in the directory `tls` of `data_dir`. Creates nothing.
    pub fn at(data_dir: &Path) -> Self {
        Self { dir: data_dir.join("tls") }
    }

    /// Returns the path of the authority's certificate, which clients must trust.
    pub fn ca(&self) -> PathBuf {
        self.dir.join("ca.pem")
    }

    /// Returns the paths of the server's certificate and key.
    pub fn server(&self) -> CertificateFiles {
        self.files("server")
    }

    /// Returns the paths of the certificate and key of a car's driver.
    pub fn driver(&self, car: CarId) -> CertificateFiles {
        self.files(&format!("car-{}", car.get()))
    }

    /// Creates the authority if it is missing, and a server certificate for localhost and `hosts` if it is missing or
    /// old. With `hosts`, the server certificate is always replaced.
    ///
    /// # Errors
    /// If a file cannot be read or written, or one of `hosts` is not a valid name.
    pub fn ensure(&self, hosts: &[String]) -> anyhow::Result<()> {
        fs::create_dir_all(&self.dir)
            .map_err(|why| files::explained(&self.dir, Access::Write, why))
            .with_context(|| format!("cannot create {}", self.dir.display()))?;
        if !self.ca().exists() {
            let key = KeyPair::generate()?;
            let certificate = ca_params().self_signed(&key)?;
            self.write("ca", &certificate.pem(), &key)?;
        }
        let CertificateFiles { cert, key } = self.server();
        if hosts.is_empty() && is_fresh(&cert) && key.exists() {
            return Ok(());
        }
        let names: Vec<String> = HOSTS.iter().map(ToString::to_string).chain(hosts.iter().cloned()).collect();
        let mut params = CertificateParams::new(names).context("a --host value is not a valid host name")?;
        params.distinguished_name.push(DnType::CommonName, "Rides development server");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.sign("server", params)
    }

    /// Creates the certificate of a car's driver, if it is missing or old.
    ///
    /// # Errors
    /// If a file cannot be read or written.
    pub fn ensure_driver(&self, car: CarId) -> anyhow::Result<()> {
        let CertificateFiles { cert, key } = self.driver(car);
        if is_fresh(&cert) && key.exists() {
            return Ok(());
        }
        let mut params = CertificateParams::new([])?;
        params.distinguished_name.push(DnType::CommonName, format!("Driver of car {}", car.get()));
        params.subject_alt_names.push(SanType::URI(driver::uri(car).try_into()?));
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(&format!("car-{}", car.get()), params)
    }

    fn sign(&self, name: &str, mut params: CertificateParams) -> anyhow::Result<()> {
        let ca_key = self.files("ca").key;
        let ca_key = files::read_to_string(&ca_key)
            .with_context(|| format!("cannot read the development CA's key {}", ca_key.display()))?;
        let issuer = Issuer::new(ca_params(), KeyPair::from_pem(&ca_key)?);
        live(&mut params, LIFE);
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &issuer)?;
        self.write(name, &certificate.pem(), &key)
    }

    fn files(&self, name: &str) -> CertificateFiles {
        let file = |suffix: &str| self.dir.join(format!("{name}{suffix}.pem"));
        CertificateFiles { cert: file(""), key: file("-key") }
    }

    /// Writes a certificate and its key. The key is first, so that a certificate never exists without a key.
    fn write(&self, name: &str, certificate: &str, key: &KeyPair) -> anyhow::Result<()> {
        let pair = self.files(name);
        replace(&pair.key, &key.serialize_pem(), true)
            .and_then(|()| replace(&pair.cert, certificate, false))
            .map_err(|why| files::explained(&self.dir, Access::Write, why))
            .with_context(|| format!("cannot write to {}", self.dir.display()))
    }
}

/// Returns the parameters of the authority. They must be the same each time, since they are not read from its
/// certificate.
fn ca_params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "Rides development CA");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    live(&mut params, CA_LIFE);
    params
}

fn live(params: &mut CertificateParams, life: Duration) {
    let from = OffsetDateTime::now_utc() - BACKDATED;
    params.not_before = from;
    params.not_after = from + life;
}

fn is_fresh(certificate: &Path) -> bool {
    let made = fs::metadata(certificate).and_then(|metadata| metadata.modified());
    made.is_ok_and(|made| SystemTime::now().duration_since(made).unwrap_or_default() < RENEW_AFTER)
}

/// Replaces a file atomically.
fn replace(file: &Path, content: &str, secret: bool) -> io::Result<()> {
    let beside = file.with_extension("new");
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    create(&beside, secret)?.write_all(content.as_bytes())?;
    fs::rename(beside, file)
}

/// Creates a file. A secret one has mode 0600 from the start.
fn create(file: &Path, secret: bool) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(if secret { 0o600 } else { 0o644 });
    }
    #[cfg(not(unix))]
    let _ = secret;
    options.open(file)
}

/// Writes the commands that make each platform trust the authority.
impl fmt::Display for DevelopmentCa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ca = self.ca();
        let ca = ca.display();
        writeln!(f, "The development CA is {ca}. To trust it:")?;
        writeln!(
            f,
            "  Linux     sudo cp {ca} /usr/local/share/ca-certificates/rides.crt && sudo update-ca-certificates"
        )?;
        writeln!(f, "  Chromium  certutil -d sql:$HOME/.pki/nssdb -A -t C,, -n Rides -i {ca}    (on Linux)")?;
        writeln!(
            f,
            "  macOS     security add-trusted-cert -r trustRoot -k ~/Library/Keychains/login.keychain-db {ca}"
        )?;
        writeln!(f, "  Windows   certutil -addstore -user Root {ca}")?;
        writeln!(
            f,
            "  Java      keytool -importcert -noprompt -alias rides -file {ca} -keystore rides.p12 -storepass changeit\n            \
             java -Djavax.net.ssl.trustStore=rides.p12 -Djavax.net.ssl.trustStorePassword=changeit …"
        )?;
        writeln!(f, "  Firefox   Settings, Certificates, Authorities, Import")?;
        write!(f, "  programs  rides-server sim --ca {ca}, grpcurl -cacert {ca}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(files: &CertificateFiles) -> (String, String) {
        (fs::read_to_string(&files.cert).unwrap(), fs::read_to_string(&files.key).unwrap())
    }

    /// CLIENT-15 in docs/failures.md.
    #[test]
    fn each_platform_is_told_how_to_trust_the_authority() {
        let dir = tempfile::tempdir().unwrap();
        let development = DevelopmentCa::at(dir.path());
        let (told, ca) = (development.to_string(), development.ca().display().to_string());
        for command in [
            "update-ca-certificates".to_owned(),
            format!("certutil -d sql:$HOME/.pki/nssdb -A -t C,, -n Rides -i {ca}"),
            format!("security add-trusted-cert -r trustRoot -k ~/Library/Keychains/login.keychain-db {ca}"),
            format!("certutil -addstore -user Root {ca}"),
            format!(
                "keytool -importcert -noprompt -alias rides -file {ca} -keystore rides.p12 -storepass changeit"
            ),
            format!("grpcurl -cacert {ca}"),
        ] {
            assert!(told.contains(&command), "{command} in {told}");
        }
    }

    #[test]
    fn what_is_there_stays() {
        let dir = tempfile::tempdir().unwrap();
        let development = DevelopmentCa::at(dir.path());
        let car = CarId::new(7).unwrap();
        let make = || {
            development.ensure(&[]).unwrap();
            development.ensure_driver(car).unwrap();
            [development.files("ca"), development.server(), development.driver(car)]
                .map(|files| content(&files))
        };
        let made = make();
        assert_eq!(make(), made);

        development.ensure(&["rides.test".into()]).unwrap();
        assert_eq!(content(&development.files("ca")), made[0], "the authority stays the same");
        assert_ne!(content(&development.server()), made[1]);
        assert!(development.ensure(&["no name".into(), "ä".into()]).is_err());
    }

    #[cfg(unix)]
    #[test]
    fn keys_are_their_owners_alone() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let development = DevelopmentCa::at(dir.path());
        development.ensure(&[]).unwrap();
        for name in ["ca", "server"] {
            let mode = fs::metadata(development.files(name).key).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
    }
}
