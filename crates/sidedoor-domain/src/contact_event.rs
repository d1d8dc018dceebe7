//! Parses EventBridge's contact events. AWS calls them "Amazon Connect Contact Event" and, in newer documents, "Connect Customer
//! Contact Event"; so an event is recognised by its source and its content and not by that name.
//!
//! AWS's own samples disagree on casing (`agentInfo`/`AgentInfo`, `Voice`/`VOICE`) and ask readers to "ignore newly added
//! fields". So keys match in any case, unknown keys are ignored, and only the contact, the instance and the type are
//! required. No other part of an event is kept, because it may hold customer data.

use jiff::Timestamp;
use serde_json::Value;

use super::supervision::Channel;
use super::unusable_event::{EventOrigin, UnusableEvent};

/// `eventType` of a contact event. Connect adds types, so unknown ones are kept and change nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContactEventType {
    /// `INITIATED`: the contact exists.
    Initiated,
    /// `CONNECTED_TO_SYSTEM`: the contact is in a flow.
    ConnectedToSystem,
    /// `QUEUED`: the contact waits for an agent.
    Queued,
    /// `CONNECTED_TO_AGENT`: a user was connected; for a leg, the supervisor.
    ConnectedToAgent,
    /// `DISCONNECTED`: the contact has ended.
    Disconnected,
    /// `COMPLETED`: the work after the contact has ended too. It repeats the time of the disconnect.
    Completed,
    /// Any other word, in upper case.
    Other(String),
}

impl ContactEventType {
    fn parse(word: &str) -> Self {
        match word.to_ascii_uppercase().as_str() {
            "INITIATED" => Self::Initiated,
            "CONNECTED_TO_SYSTEM" => Self::ConnectedToSystem,
            "QUEUED" => Self::Queued,
            "CONNECTED_TO_AGENT" => Self::ConnectedToAgent,
            "DISCONNECTED" => Self::Disconnected,
            "COMPLETED" => Self::Completed,
            other => Self::Other(other.to_owned()),
        }
    }
}

/// How a contact began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InitiationMethod {
    /// `MONITOR`: the contact is a supervisor's leg.
    Monitor,
    /// Connect does not say. It has left the method of a supervisor's leg empty, so this is no proof that the contact is none.
    Unknown,
    /// Any other word, in upper case.
    Other(String),
}

impl InitiationMethod {
    /// The method with the vendor's word, in any case; an empty word is [`InitiationMethod::Unknown`].
    pub fn parse(word: &str) -> Self {
        match word.to_ascii_uppercase().as_str() {
            "MONITOR" => Self::Monitor,
            "" => Self::Unknown,
            other => Self::Other(other.to_owned()),
        }
    }

    /// The vendor's word in upper case; empty if it is unknown.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Monitor => "MONITOR",
            Self::Unknown => "",
            Self::Other(word) => word,
        }
    }
}

/// The parts of a contact event that the rules need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContactEvent {
    /// The envelope's id, which is the same if an event is delivered twice.
    pub id: Option<String>,
    /// What happened to the contact.
    pub event_type: ContactEventType,
    /// The id of the contact: a leg's or a customer's.
    pub contact: String,
    /// The Connect instance's id, from its ARN.
    pub instance_id: String,
    /// The account and the Region of the envelope and of the instance's ARN.
    pub origin: EventOrigin,
    /// How the contact began.
    pub initiation_method: InitiationMethod,
    /// The kind of contact.
    pub channel: Option<Channel>,
    /// `initiationTimestamp`, on the vendor's clock.
    pub initiated_at: Option<Timestamp>,
    /// The user of `agentInfo.agentArn`: the agent, or for a leg the supervisor.
    pub user: Option<String>,
    /// The queue of `queueInfo.queueArn`; the personal queue of an agent is `agent/` and the agent's id.
    pub queue: Option<String>,
    /// `agentInfo.connectedToAgentTimestamp`, on the vendor's clock.
    pub connected_at: Option<Timestamp>,
    /// `disconnectTimestamp`, on the vendor's clock.
    pub disconnected_at: Option<Timestamp>,
    /// `disconnectReason`.
    pub disconnect_reason: Option<String>,
    /// The contacts that belong to the same conversation.
    pub links: ContactLinks,
}

/// Other contacts that a contact event names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ContactLinks {
    /// `previousContactId`: the contact that this one continues, such as after a transfer.
    pub previous: Option<String>,
    /// `relatedContactId`.
    pub related: Option<String>,
    /// `initialContactId`: the first contact of the conversation.
    pub initial: Option<String>,
}

impl ContactEvent {
    /// Whether the contact is a supervisor's leg.
    pub fn is_monitor(&self) -> bool {
        self.initiation_method == InitiationMethod::Monitor
    }

    /// Whether the event shows that a user was connected to the contact.
    pub fn is_connection(&self) -> bool {
        let by_type = match &self.event_type {
            ContactEventType::ConnectedToAgent => true,
            ContactEventType::Initiated
            | ContactEventType::ConnectedToSystem
            | ContactEventType::Queued
            | ContactEventType::Disconnected
            | ContactEventType::Completed
            | ContactEventType::Other(_) => false,
        };
        by_type || self.connected_at.is_some()
    }

