//! One upsert by external id: `PATCH …/sobjects/{Object}/{ExternalIdField}/{value}`. Created answers 201, updated 200 (or
//! a bare 204 from old versions). An expired token is renewed once, and the call made again.

use async_trait::async_trait;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{Method, StatusCode};
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::object::{Describe, Described, Object};
use super::row;
use super::token::{Access, Tokens};
use super::verdict::{answered, org_fault, unanswered, unreadable};
use crate::config::SalesforceConfig;
use crate::domain::participant::ParticipantRow;
use crate::ports::{Crm, CrmError, CrmVerdict, Recorded};

/// The largest answer read, bytes. A describe of a wide object is the largest there is.
const MAX_ANSWER: usize = 4 * 1024 * 1024;

/// Salesforce.
pub struct Salesforce {
    http: reqwest::Client,
    settings: SalesforceConfig,
    tokens: Tokens,
    object: Object,
}

#[derive(Deserialize)]
struct Upserted {
    id: Option<String>,
    #[serde(default)]
    created: bool,
}

impl Salesforce {
    /// Prepares the client. Makes no call.
    ///
    /// # Errors
    /// When no TLS client can be made on this machine.
    pub fn new(settings: SalesforceConfig) -> Result<Self, reqwest::Error> {
        let http = reqwest::Client::builder()
            .timeout(settings.request_timeout)
            .connect_timeout(settings.request_timeout)
            // A redirect could carry the token to another host.
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("Sidedoor/", env!("CARGO_PKG_VERSION")))
            .build()?;
        let tokens = Tokens::new(http.clone(), &settings);
        let object = Object::new(&settings);
        Ok(Self {
            http,
            settings,
            tokens,
            object,
        })
    }

    /// Sends one request with the token in use; if that is refused, once more with a new one.
    async fn send(
        &self,
        method: &Method,
        path: &str,
        body: Option<&Map<String, Value>>,
    ) -> Result<(StatusCode, String), CrmError> {
        let access = self.tokens.get().await?;
        let (status, text) = self.send_with(&access, method, path, body).await?;
        if status != StatusCode::UNAUTHORIZED {
            return Ok((status, text));
        }
        self.tokens.refused(&access).await;
        let renewed = self.tokens.get().await?;
        let (status, text) = self.send_with(&renewed, method, path, body).await?;
        if status == StatusCode::UNAUTHORIZED {
            self.tokens.refused(&renewed).await;
            return Err(org_fault(
                "salesforce_token_refused",
                "Salesforce refuses its own new token",
            ));
        }
        Ok((status, text))
    }

    async fn send_with(
        &self,
        access: &Access,
        method: &Method,
        path: &str,
        body: Option<&Map<String, Value>>,
    ) -> Result<(StatusCode, String), CrmError> {
        let url = format!(
            "{}/services/data/{}/{path}",
            access.instance_url, self.settings.api_version
        );
        let mut request = self
            .http
            .request(method.clone(), url)
            .bearer_auth(access.token.expose_secret())
            .header("Sforce-Call-Options", "client=Sidedoor");
        if let Some(body) = body {
            request = request.json(body);
        }
        let mut answer = request.send().await.map_err(|e| unanswered(&e))?;
        let status = answer.status();
        let mut text = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|e| unanswered(&e))? {
            if text.len() + chunk.len() > MAX_ANSWER {
                return Err(unreadable());
            }
            text.extend_from_slice(&chunk);
        }
        Ok((status, String::from_utf8_lossy(&text).into_owned()))
    }

    async fn try_upsert(&self, row: &ParticipantRow) -> Result<Recorded, CrmError> {
        let object_name = self.object.name(self).await?;
        let fields = &self.settings.fields;
        let key = utf8_percent_encode(&row.leg_key, NON_ALPHANUMERIC);
        let path = format!("sobjects/{object_name}/{}/{key}", fields.external_id);
        let (status, text) = self.send(&Method::PATCH, &path, Some(&row::body(row, fields))).await?;
        match status {
            StatusCode::OK | StatusCode::CREATED => {
                let done: Upserted = serde_json::from_str(&text).map_err(|_| unreadable())?;
                Ok(Recorded {
                    object_name,
                    record_id: done.id,
                    created: done.created,
                })
            }
            StatusCode::NO_CONTENT => Ok(Recorded {
                object_name,
                record_id: None,
                created: false,
            }),
            _ => {
                let lookups = [
                    row.voice_call_id.as_ref().map(|_| fields.voice_call.as_str()),
                    row.supervisor_user_id.as_ref().map(|_| fields.supervisor.as_str()),
                ];
                let lookups: Vec<&str> = lookups.into_iter().flatten().filter(|name| !name.is_empty()).collect();
                Err(answered(status, &text, &lookups))
            }
        }
    }
}

#[async_trait]
impl Describe for Salesforce {
    async fn describe(&self, object: &'static str) -> Result<Described, CrmError> {
        let (status, text) = self
            .send(&Method::GET, &format!("sobjects/{object}/describe"), None)
            .await?;
        if status != StatusCode::OK {
            return Err(answered(status, &text, &[]));
        }
        serde_json::from_str(&text).map_err(|_| unreadable())
    }
}

#[async_trait]
impl Crm for Salesforce {
    async fn upsert(&self, row: &ParticipantRow) -> Result<Recorded, CrmError> {
        let done = self.try_upsert(row).await;
        if let Err(e) = &done
            && matches!(e.verdict, CrmVerdict::OrgFault(_))
        {
            // The org is not as it was: look at it anew next time.
            self.object.forget().await;
        }
        done
    }
}
