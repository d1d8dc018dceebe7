//! The access token. Salesforce's answer contains neither a lifetime nor a refresh token, so a token is used until a 401 and
//! then replaced by a new login. One caller logs in while the others wait for the result.
//!
//! There are two grants: client credentials, with HTTP Basic on the My Domain host; and the JWT bearer grant, a signed
//! assertion in a form, which the `oauth2` crate does not support.

use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use oauth2::basic::{BasicErrorResponse, BasicTokenType};
use oauth2::{
    AsyncHttpClient, AuthType, ClientId, ClientSecret, EndpointNotSet, ExtraTokenFields, HttpRequest, HttpResponse,
    RequestTokenError, StandardRevocableToken, StandardTokenIntrospectionResponse, StandardTokenResponse,
    TokenResponse, TokenUrl,
};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use sidedoor_domain::ports::{Clock, CrmError, CrmFault, CrmVerdict};
use tokio::sync::Mutex;
use url::Url;

use super::errors::{LookupFields, answered, clean, org_fault_with, read, unanswered, unreadable};
use super::remedies;
use crate::config::{Grant, SalesforceConfig};

/// The largest token answer that is read, bytes.
const MAX_ANSWER: usize = 64 * 1024;
/// A token is not discarded before this age because its host cannot be reached, so that an outage of the network causes few logins.
const UNREACHABLE_AFTER: Duration = Duration::from_secs(60);

/// An access token and the host that accepts it.
#[derive(Clone)]
pub(super) struct Access {
    /// The bearer token.
    pub(super) token: SecretString,
    /// The org's instance URL, without a slash at the end.
    pub(super) instance_url: String,
    /// The scopes, separated by spaces. `None` if Salesforce did not list them.
    scopes: Option<String>,
    generation: u64,
    /// When the login ended, by [`Clock::elapsed`].
    since: Duration,
}

impl Access {
    /// Whether the token is known to lack the scope that the REST API needs.
    pub(super) fn lacks_api_scope(&self) -> bool {
        let allows = |scope: &str| matches!(scope, "api" | "full");
        self.scopes
            .as_ref()
            .is_some_and(|scopes| !scopes.split_whitespace().any(allows))
    }
}

/// The member of Salesforce's token answer that is not in the OAuth standard.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Extra {
    instance_url: String,
}

impl ExtraTokenFields for Extra {}

type Answer = StandardTokenResponse<Extra, BasicTokenType>;
type OAuth<HasToken = EndpointNotSet> = oauth2::Client<
    BasicErrorResponse,
    Answer,
    StandardTokenIntrospectionResponse<Extra, BasicTokenType>,
    StandardRevocableToken,
    oauth2::basic::BasicRevocationErrorResponse,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    HasToken,
>;

/// The current token, and the credential for a new one.
pub(super) struct Tokens {
    http: reqwest::Client,
    login_url: String,
    client_id: String,
    grant: Grant,
    clock: Arc<dyn Clock>,
    current: Mutex<Current>,
    /// How many logins have ended.
    ended: AtomicU64,
}

/// The current token, and the last login that failed.
#[derive(Default)]
struct Current {
    access: Option<Access>,
    failed: Option<(u64, CrmError)>,
}

impl Tokens {
    pub(super) fn new(http: reqwest::Client, settings: &SalesforceConfig, clock: Arc<dyn Clock>) -> Self {
        Self {
            http,
            login_url: settings.login_url.clone(),
            client_id: settings.client_id.clone(),
            grant: settings.grant.clone(),
            clock,
            current: Mutex::default(),
            ended: AtomicU64::default(),
        }
    }

