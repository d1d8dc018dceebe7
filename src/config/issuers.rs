//! `[[auth.issuers]]`: the issuers whose tokens are accepted, where their keys are, and what a token allows.

use std::path::PathBuf;

use sidedoor_domain::authority::{ClaimKind, Scope};
use sidedoor_domain::ids::InstanceName;

use super::connect::{ConnectConfig, safe_url};
use super::{Reader, auth};
use crate::http::{IssuerSettings, KeysFrom};

/// Signature algorithms that may be allowed. None is symmetric, because a key that verifies must not be able to sign.
const ALGORITHMS: [&str; 8] = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384"];
const BY_DEFAULT: [&str; 2] = ["RS256", "ES256"];

/// Accepts a text without whitespace and control characters, so that it is safe in a claim and in a log line.
fn word(text: &str) -> Result<String, String> {
    let plain = !text.is_empty() && text.len() <= 256 && !text.chars().any(|c| c.is_control() || c.is_whitespace());
    if plain {
        Ok(text.to_owned())
    } else {
        Err("set 1 to 256 characters without whitespace, exactly as in the token".into())
    }
}

/// Reads one issuer.
pub(super) fn read(r: &mut Reader, index: usize) -> Option<IssuerSettings> {
    let at = |key: &str| format!("auth.issuers.{index}.{key}");
    let issuer = r.required(&at("issuer"), "set the issuer exactly as in the tokens' iss", |text| {
        // The audit writes `issuer#subject`.
        if text.contains('#') {
            return Err("remove the '#': the audit uses it to separate issuer and subject".into());
        }
        word(text)
    });
    let audience = r.required(
        &at("audience"),
        "set the audience (aud) of the tokens that are meant for Sidedoor",
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
        InstanceName::parse(text).map_err(|_| "set the name of a configured instance".to_owned())
    });
    let scopes = if r.has(&at("scopes")) {
        auth::read_scopes(r, &at("scopes"))
    } else {
        r.pass_over(&at("scopes"));
        vec![Scope::Supervise]
    };
    let event_source = auth::read_event_source(r, &at, &scopes);
    let board = auth::read_board_limits(r, &at, &scopes);
    let algorithms = read_algorithms(r, &at("algorithms"));
    let leeway = r.seconds(&at("leeway_s"), 30, 0, 300);
    let max_age = r.seconds(&at("max_token_age_s"), 86_400, 60, 2_592_000);
    Some(IssuerSettings {
        issuer: issuer?,
        audience: audience?,
        keys: keys?,
        supervisor_claim: claim.unwrap_or_else(|| "sub".into()),
        supervisor_claim_kind: kind,
        instance,
        scopes,
        event_source,
        board,
        algorithms,
        leeway,
        max_age,
    })
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
            "list one or more of {}; `none` and symmetric algorithms (HS…) are never accepted",
            ALGORITHMS.join(", ")
        );
        r.problem(setting, "empty, or contains an unsupported algorithm", remedy);
    }
    given
}

fn read_keys(r: &mut Reader, at: &impl Fn(&str) -> String) -> Option<KeysFrom> {
    let url = r.text_as(&at("jwks_url"), safe_url);
    let file = r.text(&at("public_key_file"));
    let refresh = r.seconds(&at("jwks_refresh_s"), 300, 1, 86_400);
    let cooldown = r.seconds(&at("jwks_cooldown_s"), 10, 1, 3600);
    match (url, file) {
        (Some(url), None) => Some(KeysFrom::Url { url, refresh, cooldown }),
        (None, Some(path)) => Some(KeysFrom::File(PathBuf::from(path))),
        (Some(_), Some(_)) => {
            r.problem(
                &at("public_key_file"),
                "set together with jwks_url",
                "remove one of the two",
            );
            None
        }
        (None, None) => {
            if !r.has(&at("jwks_url")) {
                let remedy = "set jwks_url, or public_key_file with the issuer's certificate or public key in PEM";
                r.problem(&at("jwks_url"), "required setting is missing", remedy);
            }
            None
        }
    }
}

/// Checks the issuers against each other and against the other sections.
pub(super) fn check(r: &mut Reader, issuers: &[IssuerSettings], connect: &ConnectConfig, without_salesforce: bool) {
    let configured = r.names("connect.instances");
    for (i, issuer) in issuers.iter().enumerate() {
        let at = |key: &str| format!("auth.issuers.{i}.{key}");
        if issuers[..i].iter().any(|other| other.issuer == issuer.issuer) {
            r.problem(
                &at("issuer"),
                format!("issuer {:?} is configured twice", issuer.issuer),
                "remove one of the two [[auth.issuers]]",
            );
        }
        let named = issuer.instance.as_ref();
        if let Some(instance) = named.filter(|name| !configured.iter().any(|c| c == name.as_str())) {
            r.problem(
                &at("instance"),
                format!("no instance \"{instance}\" is configured"),
                "set the name of an instance under [connect.instances]",
            );
        }
        let acts = issuer
            .scopes
            .iter()
            .any(|s| matches!(s, Scope::Supervise | Scope::SuperviseAny));
        let by_name = issuer.supervisor_claim_kind != ClaimKind::ConnectUserId;
        if acts && by_name && named.is_none() && connect.default_instance.is_none() && !connect.instances.is_empty() {
            let problem = "required setting is missing, because several instances are configured and a user name \
                           belongs to one of them";
            r.problem(
                &at("instance"),
                problem,
                "set the instance, or set connect.default_instance",
            );
        }
        if acts && issuer.supervisor_claim_kind == ClaimKind::SalesforceUserId && without_salesforce {
            let problem = "salesforce_user_id cannot be resolved, because salesforce.enabled is false";
            r.problem(
                &at("supervisor_claim_kind"),
                problem,
                "use connect_username or connect_user_id, or set salesforce.enabled = true",
            );
        }
    }
}
