//! EventBridge's "Amazon Connect Contact Event", read tolerantly.
//!
//! AWS's own samples disagree on casing (`agentInfo`/`AgentInfo`, `Voice`/`VOICE`) and ask readers to "ignore newly added
//! fields": so keys are found whatever their case, unknown ones are passed over, and only what says *which contact in
//! which instance* is needed. Nothing else of an event is kept: it may hold customer data.

use jiff::Timestamp;
use serde_json::Value;

use super::supervision::Channel;

/// What an event says, as far as the rules need it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContactEvent {
    /// The envelope's id: the same for an event delivered twice.
    pub id: Option<String>,
    /// `INITIATED`, `CONNECTED_TO_AGENT`, `DISCONNECTED`, …; upper case.
    pub event_type: String,
    /// The contact it is about: a leg's own, or a customer's.
    pub contact: String,
    /// The Connect instance's id, from its ARN.
    pub instance_id: String,
    /// `MONITOR` for a supervisor's leg; upper case; empty if missing.
    pub initiation_method: String,
    /// The kind of contact.
    pub channel: Option<Channel>,
    /// `initiationTimestamp`, on the vendor's clock.
    pub initiated_at: Option<Timestamp>,
    /// The user of `agentInfo.agentArn`: the agent, or for a leg the supervisor.
    pub user: Option<String>,
    /// `agentInfo.connectedToAgentTimestamp`, on the vendor's clock.
    pub connected_at: Option<Timestamp>,
    /// `disconnectTimestamp`, on the vendor's clock.
    pub disconnected_at: Option<Timestamp>,
    /// `disconnectReason`.
    pub disconnect_reason: Option<String>,
}

impl ContactEvent {
    /// Whether it is about a supervisor's leg.
    pub fn is_monitor(&self) -> bool {
        self.initiation_method == "MONITOR"
    }

    /// Whether it says that the contact is over.
    pub fn is_end(&self) -> bool {
        self.event_type == "DISCONNECTED"
    }
}

/// What an envelope turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Envelope {
    /// A contact event.
    Contact(Box<ContactEvent>),
    /// An event of another kind.
    Other,
}

/// Why an envelope cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{pointer}: {problem}")]
pub struct BadEvent {
    /// Where, as a JSON pointer.
    pub pointer: &'static str,
    /// What is wrong.
    pub problem: &'static str,
}

/// The longest id we keep, in characters, as `openapi.yaml` counts.
const MAX_ID: usize = 256;

/// Reads an envelope.
///
/// # Errors
/// [`BadEvent`] when it is no object, or a contact event without a contact, an instance or a type.
pub fn read(envelope: &Value) -> Result<Envelope, BadEvent> {
    let bad = |pointer, problem| BadEvent { pointer, problem };
    if !envelope.is_object() {
        return Err(bad("", "must be an EventBridge event: a JSON object"));
    }
    let kind = text(envelope, "detail-type").ok_or_else(|| bad("/detail-type", "must be a text"))?;
    if !kind.eq_ignore_ascii_case("Amazon Connect Contact Event") {
        return Ok(Envelope::Other);
    }
    let detail = field(envelope, "detail")
        .filter(|d| d.is_object())
        .ok_or_else(|| bad("/detail", "must be an object"))?;
    let contact = text(detail, "contactId")
        .filter(|id| !id.is_empty() && id.chars().count() <= MAX_ID)
        .ok_or_else(|| bad("/detail/contactId", "must be a contact id"))?;
    let instance_id = text(detail, "instanceArn")
        .and_then(|arn| instance_of_arn(&arn))
        .ok_or_else(|| bad("/detail/instanceArn", "must be the ARN of a Connect instance"))?;
    let event_type = text(detail, "eventType").ok_or_else(|| bad("/detail/eventType", "must be a text"))?;
    let agent = field(detail, "agentInfo");
    Ok(Envelope::Contact(Box::new(ContactEvent {
        id: text(envelope, "id").filter(|id| !id.is_empty() && id.chars().count() <= MAX_ID),
        event_type: event_type.to_ascii_uppercase(),
        contact,
        instance_id,
        initiation_method: text(detail, "initiationMethod")
            .unwrap_or_default()
            .to_ascii_uppercase(),
        channel: text(detail, "channel").and_then(|c| Channel::parse(&c)),
        user: agent
            .and_then(|a| text(a, "agentArn"))
            .and_then(|arn| arn.split_once("/agent/").map(|(_, id)| id.to_owned())),
        connected_at: agent.and_then(|a| moment(a, "connectedToAgentTimestamp")),
        initiated_at: moment(detail, "initiationTimestamp"),
        disconnected_at: moment(detail, "disconnectTimestamp"),
        disconnect_reason: text(detail, "disconnectReason").map(|r| r.chars().take(64).collect()),
    })))
}

