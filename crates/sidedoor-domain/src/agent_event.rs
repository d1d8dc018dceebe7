//! Parses agent events: the snapshot of a supervisor lists the supervisor's MONITOR contacts and their states. In AWS's
//! samples the timestamps have real milliseconds.
//!
//! Shape: "Agent event streams data model" of the administrator guide: `AgentARN`, `InstanceARN`, `EventId`, `EventType`
//! (STATE_CHANGE, HEART_BEAT, LOGIN, LOGOUT), `CurrentAgentSnapshot.Contacts[]` with `ContactId`, `State`,
//! `StateStartTimestamp`, `ConnectedToAgentTimestamp`, `InitiationMethod`, `Channel`. The stream is a Kinesis stream.
//! An EventBridge Pipe forwards its records unchanged (`data` in base64), or as plain events through an input template, one or
//! several at a time. All of these forms are accepted.

use std::collections::BTreeSet;

use base64::Engine;
use jiff::Timestamp;
use serde_json::Value;

use super::contact_event::{BadEvent, InitiationMethod, field, instance_of_arn, moment, text};
use super::evidence::Sighting;
use super::supervision::{Channel, Mode};
use super::unusable_event::{EventOrigin, UnusableEvent};

/// The most records in one delivery, because so many can be stored within the time limit of an answer. A Pipe's batch size must
/// not be larger.
pub const MOST: usize = 100;
/// The most legs in one snapshot. An agent has at most 10 chats, two calls and 10 tasks, so a snapshot with more is no agent's, and
/// each leg in it would cost a call to Connect.
const MAX_LEGS: usize = 30;

/// What one event shows of one leg.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LegSeen {
    /// The leg.
    pub leg: String,
    /// Whether the event calls it MONITOR. Otherwise it gives no method, and only a known leg may be meant.
    pub is_monitor: bool,
    /// The kind of contact.
    pub channel: Option<Channel>,
    /// The sightings, each with the vendor's timestamp.
    pub sightings: Vec<(Sighting, Option<Timestamp>)>,
}

/// A contact of the previous snapshot that is missing in the current one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VanishedLeg {
    /// The leg.
    pub leg: String,
    /// As [`LegSeen::is_monitor`].
    pub is_monitor: bool,
}

/// One agent event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentEvent {
    /// `EventId`, which is the same if an event is delivered twice.
    pub id: Option<String>,
    /// The Connect instance's id, from an ARN.
    pub instance_id: String,
    /// The account and the Region of the ARNs.
    pub origin: EventOrigin,
    /// The user's id, from `AgentARN`.
    pub user: String,
    /// The MONITOR contacts in the snapshot, and those without a method.
    pub legs: Vec<LegSeen>,
    /// MONITOR contacts of the previous snapshot that are missing in this one. They have ended; the event does not say when.
    pub vanished: Vec<VanishedLeg>,
}

/// The content of a delivery.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AgentDelivery {
    /// The agent events.
    pub events: Vec<AgentEvent>,
    /// Why each of the other records is not used.
    pub unusable: Vec<UnusableEvent>,
}

/// Whether a delivery is of a Kinesis stream, and not an EventBridge envelope.
pub fn is_delivery(body: &Value) -> bool {
    body.is_array() || is_record(body) || is_event(body) || is_contact_record(body)
}

fn is_event(one: &Value) -> bool {
    field(one, "AgentARN").is_some()
}

fn is_contact_record(one: &Value) -> bool {
    field(one, "AWSContactTraceRecordFormatVersion").is_some()
}

fn is_record(one: &Value) -> bool {
    field(one, "data").is_some_and(Value::is_string) && field(one, "partitionKey").is_some()
}

/// Parses a delivery: one event or record, or several. The stream may hold other records, and contact records usually share it. None
/// of them rejects the delivery, even if it holds nothing else, because a Pipe would deliver the same batch again and again.
///
/// # Errors
/// [`BadEvent`] if the delivery is empty or holds too many records.
pub fn read(body: &Value) -> Result<AgentDelivery, BadEvent> {
    let bad = |problem| BadEvent { pointer: "", problem };
    let all: Vec<&Value> = match body {
        Value::Array(all) if all.is_empty() => return Err(bad("holds no event")),
        Value::Array(all) if all.len() > MOST => return Err(bad("has too many records: at most 100")),
        Value::Array(all) => all.iter().collect(),
        one => vec![one],
    };
    let mut delivery = AgentDelivery::default();
    for one in all {
        match read_one(one) {
            Ok(event) => delivery.events.push(event),
            Err(why) => delivery.unusable.push(why),
        }
    }
    Ok(delivery)
}

fn read_one(one: &Value) -> Result<AgentEvent, UnusableEvent> {
    if is_event(one) {
        return event(one);
    }
    if !is_record(one) {
        return Err(other(one));
    }
    let data = text(one, "data").unwrap_or_default();
    let bytes = base64::engine::general_purpose::STANDARD.decode(data);
    let plain: Option<Value> = bytes.ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
    let plain = plain.ok_or(UnusableEvent::Unreadable)?;
    if is_event(&plain) {
        event(&plain)
    } else {
        Err(other(&plain))
    }
}

