//! `[auth]`: API keys and token issuers. Secrets are hashed while they are read, so that only hashes stay in memory.

use std::net::SocketAddr;

use secrecy::ExposeSecret;
use sha2::{Digest, Sha256};
use sidedoor_domain::audit::SELF;
use sidedoor_domain::authority::{BoardLimits, Caller, EventInstances, EventSource, Scope};
use sidedoor_domain::ids::{InstanceName, UserId};
use sidedoor_domain::supervision::AMAZON_CONNECT;

use super::{Reader, issuers};
use crate::http::{ApiKey, IssuerSettings};

/// The shortest secret that is accepted, because 16 random characters cannot be guessed over HTTP.
const SHORTEST_SECRET: usize = 16;

/// The keys of `sidedoor demo`, which everybody can read. A test compares them with the demo.
const DEMO_KEYS: [&str; 3] = [
    "demo-key-for-loopback-only",
    "events-key-for-loopback-only",
    "operators-key-for-loopback-only",
];
/// Set by the demo for the service that it starts. No operator needs it, so it is not documented.
const DEMO: &str = "auth.demo";

/// `[auth]`
#[derive(Debug, Clone)]
pub struct AuthConfig {
    /// `[[auth.api_keys]]`
    pub api_keys: Vec<ApiKey>,
    /// `[[auth.issuers]]`
    pub issuers: Vec<IssuerSettings>,
}

impl AuthConfig {
    pub(super) fn read(r: &mut Reader) -> Self {
        let api_keys: Vec<_> = (0..r.count("auth.api_keys"))
            .filter_map(|i| read_api_key(r, i))
            .collect();
        let issuers = (0..r.count("auth.issuers"))
            .filter_map(|i| issuers::read(r, i))
            .collect();
        for (i, key) in api_keys.iter().enumerate() {
            let others = &api_keys[..i];
            if others.iter().any(|other| other.caller.name == key.caller.name) {
                r.problem(
                    "auth.api_keys",
                    format!("two API keys have the name {:?}", key.caller.name),
                    "give each key its own name",
                );
            }
            let mut secrets = others.iter().flat_map(hashes);
            let twice = secrets.any(|hash| hashes(key).any(|own| own == hash));
            if twice || key.previous_sha256 == Some(key.sha256) {
                r.problem(
                    "auth.api_keys",
                    format!("the API key {:?} shares a secret with another key", key.caller.name),
                    "give each key its own secrets, because the audit identifies callers by them",
                );
            }
        }
        Self { api_keys, issuers }
    }

    /// Reports the demo's keys in any other service, and the demo's setting on an address that others can reach.
    pub(super) fn check_demo(&self, r: &mut Reader, listen: SocketAddr) {
        let is_demo = r.has(DEMO) && r.flag(DEMO, false);
        if is_demo && !listen.ip().is_loopback() {
            let problem = format!("accepts published keys, and http.listen = {listen} is not a loopback address");
            r.problem(DEMO, problem, "remove it");
        }
        let published = DEMO_KEYS.map(|key| <[u8; 32]>::from(Sha256::digest(key)));
        let is_published = |key: &&ApiKey| hashes(key).any(|hash| published.contains(&hash));
        if let Some(key) = self.api_keys.iter().find(is_published).filter(|_| !is_demo) {
            r.problem(
                "auth.api_keys",
                format!(
                    "the API key {:?} has a secret of `sidedoor demo`, which is published with the source code",
                    key.caller.name
                ),
                "generate a secret: openssl rand -hex 24",
            );
        }
    }

    /// Whether authentication is disabled: without a key and an issuer, every local process has every scope.
    pub fn is_open(&self) -> bool {
        self.api_keys.is_empty() && self.issuers.is_empty()
    }
}

/// Reads at least one scope. `events` cannot be combined with others.
pub(super) fn read_scopes(r: &mut Reader, setting: &str) -> Vec<Scope> {
    let words = r.list(setting);
    let scopes: Vec<Scope> = words.iter().filter_map(|word| Scope::parse(word)).collect();
    if scopes.is_empty() || scopes.len() != words.len() {
        let known: Vec<_> = Scope::ALL.iter().map(|s| s.as_str()).collect();
        let unknown: Vec<_> = words
            .iter()
            .filter(|word| Scope::parse(word).is_none())
            .map(|word| format!("{word:?}"))
            .collect();
        let problem = if unknown.is_empty() {
            "required setting is missing or empty".to_owned()
        } else {
            format!("unknown scope {}", unknown.join(", "))
        };
        r.problem(setting, problem, format!("list one or more of {}", known.join(", ")));
    }
    if scopes.contains(&Scope::Events) && scopes.len() > 1 {
        let problem = "events is combined with other scopes, so a vendor's key could do more than deliver events";
        r.problem(setting, problem, "add a separate key for events");
    }
    scopes
}