    /// The current token; logs in if there is none. The lock is held during the login, so that concurrent callers wait for
    /// its result, also a failure, instead of logging in too. Otherwise a login that hangs would hold up one caller after another.
    pub(super) async fn get(&self) -> Result<Access, CrmError> {
        let ended_before = self.ended.load(Ordering::SeqCst);
        let mut current = self.current.lock().await;
        if let Some(access) = &current.access {
            return Ok(access.clone());
        }
        if let Some((number, failed)) = &current.failed
            && *number > ended_before
        {
            return Err(failed.clone());
        }
        let minted = self.mint().await;
        let number = self.ended.fetch_add(1, Ordering::SeqCst) + 1;
        match minted {
            Ok(access) => {
                let access = Access {
                    generation: number,
                    since: self.clock.elapsed(),
                    ..access
                };
                *current = Current {
                    access: Some(access.clone()),
                    failed: None,
                };
                Ok(access)
            }
            Err(e) => {
                current.failed = Some((number, e.clone()));
                Err(e)
            }
        }
    }

    /// Discards a token that Salesforce refused, unless another caller has already replaced it.
    pub(super) async fn refused(&self, access: &Access) {
        let mut current = self.current.lock().await;
        if current
            .access
            .as_ref()
            .is_some_and(|now| now.generation == access.generation)
        {
            current.access = None;
        }
    }

    /// Discards a token whose host cannot be reached, unless the login was a moment ago: the org may have moved, and only a new login
    /// says where to.
    pub(super) async fn unreachable(&self, access: &Access) {
        if self.clock.elapsed().saturating_sub(access.since) >= UNREACHABLE_AFTER {
            self.refused(access).await;
        }
    }

    async fn mint(&self) -> Result<Access, CrmError> {
        let granted = match &self.grant {
            Grant::ClientCredentials { secret } => self.by_client_credentials(secret).await,
            Grant::JwtBearer {
                username,
                key_file,
                audience,
            } => self.by_assertion(username, key_file, audience).await,
        };
        let Granted {
            token,
            instance_url,
            scopes,
        } = granted?;
        let instance_url = instance_url.trim_end_matches('/').to_owned();
        if !is_salesforce(&instance_url, &self.login_url) {
            let message = "the login's instance_url is not a Salesforce host, so the token is not sent to it";
            let remedy = "set salesforce.login_url to the org's My Domain, and check for a proxy that changes answers";
            return Err(org_fault_with(CrmFault::HostInvalid, message, remedy));
        }
        Ok(Access {
            token,
            instance_url,
            scopes,
            generation: 0,
            since: Duration::ZERO,
        })
    }

    fn token_endpoint(&self) -> String {
        format!("{}/services/oauth2/token", self.login_url)
    }

    async fn by_client_credentials(&self, secret: &SecretString) -> Result<Granted, CrmError> {
        let token_url =
            TokenUrl::new(self.token_endpoint()).map_err(|e| self.login_refused("invalid_request", &e.to_string()))?;
        let client: OAuth<oauth2::EndpointSet> = OAuth::new(ClientId::new(self.client_id.clone()))
            .set_client_secret(ClientSecret::new(secret.expose_secret().to_owned()))
            .set_auth_type(AuthType::BasicAuth)
            .set_token_uri(token_url);
        let http = Http(self.http.clone());
        let answer = client
            .exchange_client_credentials()
            .request_async(&http)
            .await
            .map_err(|e| match e {
                RequestTokenError::ServerResponse(answer) => {
                    let description = answer.error_description().map(String::as_str).unwrap_or_default();
                    self.login_refused(answer.error().as_ref(), description)
                }
                RequestTokenError::Request(sending) => sending.error(),
                RequestTokenError::Parse(_, body) => unreadable(&String::from_utf8_lossy(&body)),
                RequestTokenError::Other(_) => unreadable(""),
            })?;
        let scopes = answer.scopes().map(|scopes| {
            let scopes: Vec<&str> = scopes.iter().map(|scope| scope.as_str()).collect();
            scopes.join(" ")
        });
        Ok(Granted {
            token: SecretString::from(answer.access_token().secret().clone()),
            instance_url: answer.extra_fields().instance_url.clone(),
            scopes,
        })
    }

