//! The files of `[http.tls]`: what is in them, whether it fits together, and whether it has changed.

use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use rustls::RootCertStore;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{NoServerSessionStorage, ServerConfig, WebPkiClientVerifier};
use x509_parser::prelude::{FromDer, X509Certificate};
use zeroize::Zeroizing;

/// The largest file in bytes.
const MAX_FILE: u64 = 256 * 1024;

/// Why the files cannot be used. Names the file, and quotes nothing in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("http.tls: {0}")]
pub struct BadCertificate(String);

/// Where the certificate, its key and the authorities of clients are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate chain, PEM; the service's own certificate first.
    pub certificate: PathBuf,
    /// The private key of that certificate, PEM.
    pub key: PathBuf,
    /// The certificates of the authorities, PEM, one of which must have signed each client's certificate. Without it, clients
    /// need none.
    pub client_ca: Option<PathBuf>,
}

/// When a certificate is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// From then on.
    pub not_before: Timestamp,
    /// Until then.
    pub not_after: Timestamp,
}

impl Validity {
    /// Why the certificate is not valid now; `None` if it is.
    pub fn problem(&self, now: Timestamp) -> Option<String> {
        if now > self.not_after {
            Some(format!("expired at {:.0}", self.not_after))
        } else if now < self.not_before {
            Some(format!("is not valid before {:.0}", self.not_before))
        } else {
            None
        }
    }
}

/// What identifies a version of a file; none if it cannot be looked at. The time of a change of its rights is part of it, so that a
/// file that becomes readable is read.
type Stamp = Option<(i64, i64, i64, i64, u64, u64)>;

/// What identifies a version of all files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stamps([Stamp; 3]);

/// Files that were read and fit together.
pub(super) struct Loaded {
    pub(super) config: Arc<ServerConfig>,
    pub(super) validity: Validity,
    /// The version of the files from before they were read.
    pub(super) stamps: Stamps,
}

impl TlsFiles {
    /// Reads the files, without using them.
    ///
    /// # Errors
    /// When a file cannot be read or does not fit the others. Whether the certificate is valid now is not checked.
    pub fn check(&self) -> Result<Validity, BadCertificate> {
        self.load().map(|loaded| loaded.validity)
    }

    pub(super) fn stamps(&self) -> Stamps {
        let stamp = |path: &Path| {
            let seen = std::fs::metadata(path).ok()?;
            let (modified, changed) = ((seen.mtime(), seen.mtime_nsec()), (seen.ctime(), seen.ctime_nsec()));
            Some((modified.0, modified.1, changed.0, changed.1, seen.len(), seen.ino()))
        };
        Stamps([
            stamp(&self.certificate),
            stamp(&self.key),
            self.client_ca.as_deref().and_then(stamp),
        ])
    }

