//! The keys of the audit. The first one signs; all of them verify, so that a key can be replaced without a gap.

use std::fmt;

use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};

use super::Digest32;

/// The shortest key in bytes, which is also the size of the MAC.
const SHORTEST: usize = 32;
/// The longest key in bytes.
const LONGEST: usize = 1024;
/// The most keys of a file.
const MOST_KEYS: usize = 16;

/// What stands beside a line or a seal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// The id of the key; `None` for a plain SHA-256 without a key.
    pub key_id: Option<String>,
    /// The HMAC-SHA-256, or the SHA-256.
    pub mac: Digest32,
}

/// Why a text holds no usable keys. It never quotes the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyFileError {
    /// There is no key in it.
    #[error("it contains no key")]
    Empty,
    /// A line is not a key.
    #[error("line {0} is neither hexadecimal nor base64")]
    Unreadable(usize),
    /// A key is too short or too long.
    #[error("the key in line {0} has {1} bytes; it needs {SHORTEST} to {LONGEST}")]
    Length(usize, usize),
    /// There are too many keys.
    #[error("it contains more than {MOST_KEYS} keys")]
    TooMany,
    /// A key stands there twice.
    #[error("the key in line {0} stands there twice")]
    Twice(usize),
}

#[derive(Clone)]
struct Key {
    id: String,
    /// Has taken in the key, so that the key itself is not kept and each line costs two hashes less.
    mac: Hmac<Sha256>,
}

/// The keys. Without any, lines and seals carry a plain SHA-256, which anyone who can write the store can compute too.
#[derive(Clone, Default)]
pub struct AuditKeys(Vec<Key>);

impl fmt::Debug for AuditKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|key| &key.id)).finish()
    }
}

/// What a check of a signature found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Check {
    Good,
    Wrong,
    UnknownKey,
}

impl AuditKeys {
    /// No key.
    pub fn none() -> Self {
        Self::default()
    }

    /// The keys of a text: one a line in hexadecimal or base64, the one that signs first. Empty lines and lines that begin with `#` are
    /// skipped.
    ///
    /// # Errors
    /// [`KeyFileError`].
    pub fn parse(text: &str) -> Result<Self, KeyFileError> {
        let mut keys: Vec<Key> = Vec::new();
        for (number, line) in text.lines().enumerate().map(|(i, line)| (i + 1, line.trim())) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let bytes = decode(line).ok_or(KeyFileError::Unreadable(number))?;
            if !(SHORTEST..=LONGEST).contains(&bytes.len()) {
                return Err(KeyFileError::Length(number, bytes.len()));
            }
            let key = Key::of(&bytes).ok_or(KeyFileError::Unreadable(number))?;
            if keys.iter().any(|other| other.id == key.id) {
                return Err(KeyFileError::Twice(number));
            }
            keys.push(key);
        }
        match keys.len() {
            0 => Err(KeyFileError::Empty),
            1..=MOST_KEYS => Ok(Self(keys)),
            _ => Err(KeyFileError::TooMany),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The id of the key that signs; `None` without a key.
    pub fn current(&self) -> Option<&str> {
        self.0.first().map(|key| key.id.as_str())
    }

    /// Whether a key has this id.
    pub fn has(&self, id: &str) -> bool {
        self.0.iter().any(|key| key.id == id)
    }

    /// Signs a message with the first key.
    pub(super) fn sign(&self, message: &[u8]) -> Signature {
        match self.0.first() {
            Some(key) => Signature {
                key_id: Some(key.id.clone()),
                mac: key.mac_of(message),
            },
            None => Signature {
                key_id: None,
                mac: Sha256::digest(message).into(),
            },
        }
    }

    /// Checks a signature, or the first bytes of one, with the key that it names.
    pub(super) fn check(&self, message: &[u8], key_id: Option<&str>, mac: &[u8]) -> Check {
        let is_good = match key_id {
            None => Sha256::digest(message).starts_with(mac),
            Some(id) => {
                let Some(key) = self.0.iter().find(|key| key.id == id) else {
                    return Check::UnknownKey;
                };
                let mut state = key.mac.clone();
                state.update(message);
                state.verify_truncated_left(mac).is_ok()
            }
        };
        if is_good { Check::Good } else { Check::Wrong }
    }
}

impl Key {
    fn of(bytes: &[u8]) -> Option<Self> {
        // The id tells keys apart and reveals nothing of them: they have 256 bits.
        let hash = Sha256::new()
            .chain_update(b"sidedoor-audit-key-1")
            .chain_update(bytes)
            .finalize();
        Some(Self {
            id: hex::encode(&hash[..4]),
            mac: Hmac::new_from_slice(bytes).ok()?,
        })
    }

    fn mac_of(&self, message: &[u8]) -> Digest32 {
        let mut state = self.mac.clone();
        state.update(message);
        state.finalize().into_bytes().into()
    }
}

fn decode(line: &str) -> Option<Vec<u8>> {
    let from_base64 = || {
        let plain = line.trim_end_matches('=');
        BASE64_STANDARD
            .decode(line)
            .or_else(|_| BASE64_URL_SAFE_NO_PAD.decode(plain))
            .ok()
    };
    hex::decode(line).ok().or_else(from_base64)
}