    /// Logs in with an assertion signed with RS256, in a form (RFC 7523). The key is read at each login, so that it can be
    /// rotated without a restart.
    async fn by_assertion(&self, username: &str, key_file: &Path, audience: &str) -> Result<Granted, CrmError> {
        let unusable = |why: &str| {
            // The message contains the path, but never the key.
            let message = format!("the file {} (salesforce.private_key_file) {why}", key_file.display());
            let remedy =
                "set salesforce.private_key_file to a file with the RSA private key in PEM that this process may read";
            org_fault_with(CrmFault::KeyInvalid, message, remedy)
        };
        let pem = tokio::fs::read(key_file)
            .await
            .map_err(|_| unusable("cannot be read"))?;
        let pem = zeroize::Zeroizing::new(pem);
        let key = EncodingKey::from_rsa_pem(&pem).map_err(|_| unusable("is not an RSA private key in PEM"))?;
        let claims = Claims {
            iss: &self.client_id,
            sub: username,
            aud: audience,
            exp: self.clock.now().as_second() + ASSERTION_S,
        };
        let assertion = encode(&Header::new(Algorithm::RS256), &claims, &key)
            .map_err(|_| unusable("has a key that cannot sign"))?;
        let form = [("grant_type", JWT_BEARER), ("assertion", assertion.as_str())];
        let request = self.http.post(self.token_endpoint()).form(&form);
        let answer = request.send().await.map_err(|e| unanswered(&e))?;
        let (status, body) = login_answer(answer).await.map_err(|e| e.error())?;
        let text = String::from_utf8_lossy(&body);
        if !status.is_success() {
            let refusal: Refused = read(&text)?;
            return Err(self.login_refused(&refusal.error, &refusal.error_description));
        }
        let granted: JwtAnswer = read(&text)?;
        Ok(Granted {
            token: SecretString::from(granted.access_token),
            instance_url: granted.instance_url,
            scopes: granted.scope,
        })
    }

    fn login_refused(&self, error: &str, description: &str) -> CrmError {
        let sentence = clean(format!("{error} {description}").trim());
        let remedy = remedies::of_login(error, description, &self.grant);
        let message = format!("Salesforce refused the login: {sentence}");
        let refused = org_fault_with(CrmFault::LoginRejected, message, remedy);
        if remedies::passes(error, description) {
            return CrmError {
                verdict: CrmVerdict::Retry,
                ..refused
            };
        }
        refused
    }
}

/// How long an assertion is valid, s. Salesforce accepts at most three minutes; the rest is for differing clocks.
const ASSERTION_S: i64 = 170;
const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

/// The result of a login.
struct Granted {
    token: SecretString,
    instance_url: String,
    scopes: Option<String>,
}

#[derive(Serialize)]
struct Claims<'c> {
    iss: &'c str,
    sub: &'c str,
    aud: &'c str,
    exp: i64,
}

#[derive(Deserialize)]
struct JwtAnswer {
    access_token: String,
    instance_url: String,
    scope: Option<String>,
}

#[derive(Deserialize)]
struct Refused {
    error: String,
    #[serde(default)]
    error_description: String,
}

/// Lets the `oauth2` crate send with our HTTP client, so that timeouts, redirects and sizes are limited.
struct Http(reqwest::Client);

impl<'c> AsyncHttpClient<'c> for Http {
    type Error = Sending;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, Sending>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(send(&self.0, request))
    }
}

async fn send(http: &reqwest::Client, request: HttpRequest) -> Result<HttpResponse, Sending> {
    let request = reqwest::Request::try_from(request)?;
    let answer = http.execute(request).await?;
    let headers = answer.headers().clone();
    let (status, body) = login_answer(answer).await?;
    let mut response = HttpResponse::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    Ok(response)
}