/// Reads whose events a credential with these scopes may deliver: `vendor` and `instances`, which the scope `events` requires.
pub(super) fn read_event_source(r: &mut Reader, at: &impl Fn(&str) -> String, scopes: &[Scope]) -> Option<EventSource> {
    let (vendor, instances, authentic) = (at("vendor"), at("instances"), at("authentic"));
    if !scopes.contains(&Scope::Events) {
        for setting in [vendor, instances, authentic] {
            // With invalid scopes it is not known what the credential is for.
            if r.has(&setting) && !scopes.is_empty() {
                r.problem(
                    &setting,
                    "allowed only with the scope events",
                    "remove it, or set scopes = [\"events\"]",
                );
            }
            r.pass_over(&setting);
        }
        return None;
    }
    let mut vendors = r.names("timing.vendors");
    vendors.push(AMAZON_CONNECT.to_owned());
    vendors.sort();
    vendors.dedup();
    let expected = format!("set the vendor whose events it delivers: {}", vendors.join(", "));
    let name = r.required(&vendor, &expected, |text| {
        let known = vendors.iter().any(|known| known == text);
        known
            .then(|| text.to_owned())
            .ok_or_else(|| format!("{expected}; a carrier must be listed under [timing.vendors]"))
    });
    let instances = read_event_instances(r, &instances);
    let is_authentic = r.flag(&authentic, false);
    Some(EventSource::Vendor {
        name: name?,
        instances: instances?,
        is_authentic,
    })
}

fn read_event_instances(r: &mut Reader, setting: &str) -> Option<EventInstances> {
    let configured = r.names("connect.instances");
    let remedy = format!("list one or more of {}, or set [\"*\"] for all", configured.join(", "));
    let given = r.list(setting);
    if given == ["*"] {
        return Some(EventInstances::All);
    }
    if given.is_empty() {
        r.problem(setting, "required setting is missing or empty", remedy);
        return None;
    }
    if let Some(unknown) = given.iter().find(|name| !configured.contains(name)) {
        r.problem(setting, format!("no instance {unknown:?} is configured"), remedy);
        return None;
    }
    // An instance whose name is invalid has its own problem already.
    let names = given.iter().filter_map(|name| InstanceName::parse(name.as_str()).ok());
    Some(EventInstances::Listed(names.collect()))
}

/// Reads what a credential with these scopes shows on the board.
pub(super) fn read_board_limits(r: &mut Reader, at: &impl Fn(&str) -> String, scopes: &[Scope]) -> BoardLimits {
    let (queues, groups) = (at("board_queues"), at("board_hierarchy_groups"));
    if !scopes.contains(&Scope::Board) {
        for setting in [queues, groups] {
            // With invalid scopes it is not known what the credential is for.
            if r.has(&setting) && !scopes.is_empty() {
                r.problem(
                    &setting,
                    "allowed only with the scope board",
                    "remove it, or add the scope board",
                );
            }
            r.pass_over(&setting);
        }
        return BoardLimits::default();
    }
    BoardLimits {
        queues: r.list(&queues).into_iter().collect(),
        hierarchy_groups: r.list(&groups).into_iter().collect(),
    }
}

fn hashes(key: &ApiKey) -> impl Iterator<Item = [u8; 32]> + use<> {
    [Some(key.sha256), key.previous_sha256].into_iter().flatten()
}

fn read_api_key(r: &mut Reader, index: usize) -> Option<ApiKey> {
    let at = |key: &str| format!("auth.api_keys.{index}.{key}");
    let name = r.required(&at("name"), "set a name: the audit shows it as the caller", |text| {
        let plain = text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
        if text == SELF {
            Err("choose another name: the audit uses this one for the service itself".into())
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
    // With invalid scopes it is not known what the key is for.
    if !scopes.is_empty() && scopes.contains(&Scope::Supervise) != supervisor.is_some() {
        let problem = if supervisor.is_some() {
            "allowed only with the scope supervise"
        } else {
            "required with the scope supervise"
        };
        let remedy = "set supervisor (a Connect user id) together with the scope supervise, or use the scope \
                      supervise:any without it";
        r.problem(&at("supervisor"), problem, remedy);
    }
    let event_source = read_event_source(r, &at, &scopes);
    let board = read_board_limits(r, &at, &scopes);
    Some(ApiKey {
        sha256: sha256?,
        previous_sha256,
        caller: Caller::new(name?, scopes)
            .naming(supervisor)
            .delivering(event_source)
            .seeing(board),
    })
}

fn read_hash(r: &mut Reader, secret_setting: &str, hash_setting: &str, required: bool) -> Option<[u8; 32]> {
    let secret = r.secret(secret_setting);
    let hash = r.text(hash_setting);
    match (secret, hash) {
        (Some(secret), None) if secret.expose_secret().len() < SHORTEST_SECRET => {
            let problem = format!("shorter than {SHORTEST_SECRET} characters");
            r.problem(secret_setting, problem, "generate a secret: openssl rand -hex 24");
            None
        }
        (Some(secret), None) => Some(Sha256::digest(secret.expose_secret()).into()),
        (None, Some(hash)) => {
            let bytes = hex::decode(&hash)
                .ok()
                .and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
            if bytes.is_none() {
                let remedy = "compute it: printf %s \"$KEY\" | sha256sum";
                r.problem(hash_setting, "not a SHA-256 of 64 hex digits", remedy);
            }
            bytes
        }
        (Some(_), Some(_)) => {
            r.problem(secret_setting, "set together with its SHA-256", "remove one of the two");
            None
        }
        (None, None) if !required || r.has(secret_setting) => None,
        (None, None) => {
            r.problem(
                secret_setting,
                "required setting is missing",
                "set secret, secret_file or sha256",
            );
            None
        }
    }
}
