//! What `sidedoor check` asks beside the calls of everyday. Nothing here changes anything.

use jiff::Timestamp;
use reqwest::{Method, StatusCode};
use serde::Deserialize;

use super::client::Salesforce;
use super::object::Describe;
use super::verdict::{Carried, answered, unanswered, unreadable};
use sidedoor_domain::ports::{Clock, CrmError, Usage};

/// A `Date` header of Salesforce's, with the moments of our clock around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OrgDate {
    /// Right before the request was sent.
    pub sent_at: Timestamp,
    /// Right after the answer's head came.
    pub received_at: Timestamp,
    /// The header: whole seconds.
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
    /// Logs in (or uses the token that there is). Returns the org's own host.
    ///
    /// # Errors
    /// Salesforce's; here and below.
    pub async fn log_in(&self) -> Result<String, CrmError> {
        Ok(self.tokens.get().await?.instance_url)
    }

    /// The day's calls, by `/limits`.
    pub async fn calls_of_the_day(&self) -> Result<Usage, CrmError> {
        let (status, text) = self.send(&Method::GET, "limits", None).await?;
        if status != StatusCode::OK {
            return Err(answered(status, &text, Carried::default()));
        }
        let limits: Limits = serde_json::from_str(&text).map_err(|_| unreadable())?;
        let Daily { max, remaining } = limits.daily_api_requests;
        Ok(Usage {
            used: max.saturating_sub(remaining),
            limit: max,
        })
    }

    /// Whether this user may delete rows of an object: a right that Sidedoor never needs.
    pub async fn may_delete(&self, object: &str) -> Result<bool, CrmError> {
        Ok(self.describe(object).await?.deletable)
    }

    /// What keeps this user from publishing the event that announces directives, if anything does.
    pub async fn event_fault(&self) -> Result<Option<String>, CrmError> {
        let Some(event) = self.settings.directive_event.as_deref() else {
            return Ok(None);
        };
        let described = self.describe(event).await?;
        let field = self.settings.directive_event_field.as_str();
        Ok(if !described.createable {
            Some(format!("{event} may not be created by this user"))
        } else if !described.takes(field) {
            Some(format!("{event} has no field {field} that this user may set"))
        } else {
            None
        })
    }

    /// One small exchange with the login host, for its `Date` (RFC 9110, 6.6.1).
    pub async fn ask_date(&self, clock: &dyn Clock) -> Result<Option<OrgDate>, CrmError> {
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
