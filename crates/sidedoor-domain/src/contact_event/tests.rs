//! Contact events as AWS documents and sends them.

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn sample() -> Value {
    json!({"version": "0", "id": "b9a1", "detail-type": "Amazon Connect Contact Event", "source": "aws.connect",
        "account": "111122223333", "region": "us-west-2", "detail": {"eventType": "DISCONNECTED", "contactId": "leg-1", "channel": "VOICE",
            "instanceArn": "arn:aws:connect:us-west-2:111122223333:instance/abc-1",
            "initiationMethod": "MONITOR", "disconnectTimestamp": "2026-08-04T17:43:47.000Z",
            "agentInfo": {"agentArn": "arn:…", "connectedToAgentTimestamp": "2026-08-04T17:17:55.000Z"}}})
}

fn contact(v: &Value) -> ContactEvent {
    match read(v).expect("readable") {
        Envelope::Contact(event) => *event,
        Envelope::Unusable(kind) => panic!("not a contact event: {kind}"),
    }
}

#[test]
fn contact_event_parses_documented_sample() {
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
fn contact_event_ignores_case_and_new_fields() {
    let mut capitalised = sample();
    let detail = capitalised["detail"].take();
    let upper: serde_json::Map<String, Value> = detail
        .as_object()
        .expect("object")
        .iter()
        .map(|(k, v)| (k[..1].to_uppercase() + &k[1..], v.clone()))
        .chain([("BrandNew".to_owned(), json!({"x": [1]}))])
        .collect();
    capitalised["Detail"] = Value::Object(upper);
    capitalised.as_object_mut().expect("object").remove("detail");
    assert_eq!(contact(&capitalised), contact(&sample()));
}

#[test]
fn contact_event_error_names_missing_field() {
    for (path, pointer) in [
        ("contactId", "/detail/contactId"),
        ("instanceArn", "/detail/instanceArn"),
    ] {
        let mut broken = sample();
        broken["detail"].as_object_mut().expect("object").remove(path);
        assert_eq!(read(&broken).expect_err("refused").pointer, pointer);
    }
    assert_eq!(read(&json!([])).expect_err("refused").pointer, "");
    let named_only = json!({"detail-type": "Amazon Connect Contact Event", "source": "aws.connect"});
    assert_eq!(read(&named_only).expect_err("refused").pointer, "/detail");
    assert_eq!(read(&json!({})).expect_err("refused").pointer, "/detail-type");
}

#[test]
fn contact_event_is_known_by_source_and_content() {
    for name in [
        "Amazon Connect Contact Event",
        "Amazon Connect Customer Contact Event",
        "Connect Customer Contact Event",
        "A Later Name",
    ] {
        let mut renamed = sample();
        renamed["detail-type"] = json!(name);
        assert_eq!(contact(&renamed), contact(&sample()), "{name}");
    }
    for source in [json!("aws.partner/acme"), json!("aws.connect.evil"), Value::Null] {
        let mut foreign = sample();
        foreign["source"] = source;
        assert_eq!(read(&foreign), Ok(Envelope::Unusable(UnusableEvent::WrongSource)));
    }
    let other = json!({"detail-type": "Contact Lens Realtime Rules Matched", "source": "aws.connect", "detail": {"version": "1"}});
    assert_eq!(read(&other), Ok(Envelope::Unusable(UnusableEvent::OtherKind)));
}

#[test]
fn contact_event_completed_with_disconnect_time_is_an_end() {
    let mut completed = sample();
    completed["detail"]["eventType"] = json!("COMPLETED");
    assert!(contact(&completed).is_end());
    completed["detail"]
        .as_object_mut()
        .expect("object")
        .remove("disconnectTimestamp");
    assert!(!contact(&completed).is_end());
}

#[test]
fn contact_event_without_initiation_method_is_of_unknown_method() {
    let mut quiet = sample();
    for method in [Value::Null, json!("")] {
        quiet["detail"]["initiationMethod"] = method;
        let event = contact(&quiet);
        assert_eq!(event.initiation_method, InitiationMethod::Unknown);
        assert!(!event.is_monitor());
    }
    quiet["detail"]
        .as_object_mut()
        .expect("object")
        .remove("initiationMethod");
    assert_eq!(contact(&quiet).initiation_method, InitiationMethod::Unknown);
}

#[test]
fn contact_event_names_neighbouring_contacts() {
    let mut linked = sample();
    for (name, id) in [
        ("previousContactId", "p"),
        ("relatedContactId", "r"),
        ("initialContactId", "i"),
    ] {
        linked["detail"][name] = json!(id);
    }
    let ContactLinks {
        previous,
        related,
        initial,
    } = contact(&linked).links;
    let named = [previous, related, initial];
    assert_eq!(named.map(Option::unwrap_or_default), ["p", "r", "i"]);
    linked["detail"]["previousContactId"] = json!("x".repeat(MAX_ID + 1));
    assert_eq!(contact(&linked).links.previous, None);
}

#[test]
fn contact_event_id_length_counts_characters() {
    let mut long = sample();
    long["detail"]["contactId"] = json!("é".repeat(MAX_ID));
    assert_eq!(contact(&long).contact.chars().count(), MAX_ID);
    long["detail"]["contactId"] = json!("é".repeat(MAX_ID + 1));
    assert_eq!(read(&long).expect_err("refused").pointer, "/detail/contactId");
}

#[test]
fn contact_event_keeps_unknown_type() {
    let mut new = sample();
    new["detail"]["eventType"] = json!("Amd_Disabled");
    let event = contact(&new);
    assert_eq!(event.event_type, ContactEventType::Other("AMD_DISABLED".into()));
    assert!(!event.is_end());
}

proptest! {
    #[test]
    fn contact_event_parses_any_number_or_text(stamp in any::<f64>(), text in ".{0,40}") {
        let mut odd = sample();
        odd["detail"]["disconnectTimestamp"] = json!(stamp);
        odd["detail"]["channel"] = json!(text);
        odd["detail"]["agentInfo"] = json!(text);
        odd["id"] = json!(text);
        prop_assert!(read(&odd).is_ok());
    }
}

#[test]
fn contact_event_shows_a_connection_by_type_or_time() {
    let mut event = sample();
    assert!(contact(&event).is_connection(), "it names the time");
    event["detail"]["agentInfo"] = json!({"agentArn": "arn:…"});
    for (kind, is_connection) in [
        ("CONNECTED_TO_AGENT", true),
        ("CONNECTED_TO_SYSTEM", false),
        ("INITIATED", false),
        ("QUEUED", false),
        ("DISCONNECTED", false),
        ("COMPLETED", false),
        ("OTHER", false),
    ] {
        event["detail"]["eventType"] = json!(kind);
        assert_eq!(contact(&event).is_connection(), is_connection, "{kind}");
    }
}

#[test]
fn contact_event_names_user_and_origin() {
    let mut event = sample();
    event["detail"]["agentInfo"]["agentArn"] =
        json!("arn:aws:connect:us-west-2:111122223333:instance/abc-1/agent/sup-1");
    event["detail"]["initiationTimestamp"] = json!("2026-08-04T17:17:50Z");
    event["detail"]["disconnectReason"] = json!("é".repeat(65));
    let event = contact(&event);
    assert_eq!(
        (event.id.as_deref(), event.user.as_deref()),
        (Some("b9a1"), Some("sup-1"))
    );
    assert_eq!(event.origin.mismatch(Some("111122223333"), &["us-west-2"]), None);
    let initiated = event.initiated_at.map(|t| t.to_string());
    assert_eq!(initiated.as_deref(), Some("2026-08-04T17:17:50Z"));
    assert_eq!(event.disconnect_reason, Some("é".repeat(64)), "it is cut");
}

#[test]
fn contact_event_time_may_be_epoch_seconds() {
    let mut event = sample();
    let mut ended_at = |stamp: Value| {
        event["detail"]["disconnectTimestamp"] = stamp;
        contact(&event).disconnected_at.map(|t| t.as_millisecond())
    };
    assert_eq!(ended_at(json!(1_785_865_427)), Some(1_785_865_427_000));
    assert_eq!(ended_at(json!(1_785_865_427.25)), Some(1_785_865_427_250));
    for none in [json!(true), json!("yesterday"), json!(1e300), Value::Null] {
        assert_eq!(ended_at(none.clone()), None, "{none}");
    }
}

#[test]
fn contact_event_needs_an_instance_and_an_id_that_are_not_empty() {
    for (path, empty) in [
        ("instanceArn", "arn:aws:connect:us-west-2:111122223333:instance/"),
        ("instanceArn", "arn:aws:connect:us-west-2:111122223333:other/abc-1"),
        ("contactId", ""),
    ] {
        let mut broken = sample();
        broken["detail"][path] = json!(empty);
        let pointer = read(&broken).expect_err("refused").pointer;
        assert_eq!(pointer, format!("/detail/{path}"), "{empty:?}");
    }
    let mut of_user = sample();
    of_user["detail"]["instanceArn"] = json!("arn:aws:connect:us-west-2:1:instance/abc-1/agent/sup-1");
    assert_eq!(contact(&of_user).instance_id, "abc-1");
}
