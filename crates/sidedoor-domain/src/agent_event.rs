//! Parses agent events: the snapshot of a supervisor lists the supervisor's MONITOR contacts and their states. In AWS's
//! samples the timestamps have real milliseconds.
//!
//! Shape: "Agent event streams data model" of the administrator guide: `AgentARN`, `InstanceARN`, `EventId`, `EventType`
//! (STATE_CHANGE, HEART_BEAT, LOGIN, LOGOUT), `CurrentAgentSnapshot.Contacts[]` with `ContactId`, `State`,
//! `StateStartTimestamp`, `ConnectedToAgentTimestamp`, `InitiationMethod`, `Channel`. The stream is a Kinesis stream.
//! An EventBridge Pipe forwards its records unchanged (`data` in base64), or as plain events through an input template, one or
//! several at a time. All of these forms are accepted.

use base64::Engine;
use jiff::Timestamp;
use serde_json::Value;

use super::contact_event::{BadEvent, InitiationMethod, field, instance_of_arn, moment, text};
use super::evidence::Sighting;
use super::supervision::{Channel, Mode};

/// The most records in one delivery, because so many can be stored within the time limit of an answer. A Pipe's batch size must
/// not be larger.
pub const MOST: usize = 100;
/// The most contacts that are read from one snapshot. An agent has at most 10 chats, a call and 10 tasks.
const CONTACTS: usize = 100;

/// What one event shows of one leg.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LegSeen {
    /// The leg.
    pub leg: String,
    /// The kind of contact.
    pub channel: Option<Channel>,
    /// The sightings, each with the vendor's timestamp.
    pub sightings: Vec<(Sighting, Option<Timestamp>)>,
}

/// One agent event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentEvent {
    /// `EventId`, which is the same if an event is delivered twice.
    pub id: Option<String>,
    /// The Connect instance's id, from an ARN.
    pub instance_id: String,
    /// The user's id, from `AgentARN`.
    pub user: String,
    /// The MONITOR contacts in the snapshot.
    pub legs: Vec<LegSeen>,
    /// MONITOR contacts of the previous snapshot that are missing in this one. They have ended; the event does not say when.
    pub vanished: Vec<String>,
}

/// Whether a delivery holds agent events, and not an EventBridge envelope.
pub fn is_delivery(body: &Value) -> bool {
    body.is_array() || is_record(body) || is_event(body)
}

fn is_event(one: &Value) -> bool {
    field(one, "AgentARN").is_some()
}

fn is_record(one: &Value) -> bool {
    field(one, "data").is_some_and(Value::is_string) && field(one, "partitionKey").is_some()
}

/// Parses a delivery: one event or record, or several.
///
/// # Errors
/// [`BadEvent`] if the delivery holds too many records, or no agent event.
pub fn read(body: &Value) -> Result<Vec<AgentEvent>, BadEvent> {
    let bad = |pointer, problem| BadEvent { pointer, problem };
    let all: Vec<&Value> = match body {
        Value::Array(all) if all.is_empty() => return Err(bad("", "holds no event")),
        Value::Array(all) if all.len() > MOST => return Err(bad("", "has too many records: at most 100")),
        Value::Array(all) => all.iter().collect(),
        one => vec![one],
    };
    let several = body.is_array();
    let mut events = Vec::with_capacity(all.len());
    let mut unreadable = None;
    for one in all {
        match read_one(one) {
            Ok(event) => events.push(event),
            // The stream may hold other records. One of them must not reject the whole batch, because a Pipe would then
            // deliver the same batch again and again.
            Err(bad) => unreadable = Some(bad),
        }
    }
    match unreadable {
        Some(bad) if !several || events.is_empty() => Err(bad),
        _ => Ok(events),
    }
}

fn read_one(one: &Value) -> Result<AgentEvent, BadEvent> {
    let bad = |pointer, problem| BadEvent { pointer, problem };
    if is_event(one) {
        return event(one);
    }
    if !is_record(one) {
        return Err(bad("", "must be agent events, or Kinesis records of them"));
    }
    let data = text(one, "data").unwrap_or_default();
    let bytes = base64::engine::general_purpose::STANDARD.decode(data);
    let plain: Option<Value> = bytes.ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
    let plain = plain.filter(is_event);
    event(&plain.ok_or_else(|| bad("/data", "must be an agent event in base64"))?)
}

fn event(of: &Value) -> Result<AgentEvent, BadEvent> {
    let bad = |pointer, problem| BadEvent { pointer, problem };
    let arn = text(of, "AgentARN").unwrap_or_default();
    let instance = text(of, "InstanceARN").as_deref().and_then(instance_of_arn);
    let instance_id = instance
        .or_else(|| instance_of_arn(&arn))
        .ok_or_else(|| bad("/AgentARN", "must be the ARN of a Connect user"))?;
    let user = arn
        .split_once("/agent/")
        .map(|(_, id)| id.to_owned())
        .unwrap_or_default();
    if user.is_empty() {
        return Err(bad("/AgentARN", "must be the ARN of a Connect user"));
    }
    let now = monitored(field(of, "CurrentAgentSnapshot"));
    let before = monitored(field(of, "PreviousAgentSnapshot"));
    let has_now = field(of, "CurrentAgentSnapshot").is_some_and(Value::is_object);
    let vanished = before
        .iter()
        .filter(|b| has_now && !now.iter().any(|n| n.leg == b.leg))
        .map(|b| b.leg.clone())
        .collect();
    Ok(AgentEvent {
        id: text(of, "EventId").filter(|id| (1..=256).contains(&id.len())),
        instance_id,
        user,
        legs: now,
        vanished,
    })
}

