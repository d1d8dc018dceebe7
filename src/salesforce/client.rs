//! One call: an upsert of a row or of a collection of rows by external id, a search, a describe. Created answers 201, updated 200
//! (or a bare 204 from old versions). An expired token is renewed once, and the call made again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{Method, StatusCode};
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde_json::{Value, json};

use super::object::{Describe, Described, Object};
use super::row;
use super::token::{Access, Tokens};
use super::verdict::{Carried, answered, item_refused, org_fault, unanswered, unreadable};
use crate::config::SalesforceConfig;
use crate::telemetry::spans;
use sidedoor_domain::ids::ContactId;
use sidedoor_domain::participant::ParticipantRecord;
use sidedoor_domain::ports::crm::ParticipantSeen;
use sidedoor_domain::ports::{Clock, Crm, CrmError, CrmVerdict, Recorded, Usage};

/// The largest answer read, bytes. A describe of a wide object is the largest there is.
const MAX_ANSWER: usize = 4 * 1024 * 1024;

/// For so long what an answer said of the day's calls is believed.
const TOLD_LATELY: SignedDuration = SignedDuration::from_hours(1);

/// Salesforce.
pub struct Salesforce {
    pub(super) http: reqwest::Client,
    pub(super) settings: SalesforceConfig,
    pub(super) tokens: Tokens,
    object: Object,
    usage: Mutex<Option<(Usage, Timestamp)>>,
    clock: Arc<dyn Clock>,
}

#[derive(Default, Deserialize)]
struct Upserted {
    id: Option<String>,
    #[serde(default)]
    created: bool,
}

impl Upserted {
    fn recorded(self, object_name: &str) -> Recorded {
        Recorded {
            object_name: object_name.to_owned(),
            record_id: self.id,
            created: self.created,
        }
    }
}

