//! ConversationParticipant: the org's own record of who was on a call. Sidedoor compares it with its own record and never
//! writes it.
//!
//! `LeftTime` is a date-time of whole seconds, `LeftTimeMilliSecs` the "milliseconds portion of Left Time" (Field
//! Reference). A participant refers to its Conversation and, in `ParticipantEntityId`, to its User (Object Reference). The
//! Object Reference that we read does not say how VoiceCall refers to its Conversation, so that field is a setting.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use sidedoor_domain::ports::CrmError;
use sidedoor_domain::ports::crm::ParticipantSeen;

use super::client::Salesforce;
use super::errors::{LookupFields, answered, read};

#[derive(Deserialize)]
struct Found<T> {
    records: Vec<T>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Participant {
    id: String,
    conversation_id: String,
    participant_entity_id: Option<String>,
    left_time: Option<String>,
    left_time_milli_secs: Option<f64>,
}

impl Salesforce {
    async fn query<T: DeserializeOwned>(&self, soql: &str) -> Result<Vec<T>, CrmError> {
        let path = format!("query?q={}", utf8_percent_encode(soql, NON_ALPHANUMERIC));
        let (status, text) = self.send(&Method::GET, &path, None).await?;
        if status != StatusCode::OK {
            return Err(answered(status, &text, LookupFields::default()));
        }
        let found: Found<T> = read(&text)?;
        Ok(found.records)
    }

    /// The supervisors on these VoiceCalls, by VoiceCall.
    pub(super) async fn participants(
        &self,
        voice_calls: &[String],
    ) -> Result<BTreeMap<String, Vec<ParticipantSeen>>, CrmError> {
        let field = self.settings.conversation_field.as_str();
        let soql = format!(
            "SELECT Id, {field} FROM VoiceCall WHERE Id IN ({})",
            quoted(voice_calls)
        );
        let calls: Vec<Map<String, Value>> = self.query(&soql).await?;
        let text = |row: &Map<String, Value>, name: &str| row.get(name).and_then(Value::as_str).map(ToOwned::to_owned);
        // After a transfer two VoiceCalls share a conversation.
        let mut of_conversation: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (conversation, call) in calls
            .iter()
            .filter_map(|row| Some((text(row, field)?, text(row, "Id")?)))
        {
            of_conversation.entry(conversation).or_default().push(call);
        }
        let mut conversations: Vec<String> = of_conversation.keys().cloned().collect();
        conversations.sort();
        let mut found: BTreeMap<String, Vec<ParticipantSeen>> = BTreeMap::new();
        if conversations.is_empty() {
            return Ok(found);
        }
        let soql = format!(
            "SELECT Id, ConversationId, ParticipantEntityId, LeftTime, LeftTimeMilliSecs FROM ConversationParticipant \
             WHERE ConversationId IN ({}) AND ParticipantRole = 'Supervisor'",
            quoted(&conversations)
        );
        for participant in self.query::<Participant>(&soql).await? {
            for call in of_conversation.get(&participant.conversation_id).into_iter().flatten() {
                found.entry(call.clone()).or_default().push(ParticipantSeen {
                    left_at: participant.left_at(),
                    id: participant.id.clone(),
                    user_id: participant.participant_entity_id.clone(),
                });
            }
        }
        Ok(found)
    }
}

impl Participant {
    fn left_at(&self) -> Option<Timestamp> {
        // Salesforce writes the offset as +0000, which RFC 3339 does not allow.
        let whole: Timestamp = self.left_time.as_ref()?.replace("+0000", "Z").parse().ok()?;
        #[allow(clippy::cast_possible_truncation, reason = "0 to 999")]
        let ms = self.left_time_milli_secs.unwrap_or(0.0).clamp(0.0, 999.0) as i64;
        Some(whole + SignedDuration::from_millis(ms))
    }
}

/// Salesforce ids as a SOQL list. Ids with other characters than letters and digits are left out, so that none can end the
/// quotes.
fn quoted(ids: &[String]) -> String {
    let plain = |id: &&String| id.bytes().all(|b| b.is_ascii_alphanumeric());
    let quoted: Vec<String> = ids.iter().filter(plain).map(|id| format!("'{id}'")).collect();
    if quoted.is_empty() {
        "''".into()
    } else {
        quoted.join(",")
    }
}
