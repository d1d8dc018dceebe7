//! Agent events in every form in which a Pipe delivers them.

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
    let delivery = read(&sample(&ended())).expect("readable");
    let [event] = delivery.events.as_slice() else {
        panic!("one event")
    };
    assert_eq!((event.instance_id.as_str(), event.user.as_str()), ("abc-1", "sup-1"));
    assert_eq!(event.origin.mismatch(Some("111122223333"), &["us-west-2"]), None);
    let vanished: Vec<_> = event.vanished.iter().map(|v| (v.leg.as_str(), v.is_monitor)).collect();
    assert_eq!(vanished, [("leg-0", true)]);
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
    let record = json!({"eventSource": "aws:kinesis", "partitionKey": "arn:…", "sequenceNumber": "1", "data": data});
    for delivery in [json!([plain]), record.clone(), json!([record])] {
        assert!(is_delivery(&delivery));
        assert_eq!(read(&delivery), read(&plain), "{delivery}");
    }
    assert!(!is_delivery(&json!({"detail-type": "Amazon Connect Contact Event"})));
    assert!(read(&Value::Array(vec![plain; MOST + 1])).is_err());
}

#[test]
fn agent_event_delivery_passes_over_other_records() {
    let record = |of: &Value| {
        let data = base64::engine::general_purpose::STANDARD.encode(of.to_string());
        json!({"partitionKey": "p", "sequenceNumber": "1", "data": data})
    };
    let contact_record = json!({"AWSContactTraceRecordFormatVersion": "2017-03-10", "ContactId": "c-1",
        "Agent": {"ARN": "arn:…"}, "InitiationMethod": "MONITOR"});
    assert!(is_delivery(&contact_record));
    let (agent, read_of) = (sample(&ended()), |v: &Value| read(v).expect("taken"));
    for (other, kind) in [
        (contact_record.clone(), UnusableEvent::ContactRecord),
        (record(&contact_record), UnusableEvent::ContactRecord),
        (record(&json!({"of": "another kind"})), UnusableEvent::OtherKind),
        (json!(1), UnusableEvent::OtherKind),
        (json!({"partitionKey": "x", "data": "!!"}), UnusableEvent::Unreadable),
        (json!({"AgentARN": "x"}), UnusableEvent::Unreadable),
        (
            json!({"AgentARN": agent["AgentARN"], "InstanceARN": "arn:aws:connect:us-west-2:1:instance/b"}),
            UnusableEvent::Unreadable,
        ),
    ] {
        let alone = read_of(&json!([other]));
        assert_eq!((alone.events.len(), alone.unusable), (0, vec![kind]), "{other}");
        let mixed = read_of(&json!([other, agent]));
        assert_eq!((mixed.events, mixed.unusable), (read_of(&agent).events, vec![kind]));
    }
    assert!(read(&json!([])).is_err());
}

#[test]
fn agent_event_snapshot_that_no_agent_can_have_is_impossible() {
    let contact =
        |i: usize| json!({"ContactId": format!("leg-{i}"), "InitiationMethod": "MONITOR", "State": "CONNECTED"});
    let of = |contacts: Vec<Value>| read(&sample(&json!(contacts))).expect("taken");
    assert_eq!(of((0..MAX_LEGS).map(contact).collect()).events[0].legs.len(), MAX_LEGS);
    let impossible = vec![UnusableEvent::Impossible];
    assert_eq!(of((0..=MAX_LEGS).map(contact).collect()).unusable, impossible);
    assert_eq!(of(vec![contact(1), contact(1)]).unusable, impossible);
    let mut before = sample(&ended());
    before["PreviousAgentSnapshot"]["Contacts"] = (0..=MAX_LEGS).map(contact).collect();
    assert_eq!(read(&before).expect("taken").unusable, impossible);
}

#[test]
fn agent_event_keeps_contacts_without_a_method() {
    let contacts = json!([{"ContactId": "leg-1", "InitiationMethod": null, "State": "ENDED"},
        {"ContactId": "leg-0", "State": "CONNECTED"}, {"ContactId": "call-2", "InitiationMethod": "INBOUND"}]);
    let event = read(&sample(&contacts)).expect("readable").events.remove(0);
    let legs: Vec<_> = event.legs.iter().map(|l| (l.leg.as_str(), l.is_monitor)).collect();
    assert_eq!(legs, [("leg-1", false), ("leg-0", false)]);
    assert_eq!(event.vanished, [], "leg-0 is still there");
}