/// Reads the answer to a login. A server error is temporary, whatever its body says, and a redirect or a web page is no answer of the
/// token endpoint. None of them is a refused login.
async fn login_answer(answer: reqwest::Response) -> Result<(reqwest::StatusCode, Vec<u8>), Sending> {
    let location = answer.headers().get("location").and_then(|v| v.to_str().ok());
    let to = location.and_then(|to| Url::parse(to).ok());
    let (status, body) = bounded(answer).await?;
    if status.is_redirection() {
        return Err(Sending::Moved(status, to.and_then(|to| to.host_str().map(clean))));
    }
    let is_page = body.trim_ascii_start().starts_with(b"<");
    if status.is_server_error() || is_page {
        return Err(Sending::Status(status, String::from_utf8_lossy(&body).into_owned()));
    }
    Ok((status, body))
}

/// Reads an answer's status and body, up to the size limit.
async fn bounded(mut answer: reqwest::Response) -> Result<(reqwest::StatusCode, Vec<u8>), Sending> {
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await? {
        if body.len() + chunk.len() > MAX_ANSWER {
            return Err(Sending::TooLong);
        }
        body.extend_from_slice(&chunk);
    }
    Ok((answer.status(), body))
}

#[derive(Debug, thiserror::Error)]
enum Sending {
    #[error(transparent)]
    Http(#[from] reqwest::Error),
    #[error("the token answer is too long")]
    TooLong,
    #[error("the token endpoint answered {0}")]
    Status(reqwest::StatusCode, String),
    #[error("the login host answered {0}")]
    Moved(reqwest::StatusCode, Option<String>),
}

impl Sending {
    fn error(self) -> CrmError {
        match self {
            Self::Http(e) => unanswered(&e),
            Self::TooLong => unreadable(""),
            Self::Status(status, body) if status.is_success() => unreadable(&body),
            Self::Status(status, body) => CrmError {
                // Nothing was written by a login.
                may_commit_late: false,
                ..answered(status, &body, LookupFields::default())
            },
            Self::Moved(status, to) => {
                let to = to.map_or_else(String::new, |host| format!(" to {host}"));
                let message = format!("the host in salesforce.login_url answers a login with {status}{to}");
                org_fault_with(CrmFault::OrgMoved, message, remedies::MOVED)
            }
        }
    }
}

/// The domains of Salesforce's hosts: the public cloud, Government Cloud, China, and old My Domains.
const HOSTS: [&str; 5] = [
    ".salesforce.com",
    ".force.com",
    ".salesforce.mil",
    ".sfcrmproducts.cn",
    ".cloudforce.com",
];

/// Whether a token may be sent to `instance_url`: to the login host itself, or over https to a host of Salesforce's.
fn is_salesforce(instance_url: &str, login_url: &str) -> bool {
    let (Ok(instance), Ok(login)) = (Url::parse(instance_url), Url::parse(login_url)) else {
        return false;
    };
    let same = instance.scheme() == login.scheme()
        && instance.host_str() == login.host_str()
        && instance.port_or_known_default() == login.port_or_known_default();
    let host = instance.host_str().unwrap_or_default();
    let theirs = HOSTS.iter().any(|domain| host.ends_with(domain));
    same || (instance.scheme() == "https" && theirs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_is_sent_only_to_salesforce_hosts() {
        let login = "https://acme.my.salesforce.com";
        for good in [
            login,
            "https://acme.my.salesforce.com/",
            "https://eu1.salesforce.com",
            "https://acme.my.salesforce.mil",
            "https://acme.my.sfcrmproducts.cn",
            "https://acme.cloudforce.com",
        ] {
            assert!(is_salesforce(good, login), "{good}");
        }
        for bad in [
            "http://acme.my.salesforce.com",
            "https://evil.example",
            "https://salesforce.com.evil.example",
            "https://evilsalesforce.mil",
            "https://cloudforce.com.evil.example",
            "x",
        ] {
            assert!(!is_salesforce(bad, login), "{bad}");
        }
        assert!(is_salesforce("http://127.0.0.1:9", "http://127.0.0.1:9"));
        assert!(!is_salesforce("http://127.0.0.1:8", "http://127.0.0.1:9"));
    }
}