/// The MONITOR contacts of a snapshot.
fn monitored(snapshot: Option<&Value>) -> Vec<LegSeen> {
    let contacts = snapshot.and_then(|s| field(s, "Contacts")).and_then(Value::as_array);
    let all = contacts.into_iter().flatten().take(CONTACTS);
    let method = |contact: &Value| InitiationMethod::parse(&text(contact, "InitiationMethod").unwrap_or_default());
    all.filter(|contact| method(contact) == InitiationMethod::Monitor)
        .filter_map(leg)
        .collect()
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
        channel: text(contact, "Channel").and_then(|c| Channel::parse(&c)),
        sightings,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn sample(contacts: &Value) -> Value {
        json!({"AWSAccountId": "111122223333", "EventId": "e-1", "EventType": "STATE_CHANGE", "Version": "2017-10-01",
            "EventTimestamp": "2026-08-04T17:43:47.512Z",
            "AgentARN": "arn:aws:connect:us-west-2:111122223333:instance/abc-1/agent/sup-1",
            "InstanceARN": "arn:aws:connect:us-west-2:111122223333:instance/abc-1",
            "CurrentAgentSnapshot": {"AgentStatus": {"Name": "Available"}, "Contacts": contacts},
            "PreviousAgentSnapshot": {"Contacts": [
                {"ContactId": "leg-0", "InitiationMethod": "MONITOR", "State": "CONNECTED"},
                {"ContactId": "call-9", "InitiationMethod": "INBOUND", "State": "CONNECTED"}]}})
    }

    fn ended() -> Value {
        json!([{"ContactId": "leg-1", "Channel": "VOICE", "InitiationMethod": "MONITOR", "State": "ENDED",
            "StateStartTimestamp": "2026-08-04T17:43:47.412Z", "ConnectedToAgentTimestamp": "2026-08-04T17:40:01.007Z"},
            {"ContactId": "call-2", "InitiationMethod": "INBOUND", "State": "CONNECTED"}])
    }

    #[test]
    fn agent_event_lists_legs_and_vanished_legs() {
        let events = read(&sample(&ended())).expect("readable");
        let [event] = events.as_slice() else {
            panic!("one event")
        };
        assert_eq!((event.instance_id.as_str(), event.user.as_str()), ("abc-1", "sup-1"));
        assert_eq!(event.vanished, ["leg-0"]);
        let [leg] = event.legs.as_slice() else {
            panic!("one leg")
        };
        let kinds: Vec<Sighting> = leg.sightings.iter().map(|(s, _)| *s).collect();
        assert_eq!(kinds, [Sighting::Exists, Sighting::Joined, Sighting::Dropped]);
        assert_eq!(leg.sightings[2].1.map(|t| t.as_millisecond()), Some(1_785_865_427_412));
    }

    #[test]
    fn agent_event_accepts_every_form_of_a_pipe() {
        let plain = sample(&ended());
        let data = base64::engine::general_purpose::STANDARD.encode(plain.to_string());
        let record =
            json!({"eventSource": "aws:kinesis", "partitionKey": "arn:…", "sequenceNumber": "1", "data": data});
        for delivery in [json!([plain]), record.clone(), json!([record])] {
            assert!(is_delivery(&delivery));
            assert_eq!(read(&delivery), read(&plain), "{delivery}");
        }
        let nonsense = json!([{"partitionKey": "x", "data": "!!"}]);
        assert_eq!(read(&nonsense).expect_err("refused").pointer, "/data");
        let mixed = json!([{"partitionKey": "x", "data": "!!"}, plain]);
        assert_eq!(
            read(&mixed),
            read(&plain),
            "an invalid record does not reject the others"
        );
        assert!(!is_delivery(&json!({"detail-type": "Amazon Connect Contact Event"})));
        assert!(read(&Value::Array(vec![plain; MOST + 1])).is_err());
    }

    #[test]
    fn agent_event_state_shows_mode() {
        for (state, mode) in [("SILENT_MONITOR", Mode::Silent), ("barge", Mode::Barge)] {
            let contacts = json!([{"ContactId": "leg-1", "InitiationMethod": "monitor", "State": state}]);
            let event = read(&sample(&contacts)).expect("readable").remove(0);
            assert!(event.legs[0].sightings.contains(&(Sighting::of_mode(mode), None)));
        }
    }

    proptest! {
        #[test]
        fn agent_event_parses_any_text_or_number(text in ".{0,40}", number in any::<f64>()) {
            let contacts = json!([{"ContactId": text, "InitiationMethod": "MONITOR", "State": text, "Channel": number,
                "StateStartTimestamp": number, "ConnectedToAgentTimestamp": text}, text, number]);
            let mut odd = sample(&contacts);
            odd["EventId"] = json!(number);
            odd["PreviousAgentSnapshot"] = json!(text);
            prop_assert!(read(&odd).is_ok());
        }
    }
}