impl Salesforce {
    /// Prepares the client. Makes no call.
    ///
    /// # Errors
    /// When no TLS client can be made on this machine.
    pub fn new(settings: SalesforceConfig, clock: Arc<dyn Clock>) -> Result<Self, reqwest::Error> {
        let http = reqwest::Client::builder()
            .timeout(settings.request_timeout)
            .connect_timeout(settings.request_timeout)
            // A redirect could carry the token to another host.
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("Sidedoor/", env!("CARGO_PKG_VERSION")))
            .build()?;
        let tokens = Tokens::new(http.clone(), &settings, clock.clone());
        let object = Object::new(&settings);
        Ok(Self {
            http,
            settings,
            tokens,
            object,
            usage: Mutex::default(),
            clock,
        })
    }

    /// Sends one request with the token in use; if that is refused, once more with a new one.
    pub(super) async fn send(
        &self,
        method: &Method,
        path: &str,
        body: Option<&Value>,
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
                "salesforce_token_rejected",
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
        body: Option<&Value>,
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
        if let Some(trace) = spans::current() {
            request = request.header("traceparent", trace.as_str());
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let mut answer = request.send().await.map_err(|e| unanswered(&e))?;
        let status = answer.status();
        self.note_usage(answer.headers());
        let mut text = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|e| unanswered(&e))? {
            if text.len() + chunk.len() > MAX_ANSWER {
                return Err(unreadable());
            }
            text.extend_from_slice(&chunk);
        }
        Ok((status, String::from_utf8_lossy(&text).into_owned()))
    }

    /// One row by itself: `PATCH …/sobjects/{Object}/{ExternalIdField}/{value}`.
    async fn upsert_one(&self, object_name: &str, row: &ParticipantRecord) -> Result<Recorded, CrmError> {
        let fields = &self.settings.fields;
        let key = utf8_percent_encode(&row.leg_key, NON_ALPHANUMERIC);
        let path = format!("sobjects/{object_name}/{}/{key}", fields.external_id);
        let body = Value::Object(row::body(row, fields));
        let (status, text) = self.send(&Method::PATCH, &path, Some(&body)).await?;
        match status {
            StatusCode::OK | StatusCode::CREATED => {
                let done: Upserted = serde_json::from_str(&text).map_err(|_| unreadable())?;
                Ok(done.recorded(object_name))
            }
            StatusCode::NO_CONTENT => Ok(Upserted::default().recorded(object_name)),
            _ => Err(answered(status, &text, self.lookups(row))),
        }
    }

    /// Several at once: `PATCH …/composite/sobjects/{Object}/{ExternalIdField}`. 200 even when records fail, each with a result
    /// of its own, in order.
    async fn upsert_collection(
        &self,
        object_name: &str,
        rows: &[ParticipantRecord],
    ) -> Result<Vec<Result<Recorded, CrmError>>, CrmError> {
        let fields = &self.settings.fields;
        let path = format!("composite/sobjects/{object_name}/{}", fields.external_id);
        let records = rows.iter().map(|row| {
            let mut record = row::body(row, fields);
            record.insert("attributes".into(), json!({"type": object_name}));
            record.insert(fields.external_id.clone(), json!(row.leg_key));
            Value::Object(record)
        });
        let body = json!({"allOrNone": false, "records": records.collect::<Vec<_>>()});
        let (status, text) = self.send(&Method::PATCH, &path, Some(&body)).await?;
        if status != StatusCode::OK {
            return Err(answered(status, &text, Carried::default()));
        }
        let results: Vec<Value> = serde_json::from_str(&text).map_err(|_| unreadable())?;
        // Fewer results than records would leave it open which row is meant.
        if results.len() != rows.len() {
            return Err(unreadable());
        }
        let of = |(row, result): (&ParticipantRecord, Value)| {
            let taken = result.get("success") == Some(&Value::Bool(true));
            match serde_json::from_value::<Upserted>(result.clone()) {
                Ok(done) if taken => Ok(done.recorded(object_name)),
                _ => Err(item_refused(&result, self.lookups(row))),
            }
        };
        Ok(rows.iter().zip(results).map(of).collect())
    }

    pub(super) fn connect_username_field(&self) -> &str {
        &self.settings.connect_username_field
    }

    /// The lookup fields that a row carries.
    fn lookups(&self, row: &ParticipantRecord) -> Carried<'_> {
        let fields = &self.settings.fields;
        let carried =
            |value: &Option<String>, name| value.as_ref().and(Some(name)).filter(|name: &&str| !name.is_empty());
        Carried {
            voice_call: carried(&row.voice_call_id, fields.voice_call.as_str()),
            supervisor: carried(&row.supervisor_user_id, fields.supervisor.as_str()),
        }
    }

    async fn try_upsert(&self, rows: &[ParticipantRecord]) -> Result<Vec<Result<Recorded, CrmError>>, CrmError> {
        let object_name = self.object.name(self).await?;
        match rows {
            [] => Ok(Vec::new()),
            // What is wrong with a single row's call is that row's error, unless it is the org's or nobody's.
            [row] => match self.upsert_one(&object_name, row).await {
                Err(e) if !is_of_the_row(&e) => Err(e),
                done => Ok(vec![done]),
            },
            rows => self.upsert_collection(&object_name, rows).await,
        }
    }

    /// Notes how much of the day's calls is used: `Sforce-Limit-Info: api-usage=18/5000`.
    fn note_usage(&self, headers: &reqwest::header::HeaderMap) {
        let told = headers.get("sforce-limit-info").and_then(|v| v.to_str().ok());
        if let Some(usage) = told.and_then(parse_usage) {
            *self.usage.lock().unwrap_or_else(PoisonError::into_inner) = Some((usage, self.clock.now()));
        }
    }
}

/// What is said of a row and not of the org or the network.
fn is_of_the_row(e: &CrmError) -> bool {
    matches!(
        e.verdict,
        CrmVerdict::DeadLetter | CrmVerdict::WithoutLookups(_) | CrmVerdict::RetryNow
    ) || e.code == "UNABLE_TO_LOCK_ROW"
}

/// What was told then, if that is not too long ago now.
fn believed((usage, at): (Usage, Timestamp), now: Timestamp) -> Option<Usage> {
    (now.duration_since(at) < TOLD_LATELY).then_some(usage)
}

fn parse_usage(told: &str) -> Option<Usage> {
    let numbers = told
        .split(',')
        .find_map(|part| part.trim().strip_prefix("api-usage="))?;
    let (used, limit) = numbers.split_once('/')?;
    Some(Usage {
        used: used.trim().parse().ok()?,
        limit: limit.trim().parse().ok()?,
    })
}

#[async_trait]
impl Describe for Salesforce {
    async fn describe(&self, object: &str) -> Result<Described, CrmError> {
        let (status, text) = self
            .send(&Method::GET, &format!("sobjects/{object}/describe"), None)
            .await?;
        if status != StatusCode::OK {
            let refused = answered(status, &text, Carried::default());
            // Whatever a describe is refused for, no row is at fault.
            return Err(match refused.verdict {
                CrmVerdict::DeadLetter | CrmVerdict::WithoutLookups(_) | CrmVerdict::RetryNow => CrmError {
                    verdict: org_fault("", "").verdict,
                    ..refused
                },
                _ => refused,
            });
        }
        serde_json::from_str(&text).map_err(|_| unreadable())
    }
}

