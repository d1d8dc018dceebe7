//! The access token. Salesforce's answer says neither when it ends nor how to refresh it, so it is used until a 401, then
//! renewed: by one caller at a time, while the others wait for that one's.
//!
//! Two grants: client credentials, on the My Domain host, with HTTP Basic; and the JWT bearer, a signed assertion in a form, which
//! the `oauth2` crate does not have.

use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};

use oauth2::basic::{BasicErrorResponse, BasicTokenType};
use oauth2::{
    AsyncHttpClient, AuthType, ClientId, ClientSecret, EndpointNotSet, ExtraTokenFields, HttpRequest, HttpResponse,
    RequestTokenError, StandardRevocableToken, StandardTokenIntrospectionResponse, StandardTokenResponse,
    TokenResponse, TokenUrl,
};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;
use url::Url;

use super::verdict::{Carried, answered, clean, org_fault, unanswered, unreadable};
use crate::config::{Grant, SalesforceConfig};
use sidedoor_domain::ports::{Clock, CrmError};

/// The largest token answer read, bytes.
const MAX_ANSWER: usize = 64 * 1024;

/// A token and where it is good.
#[derive(Clone)]
pub(super) struct Access {
    /// The bearer.
    pub(super) token: SecretString,
    /// The org's own host.
    pub(super) instance_url: String,
    generation: u64,
}

/// What Salesforce's token answer has beside the standard.
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

/// The token in use.
pub(super) struct Tokens {
    http: reqwest::Client,
    login_url: String,
    client_id: String,
    grant: Grant,
    clock: Arc<dyn Clock>,
    current: Mutex<(u64, Option<Access>)>,
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
        }
    }

    /// The token in use, made if there is none. The lock is held while one is made: whoever comes meanwhile waits and
    /// gets that one.
    pub(super) async fn get(&self) -> Result<Access, CrmError> {
        let mut current = self.current.lock().await;
        if let Some(access) = &current.1 {
            return Ok(access.clone());
        }
        let generation = current.0 + 1;
        let access = Access {
            generation,
            ..self.mint().await?
        };
        *current = (generation, Some(access.clone()));
        Ok(access)
    }

    /// The token was refused. Only if it is still the one in use is it thrown away: others may have renewed it.
    pub(super) async fn refused(&self, access: &Access) {
        let mut current = self.current.lock().await;
        if current
            .1
            .as_ref()
            .is_some_and(|now| now.generation == access.generation)
        {
            current.1 = None;
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
        let Granted { token, instance_url } = granted?;
        let instance_url = instance_url.trim_end_matches('/').to_owned();
        if !is_salesforce(&instance_url, &self.login_url) {
            let said =
                "Salesforce's login answered with an instance_url that is no Salesforce host; no token goes there";
            return Err(org_fault("salesforce_host_invalid", said));
        }
        Ok(Access {
            token,
            instance_url,
            generation: 0,
        })
    }

    fn token_endpoint(&self) -> String {
        format!("{}/services/oauth2/token", self.login_url)
    }

    async fn by_client_credentials(&self, secret: &SecretString) -> Result<Granted, CrmError> {
        let hint = "check salesforce.client_id, client_secret and the External Client App's run-as user";
        let token_url = TokenUrl::new(self.token_endpoint()).map_err(|e| refused(&e.to_string(), hint))?;
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
                    let words = answer.error_description().map(String::as_str).unwrap_or_default();
                    refused(&format!("{} {words}", answer.error()), hint)
                }
                RequestTokenError::Request(Sending::Http(e)) => unanswered(&e),
                RequestTokenError::Request(Sending::Status(status)) => answered(status, "", Carried::default()),
                _ => unreadable(),
            })?;
        Ok(Granted {
            token: SecretString::from(answer.access_token().secret().clone()),
            instance_url: answer.extra_fields().instance_url.clone(),
        })
    }

    /// RFC 7523: an assertion signed with RS256, in a form. The key is read anew, so that it may be rotated.
    async fn by_assertion(&self, username: &str, key_file: &Path, audience: &str) -> Result<Granted, CrmError> {
        let hint = "check salesforce.client_id, username, private_key_file, audience and the External Client App's certificate";
        let unusable = |why: &str| {
            // The path is named, the key never.
            let said = format!("the key file {} {why}", key_file.display());
            org_fault("salesforce_key_invalid", said)
        };
        let pem = tokio::fs::read(key_file)
            .await
            .map_err(|_| unusable("cannot be read"))?;
        let pem = zeroize::Zeroizing::new(pem);
        let key = EncodingKey::from_rsa_pem(&pem).map_err(|_| unusable("is no RSA private key in PEM"))?;
        let claims = Claims {
            iss: &self.client_id,
            sub: username,
            aud: audience,
            exp: self.clock.now().as_second() + ASSERTION_S,
        };
        let assertion = encode(&Header::new(Algorithm::RS256), &claims, &key).map_err(|_| unusable("cannot sign"))?;
        let form = [("grant_type", JWT_BEARER), ("assertion", assertion.as_str())];
        let request = self.http.post(self.token_endpoint()).form(&form);
        let answer = bounded(request.send().await.map_err(|e| unanswered(&e))?).await;
        let (status, body) = answer.map_err(|e| match e {
            Sending::Http(e) => unanswered(&e),
            Sending::TooLong | Sending::Status(_) => unreadable(),
        })?;
        if status.is_server_error() {
            return Err(answered(status, &String::from_utf8_lossy(&body), Carried::default()));
        }
        if !status.is_success() {
            let said: Refused = serde_json::from_slice(&body).map_err(|_| unreadable())?;
            return Err(refused(&format!("{} {}", said.error, said.error_description), hint));
        }
        let granted: JwtAnswer = serde_json::from_slice(&body).map_err(|_| unreadable())?;
        Ok(Granted {
            token: SecretString::from(granted.access_token),
            instance_url: granted.instance_url,
        })
    }
}