/// What a record is that is no agent event.
fn other(one: &Value) -> UnusableEvent {
    if is_contact_record(one) {
        UnusableEvent::ContactRecord
    } else {
        UnusableEvent::OtherKind
    }
}

fn event(of: &Value) -> Result<AgentEvent, UnusableEvent> {
    let arn = text(of, "AgentARN").unwrap_or_default();
    let instance_arn = text(of, "InstanceARN");
    let instance_id = instance_arn
        .as_deref()
        .and_then(instance_of_arn)
        .or_else(|| instance_of_arn(&arn))
        .ok_or(UnusableEvent::Unreadable)?;
    let (_, user) = arn.split_once("/agent/").ok_or(UnusableEvent::Unreadable)?;
    // The user must be of that instance, otherwise the event contradicts itself.
    if user.is_empty() || instance_of_arn(&arn).as_ref() != Some(&instance_id) {
        return Err(UnusableEvent::Unreadable);
    }
    let mut origin = EventOrigin::default().with_arn(&arn);
    if let Some(instance_arn) = &instance_arn {
        origin = origin.with_arn(instance_arn);
    }
    if let Some(account) = text(of, "AWSAccountId") {
        origin.accounts.push(Some(account));
    }
    let now = legs(field(of, "CurrentAgentSnapshot"))?;
    let before = legs(field(of, "PreviousAgentSnapshot"))?;
    let has_now = field(of, "CurrentAgentSnapshot").is_some_and(Value::is_object);
    let vanished = before
        .iter()
        .filter(|b| has_now && !now.iter().any(|n| n.leg == b.leg))
        .map(|b| VanishedLeg {
            leg: b.leg.clone(),
            is_monitor: b.is_monitor,
        })
        .collect();
    Ok(AgentEvent {
        id: text(of, "EventId").filter(|id| (1..=256).contains(&id.len())),
        instance_id,
        origin,
        user: user.to_owned(),
        legs: now,
        vanished,
    })
}

/// The contacts of a snapshot that are or may be legs.
fn legs(snapshot: Option<&Value>) -> Result<Vec<LegSeen>, UnusableEvent> {
    let contacts = snapshot.and_then(|s| field(s, "Contacts")).and_then(Value::as_array);
    let found: Vec<LegSeen> = contacts.into_iter().flatten().filter_map(leg).collect();
    let ids: BTreeSet<&str> = found.iter().map(|l| l.leg.as_str()).collect();
    if found.len() > MAX_LEGS || ids.len() < found.len() {
        return Err(UnusableEvent::Impossible);
    }
    Ok(found)
}

/// `State` of a MONITOR contact in a snapshot.
enum LegState {
    /// `CONNECTED`.
    Connected,
    /// `ENDED`, `MISSED`, `ERROR` or `REJECTED`. These are documented for contacts in general; for a leg each of them means that
    /// the conversation has ended.
    Gone,
    /// `SILENT_MONITOR` or `BARGE`. They are not documented here, but elsewhere they are a supervisor's states.
    InMode(Mode),
    /// Any other state, such as `CONNECTING`: it shows only that the leg exists.
    Other,
}

impl LegState {
    fn parse(word: &str) -> Self {
        match word.to_ascii_uppercase().as_str() {
            "CONNECTED" => Self::Connected,
            "ENDED" | "MISSED" | "ERROR" | "REJECTED" => Self::Gone,
            "SILENT_MONITOR" => Self::InMode(Mode::Silent),
            "BARGE" => Self::InMode(Mode::Barge),
            _ => Self::Other,
        }
    }
}

fn leg(contact: &Value) -> Option<LegSeen> {
    let is_monitor = match InitiationMethod::parse(&text(contact, "InitiationMethod").unwrap_or_default()) {
        InitiationMethod::Monitor => true,
        InitiationMethod::Unknown => false,
        InitiationMethod::Other(_) => return None,
    };
    let leg = text(contact, "ContactId").filter(|id| (1..=256).contains(&id.len()))?;
    let state = LegState::parse(&text(contact, "State").unwrap_or_default());
    let since = moment(contact, "StateStartTimestamp");
    let connected = moment(contact, "ConnectedToAgentTimestamp");
    let mut sightings = vec![(Sighting::Exists, None)];
    if let Some(at) = connected {
        sightings.push((Sighting::Joined, Some(at)));
    }
    match state {
        LegState::Gone => sightings.push((Sighting::Dropped, since)),
        LegState::Connected if connected.is_none() => sightings.push((Sighting::Joined, since)),
        LegState::InMode(mode) => sightings.push((Sighting::of_mode(mode), since)),
        LegState::Connected | LegState::Other => {}
    }
    Some(LegSeen {
        leg,
        is_monitor,
        channel: text(contact, "Channel").and_then(|c| Channel::parse(&c)),
        sightings,
    })
}

#[cfg(test)]
mod tests;
