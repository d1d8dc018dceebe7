//! `[auth]`: who may call. Secrets are hashed here; nothing but hashes goes further.

use secrecy::ExposeSecret;
use sha2::{Digest, Sha256};

use super::{IssuerConfig, Reader};
use sidedoor_domain::audit::SELF;
use sidedoor_domain::authority::Scope;
use sidedoor_domain::ids::UserId;

/// The shortest secret taken: 16 characters of a random key are beyond guessing over HTTP.
const SHORTEST_SECRET: usize = 16;

/// `[auth]`
#[derive(Debug, Clone)]
pub struct AuthConfig {
    /// `[[auth.api_keys]]`
    pub api_keys: Vec<ApiKeyConfig>,
    /// `[[auth.issuers]]`
    pub issuers: Vec<IssuerConfig>,
}

/// One API key.
#[derive(Clone)]
pub struct ApiKeyConfig {
    /// The caller's name in the audit.
    pub name: String,
    /// SHA-256 of the secret.
    pub sha256: [u8; 32],
    /// SHA-256 of the secret it had before, which is good still.
    pub previous_sha256: Option<[u8; 32]>,
    /// What it allows.
    pub scopes: Vec<Scope>,
    /// The supervisor it names, for the scope `supervise`.
    pub supervisor: Option<UserId>,
}

impl std::fmt::Debug for ApiKeyConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ApiKeyConfig")
            .field("name", &self.name)
            .field("scopes", &self.scopes)
            .field("supervisor", &self.supervisor)
            .finish_non_exhaustive()
    }
}

impl AuthConfig {
    pub(super) fn read(r: &mut Reader) -> Self {
        let api_keys: Vec<_> = (0..r.count("auth.api_keys"))
            .filter_map(|i| ApiKeyConfig::read(r, i))
            .collect();
        let issuers = (0..r.count("auth.issuers"))
            .filter_map(|i| IssuerConfig::read(r, i))
            .collect();
        for (i, key) in api_keys.iter().enumerate() {
            let others = &api_keys[..i];
            if others.iter().any(|other| other.name == key.name) {
                r.problem(
                    "auth.api_keys",
                    format!("two keys are named {:?}", key.name),
                    "give each its own name",
                );
            }
            let mut secrets = others.iter().flat_map(ApiKeyConfig::hashes);
            let twice = secrets.any(|hash| key.hashes().any(|own| own == hash));
            if twice || key.previous_sha256 == Some(key.sha256) {
                r.problem(
                    "auth.api_keys",
                    format!("the key {:?} has a secret that is another's too", key.name),
                    "give each its own secret: the audit could not tell them apart",
                );
            }
        }
        Self { api_keys, issuers }
    }

    /// Whether anybody may come in with every scope.
    pub fn is_open(&self) -> bool {
        self.api_keys.is_empty() && self.issuers.is_empty()
    }
}

/// At least one scope, all of them known; `events` stands alone.
pub(super) fn read_scopes(r: &mut Reader, setting: &str) -> Vec<Scope> {
    let words = r.list(setting);
    let scopes: Vec<Scope> = words.iter().filter_map(|word| Scope::parse(word)).collect();
    if scopes.is_empty() || scopes.len() != words.len() {
        let known: Vec<_> = Scope::ALL.iter().map(|s| s.as_str()).collect();
        let remedy = format!("give at least one of {}", known.join(", "));
        r.problem(setting, "are missing or not all known", remedy);
    }
    if scopes.contains(&Scope::Events) && scopes.len() > 1 {
        let problem =
            "hold events beside others: a key that lies in a vendor's hands would open more than the vendor's door";
        r.problem(setting, problem, "make a key of its own for events");
    }
    scopes
}

impl ApiKeyConfig {
    fn hashes(&self) -> impl Iterator<Item = [u8; 32]> {
        [Some(self.sha256), self.previous_sha256].into_iter().flatten()
    }

    fn read(r: &mut Reader, index: usize) -> Option<Self> {
        let at = |key: &str| format!("auth.api_keys.{index}.{key}");
        let name = r.required(&at("name"), "name the key; the audit calls its holder so", |text| {
            let plain = text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
            if text == SELF {
                Err("take another: the audit calls the service itself so".into())
            } else if plain && (1..=64).contains(&text.len()) {
                Ok(text.to_owned())
            } else {
                Err("use 1 to 64 letters, digits, '.', '_' or '-'".into())
            }
        });
        let sha256 = read_hash(r, &at("secret"), &at("sha256"), true);
        let previous_sha256 = read_hash(r, &at("previous_secret"), &at("previous_sha256"), false);
        let scopes = read_scopes(r, &at("scopes"));
        let supervisor = r.text_as(&at("supervisor"), |text| UserId::parse(text).map_err(|e| e.to_string()));
        if scopes.contains(&Scope::Supervise) != supervisor.is_some() {
            let problem = "goes with the scope supervise, and only with it";
            r.problem(
                &at("supervisor"),
                problem,
                "name the supervisor's Connect user id, or use supervise:any",
            );
        }
        Some(Self {
            name: name?,
            sha256: sha256?,
            previous_sha256,
            scopes,
            supervisor,
        })
    }
}

fn read_hash(r: &mut Reader, secret_setting: &str, hash_setting: &str, required: bool) -> Option<[u8; 32]> {
    let secret = r.secret(secret_setting);
    let hash = r.text(hash_setting);
    match (secret, hash) {
        (Some(secret), None) if secret.expose_secret().len() < SHORTEST_SECRET => {
            let problem = format!("is shorter than {SHORTEST_SECRET} characters");
            r.problem(secret_setting, problem, "make one with: openssl rand -hex 24");
            None
        }
        (Some(secret), None) => Some(Sha256::digest(secret.expose_secret()).into()),
        (None, Some(hash)) => {
            let bytes = hex::decode(&hash)
                .ok()
                .and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
            if bytes.is_none() {
                let remedy = "make it with: printf %s \"$KEY\" | sha256sum";
                r.problem(hash_setting, "is not a SHA-256 in 64 hex digits", remedy);
            }
            bytes
        }
        (Some(_), Some(_)) => {
            r.problem(secret_setting, "is given beside its SHA-256", "keep one of the two");
            None
        }
        (None, None) if !required || r.has(secret_setting) => None,
        (None, None) => {
            r.problem(secret_setting, "is missing", "give secret, secret_file or sha256");
            None
        }
    }
}