    pub(super) fn load(&self) -> Result<Loaded, BadCertificate> {
        let stamps = self.stamps();
        let chain = certificates(&self.certificate)?;
        let validity = validity(&self.certificate, &chain)?;
        let key = private_key(&self.key)?;
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|e| BadCertificate(e.to_string()))?;
        let builder = match &self.client_ca {
            None => builder.with_no_client_auth(),
            Some(path) => {
                let mut roots = RootCertStore::empty();
                for authority in certificates(path)? {
                    roots
                        .add(authority)
                        .map_err(|e| bad(path, &format!("contains an invalid certificate: {e}")))?;
                }
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                    .build()
                    .map_err(|e| bad(path, &e.to_string()))?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let mut config = builder.with_single_cert(chain, key).map_err(|e| match e {
            rustls::Error::InconsistentKeys(_) => bad(
                &self.key,
                &format!("is not the key of the certificate {}", self.certificate.display()),
            ),
            e => bad(
                &self.key,
                &format!("cannot be used with {}: {e}", self.certificate.display()),
            ),
        })?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        if self.client_ca.is_some() {
            // A resumed session would not check again whether the client's certificate is still valid.
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
        }
        Ok(Loaded {
            config: Arc::new(config),
            validity,
            stamps,
        })
    }
}

fn bad(path: &Path, why: &str) -> BadCertificate {
    BadCertificate(format!("{} {why}", path.display()))
}

fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, BadCertificate> {
    let mut text = Zeroizing::new(Vec::new());
    let file = std::fs::File::open(path).map_err(|e| bad(path, &format!("cannot be read: {e}")))?;
    // The bound is on the bytes that are read, because a device or a pipe does not report its size.
    let read = file.take(MAX_FILE + 1).read_to_end(&mut text);
    match read.map_err(|e| bad(path, &format!("cannot be read: {e}")))? as u64 {
        size if size > MAX_FILE => Err(bad(path, "is larger than 256 KiB")),
        _ => Ok(text),
    }
}

/// Every certificate in a file, at least one.
fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, BadCertificate> {
    let text = read(path)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    match found {
        Ok(found) if found.is_empty() => Err(bad(path, "contains no certificate in PEM")),
        Ok(found) => Ok(found),
        Err(_) => Err(bad(path, "contains invalid PEM")),
    }
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, BadCertificate> {
    let text = read(path)?;
    PrivateKeyDer::from_pem_slice(&text).map_err(|_| {
        bad(
            path,
            "contains no private key in PEM (PKCS#8, PKCS#1 or SEC1, without a passphrase)",
        )
    })
}

fn validity(path: &Path, chain: &[CertificateDer<'_>]) -> Result<Validity, BadCertificate> {
    let invalid = || bad(path, "contains an invalid certificate");
    let own = chain.first().ok_or_else(invalid)?;
    let (_, certificate) = X509Certificate::from_der(own).map_err(|_| invalid())?;
    let at = |time: x509_parser::time::ASN1Time| Timestamp::from_second(time.timestamp()).map_err(|_| invalid());
    Ok(Validity {
        not_before: at(certificate.validity().not_before)?,
        not_after: at(certificate.validity().not_after)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Folder(tempfile::TempDir);

    impl Folder {
        fn write(&self, name: &str, text: &str) -> PathBuf {
            let path = self.0.path().join(name);
            std::fs::write(&path, text).expect("written");
            path
        }
    }

    #[test]
    fn tls_files_that_do_not_fit_are_named() {
        let folder = Folder(tempfile::tempdir().expect("a folder"));
        let made = || rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
        let (one, other) = (made(), made());
        let good = TlsFiles {
            certificate: folder.write("cert.pem", &one.cert.pem()),
            key: folder.write("key.pem", &one.signing_key.serialize_pem()),
            client_ca: Some(folder.write("ca.pem", &other.cert.pem())),
        };
        let validity = good.check().expect("good");
        assert!(validity.not_before < validity.not_after);
        let with = |change: &dyn Fn(&mut TlsFiles)| {
            let mut files = good.clone();
            change(&mut files);
            files.check().expect_err("refused").to_string()
        };
        let (gone, empty, text) = (
            folder.0.path().join("gone"),
            folder.write("empty", ""),
            folder.write("text", "-----BEGIN CERTIFICATE-----\nno\n-----END CERTIFICATE-----\n"),
        );
        let other_key = folder.write("other.pem", &other.signing_key.serialize_pem());
        for (said, expected) in [
            (with(&|f| f.certificate.clone_from(&gone)), "gone cannot be read"),
            (
                with(&|f| f.certificate.clone_from(&empty)),
                "empty contains no certificate",
            ),
            (with(&|f| f.certificate.clone_from(&text)), "text contains"),
            (
                with(&|f| f.certificate.clone_from(&f.key.clone())),
                "contains no certificate",
            ),
            (
                with(&|f| f.key.clone_from(&other_key)),
                "other.pem is not the key of the certificate",
            ),
            (
                with(&|f| f.key.clone_from(&f.certificate.clone())),
                "contains no private key",
            ),
            (
                with(&|f| f.client_ca = Some(empty.clone())),
                "empty contains no certificate",
            ),
            (with(&|f| f.key = "/dev/zero".into()), "larger than 256 KiB"),
        ] {
            assert!(said.starts_with("http.tls: ") && said.contains(expected), "{said}");
            assert!(!said.contains("BEGIN"), "{said}");
        }
    }

    #[test]
    fn tls_stamps_change_with_content_and_rights() {
        use std::os::unix::fs::PermissionsExt;
        let folder = Folder(tempfile::tempdir().expect("a folder"));
        let files = TlsFiles {
            certificate: folder.write("cert.pem", "a"),
            key: folder.write("key.pem", "b"),
            client_ca: None,
        };
        let first = files.stamps();
        assert_eq!(files.stamps(), first);
        std::fs::set_permissions(&files.key, std::fs::Permissions::from_mode(0o600)).expect("changed");
        let second = files.stamps();
        assert_ne!(second, first);
        let new = folder.write("new.pem", "b");
        std::fs::rename(new, &files.key).expect("renamed");
        assert_ne!(files.stamps(), second);
    }

    #[test]
    fn validity_names_the_day() {
        let day = |text: &str| text.parse::<Timestamp>().expect("a time");
        let validity = Validity {
            not_before: day("2026-01-01T00:00:00Z"),
            not_after: day("2026-02-01T00:00:00Z"),
        };
        assert_eq!(validity.problem(day("2026-01-15T00:00:00Z")), None);
        let early = validity.problem(day("2025-12-31T00:00:00Z")).expect("a problem");
        assert_eq!(early, "is not valid before 2026-01-01T00:00:00Z");
        let late = validity.problem(day("2026-02-01T00:00:01Z")).expect("a problem");
        assert_eq!(late, "expired at 2026-02-01T00:00:00Z");
    }
}
