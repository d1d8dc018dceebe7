//! API keys. Only SHA-256 hashes of them are in memory. A presented key is hashed and compared with **every** stored hash in
//! constant time, so that the duration does not depend on how close a guess is or where the key is in the list.
//!
//! A name may have two valid secrets, the current and the previous one, so that a key can be replaced without downtime. The last use
//! of each is kept, because the previous secret may be removed only when it is out of use.

use std::sync::atomic::{AtomicI64, Ordering};

use jiff::Timestamp;
use sha2::{Digest, Sha256};
use sidedoor_domain::authority::Caller;
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

/// The longest key in bytes; longer ones are unknown.
const MAX_KEY: usize = 512;
/// The interval of warnings about a previous secret that is still used, in seconds.
const TOLD_EVERY: i64 = 3600;
/// Unix time that means "never".
const NEVER: i64 = 0;

/// One configured key.
#[derive(Clone)]
pub struct ApiKey {
    /// SHA-256 of the secret.
    pub sha256: [u8; 32],
    /// SHA-256 of the previous secret, while that is still valid.
    pub previous_sha256: Option<[u8; 32]>,
    /// The caller that the key authenticates.
    pub caller: Caller,
}

impl std::fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ApiKey")
            .field("caller", &self.caller)
            .finish_non_exhaustive()
    }
}

/// When one secret of a key was last used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyUsed {
    /// The key's name.
    pub caller: String,
    /// `current` or `previous`.
    pub which: &'static str,
    /// Unix time in seconds; 0 if not used since the start.
    pub last_used: i64,
}

/// One secret of a key.
struct Secret {
    sha256: [u8; 32],
    previous: bool,
    caller: Caller,
    last_used: AtomicI64,
}

/// All secrets of all keys.
pub(super) struct ApiKeys(Vec<Secret>);

impl std::fmt::Debug for ApiKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.iter().map(|s| &s.caller)).finish()
    }
}

impl ApiKeys {
    pub(super) fn new(keys: Vec<ApiKey>) -> Self {
        let secrets = keys.into_iter().flat_map(|key| {
            let of = |sha256, previous| Secret {
                sha256,
                previous,
                caller: key.caller.clone(),
                last_used: AtomicI64::new(NEVER),
            };
            let previous = key.previous_sha256.map(|sha256| of(sha256, true));
            [Some(of(key.sha256, false)), previous].into_iter().flatten()
        });
        Self(secrets.collect())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The index of the secret that was presented, if it is one.
    pub(super) fn find(&self, presented: &[u8]) -> Option<usize> {
        if presented.len() > MAX_KEY {
            return None;
        }
        let hash: [u8; 32] = Sha256::digest(presented).into();
        // Compares all, even after a match, so that the duration is constant.
        let (mut found, mut index) = (Choice::from(0), 0_u32);
        for (i, secret) in self.0.iter().enumerate() {
            let same = secret.sha256.ct_eq(&hash);
            index.conditional_assign(&u32::try_from(i).unwrap_or(0), same);
            found |= same;
        }
        bool::from(found).then_some(index as usize)
    }

    /// The caller of a secret; also records the use.
    pub(super) fn uses(&self, index: usize, now: Timestamp) -> Caller {
        let secret = &self.0[index];
        let before = secret.last_used.swap(now.as_second(), Ordering::Relaxed);
        if secret.previous && now.as_second() - before >= TOLD_EVERY {
            let caller = &secret.caller.name;
            tracing::warn!(
                caller,
                "the previous secret of the key {caller} is still used; do not remove it yet"
            );
        }
        secret.caller.clone()
    }

    pub(super) fn used(&self) -> Vec<KeyUsed> {
        let of = |secret: &Secret| KeyUsed {
            caller: secret.caller.name.clone(),
            which: if secret.previous { "previous" } else { "current" },
            last_used: secret.last_used.load(Ordering::Relaxed),
        };
        self.0.iter().map(of).collect()
    }
}

#[cfg(test)]
mod tests {
    use sidedoor_domain::authority::Scope;

    use super::*;

    fn key(name: &str, secret: &str, previous: Option<&str>) -> ApiKey {
        ApiKey {
            sha256: Sha256::digest(secret).into(),
            previous_sha256: previous.map(|secret| Sha256::digest(secret).into()),
            caller: Caller::new(name, vec![Scope::Read]),
        }
    }

    fn keys() -> ApiKeys {
        ApiKeys::new(vec![
            key("a", "secret-a", None),
            key("b", "secret-b", Some("older-secret-b")),
        ])
    }

    #[test]
    fn api_key_matches_by_hash_of_current_or_previous_secret() {
        let keys = keys();
        let now = Timestamp::from_second(1_800_000_000).expect("a time");
        for (secret, name) in [("secret-a", "a"), ("secret-b", "b"), ("older-secret-b", "b")] {
            let Some(index) = keys.find(secret.as_bytes()) else {
                panic!("{secret} is not known")
            };
            assert_eq!(keys.uses(index, now).name, name);
            assert_eq!(keys.find(secret.as_bytes()), Some(index));
        }
        assert_eq!(keys.find(b"secret-c"), None);
        assert_eq!(keys.find(&[b'x'; MAX_KEY + 1]), None);
    }

    #[test]
    fn api_key_reports_last_use_of_each_secret() {
        let keys = keys();
        let Some(index) = keys.find(b"older-secret-b") else {
            panic!("not known")
        };
        keys.uses(index, Timestamp::from_second(1_800_000_000).expect("a time"));
        let used: Vec<_> = keys
            .used()
            .into_iter()
            .map(|k| (k.caller, k.which, k.last_used))
            .collect();
        assert_eq!(
            used,
            [
                ("a".to_owned(), "current", 0),
                ("b".to_owned(), "current", 0),
                ("b".to_owned(), "previous", 1_800_000_000)
            ]
        );
    }

    #[test]
    fn api_key_debug_output_has_no_secret_and_no_hash() {
        let printed = format!("{:?} {:?}", keys(), key("a", "secret-a", None));
        assert!(
            !printed.contains("secret-a") && !printed.contains("sha256"),
            "{printed}"
        );
    }
}
