//! The calls of the REST API: upserts of one record or a collection by external id, queries and describes. An upsert
//! answers 201 for a created and 200 for an updated record (or a bare 204 from old API versions). After a 401 the token is
//! renewed and the call is repeated once; so it is if the org has moved to another host.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{Method, StatusCode};
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde_json::{Value, json};
use sidedoor_domain::ids::ContactId;
use sidedoor_domain::participant::{ContactRecordKind, ParticipantRecord};
use sidedoor_domain::ports::crm::{AgentNotice, ParticipantSeen};
use sidedoor_domain::ports::{Clock, Crm, CrmError, CrmErrorCode, CrmVerdict, Usage, WrittenRecord};

use super::errors::{
    LookupFields, answered, concerns_record, is_newer_kept, item_refused, not_of_a_record, of_collection, read,
    unanswered, unreadable,
};
use super::object::{Describe, Described, Object};
use super::record;
use super::stale_access::ApiAnswer;
use super::token::{Access, Tokens};
use crate::config::SalesforceConfig;
use crate::telemetry::spans;

/// The largest answer that is read, bytes. The describe of an object with many fields is the largest of all.
const MAX_ANSWER: usize = 4 * 1024 * 1024;

/// The age at which a reported number of used API calls is out of date.
const USAGE_TTL: SignedDuration = SignedDuration::from_hours(1);

/// The client of one Salesforce org.
pub(crate) struct Salesforce {
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
    fn recorded(self, object_name: &str) -> WrittenRecord {
        WrittenRecord {
            object_name: object_name.to_owned(),
            record_id: self.id,
            created: self.created,
            newer_kept: false,
        }
    }
}

