//! An issuer's keys in a file, as Salesforce's Named Credentials want it: the certificate they sign with, or several while
//! one replaces another. Read again when it changes; one that can no longer be used leaves the keys as they are, and is told of.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::public_key::PublicKey;

/// How often it is looked whether the file has changed.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The largest file read.
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

/// What a file looks like from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stamp(Option<SystemTime>, u64, u64);

/// What a changed file holds now, or why it cannot be used.
type Changed = (Result<Vec<PublicKey>, String>, Stamp);

struct State {
    stamp: Stamp,
    keys: Arc<Vec<PublicKey>>,
    look_at: Instant,
}

/// The keys of one file.
pub(super) struct KeyFile {
    path: PathBuf,
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

fn read(path: &Path, stamp: &Stamp) -> Result<Vec<PublicKey>, String> {
    if stamp.1 > MAX_FILE {
        return Err("is larger than 256 KiB".into());
    }
    let text = std::fs::read(path).map_err(|e| format!("cannot be read: {e}"))?;
    PublicKey::all_from_pem(&text).map_err(ToOwned::to_owned)
}

impl KeyFile {
    /// Reads it for the first time.
    pub(super) fn open(issuer: &str, path: PathBuf) -> Result<Self, BadKeyFile> {
        let bad = |why| BadKeyFile {
            issuer: issuer.to_owned(),
            path: path.display().to_string(),
            why,
        };
        let stamp = stamp(&path).map_err(bad)?;
        let keys = read(&path, &stamp).map_err(bad)?;
        let state = State {
            stamp,
            keys: Arc::new(keys),
            look_at: look_again(),
        };
        Ok(Self {
            path,
            state: Mutex::new(state),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The keys, as the file has them now or had them a second ago.
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
                if seen == known {
                    return Ok(None);
                }
                Ok::<_, String>(Some((read(&path, &seen), seen)))
            });
            self.take(looked.await.unwrap_or_else(|_| Err("could not be looked at".into())));
        }
        self.state().keys.clone()
    }

    fn take(&self, looked: Result<Option<Changed>, String>) {
        let path = self.path.display();
        match looked {
            Ok(None) => {}
            Ok(Some((Ok(keys), stamp))) => {
                tracing::info!(%path, keys = keys.len(), "the key file {path} has changed: {} keys", keys.len());
                let mut state = self.state();
                (state.stamp, state.keys) = (stamp, Arc::new(keys));
            }
            // Told once a change; the keys stay.
            Ok(Some((Err(why), stamp))) => {
                tracing::warn!(%path, why, "the key file {path} {why}: the keys stay as they were");
                self.state().stamp = stamp;
            }
            Err(why) => tracing::warn!(%path, why, "the key file {path} {why}: the keys stay as they were"),
        }
    }
}
