//! The additional questions of `sidedoor check`. All calls are read-only.

use jiff::Timestamp;
use reqwest::{Method, StatusCode};
use serde::Deserialize;
use sidedoor_domain::ports::{Clock, CrmError, Usage};

use super::client::Salesforce;
use super::errors::{LookupFields, answered, read, unanswered};
use super::object::Describe;

/// A `Date` header of Salesforce, with readings of our clock before and after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OrgDate {
    /// Our clock right before the request was sent.
    pub sent_at: Timestamp,
    /// Our clock right after the head of the answer arrived.
    pub received_at: Timestamp,
    /// The header's time, in whole seconds.
    pub date: Timestamp,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Limits {
    daily_api_requests: Daily,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Daily {
    max: u64,
    remaining: u64,
}

impl Salesforce {
    /// Logs in, unless there is a token already. Returns the org's instance URL.
    ///
    /// # Errors
    /// Salesforce's; here and below.
    pub(crate) async fn log_in(&self) -> Result<String, CrmError> {
        Ok(self.tokens.get().await?.instance_url)
    }

    /// The org's use of daily API calls, from `/limits`.
    pub(crate) async fn calls_of_the_day(&self) -> Result<Usage, CrmError> {
        let (status, text) = self.send(&Method::GET, "limits", None).await?;
        if status != StatusCode::OK {
            return Err(answered(status, &text, LookupFields::default()));
        }
        let limits: Limits = read(&text)?;
        let Daily { max, remaining } = limits.daily_api_requests;
        Ok(Usage {
            used: max.saturating_sub(remaining),
            limit: max,
        })
    }

    /// Whether this user may delete records of an object. Sidedoor never needs that permission.
    pub(crate) async fn may_delete(&self, object: &str) -> Result<bool, CrmError> {
        Ok(self.describe(object).await?.deletable)
    }

    /// Why this user cannot publish an event with these fields; `None` if it can.
    pub(crate) async fn event_fault(&self, event: &str, fields: &[&str]) -> Result<Option<String>, CrmError> {
        let described = self.describe(event).await?;
        let missing = fields.iter().find(|field| !described.takes(field));
        Ok(match missing {
            _ if !described.createable => Some(format!("the integration user may not create {event}")),
            Some(field) => Some(format!(
                "{event} has no field {field} that the integration user may set"
            )),
            None => None,
        })
    }

    /// Sends a small request to the login host for its `Date` header (RFC 9110, 6.6.1).
    pub(crate) async fn ask_date(&self, clock: &dyn Clock) -> Result<Option<OrgDate>, CrmError> {
        let sent_at = clock.now();
        let answer = self.http.head(&self.settings.login_url).send().await;
        let received_at = clock.now();
        let answer = answer.map_err(|e| unanswered(&e))?;
        let header = answer.headers().get("date").and_then(|v| v.to_str().ok());
        let date = header.and_then(|h| jiff::fmt::rfc2822::parse(h).ok());
        Ok(date.map(|zoned| OrgDate {
            sent_at,
            received_at,
            date: zoned.timestamp(),
        }))
    }
}