impl Salesforce {
    /// Prepares the client, without calling Salesforce.
    ///
    /// # Errors
    /// If no TLS client can be created.
    pub(crate) fn new(settings: SalesforceConfig, clock: Arc<dyn Clock>) -> Result<Self, reqwest::Error> {
        let http = reqwest::Client::builder()
            .timeout(settings.request_timeout)
            .connect_timeout(settings.request_timeout)
            // No redirects, because one could send the token to another host.
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

    /// Sends a request with the current token. If Salesforce refuses the token, or the org has moved, logs in again and repeats
    /// the request once.
    pub(super) async fn send(
        &self,
        method: &Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<(StatusCode, String), CrmError> {
        let access = self.tokens.get().await?;
        let answer = self.send_with(&access, method, path, body).await?;
        if answer.stale_access().is_none() {
            return Ok((answer.status, answer.text));
        }
        self.tokens.refused(&access).await;
        let renewed = self.tokens.get().await?;
        let answer = self.send_with(&renewed, method, path, body).await?;
        let Some(stale) = answer.stale_access() else {
            return Ok((answer.status, answer.text));
        };
        self.tokens.refused(&renewed).await;
        Err(stale.error(&answer, &renewed))
    }

    async fn send_with(
        &self,
        access: &Access,
        method: &Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<ApiAnswer, CrmError> {
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
        match self.read_answer(request).await {
            Ok(answer) => Ok(answer),
            Err(failed) => {
                // The host may be an old one of an org that has moved. A slow org is not.
                if failed.as_ref().is_some_and(|e| e.is_connect() || !e.is_timeout()) {
                    self.tokens.unreachable(access).await;
                }
                Err(failed.map_or_else(
                    || unreadable(""),
                    |e| CrmError {
                        may_commit_late: *method == Method::PATCH && !e.is_connect(),
                        ..unanswered(&e)
                    },
                ))
            }
        }
    }

    /// Sends and reads the answer. The error is `None` if the answer is too long.
    async fn read_answer(&self, request: reqwest::RequestBuilder) -> Result<ApiAnswer, Option<reqwest::Error>> {
        let mut answer = request.send().await.map_err(Some)?;
        let status = answer.status();
        self.note_usage(answer.headers());
        let location = answer.headers().get("location").and_then(|v| v.to_str().ok());
        let location = location.map(ToOwned::to_owned);
        let mut text = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(Some)? {
            if text.len() + chunk.len() > MAX_ANSWER {
                return Err(None);
            }
            text.extend_from_slice(&chunk);
        }
        Ok(ApiAnswer {
            status,
            location,
            text: String::from_utf8_lossy(&text).into_owned(),
        })
    }

    /// Upserts one record: `PATCH …/sobjects/{Object}/{ExternalIdField}/{value}`.
    async fn upsert_one(&self, object_name: &str, participant: &ParticipantRecord) -> Result<WrittenRecord, CrmError> {
        let fields = &self.settings.fields;
        let key = utf8_percent_encode(&participant.leg_key, NON_ALPHANUMERIC);
        let path = format!("sobjects/{object_name}/{}/{key}", fields.external_id);
        let body = Value::Object(record::body(participant, fields));
        let (status, text) = self.send(&Method::PATCH, &path, Some(&body)).await?;
        match status {
            StatusCode::OK | StatusCode::CREATED => {
                let done: Upserted = read(&text)?;
                Ok(done.recorded(object_name))
            }
            StatusCode::NO_CONTENT => Ok(Upserted::default().recorded(object_name)),
            _ => newer_is_written(object_name, answered(status, &text, self.lookups(participant))),
        }
    }

    /// Upserts several records: `PATCH …/composite/sobjects/{Object}/{ExternalIdField}`. The answer is 200 even if records
    /// fail, with one result a record, in order.
    async fn upsert_collection(
        &self,
        object_name: &str,
        participants: &[ParticipantRecord],
    ) -> Result<Vec<Result<WrittenRecord, CrmError>>, CrmError> {
        let fields = &self.settings.fields;
        let path = format!("composite/sobjects/{object_name}/{}", fields.external_id);
        let records = participants.iter().map(|participant| {
            let mut record = record::body(participant, fields);
            record.insert("attributes".into(), json!({"type": object_name}));
            record.insert(fields.external_id.clone(), json!(participant.leg_key));
            Value::Object(record)
        });
        let body = json!({"allOrNone": false, "records": records.collect::<Vec<_>>()});
        let (status, text) = self.send(&Method::PATCH, &path, Some(&body)).await?;
        if status != StatusCode::OK {
            return Err(of_collection(answered(status, &text, LookupFields::default())));
        }
        let results: Vec<Value> = read(&text)?;
        // With another number of results it is unknown which record each belongs to.
        if results.len() != participants.len() {
            return Err(unreadable(""));
        }
        let of = |(participant, result): (&ParticipantRecord, Value)| {
            let taken = result.get("success") == Some(&Value::Bool(true));
            match serde_json::from_value::<Upserted>(result.clone()) {
                Ok(done) if taken => Ok(done.recorded(object_name)),
                _ => newer_is_written(object_name, item_refused(&result, self.lookups(participant))),
            }
        };
        Ok(participants.iter().zip(results).map(of).collect())
    }

    pub(super) fn messaging_session_key(&self) -> &str {
        &self.settings.messaging_session_key
    }

    pub(super) fn connect_username_field(&self) -> &str {
        &self.settings.connect_username_field
    }

    /// The lookup fields that a record sets.
    fn lookups(&self, participant: &ParticipantRecord) -> LookupFields<'_> {
        let fields = &self.settings.fields;
        let set = |value: &Option<String>, name| value.as_ref().and(Some(name)).filter(|name: &&str| !name.is_empty());
        LookupFields {
            voice_call: set(&participant.voice_call_id, fields.voice_call.as_str()),
            messaging_session: set(&participant.messaging_session_id, fields.messaging_session.as_str()),
            supervisor: set(&participant.supervisor_user_id, fields.supervisor.as_str()),
            agent: set(&participant.agent_user_id, fields.agent.as_str()),
        }
    }

    async fn try_upsert(
        &self,
        participants: &[ParticipantRecord],
    ) -> Result<Vec<Result<WrittenRecord, CrmError>>, CrmError> {
        let object_name = self.object.name(self).await?;
        match participants {
            [] => Ok(Vec::new()),
            // A failed call with a single record is that record's outcome, unless the error concerns the org or the network.
            [participant] => match self.upsert_one(&object_name, participant).await {
                Err(e) if !concerns_record(&e) => Err(e),
                done => Ok(vec![done]),
            },
            participants => self.upsert_collection(&object_name, participants).await,
        }
    }

    /// Remembers how many of its daily API calls the org has used: `Sforce-Limit-Info: api-usage=18/5000; api-bursts=1/750`.
    fn note_usage(&self, headers: &reqwest::header::HeaderMap) {
        let header = headers.get("sforce-limit-info").and_then(|v| v.to_str().ok());
        if let Some(usage) = header.and_then(parse_usage) {
            *self.usage.lock().unwrap_or_else(PoisonError::into_inner) = Some((usage, self.clock.now()));
        }
    }
}

/// A refusal of an older version because the org has a newer one leaves nothing to do.
fn newer_is_written(object_name: &str, e: CrmError) -> Result<WrittenRecord, CrmError> {
    if is_newer_kept(&e) {
        Ok(WrittenRecord {
            newer_kept: true,
            ..Upserted::default().recorded(object_name)
        })
    } else {
        Err(e)
    }
}

/// The usage that an answer reported at `at`, unless it is out of date.
fn current_usage((usage, at): (Usage, Timestamp), now: Timestamp) -> Option<Usage> {
    (now.duration_since(at) < USAGE_TTL).then_some(usage)
}

/// Salesforce separates the figures by semicolons. A proxy that joins headers separates them by commas.
fn parse_usage(header: &str) -> Option<Usage> {
    let numbers = header
        .split([';', ','])
        .find_map(|part| part.trim().strip_prefix("api-usage="))?;
    let (used, limit) = numbers.split_once('/')?;
    Some(Usage {
        used: used.trim().parse().ok()?,
        limit: limit.trim().parse().ok()?,
    })
}

#[async_trait]
impl Describe for Salesforce {
    async fn newest_version(&self) -> Result<Option<u32>, CrmError> {
        let access = self.tokens.get().await?;
        // The list of versions needs no session and counts as no call.
        let request = self.http.get(format!("{}/services/data/", access.instance_url));
        let answer = self.read_answer(request).await;
        let answer = answer.map_err(|failed| failed.map_or_else(|| unreadable(""), |e| unanswered(&e)))?;
        if answer.status != StatusCode::OK {
            return Err(not_of_a_record(answered(
                answer.status,
                &answer.text,
                LookupFields::default(),
            )));
        }
        let versions: Vec<ApiVersion> = read(&answer.text)?;
        Ok(versions.iter().filter_map(ApiVersion::number).max())
    }

    async fn describe(&self, object: &str) -> Result<Described, CrmError> {
        let (status, text) = self
            .send(&Method::GET, &format!("sobjects/{object}/describe"), None)
            .await?;
        if status != StatusCode::OK {
            return Err(not_of_a_record(answered(status, &text, LookupFields::default())));
        }
        read(&text)
    }
}

#[async_trait]
impl Crm for Salesforce {
    async fn upsert(
        &self,
        participants: &[ParticipantRecord],
    ) -> Result<Vec<Result<WrittenRecord, CrmError>>, CrmError> {
        let done = self.try_upsert(participants).await;
        let org_fault = |e: &CrmError| matches!(e.verdict, CrmVerdict::OrgFault(_));
        let suspect = match &done {
            Err(e) => org_fault(e) && matches!(e.code, CrmErrorCode::Vendor(_)),
            Ok(outcomes) => outcomes
                .iter()
                .any(|participant| participant.as_ref().is_err_and(org_fault)),
        };
        if !suspect {
            return done;
        }
        // The org may not be at fault. Its own description shows that, and names the fix better than a refusal does.
        let cleared = |e: CrmError| CrmError {
            verdict: CrmVerdict::Unproven,
            ..e
        };
        match (self.describe_object().await, done) {
            (Err(why), Err(_)) => Err(why),
            (Ok(_), Err(e)) if participants.len() == 1 => Ok(vec![Err(cleared(e))]),
            // One of the call's records is at fault. The caller splits the call to find it.
            (Ok(_), Err(e)) => Err(cleared(e)),
            (described, Ok(outcomes)) => {
                // Accepted records keep their outcome.
                let judge = |outcome: Result<WrittenRecord, CrmError>| match outcome {
                    Err(e) if org_fault(&e) => Err(match &described {
                        Err(why) => why.clone(),
                        Ok(_) => cleared(e),
                    }),
                    other => other,
                };
                Ok(outcomes.into_iter().map(judge).collect())
            }
        }
    }

    async fn contact_records(
        &self,
        kind: ContactRecordKind,
        contacts: &[ContactId],
    ) -> Result<BTreeMap<String, Vec<String>>, CrmError> {
        self.records_of_contacts(kind, contacts).await
    }

    async fn users_named(&self, usernames: &[String]) -> Result<BTreeMap<String, Vec<String>>, CrmError> {
        self.users_by_username(usernames).await
    }

    async fn connect_username(&self, user: &str) -> Result<Option<String>, CrmError> {
        self.username_of(user).await
    }

    async fn describe_object(&self) -> Result<String, CrmError> {
        self.object.ask_again(self).await
    }

    async fn announce(&self, channel_keys: &[String]) -> Result<(), CrmError> {
        self.publish_directives(channel_keys).await
    }

    async fn notify_agents(&self, notices: &[AgentNotice]) -> Result<(), CrmError> {
        self.publish_notices(notices).await
    }

    async fn supervisors_of(&self, voice_calls: &[String]) -> Result<BTreeMap<String, Vec<ParticipantSeen>>, CrmError> {
        self.participants(voice_calls).await
    }

    fn usage(&self) -> Option<Usage> {
        let reported = *self.usage.lock().unwrap_or_else(PoisonError::into_inner);
        reported.and_then(|reported| current_usage(reported, self.clock.now()))
    }
}

/// A version of the REST API, such as `68.0`.
#[derive(Deserialize)]
struct ApiVersion {
    version: String,
}

impl ApiVersion {
    fn number(&self) -> Option<u32> {
        self.version.split('.').next()?.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_expires_after_an_hour() {
        let usage = Usage { used: 90, limit: 100 };
        let at = Timestamp::UNIX_EPOCH;
        let after = |minutes| current_usage((usage, at), at + SignedDuration::from_mins(minutes));
        assert_eq!((after(59), after(60)), (Some(usage), None));
    }

    #[test]
    fn usage_is_parsed_from_limit_header() {
        let usage = |used, limit| Some(Usage { used, limit });
        assert_eq!(parse_usage("api-usage=18/5000"), usage(18, 5000));
        for header in [
            "api-usage=25/5000; per-app-api-usage=17/250(appName=x)",
            "per-app-api-usage=17/250(appName=x); api-usage=25/5000",
            "api-usage=25/5000; api-bursts=1/750",
            "api-usage=25/5000, per-app-api-usage=17/250(appName=x)",
        ] {
            assert_eq!(parse_usage(header), usage(25, 5000), "{header}");
        }
        for odd in ["", "api-usage=", "api-usage=x/y", "api-usage=1"] {
            assert_eq!(parse_usage(odd), None, "{odd}");
        }
    }
}
