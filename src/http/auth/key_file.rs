//! An issuer's keys in a file, for Salesforce's Named Credentials: the certificate that they sign with, or several while one replaces
//! another. The file is read again when it changes. A file without a key withdraws the last key. If the file cannot be read or is
//! not PEM, a warning is logged and the keys read before stay valid for a day at most.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::public_key::{InPem, PublicKey};

/// How often the file is checked for changes.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Keys become invalid when their file has been unusable for this long.
const KEEP: Duration = Duration::from_secs(24 * 3600);
/// The largest file in bytes.
const MAX_FILE: u64 = 256 * 1024;

/// A key file that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("auth.issuers: the keys of {issuer}, {path}: {why}")]
pub struct BadKeyFile {
    issuer: String,
    path: String,
    why: String,
}

impl BadKeyFile {
    /// Not a file at all: no TLS client can be made on this machine.
    pub(super) fn no_client(issuer: &str, url: &str) -> Self {
        Self {
            issuer: issuer.to_owned(),
            path: url.to_owned(),
            why: "no TLS client can be made".into(),
        }
    }
}

/// What identifies a version of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stamp(Option<SystemTime>, u64, u64);

/// The content of a changed file, or why it cannot be used.
type Changed = (Result<InPem, String>, Stamp);

struct State {
    /// The version that was read last; none if the file could not be checked.
    stamp: Option<Stamp>,
    keys: Arc<Vec<PublicKey>>,
    look_at: Instant,
    /// Since when the file has been unusable.
    silent_since: Option<Instant>,
}

/// The keys of one file.
pub(super) struct KeyFile {
    path: PathBuf,
    keep: Duration,
    state: Mutex<State>,
}

impl std::fmt::Debug for KeyFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyFile")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

fn look_again() -> Instant {
    Instant::now() + LOOK_EVERY
}

fn stamp(path: &Path) -> Result<Stamp, String> {
    use std::os::unix::fs::MetadataExt;
    let seen = std::fs::metadata(path).map_err(|e| format!("cannot be read: {e}"))?;
    Ok(Stamp(seen.modified().ok(), seen.len(), seen.ino()))
}

fn read(path: &Path, stamp: &Stamp) -> Result<InPem, String> {
    if stamp.1 > MAX_FILE {
        return Err("is larger than 256 KiB".into());
    }
    let text = std::fs::read(path).map_err(|e| format!("cannot be read: {e}"))?;
    PublicKey::all_from_pem(&text).map_err(ToOwned::to_owned)
}

impl KeyFile {
    /// Reads the file for the first time.
    pub(super) fn open(issuer: &str, path: PathBuf) -> Result<Self, BadKeyFile> {
        let bad = |why| BadKeyFile {
            issuer: issuer.to_owned(),
            path: path.display().to_string(),
            why,
        };
        let stamp = stamp(&path).map_err(bad)?;
        let held = read(&path, &stamp).map_err(bad)?;
        let keys = held.only_public().map_err(|why| bad(why.to_owned()))?;
        let state = State {
            stamp: Some(stamp),
            keys: Arc::new(keys),
            look_at: look_again(),
            silent_since: None,
        };
        Ok(Self {
            path,
            keep: KEEP,
            state: Mutex::new(state),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The keys that the file has now or had a second ago.
    pub(super) async fn keys(&self) -> Arc<Vec<PublicKey>> {
        let now = Instant::now();
        let (due, known) = {
            let mut state = self.state();
            let due = now >= state.look_at;
            if due {
                state.look_at = look_again();
            }
            (due, state.stamp.clone())
        };
        if due {
            let path = self.path.clone();
            let looked = tokio::task::spawn_blocking(move || {
                let seen = stamp(&path)?;
                if known.as_ref() == Some(&seen) {
                    return Ok(None);
                }
                Ok::<_, String>(Some((read(&path, &seen), seen)))
            });
            self.take(looked.await.unwrap_or_else(|_| Err("could not be looked at".into())));
        }
        let state = self.state();
        if state.silent_since.is_some_and(|since| since.elapsed() >= self.keep) {
            return Arc::default();
        }
        state.keys.clone()
    }

    fn take(&self, looked: Result<Option<Changed>, String>) {
        let path = self.path.display();
        match looked {
            Ok(None) => {}
            Ok(Some((Ok(held), stamp))) => {
                let keys = held.keys;
                tracing::info!(%path, keys = keys.len(), "the key file {path} has changed: {} keys", keys.len());
                if held.holds_private {
                    tracing::warn!(%path, "the key file {path} holds a private key, which is not used and does not belong there");
                }
                if keys.is_empty() {
                    tracing::warn!(%path, "the key file {path} holds no public key any more: its issuer's tokens are refused");
                }
                let mut state = self.state();
                (state.stamp, state.keys) = (Some(stamp), Arc::new(keys));
                state.silent_since = None;
            }
            // Logged once for each change.
            Ok(Some((Err(why), stamp))) => self.says_nothing(&why, Some(stamp)),
            Err(why) => self.says_nothing(&why, None),
        }
    }

    fn says_nothing(&self, why: &str, stamp: Option<Stamp>) {
        let path = self.path.display();
        tracing::warn!(%path, why, "the key file {path} {why}: the keys stay as they were, for a day at most");
        let mut state = self.state();
        state.stamp = stamp;
        state.silent_since.get_or_insert_with(Instant::now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn looked(file: &KeyFile) -> usize {
        file.state().look_at = Instant::now();
        file.keys().await.len()
    }

    #[tokio::test]
    async fn key_file_unreadable_keeps_old_keys_for_one_day() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("issuer.pem");
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).expect("a key");
        std::fs::write(&path, key.public_key_pem()).expect("written");
        let mut file = KeyFile::open("https://idp.example", path.clone()).expect("good");
        assert_eq!(file.keep, Duration::from_secs(86_400));
        for says_nothing in [None, Some("nonsense")] {
            match says_nothing {
                None => std::fs::remove_file(&path).expect("removed"),
                Some(text) => std::fs::write(&path, text).expect("written"),
            }
            file.keep = KEEP;
            assert_eq!(looked(&file).await, 1, "{says_nothing:?}");
            // The day of grace is over.
            file.keep = Duration::ZERO;
            assert_eq!(looked(&file).await, 0, "{says_nothing:?}");
            // The file is usable again.
            std::fs::write(&path, key.public_key_pem()).expect("written");
            assert_eq!(looked(&file).await, 1);
        }
        file.keep = KEEP;
        std::fs::write(&path, "").expect("written");
        assert_eq!(looked(&file).await, 0, "that there is none is a word too");
    }
}
