//! Test certificates in files, the authorities that signed them, and clients that trust these authorities.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

/// An authority.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate with its key, both PEM.
pub struct Signed {
    pub certificate: String,
    pub key: String,
}

impl Authority {
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::self_signed(params, key).expect("signed"))
    }

    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for this machine that is valid from ten days ago for this many days from now, to the day.
    pub fn sign(&self, days: i64) -> Signed {
        let mut params = CertificateParams::new(["localhost".to_owned(), "127.0.0.1".to_owned()]).expect("names");
        let day = |days: i64| {
            let at = Timestamp::now() + SignedDuration::from_hours(24 * days);
            let date = at.to_zoned(TimeZone::UTC).date();
            let month = u8::try_from(date.month()).expect("a month");
            let day = u8::try_from(date.day()).expect("a day");
            rcgen::date_time_ymd(date.year().into(), month, day)
        };
        (params.not_before, params.not_after) = (day(-10), day(days));
        let key = KeyPair::generate().expect("a key");
        Signed {
            certificate: params.signed_by(&key, &self.0).expect("signed").pem(),
            key: key.serialize_pem(),
        }
    }

    /// A client that trusts this authority and no other, with a connection for each request.
    pub fn client(&self) -> reqwest::ClientBuilder {
        let root = reqwest::Certificate::from_pem(self.pem().as_bytes()).expect("a certificate");
        reqwest::Client::builder()
            .tls_certs_only([root])
            .pool_max_idle_per_host(0)
            .timeout(Duration::from_secs(30))
    }
}

impl Signed {
    /// For a client that shows this certificate.
    pub fn identity(&self) -> reqwest::Identity {
        let both = format!("{}{}", self.certificate, self.key);
        reqwest::Identity::from_pem(both.as_bytes()).expect("an identity")
    }
}

/// The files that the service reads.
pub struct CertificateFiles(tempfile::TempDir);

impl CertificateFiles {
    pub fn new(signed: &Signed) -> Self {
        let files = Self(tempfile::tempdir().expect("a folder"));
        files.replace(signed);
        files
    }

    pub fn certificate(&self) -> PathBuf {
        self.0.path().join("tls.pem")
    }

    pub fn key(&self) -> PathBuf {
        self.0.path().join("tls.key")
    }

    /// Replaces both files as renewal programs do, each as a whole.
    pub fn replace(&self, signed: &Signed) {
        put(&self.certificate(), &signed.certificate);
        put(&self.key(), &signed.key);
    }

    /// Another file beside them.
    pub fn beside(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        put(&path, text);
        path
    }

    /// The settings that name the files.
    pub fn settings(&self) -> [(&'static str, String); 2] {
        [
            ("HTTP__TLS__CERTIFICATE_FILE", self.certificate().display().to_string()),
            ("HTTP__TLS__KEY_FILE", self.key().display().to_string()),
        ]
    }
}

/// Replaces a file by a new one, which only its owner may read.
pub fn put(path: &Path, text: &str) {
    let new = path.with_extension("new");
    std::fs::write(&new, text).expect("written");
    std::fs::set_permissions(&new, std::fs::Permissions::from_mode(0o600)).expect("changed");
    std::fs::rename(new, path).expect("renamed");
}
