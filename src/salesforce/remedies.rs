//! What a person can do about an error of Salesforce. Salesforce's own sentence is kept beside it, because it often names the
//! user, the flow or the limit.
//!
//! Sources of the texts: *OAuth 2.0 Authorization Errors* in Salesforce Help, the status codes of the SOAP API's WSDL, and the
//! answers in public reports.

use crate::config::Grant;

/// The remedy for an error code of the REST API; `None` if the code says nothing certain.
pub(super) fn of_code(code: &str, message: &str) -> Option<&'static str> {
    Some(match code {
        "INVALID_OPERATION_WITH_EXPIRED_PASSWORD" => {
            "the integration user's password has expired: set a new one, or select Password Never Expires in its profile"
        }
        "ORG_LOCKED" => "the org is locked: ask Salesforce Support to unlock it",
        "TRIAL_EXPIRED" => "the org's trial has ended: activate the org, or set salesforce.login_url to another org",
        "CLIENT_NOT_ACCESSIBLE_FOR_USER" => {
            "allow the External Client App for the integration user (App Policies, Permitted Users; or API Access Control)"
        }
        "FUNCTIONALITY_NOT_ENABLED" => {
            "enable the feature in the org, and grant API Enabled in the integration user's permission set"
        }
        "API_DISABLED_FOR_ORG" | "API_CURRENTLY_DISABLED" => {
            "grant API Enabled in the integration user's permission set; the org's edition must include the API"
        }
        "CANNOT_EXECUTE_FLOW_TRIGGER" => "fix or deactivate the flow on the object that the message names",
        "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY" | "APEX_ERROR" => {
            "fix the Apex trigger on the object that the message names"
        }
        "TOO_MANY_APEX_REQUESTS" => "find the org's long Apex requests; the records are retried in a few seconds",
        "REQUEST_LIMIT_EXCEEDED" if is_concurrency(message) => {
            "find the org's long-running API requests; the records are retried in a few seconds"
        }
        "REQUEST_LIMIT_EXCEEDED" => {
            "find what uses up the org's daily API calls (Setup, API usage); the records are written when calls are available again"
        }
        "STORAGE_LIMIT_EXCEEDED" => "free data storage in the org (Setup, Storage Usage)",
        "INACTIVE_OWNER_OR_USER" => "activate the user who owns new records, or change the object's owner",
        "INSERT_UPDATE_DELETE_NOT_ALLOWED_DURING_MAINTENANCE" => {
            "the org is read-only for maintenance (status.salesforce.com); the records are written when it ends"
        }
        "UNSUPPORTED_API_VERSION" => "set salesforce.api_version to a version that the org has",
        "URL_NOT_RESET" => MOVED,
        _ => return None,
    })
}

/// The remedy if a new login returned the host that redirects.
pub(super) const MOVED: &str = "set salesforce.login_url to the org's present My Domain (Setup, My Domain)";
/// The remedy for a login page of Salesforce.
const LOGIN_PAGE: &str =
    "set salesforce.login_url to the org's My Domain, because another host answers API calls with a login page";
/// The remedy for a page that is not Salesforce's.
const PROXY_PAGE: &str = "check the proxy between Sidedoor and Salesforce, and salesforce.login_url";

/// The remedy for a web page with this title that came instead of an answer.
pub(super) fn of_page(title: &str) -> &'static str {
    let title = title.to_ascii_lowercase();
    if title.contains("login") || title.contains("log in") || title.contains("sign in") {
        LOGIN_PAGE
    } else {
        PROXY_PAGE
    }
}

/// Whether a reached limit is one of concurrent requests, which passes in seconds: `ConcurrentRequests (Concurrent API Requests)
/// Limit exceeded.`, `ConcurrentPerOrgLongTxn Limit exceeded.`. Limits of a day are `TotalRequests Limit exceeded.`
pub(super) fn is_concurrency(message: &str) -> bool {
    message.to_ascii_lowercase().contains("concurrent")
}

/// The remedy for a refused token when the token lacks the scope for the API.
pub(super) const NO_API_SCOPE: &str =
    "add the OAuth scope \"Manage user data via APIs (api)\" to the External Client App";
/// The remedy for a refused token that has the scope.
pub(super) const TOKEN_REJECTED: &str = "grant API Enabled in the integration user's permission set, and check the External Client App's policies \
     (IP relaxation, session)";

