//! The access token. Salesforce's answer says neither when it ends nor how to refresh it, so it is used until a 401, then
//! renewed: by one caller at a time, while the others wait for that one's.
//!
//! The grant today is client credentials, on the My Domain host, with HTTP Basic. The JWT bearer will stand beside it in
//! [`mint`]: the `oauth2` crate has no such grant.

use std::pin::Pin;

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

use super::verdict::{clean, org_fault, unanswered, unreadable};
use crate::config::SalesforceConfig;
use crate::ports::CrmError;

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
    client_secret: SecretString,
    current: Mutex<(u64, Option<Access>)>,
}

impl Tokens {
    pub(super) fn new(http: reqwest::Client, settings: &SalesforceConfig) -> Self {
        Self {
            http,
            login_url: settings.login_url.clone(),
            client_id: settings.client_id.clone(),
            client_secret: settings.client_secret.clone(),
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
        let refused = |e: &dyn std::fmt::Display| {
            let said = format!(
                "Salesforce refused the login: {}; check salesforce.client_id, client_secret and the External Client App's run-as user",
                clean(&e.to_string())
            );
            org_fault("salesforce_login_refused", said)
        };
        let token_url = TokenUrl::new(format!("{}/services/oauth2/token", self.login_url)).map_err(|e| refused(&e))?;
        let client: OAuth<oauth2::EndpointSet> = OAuth::new(ClientId::new(self.client_id.clone()))
            .set_client_secret(ClientSecret::new(self.client_secret.expose_secret().to_owned()))
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
                    refused(&format!("{} {words}", answer.error()))
                }
                RequestTokenError::Request(Sending::Http(e)) => unanswered(&e),
                _ => unreadable(),
            })?;
        let instance_url = answer.extra_fields().instance_url.trim_end_matches('/').to_owned();
        if !is_salesforce(&instance_url, &self.login_url) {
            let said =
                "Salesforce's login answered with an instance_url that is no Salesforce host; no token goes there";
            return Err(org_fault("salesforce_strange_host", said));
        }
        let token = SecretString::from(answer.access_token().secret().clone());
        Ok(Access {
            token,
            instance_url,
            generation: 0,
        })
    }
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
    let mut answer = http.execute(request).await?;
    let (status, headers) = (answer.status(), answer.headers().clone());
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await? {
        if body.len() + chunk.len() > MAX_ANSWER {
            return Err(Sending::TooLong);
        }
        body.extend_from_slice(&chunk);
    }
    let mut response = HttpResponse::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    Ok(response)
}

#[derive(Debug, thiserror::Error)]
enum Sending {
    #[error(transparent)]
    Http(#[from] reqwest::Error),
    #[error("the token answer is too long")]
    TooLong,
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