#[test]
fn agent_event_state_shows_mode() {
    for (state, mode) in [("SILENT_MONITOR", Mode::Silent), ("barge", Mode::Barge)] {
        let contacts = json!([{"ContactId": "leg-1", "InitiationMethod": "monitor", "State": state}]);
        let event = read(&sample(&contacts)).expect("readable").events.remove(0);
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

#[test]
fn agent_event_delivery_may_hold_a_hundred_records() {
    let delivery = read(&Value::Array(vec![json!(1); MOST])).expect("taken");
    assert_eq!(delivery.unusable.len(), MOST);
}

#[test]
fn agent_event_record_needs_data_and_partition_key() {
    for other in [
        json!({"data": "e30="}),
        json!({"partitionKey": "p"}),
        json!({"data": 1, "partitionKey": "p"}),
    ] {
        assert!(!is_delivery(&other), "{other}");
        assert_eq!(read(&other).expect("taken").unusable, [UnusableEvent::OtherKind]);
    }
}

#[test]
fn agent_event_state_shows_connection_and_end() {
    let (since, connected) = (json!("2026-08-04T17:43:47Z"), json!("2026-08-04T17:40:01Z"));
    let time = |of: &Value| of.as_str().and_then(|iso| iso.parse::<Timestamp>().ok());
    let (at_since, at_connected) = (time(&since), time(&connected));
    let sightings = |state: &str, connected: &Value| {
        let contacts = json!([{"ContactId": "leg-1", "InitiationMethod": "MONITOR", "State": state,
            "StateStartTimestamp": since, "ConnectedToAgentTimestamp": connected}]);
        let event = read(&sample(&contacts)).expect("readable").events.remove(0);
        event.legs[0].sightings[1..].to_vec()
    };
    assert_eq!(sightings("connected", &Value::Null), [(Sighting::Joined, at_since)]);
    assert_eq!(sightings("CONNECTED", &connected), [(Sighting::Joined, at_connected)]);
    assert_eq!(sightings("CONNECTING", &Value::Null), []);
    for state in ["ENDED", "MISSED", "ERROR", "REJECTED"] {
        assert_eq!(
            sightings(state, &Value::Null),
            [(Sighting::Dropped, at_since)],
            "{state}"
        );
    }
}

#[test]
fn agent_event_needs_a_user_of_its_instance() {
    let of = |agent: &str, instance: &str| {
        let mut event = sample(&ended());
        (event["AgentARN"], event["InstanceARN"]) = (json!(agent), json!(instance));
        read(&event).expect("taken").unusable
    };
    let instance = "arn:aws:connect:us-west-2:111122223333:instance/abc-1";
    assert_eq!(of(&format!("{instance}/agent/sup-1"), instance), []);
    for agent in [
        format!("{instance}/agent/"),
        format!("{instance}-2/agent/sup-1"),
        instance.to_owned(),
    ] {
        assert_eq!(of(&agent, instance), [UnusableEvent::Unreadable], "{agent}");
    }
    let mut alone = sample(&ended());
    alone.as_object_mut().expect("object").remove("InstanceARN");
    assert_eq!(read(&alone).expect("taken").events[0].instance_id, "abc-1");
}

#[test]
fn agent_event_origin_names_every_account() {
    let mut event = sample(&ended());
    event["AWSAccountId"] = json!("444455556666");
    let origin = read(&event).expect("taken").events.remove(0).origin;
    assert_eq!(
        origin.mismatch(Some("111122223333"), &["us-west-2"]),
        Some(UnusableEvent::WrongAccount)
    );
    let mut event = sample(&ended());
    event["InstanceARN"] = json!("arn:aws:connect:us-east-1:111122223333:instance/abc-1");
    let origin = read(&event).expect("taken").events.remove(0).origin;
    assert_eq!(origin.mismatch(None, &["us-west-2"]), Some(UnusableEvent::WrongRegion));
}

#[test]
fn agent_event_without_a_current_snapshot_lets_no_leg_vanish() {
    let mut event = sample(&ended());
    event["CurrentAgentSnapshot"] = Value::Null;
    assert_eq!(read(&event).expect("taken").events[0].vanished, []);
}

#[test]
fn agent_event_ids_have_1_to_256_bytes() {
    for (length, valid) in [(0, false), (1, true), (256, true), (257, false)] {
        let id = "x".repeat(length);
        let contacts = json!([{"ContactId": id, "InitiationMethod": "MONITOR", "Channel": "chat"}]);
        let mut event = sample(&contacts);
        event["EventId"] = json!(id);
        let event = read(&event).expect("taken").events.remove(0);
        assert_eq!((event.id.is_some(), event.legs.len() == 1), (valid, valid), "{length}");
        assert!(event.legs.iter().all(|leg| leg.channel == Some(Channel::Chat)));
    }
}