/// The remedy for a refused login, by the OAuth `error` and its `error_description`.
pub(super) fn of_login(error: &str, description: &str, grant: &Grant) -> &'static str {
    let description = description.to_ascii_lowercase();
    let says = |text: &str| description.contains(text);
    let by_jwt = matches!(grant, Grant::JwtBearer { .. });
    match error {
        _ if says("not supported on this domain") => {
            "set salesforce.login_url to the org's My Domain, because the client-credentials grant works on no other host"
        }
        _ if says("no client credentials user") => {
            "set the run-as user in the External Client App's policies (Client Credentials Flow, Run As)"
        }
        _ if says("hasn't approved") || says("not approved") || says("admin approved") => {
            "set Permitted Users to \"Admin approved users are pre-authorized\" in the External Client App's policies, and select the \
             integration user's profile or permission set there"
        }
        _ if says("audience") => {
            "set salesforce.audience to https://login.salesforce.com, to https://test.salesforce.com for a sandbox, or to the My Domain"
        }
        _ if says("expired authorization code") || says("assertion is expired") || says("expired assertion") => {
            "synchronize this machine's clock (run chrony or systemd-timesyncd): the assertion was not valid at Salesforce's time"
        }
        _ if says("invalid assertion") || says("invalid signature") => {
            "upload the certificate of the key in salesforce.private_key_file to the External Client App"
        }
        _ if says("ip restricted") || says("login hours") => {
            "allow this machine's address and all hours: login IP ranges and login hours of the integration user's profile, and IP \
             relaxation of the External Client App"
        }
        _ if says("inactive user") || says("user is frozen") || says("frozen") => {
            "activate or unfreeze the integration user"
        }
        _ if says("inactive org") || says("org") && says("locked") => {
            "the org is inactive or locked: ask Salesforce Support, or set salesforce.login_url to another org"
        }
        _ if says("locked") || says("lockout") => "unlock the integration user (Setup, Users)",
        _ if says("expired password") || says("password expired") || says("password has expired") => {
            "set a new password for the integration user, or select Password Never Expires in its profile"
        }
        _ if says("valid scopes") => NO_API_SCOPE,
        _ if says("blocked") => "unblock the External Client App (Setup, Connected Apps OAuth Usage)",
        _ if says("not installed") || says("installed into org") => {
            "install the External Client App in the org (Setup, Connected Apps OAuth Usage), or correct salesforce.client_id"
        }
        _ if says("login rate") || says("rate exceeded") => "find what else logs in as the integration user so often",
        "invalid_client_id" | "invalid_client" if says("identifier") => {
            "set salesforce.client_id to the consumer key of the External Client App; a new app needs up to 10 minutes"
        }
        "unsupported_grant_type" if by_jwt => "enable the JWT Bearer Flow in the External Client App",
        "unsupported_grant_type" => "enable the Client Credentials Flow in the External Client App",
        "invalid_scope" => NO_API_SCOPE,
        _ if by_jwt => {
            "check client_id, username, private_key_file and audience under [salesforce], and the External Client App's certificate"
        }
        "invalid_client" => "set salesforce.client_secret to the consumer secret of the External Client App",
        _ if says("client credentials") => {
            "set salesforce.client_id and salesforce.client_secret to the consumer key and secret of the External Client App"
        }
        _ => "check salesforce.client_id, salesforce.client_secret and the External Client App's run-as user",
    }
}

/// Whether a refused login may succeed a moment later.
pub(super) fn passes(error: &str, description: &str) -> bool {
    matches!(error, "server_error" | "temporarily_unavailable")
        || description.to_ascii_lowercase().contains("retry your request")
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use secrecy::SecretString;

    use super::*;

    #[test]
    fn refused_login_remedy_names_the_setting() {
        let secret = Grant::ClientCredentials {
            secret: SecretString::from("s"),
        };
        let jwt = Grant::JwtBearer {
            username: "u".into(),
            key_file: PathBuf::from("k"),
            audience: "a".into(),
        };
        for (grant, error, description, part) in [
            (
                &secret,
                "invalid_grant",
                "request not supported on this domain",
                "salesforce.login_url",
            ),
            (
                &secret,
                "invalid_grant",
                "no client credentials user enabled",
                "run-as user",
            ),
            (
                &secret,
                "invalid_client",
                "invalid client credentials",
                "salesforce.client_secret",
            ),
            (
                &secret,
                "invalid_grant",
                "invalid client credentials",
                "salesforce.client_secret",
            ),
            (
                &secret,
                "invalid_client_id",
                "client identifier invalid",
                "salesforce.client_id",
            ),
            (
                &secret,
                "unsupported_grant_type",
                "grant type not supported",
                "Client Credentials Flow",
            ),
            (&secret, "invalid_grant", "inactive user", "activate"),
            (
                &secret,
                "invalid_grant",
                "ip restricted or invalid login hours",
                "login hours",
            ),
            (&secret, "invalid_grant", "expired password", "password"),
            (&secret, "invalid_grant", "no valid scopes defined", "scope"),
            (&secret, "invalid_grant", "something new", "salesforce.client_id"),
            (
                &jwt,
                "invalid_grant",
                "user hasn't approved this consumer",
                "pre-authorized",
            ),
            (
                &jwt,
                "invalid_app_access",
                "user is not admin approved to access this app",
                "pre-authorized",
            ),
            (&jwt, "invalid_grant", "audience is invalid", "salesforce.audience"),
            (
                &jwt,
                "invalid_grant",
                "Audience validation failed",
                "salesforce.audience",
            ),
            (
                &jwt,
                "invalid_grant",
                "invalid assertion",
                "salesforce.private_key_file",
            ),
            (&jwt, "invalid_grant", "expired authorization code", "clock"),
            (&jwt, "invalid_grant", "inactive organization", "org"),
            (&jwt, "invalid_grant", "user is locked", "unlock"),
            (
                &jwt,
                "app_not_found",
                "External client app is not installed in this org",
                "install",
            ),
            (
                &jwt,
                "unsupported_grant_type",
                "grant type not supported",
                "JWT Bearer Flow",
            ),
        ] {
            let remedy = of_login(error, description, grant);
            assert!(remedy.contains(part), "{error} {description}: {remedy}");
        }
        assert!(passes("unknown_error", "retry your request") && !passes("invalid_grant", "inactive user"));
    }

    #[test]
    fn web_page_remedy_knows_a_login_page() {
        assert_eq!(of_page("Login | Salesforce"), LOGIN_PAGE);
        assert_eq!(of_page("ERROR: The requested URL could not be retrieved"), PROXY_PAGE);
    }
}
