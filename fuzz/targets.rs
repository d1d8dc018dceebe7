//! What each fuzz target does with bytes, and what must hold whatever they are. Shared by the fuzzer and by
//! `tests/it/security/hostile_input.rs`.

use serde_json::Value;
use sidedoor::config::Config;
use sidedoor::http::problem::Problem;
use sidedoor::http::untrusted;
use sidedoor_domain::agent_event;
use sidedoor_domain::contact_event::{self, Envelope};

/// Processes the bytes of one input, and panics if a property does not hold.
pub type Target = fn(&[u8]);

/// Every target, by the name of its folder of seeds.
pub const ALL: [(&str, Target); 8] = [
    ("contact_event", contact_event),
    ("agent_event", agent_event),
    ("connect_error", connect_error),
    ("salesforce_error", salesforce_error),
    ("json_body", json_body),
    ("query", query),
    ("configuration", configuration),
    ("token", token),
];

fn plain(text: &str) -> bool {
    !text.chars().any(char::is_control)
}

/// An EventBridge envelope.
fn contact_event(data: &[u8]) {
    let Ok(envelope) = serde_json::from_slice::<Value>(data) else {
        return;
    };
    if let Ok(Envelope::Contact(event)) = contact_event::read(&envelope) {
        assert!((1..=256).contains(&event.contact.chars().count()));
        assert!(!event.instance_id.is_empty() && !event.instance_id.contains('/'));
        assert!(event.id.is_none_or(|id| (1..=256).contains(&id.chars().count())));
        assert!(
            event
                .disconnect_reason
                .is_none_or(|reason| reason.chars().count() <= 64)
        );
    }
}

/// Agent events, plain or in Kinesis records.
fn agent_event(data: &[u8]) {
    let Ok(delivery) = serde_json::from_slice::<Value>(data) else {
        return;
    };
    let is_delivery = agent_event::is_delivery(&delivery);
    match agent_event::read(&delivery) {
        Ok(delivery) => {
            let records = delivery.events.len() + delivery.unusable.len();
            assert!((1..=agent_event::MOST).contains(&records));
            assert!(is_delivery || delivery.events.is_empty());
            for event in delivery.events {
                assert!(!event.user.is_empty() && !event.instance_id.is_empty());
                assert!(event.legs.len() <= 30 && event.legs.iter().all(|leg| !leg.leg.is_empty()));
            }
        }
        Err(bad) => assert!(!bad.problem.is_empty()),
    }
}

/// An error of Connect: its code on the first line, its status in the first two bytes, the rest its message.
fn connect_error(data: &[u8]) {
    let (status, rest) = data.split_at_checked(2).unwrap_or((&[1, 144], data));
    let text = String::from_utf8_lossy(rest);
    let (code, message) = text.split_once('\n').unwrap_or((&text, ""));
    let status = 300 + u16::from_be_bytes([status[0], status[1]]) % 300;
    let (ours, said, note) = sidedoor::untrusted::connect_error((!code.is_empty()).then_some(code), status, message);
    assert!(ours.as_str().starts_with("connect_"), "{ours}");
    assert!(plain(&said) && said.chars().count() <= 330);
    assert!(!said.to_lowercase().contains("arn:"), "{said}");
    assert!(note.is_none_or(|note| plain(&note) && note.chars().count() <= 620));
}

/// An error of Salesforce: its status in the first two bytes, the rest its body; and the same as a collection's item.
fn salesforce_error(data: &[u8]) {
    let (status, rest) = data.split_at_checked(2).unwrap_or((&[1, 144], data));
    let status = 300 + u16::from_be_bytes([status[0], status[1]]) % 300;
    let body = String::from_utf8_lossy(rest);
    let status = reqwest_status(status);
    for error in sidedoor::untrusted::salesforce_errors(status, &body) {
        let code = error.code.as_str();
        assert!(!code.is_empty() && plain(code) && plain(&error.message));
        assert!(code.chars().count() <= 300 && error.message.chars().count() <= 300);
        assert!(error.answer.is_none_or(|kept| kept.len() <= 4096));
    }
}

fn reqwest_status(status: u16) -> http::StatusCode {
    http::StatusCode::from_u16(status).expect("a status")
}

/// An error answer has a 4xx status, is JSON with a stable code, and its size is bounded by that of the request.
fn is_answerable(problem: &Problem, sent: usize) {
    assert!([400, 404, 422].contains(&problem.status().as_u16()), "{problem:?}");
    let body = problem.body();
    assert!(body.len() <= 16_384 + 64 * sent, "{} bytes about {sent}", body.len());
    let answer: Value = serde_json::from_str(&body).expect("JSON");
    assert!(answer["code"].as_str().is_some_and(|code| !code.is_empty()));
    for error in answer["errors"].as_array().into_iter().flatten() {
        assert!(plain(error["pointer"].as_str().expect("a pointer")), "{error}");
    }
}

/// The body of any operation.
fn json_body(data: &[u8]) {
    for problem in untrusted::bodies(data).iter().flatten() {
        is_answerable(problem, data.len());
    }
}

/// The query of any operation.
fn query(data: &[u8]) {
    let raw = String::from_utf8_lossy(data);
    for problem in untrusted::queries(&raw).iter().flatten() {
        is_answerable(problem, data.len());
    }
}

/// A token, and the keys of an issuer. The name for the audit must be short and plain ASCII, whatever the token contains.
fn token(data: &[u8]) {
    let (name, keys) = untrusted::token(data);
    assert!(keys <= 65);
    if let Some(name) = name {
        assert!(
            name.bytes().all(|b| b.is_ascii_graphic()) && name.len() <= 200,
            "{name}"
        );
    }
}

/// A configuration file; its first line may be an override from the environment, as NAME=value.
fn configuration(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    // Skipped, because such a setting would make the parser read another file.
    if text.to_ascii_lowercase().contains("file") {
        return;
    }
    let (first, rest) = text.split_once('\n').unwrap_or(("", &text));
    let env = first
        .strip_prefix("# SIDEDOOR__")
        .and_then(|over| over.split_once('='))
        .map(|(name, value)| (format!("SIDEDOOR__{name}"), value.to_owned()));
    match Config::parse(rest, env) {
        Ok(config) => assert!(!format!("{config:?}").contains("fuzz-secret")),
        Err(errors) => assert!(!errors.0.is_empty() && errors.0.iter().all(|e| !e.setting.is_empty())),
    }
}