    /// Whether the event says that the contact has ended.
    pub fn is_end(&self) -> bool {
        match &self.event_type {
            ContactEventType::Disconnected => true,
            ContactEventType::Completed => self.disconnected_at.is_some(),
            ContactEventType::Initiated
            | ContactEventType::ConnectedToSystem
            | ContactEventType::Queued
            | ContactEventType::ConnectedToAgent
            | ContactEventType::Other(_) => false,
        }
    }
}

/// The content of an EventBridge envelope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Envelope {
    /// A contact event.
    Contact(Box<ContactEvent>),
    /// An event that is not used: of another source or kind.
    Unusable(UnusableEvent),
}

/// Why an event is invalid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{pointer}: {problem}")]
pub struct BadEvent {
    /// The invalid field, as a JSON pointer.
    pub pointer: &'static str,
    /// What the field must be.
    pub problem: &'static str,
}

/// The `source` of every event of Amazon Connect. Custom events cannot have it: EventBridge keeps `aws.` for AWS.
const SOURCE: &str = "aws.connect";
/// The longest id that is kept, in characters, because `openapi.yaml` counts characters.
const MAX_ID: usize = 256;

/// Parses an envelope.
///
/// # Errors
/// [`BadEvent`] if the envelope is not an object, or is by its name a contact event and lacks a contact, an instance or a type.
pub fn read(envelope: &Value) -> Result<Envelope, BadEvent> {
    let bad = |pointer, problem| BadEvent { pointer, problem };
    if !envelope.is_object() {
        return Err(bad("", "must be an EventBridge event: a JSON object"));
    }
    let name = text(envelope, "detail-type").ok_or_else(|| bad("/detail-type", "must be a string"))?;
    if text(envelope, "source").as_deref() != Some(SOURCE) {
        return Ok(Envelope::Unusable(UnusableEvent::WrongSource));
    }
    let is_named_so = name.to_ascii_lowercase().ends_with("contact event");
    match contact_event(envelope) {
        Ok(event) => Ok(Envelope::Contact(Box::new(event))),
        Err(bad) if is_named_so => Err(bad),
        // An event of another name need not have these parts, so it is no fault of the sender.
        Err(_) => Ok(Envelope::Unusable(UnusableEvent::OtherKind)),
    }
}

fn contact_event(envelope: &Value) -> Result<ContactEvent, BadEvent> {
    let bad = |pointer, problem| BadEvent { pointer, problem };
    let detail = field(envelope, "detail").filter(|d| d.is_object());
    let detail = detail.ok_or_else(|| bad("/detail", "must be an object"))?;
    let contact = id(detail, "contactId").ok_or_else(|| bad("/detail/contactId", "must be a contact id"))?;
    let arn = text(detail, "instanceArn").unwrap_or_default();
    let instance_id =
        instance_of_arn(&arn).ok_or_else(|| bad("/detail/instanceArn", "must be the ARN of a Connect instance"))?;
    let event_type = text(detail, "eventType").ok_or_else(|| bad("/detail/eventType", "must be a string"))?;
    let origin = EventOrigin {
        accounts: vec![text(envelope, "account")],
        regions: vec![text(envelope, "region")],
    };
    let agent = field(detail, "agentInfo");
    Ok(ContactEvent {
        id: id(envelope, "id"),
        event_type: ContactEventType::parse(&event_type),
        contact,
        instance_id,
        origin: origin.with_arn(&arn),
        initiation_method: InitiationMethod::parse(&text(detail, "initiationMethod").unwrap_or_default()),
        channel: text(detail, "channel").and_then(|c| Channel::parse(&c)),
        user: agent
            .and_then(|a| text(a, "agentArn"))
            .and_then(|arn| arn.split_once("/agent/").map(|(_, id)| id.to_owned())),
        queue: field(detail, "queueInfo")
            .and_then(|queue| text(queue, "queueArn"))
            .and_then(|arn| {
                arn.split_once("/queue/")
                    .map(|(_, id)| id.chars().take(MAX_ID).collect())
            }),
        connected_at: agent.and_then(|a| moment(a, "connectedToAgentTimestamp")),
        initiated_at: moment(detail, "initiationTimestamp"),
        disconnected_at: moment(detail, "disconnectTimestamp"),
        disconnect_reason: text(detail, "disconnectReason").map(|r| r.chars().take(64).collect()),
        links: ContactLinks {
            previous: id(detail, "previousContactId"),
            related: id(detail, "relatedContactId"),
            initial: id(detail, "initialContactId"),
        },
    })
}

/// An id of 1 to [`MAX_ID`] characters.
fn id(of: &Value, name: &str) -> Option<String> {
    text(of, name).filter(|id| !id.is_empty() && id.chars().count() <= MAX_ID)
}

/// The instance's id in the ARN of the instance, or of a user or contact in it.
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

/// A timestamp: ISO 8601 text, or epoch seconds, which some AWS payloads have.
pub(super) fn moment(of: &Value, name: &str) -> Option<Timestamp> {
    match field(of, name)? {
        Value::String(iso) => iso.parse().ok(),
        #[allow(
            clippy::cast_possible_truncation,
            reason = "from_millisecond rejects values out of range"
        )]
        Value::Number(seconds) => Timestamp::from_millisecond((seconds.as_f64()? * 1000.0).round() as i64).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
