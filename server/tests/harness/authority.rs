//! A certificate authority for drivers: `Authority::new().certifies(7, an_hour)`. It also publishes a
//! revocation list.

use std::{fs, path::PathBuf, time::Duration};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SanType, SerialNumber,
};
use rides_server::tls::CertificateFiles;
use tempfile::TempDir;
use time::OffsetDateTime;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A certificate authority in a temporary directory. The serial number of each certificate is the number of its
/// car.
pub(crate) struct Authority {
    dir: TempDir,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// Creates an authority with an empty revocation list.
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let own = params.self_signed(&key).unwrap();
        fs::write(dir.path().join("ca.pem"), own.pem()).unwrap();
        let authority = Self { dir, issuer: Issuer::new(params, key) };
        authority.revokes(&[]);
        authority
    }

    /// The file with the certificate of the authority.
    pub(crate) fn ca(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }

    /// The file with the revocation list.
    pub(crate) fn crl(&self) -> PathBuf {
        self.dir.path().join("crl.pem")
    }

    /// Issues a client certificate for the driver of `car`. It is valid from a day ago until `life` from now.
    pub(crate) fn certifies(&self, car: u64, life: Duration) -> CertificateFiles {
        let mut params = CertificateParams::default();
        params.serial_number = Some(SerialNumber::from(car));
        params.subject_alt_names.push(SanType::URI(format!("rides:car:{car}").try_into().unwrap()));
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.not_before = OffsetDateTime::now_utc() - DAY;
        params.not_after = OffsetDateTime::now_utc() + life;
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let file = |name: &str| self.dir.path().join(format!("{car}-{name}.pem"));
        let files = CertificateFiles { cert: file("cert"), key: file("key") };
        fs::write(&files.cert, certificate.pem()).unwrap();
        fs::write(&files.key, key.serialize_pem()).unwrap();
        files
    }

    /// Replaces the revocation list: exactly the certificates of `cars` are revoked.
    pub(crate) fn revokes(&self, cars: &[u64]) {
        let now = OffsetDateTime::now_utc();
        let revoked = |car: &u64| RevokedCertParams {
            serial_number: SerialNumber::from(*car),
            revocation_time: now,
            reason_code: None,
            invalidity_date: None,
        };
        let list = CertificateRevocationListParams {
            this_update: now - DAY,
            next_update: now + DAY,
            crl_number: SerialNumber::from(cars.len() as u64),
            issuing_distribution_point: None,
            revoked_certs: cars.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        // The rename is atomic, because a server may read the file at the same time.
        let beside = self.dir.path().join("new.pem");
        fs::write(&beside, list.signed_by(&self.issuer).unwrap().pem().unwrap()).unwrap();
        fs::rename(beside, self.crl()).unwrap();
    }
}