/// How long an assertion is good, s. Salesforce takes three minutes at most; clocks differ.
const ASSERTION_S: i64 = 170;
const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

/// What a login gives.
struct Granted {
    token: SecretString,
    instance_url: String,
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
}

#[derive(Deserialize)]
struct Refused {
    error: String,
    #[serde(default)]
    error_description: String,
}

fn refused(said: &str, hint: &str) -> CrmError {
    org_fault(
        "salesforce_login_rejected",
        format!("Salesforce refused the login: {}; {hint}", clean(said)),
    )
}

/// How the `oauth2` crate sends: by our own client, bounded.
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
    let (status, body) = bounded(answer).await?;
    if status.is_server_error() {
        // Whatever its body says: it is no refusal, and passes.
        return Err(Sending::Status(status));
    }
    let mut response = HttpResponse::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    Ok(response)
}

/// An answer's status and its body, which must not be too long.
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
    Status(reqwest::StatusCode),
}

/// Whether a token may go there: to the login host itself, or over https to one of Salesforce's.
fn is_salesforce(instance_url: &str, login_url: &str) -> bool {
    let (Ok(instance), Ok(login)) = (Url::parse(instance_url), Url::parse(login_url)) else {
        return false;
    };
    let same = instance.scheme() == login.scheme()
        && instance.host_str() == login.host_str()
        && instance.port_or_known_default() == login.port_or_known_default();
    let host = instance.host_str().unwrap_or_default();
    let theirs = [".salesforce.com", ".force.com"]
        .iter()
        .any(|domain| host.ends_with(domain));
    same || (instance.scheme() == "https" && theirs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_goes_to_no_strange_host() {
        let login = "https://acme.my.salesforce.com";
        for good in [login, "https://acme.my.salesforce.com/", "https://eu1.salesforce.com"] {
            assert!(is_salesforce(good, login), "{good}");
        }
        for bad in [
            "http://acme.my.salesforce.com",
            "https://evil.example",
            "https://salesforce.com.evil.example",
            "x",
        ] {
            assert!(!is_salesforce(bad, login), "{bad}");
        }
        assert!(is_salesforce("http://127.0.0.1:9", "http://127.0.0.1:9"));
        assert!(!is_salesforce("http://127.0.0.1:8", "http://127.0.0.1:9"));
    }
}