/// The instance's id in an ARN of anything of it.
pub(super) fn instance_of_arn(arn: &str) -> Option<String> {
    let (_, rest) = arn.split_once("instance/")?;
    rest.split('/')
        .next()
        .filter(|id| !id.is_empty())
        .map(ToOwned::to_owned)
}

pub(super) fn field<'v>(of: &'v Value, name: &str) -> Option<&'v Value> {
    let object = of.as_object()?;
    object.get(name).or_else(|| {
        object
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, v)| v)
    })
}

pub(super) fn text(of: &Value, name: &str) -> Option<String> {
    field(of, name)?.as_str().map(ToOwned::to_owned)
}

/// A stamp as ISO text, or as the epoch seconds some AWS payloads carry.
pub(super) fn moment(of: &Value, name: &str) -> Option<Timestamp> {
    match field(of, name)? {
        Value::String(iso) => iso.parse().ok(),
        #[allow(
            clippy::cast_possible_truncation,
            reason = "from_millisecond refuses what is out of range"
        )]
        Value::Number(seconds) => Timestamp::from_millisecond((seconds.as_f64()? * 1000.0).round() as i64).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn sample() -> Value {
        json!({"version": "0", "id": "b9a1", "detail-type": "Amazon Connect Contact Event", "source": "aws.connect",
            "detail": {"eventType": "DISCONNECTED", "contactId": "leg-1", "channel": "VOICE",
                "instanceArn": "arn:aws:connect:us-west-2:111122223333:instance/abc-1",
                "initiationMethod": "MONITOR", "disconnectTimestamp": "2026-08-04T17:43:47.000Z",
                "agentInfo": {"agentArn": "arn:…", "connectedToAgentTimestamp": "2026-08-04T17:17:55.000Z"}}})
    }

    fn contact(v: &Value) -> ContactEvent {
        match read(v).expect("readable") {
            Envelope::Contact(event) => *event,
            Envelope::Other => panic!("not a contact event"),
        }
    }

    #[test]
    fn reads_the_documented_shape() {
        let event = contact(&sample());
        assert!(event.is_monitor() && event.is_end());
        assert_eq!(event.instance_id, "abc-1");
        assert_eq!(
            event.disconnected_at.map(|t| t.as_millisecond()),
            Some(1_785_865_427_000)
        );
        assert_eq!(event.channel, Some(Channel::Voice));
    }

    #[test]
    fn casing_and_new_fields_do_not_matter() {
        let mut shouted = sample();
        let detail = shouted["detail"].take();
        let upper: serde_json::Map<String, Value> = detail
            .as_object()
            .expect("object")
            .iter()
            .map(|(k, v)| (k[..1].to_uppercase() + &k[1..], v.clone()))
            .chain([("BrandNew".to_owned(), json!({"x": [1]}))])
            .collect();
        shouted["Detail"] = Value::Object(upper);
        shouted.as_object_mut().expect("object").remove("detail");
        assert_eq!(contact(&shouted), contact(&sample()));
    }

    #[test]
    fn what_is_missing_is_named() {
        for (path, pointer) in [
            ("contactId", "/detail/contactId"),
            ("instanceArn", "/detail/instanceArn"),
        ] {
            let mut broken = sample();
            broken["detail"].as_object_mut().expect("object").remove(path);
            assert_eq!(read(&broken).expect_err("refused").pointer, pointer);
        }
        assert_eq!(read(&json!([])).expect_err("refused").pointer, "");
        assert_eq!(read(&json!({"detail-type": "Something Else"})), Ok(Envelope::Other));
    }

    #[test]
    fn the_longest_id_is_counted_in_characters_as_the_contract_counts() {
        let mut long = sample();
        long["detail"]["contactId"] = json!("é".repeat(MAX_ID));
        assert_eq!(contact(&long).contact.chars().count(), MAX_ID);
        long["detail"]["contactId"] = json!("é".repeat(MAX_ID + 1));
        assert_eq!(read(&long).expect_err("refused").pointer, "/detail/contactId");
    }

    proptest! {
        #[test]
        fn no_number_or_text_breaks_it(stamp in any::<f64>(), text in ".{0,40}") {
            let mut odd = sample();
            odd["detail"]["disconnectTimestamp"] = json!(stamp);
            odd["detail"]["channel"] = json!(text);
            odd["detail"]["agentInfo"] = json!(text);
            odd["id"] = json!(text);
            prop_assert!(read(&odd).is_ok());
        }
    }
}