#[async_trait]
impl Crm for Salesforce {
    async fn upsert(&self, rows: &[ParticipantRecord]) -> Result<Vec<Result<Recorded, CrmError>>, CrmError> {
        let done = self.try_upsert(rows).await;
        let org_fault = |e: &CrmError| matches!(e.verdict, CrmVerdict::OrgFault(_));
        let suspect = match &done {
            Err(e) => org_fault(e) && !e.code.starts_with("salesforce_"),
            Ok(outcomes) => outcomes.iter().any(|row| row.as_ref().is_err_and(org_fault)),
        };
        if !suspect {
            return done;
        }
        // The org's own description says better than a refusal what to do about it, and whether it is the org at all.
        let cleared = |e: CrmError| CrmError {
            verdict: CrmVerdict::OwnFault,
            ..e
        };
        match (self.survey().await, done) {
            (Err(why), Err(_)) => Err(why),
            (Ok(_), Err(e)) if rows.len() == 1 => Ok(vec![Err(cleared(e))]),
            // One of the call's rows is at fault: it is found by splitting the call.
            (Ok(_), Err(e)) => Err(cleared(e)),
            (survey, Ok(outcomes)) => {
                // What was taken was taken.
                let judge = |outcome: Result<Recorded, CrmError>| match outcome {
                    Err(e) if org_fault(&e) => Err(match &survey {
                        Err(why) => why.clone(),
                        Ok(_) => cleared(e),
                    }),
                    other => other,
                };
                Ok(outcomes.into_iter().map(judge).collect())
            }
        }
    }

    async fn voice_calls(&self, contacts: &[ContactId]) -> Result<HashMap<String, Vec<String>>, CrmError> {
        // A contact id holds no quote and no backslash.
        let keys: Vec<String> = contacts.iter().map(|c| format!("'{c}'")).collect();
        let soql = format!(
            "SELECT Id, VendorCallKey FROM VoiceCall WHERE VendorCallKey IN ({})",
            keys.join(",")
        );
        let path = format!("query?q={}", utf8_percent_encode(&soql, NON_ALPHANUMERIC));
        let (status, text) = self.send(&Method::GET, &path, None).await?;
        if status != StatusCode::OK {
            return Err(answered(status, &text, Carried::default()));
        }
        let found: Found = serde_json::from_str(&text).map_err(|_| unreadable())?;
        let mut by_key: HashMap<String, Vec<String>> = HashMap::new();
        for call in found.records {
            by_key.entry(call.vendor_call_key).or_default().push(call.id);
        }
        Ok(by_key)
    }

    async fn connect_username(&self, user: &str) -> Result<Option<String>, CrmError> {
        self.username_of(user).await
    }

    async fn survey(&self) -> Result<String, CrmError> {
        self.object.forget().await;
        self.object.name(self).await
    }

    async fn announce(&self, stream_keys: &[String]) -> Result<(), CrmError> {
        self.publish(stream_keys).await
    }

    async fn supervisors_of(&self, voice_calls: &[String]) -> Result<HashMap<String, Vec<ParticipantSeen>>, CrmError> {
        self.participants(voice_calls).await
    }

    fn usage(&self) -> Option<Usage> {
        let told = *self.usage.lock().unwrap_or_else(PoisonError::into_inner);
        told.and_then(|told| believed(told, self.clock.now()))
    }
}

#[derive(Deserialize)]
struct Found {
    records: Vec<FoundCall>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct FoundCall {
    id: String,
    vendor_call_key: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_told_of_the_days_calls_is_not_believed_for_ever() {
        let usage = Usage { used: 90, limit: 100 };
        let told = Timestamp::UNIX_EPOCH;
        let after = |minutes| believed((usage, told), told + SignedDuration::from_mins(minutes));
        assert_eq!((after(59), after(60)), (Some(usage), None));
    }

    #[test]
    fn the_days_calls_are_read_from_the_header() {
        let usage = |used, limit| Some(Usage { used, limit });
        assert_eq!(parse_usage("api-usage=18/5000"), usage(18, 5000));
        assert_eq!(
            parse_usage("api-usage=25/5000, per-app-api-usage=17/250(appName=x)"),
            usage(25, 5000)
        );
        for odd in ["", "api-usage=", "api-usage=x/y", "api-usage=1"] {
            assert_eq!(parse_usage(odd), None, "{odd}");
        }
    }
}
