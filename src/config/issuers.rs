//! `[[auth.issuers]]`: whose tokens are taken, where their keys are, and what a token may do.

use std::path::PathBuf;
use std::time::Duration;

use super::connect::{ConnectConfig, safe_url};
use super::{Reader, auth};
use sidedoor_domain::authority::{ClaimKind, Scope};
use sidedoor_domain::ids::InstanceName;

/// Signature algorithms that may be allowed. None of them is symmetric: a key that verifies must not be able to sign.
const ALGORITHMS: [&str; 8] = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384"];
const BY_DEFAULT: [&str; 2] = ["RS256", "ES256"];

/// One issuer.
#[derive(Debug, Clone)]
pub struct IssuerConfig {
    /// Its name, as `iss` has it.
    pub issuer: String,
    /// Our name, as `aud` has it.
    pub audience: String,
    /// Its keys.
    pub keys: IssuerKeysConfig,
    /// Which claim names the supervisor.
    pub supervisor_claim: String,
    /// How that name is meant.
    pub supervisor_claim_kind: ClaimKind,
    /// In which instance a user name is meant.
    pub instance: Option<InstanceName>,
    /// What its tokens allow.
    pub scopes: Vec<Scope>,
    /// The algorithms taken.
    pub algorithms: Vec<String>,
    /// How far its clock may be from ours.
    pub leeway: Duration,
}

/// Where an issuer's keys are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IssuerKeysConfig {
    /// Behind a URL.
    Url {
        /// The JWK set.
        url: String,
        /// After so long it is fetched anew.
        refresh: Duration,
        /// The least time between two fetches.
        cooldown: Duration,
    },
    /// In a PEM file.
    File(PathBuf),
}

/// A text that may stand in a claim and in a log: no blank, no control character.
fn word(text: &str) -> Result<String, String> {
    let plain = !text.is_empty() && text.len() <= 256 && !text.chars().any(|c| c.is_control() || c.is_whitespace());
    if plain {
        Ok(text.to_owned())
    } else {
        Err("write 1 to 256 characters without blanks, exactly as the token has it".into())
    }
}

impl IssuerConfig {
    pub(super) fn read(r: &mut Reader, index: usize) -> Option<Self> {
        let at = |key: &str| format!("auth.issuers.{index}.{key}");
        let issuer = r.required(
            &at("issuer"),
            "give the issuer, exactly as its tokens' iss has it",
            |text| {
                // The audit separates issuer and subject with it.
                if text.contains('#') {
                    return Err("an issuer holds no '#'".into());
                }
                word(text)
            },
        );
        let audience = r.required(
            &at("audience"),
            "give the audience that its tokens name us by (aud)",
            word,
        );
        let keys = read_keys(r, &at);
        let claim = r.text_as(&at("supervisor_claim"), word);
        let kinds = [
            ("connect_user_id", ClaimKind::ConnectUserId),
            ("connect_username", ClaimKind::ConnectUsername),
            ("salesforce_user_id", ClaimKind::SalesforceUserId),
        ];
        let kind = r.word(&at("supervisor_claim_kind"), &kinds, ClaimKind::ConnectUserId);
        let instance = r.text_as(&at("instance"), |text| {
            InstanceName::parse(text).map_err(|_| "write the name of a configured instance".to_owned())
        });
        let scopes = if r.has(&at("scopes")) {
            auth::read_scopes(r, &at("scopes"))
        } else {
            r.pass_over(&at("scopes"));
            vec![Scope::Supervise]
        };
        let algorithms = read_algorithms(r, &at("algorithms"));
        let leeway = r.seconds(&at("leeway_s"), 30, 0, 300);
        Some(Self {
            issuer: issuer?,
            audience: audience?,
            keys: keys?,
            supervisor_claim: claim.unwrap_or_else(|| "sub".into()),
            supervisor_claim_kind: kind,
            instance,
            scopes,
            algorithms,
            leeway,
        })
    }
}

fn read_algorithms(r: &mut Reader, setting: &str) -> Vec<String> {
    if !r.has(setting) {
        r.pass_over(setting);
        return BY_DEFAULT.map(ToOwned::to_owned).to_vec();
    }
    let given = r.list(setting);
    let known = !given.is_empty() && given.iter().all(|a| ALGORITHMS.contains(&a.as_str()));
    if !known {
        let remedy = format!(
            "use some of {}; none and the symmetric HS… are never taken",
            ALGORITHMS.join(", ")
        );
        r.problem(setting, "is empty, or names an algorithm that is not taken", remedy);
    }
    given
}

fn read_keys(r: &mut Reader, at: &impl Fn(&str) -> String) -> Option<IssuerKeysConfig> {
    let url = r.text_as(&at("jwks_url"), safe_url);
    let file = r.text(&at("public_key_file"));
    let refresh = r.seconds(&at("jwks_refresh_s"), 300, 1, 86_400);
    let cooldown = r.seconds(&at("jwks_cooldown_s"), 10, 1, 3600);
    match (url, file) {
        (Some(url), None) => Some(IssuerKeysConfig::Url { url, refresh, cooldown }),
        (None, Some(path)) => Some(IssuerKeysConfig::File(PathBuf::from(path))),
        (Some(_), Some(_)) => {
            r.problem(
                &at("public_key_file"),
                "is given beside jwks_url",
                "keep one of the two",
            );
            None
        }
        (None, None) => {
            if !r.has(&at("jwks_url")) {
                let remedy = "give jwks_url, or public_key_file with the issuer's certificate or public key in PEM";
                r.problem(&at("jwks_url"), "is missing", remedy);
            }
            None
        }
    }
}

/// What only the whole configuration can say of issuers.
pub(super) fn check(r: &mut Reader, issuers: &[IssuerConfig], connect: &ConnectConfig, without_salesforce: bool) {
    for (i, issuer) in issuers.iter().enumerate() {
        let at = |key: &str| format!("auth.issuers.{i}.{key}");
        if issuers[..i].iter().any(|other| other.issuer == issuer.issuer) {
            r.problem(&at("issuer"), "is configured twice", "give each issuer once");
        }
        let named = issuer.instance.as_ref();
        if let Some(instance) = named.filter(|name| !connect.instances.contains_key(*name)) {
            let problem = format!("names {instance}, which is no configured instance");
            r.problem(&at("instance"), problem, "name one under [connect.instances]");
        }
        let acts = issuer
            .scopes
            .iter()
            .any(|s| matches!(s, Scope::Supervise | Scope::SuperviseAny));
        let by_name = issuer.supervisor_claim_kind != ClaimKind::ConnectUserId;
        if acts && by_name && named.is_none() && connect.default_instance.is_none() && !connect.instances.is_empty() {
            let problem = "is missing: there are several instances, and a user name is of one of them";
            r.problem(
                &at("instance"),
                problem,
                "name the instance, or set connect.default_instance",
            );
        }
        if acts && issuer.supervisor_claim_kind == ClaimKind::SalesforceUserId && without_salesforce {
            let problem = "is salesforce_user_id, and salesforce.enabled is false: nobody could be asked";
            r.problem(
                &at("supervisor_claim_kind"),
                problem,
                "use connect_username or connect_user_id, or switch Salesforce on",
            );
        }
    }
}
