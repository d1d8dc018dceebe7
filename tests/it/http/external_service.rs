//! The document for Salesforce External Services is generated from `openapi.yaml`, committed, and within Salesforce's documented limits.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::support::external_service::{problems, subset};
use crate::support::openapi::Contract;

const MADE: &str = "infra/salesforce/sidedoor-external-service.yaml";
const HEAD: &str =
    "# Generated from openapi.yaml for Salesforce External Services. Do not edit; run `make external-service`.\n";

fn generated() -> String {
    let yaml = serde_saphyr::to_string(&subset(&Contract::load().document)).expect("YAML");
    format!("{HEAD}{yaml}")
}

fn committed() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(MADE)
}

/// With SIDEDOOR_MAKE set, the test writes the file instead; `make external-service` does this.
#[test]
fn external_service_document_is_generated_from_contract() {
    let path = committed();
    if std::env::var_os("SIDEDOOR_MAKE").is_some() {
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        std::fs::write(&path, generated()).expect("written");
    }
    let there = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        there == generated(),
        "{MADE} differs from what openapi.yaml generates; run `make external-service` and commit the file"
    );
}

#[test]
fn external_service_document_parses_back_unchanged() {
    let back: Value = serde_saphyr::from_str(&generated()).expect("YAML");
    assert_eq!(back, subset(&Contract::load().document));
}

#[test]
fn external_service_document_is_within_salesforce_limits() {
    let text = generated();
    let document: Value = serde_saphyr::from_str(&text).expect("YAML");
    assert_eq!(problems(&document, &text), Vec::<String>::new());
}

#[test]
fn external_service_has_every_unmarked_operation() {
    let contract = Contract::load();
    let mut expected: Vec<(String, String)> = contract.routes().into_iter().collect();
    expected.retain(|(method, path)| {
        contract.document["paths"][path][method.to_lowercase()]["x-sidedoor-external-services"] != json!(false)
    });
    let whole = Contract {
        document: subset(&contract.document),
    };
    assert_eq!(whole.routes().into_iter().collect::<Vec<_>>(), expected);
    // What supervisors need in a flow, and no more: operators have other tools.
    let names = expected.iter().map(|(method, path)| {
        let operation = &contract.document["paths"][path][method.to_lowercase()];
        operation["operationId"].as_str().expect("a name")
    });
    let mut names: Vec<&str> = names.collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "acknowledgeDirective",
            "changeMode",
            "disconnectSupervision",
            "disconnectSupervisor",
            "getDirectives",
            "getSupervision",
            "getTimeline",
            "issueTicket",
            "listAgents",
            "listSupervisions",
            "startSupervision",
        ]
    );
}

/// Every answer that is valid in the whole contract is valid in the subset, because the subset only leaves things out.
#[test]
fn external_service_accepts_answers_of_contract() {
    let whole = Contract {
        document: subset(&Contract::load().document),
    };
    let problem = r#"{"type":"urn:x","title":"Conflict","status":409,"detail":"d","code":"contact_limit_reached","requestId":null,
        "onCall":[{"supervisionId":"0197f0aa-5d1e-7c3a-8a44-3a52b2a4c7f1","connectUserId":null,"username":"u","state":"LEAVING"}],
        "brandNew":1}"#;
    whole
        .validate("POST", "/v1/supervisions", 409, "application/json", problem)
        .expect("an error, with a member of a newer service");
    let wrong = problem.replace("409,\"detail\"", "\"409\",\"detail\"");
    assert!(
        whole
            .validate("POST", "/v1/supervisions", 409, "application/json", &wrong)
            .is_err()
    );
}

/// A document within every limit; the test breaks it in one place at a time.
fn valid_document() -> Value {
    json!({
        "openapi": "3.0.3",
        "info": {"title": "T", "version": "1"},
        "paths": {"/a/{b}": {"post": {
            "operationId": "doIt",
            "parameters": [{"name": "b", "in": "path", "required": true, "schema": {"type": "string"}}],
            "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Thing"}}}},
            "responses": {"200": {"description": "d", "content": {"application/json": {"schema": {"type": "string"}}}}},
        }}},
        "components": {"schemas": {"Thing": {"type": "object", "properties": {"name": {"type": "string"}}}}},
    })
}

#[test]
fn external_service_limits_each_reject_a_violation() {
    assert_eq!(problems(&valid_document(), ""), Vec::<String>::new());
    const OPERATION: &str = "/paths/~1a~1{b}/post";
    const THING: &str = "/components/schemas/Thing";
    let op = |member: &str| format!("{OPERATION}/{member}");
    let thing = |member: &str| format!("{THING}/{member}");
    let long = json!("x".repeat(1334));
    let content = |media: &str| json!({ media: {"schema": {"type": "string"}} });
    let cases: Vec<(String, Value, &str)> = vec![
        ("/openapi".into(), json!("3.1.0"), "3.0.x"),
        ("/security".into(), json!([]), "security is ignored"),
        ("/components/responses".into(), json!({}), "only schemas are certain"),
        ("/paths/~1a~1{b}/trace".into(), json!({}), "method cannot be imported"),
        (
            op("operationId"),
            json!("do-it"),
            "operationId is not an Apex identifier",
        ),
        (op("description"), long.clone(), "longer than 1,333"),
        (op("parameters/0/description"), long, "description of b is longer"),
        (op("security"), json!([]), "security is not read"),
        (op("parameters/0/in"), json!("cookie"), "an unsupported location"),
        (op("parameters/0/schema"), json!({"type": "null"}), "not null"),
        (
            op("parameters/0/schema"),
            json!({"type": ["string", "null"]}),
            "one known word",
        ),
        (op("requestBody/content"), content("application/xml"), "media type"),
        (op("responses/200/content"), content("text/event-stream"), "media type"),
        (
            op("responses/200/headers"),
            json!({"X": {}}),
            "headers are not supported",
        ),
        (op("responses/200/links"), json!({"X": {}}), "links are not supported"),
        (
            op("responses"),
            json!({"400": {"content": content("application/json")}}),
            "no success response",
        ),
        (
            "/paths/~1a~1{b}/get".into(),
            valid_document().pointer(OPERATION).expect("there").clone(),
            "a GET with a body",
        ),
        (
            "/paths/~1c".into(),
            json!({"put": {"operationId": "DOIT", "responses": {}}}),
            "differs in case only",
        ),
        (
            "/components/schemas/bad name".into(),
            json!({"type": "object"}),
            "cannot be a class",
        ),
        (
            "/components/schemas/Trigger".into(),
            json!({"type": "object"}),
            "cannot be a class",
        ),
        (
            "/components/schemas/THING".into(),
            json!({"type": "object"}),
            "differs in case only",
        ),
        (
            "/components/schemas/Text".into(),
            json!({"type": "string"}),
            "only objects",
        ),
        (thing("properties/limit"), json!({"type": "string"}), "would be encoded"),
        (
            thing("properties/snake_case"),
            json!({"type": "string"}),
            "would be encoded",
        ),
        (
            thing("properties/NAME"),
            json!({"type": "string"}),
            "differs in case only",
        ),
        (thing("properties/name"), json!({}), "one known word"),
        (thing("properties/name"), json!({"type": "object"}), "anonymous object"),
        (
            thing("properties/name"),
            json!({"type": "string", "oneOf": []}),
            "oneOf",
        ),
        (
            thing("properties/name"),
            json!({"type": "string", "enum": ["A", null]}),
            "not a string",
        ),
        (
            thing("properties/name"),
            json!({"type": "array", "items": {"type": "array"}}),
            "nested",
        ),
    ];
    for (pointer, value, word) in cases {
        let mut broken = valid_document();
        let (parent, member) = pointer.rsplit_once('/').expect("a pointer");
        let of = broken.pointer_mut(parent).expect("there");
        let member = member.replace("~1", "/");
        of[member.as_str()] = value;
        let found = problems(&broken, "").join("\n");
        assert!(found.contains(word), "{pointer}: {word} is not among:\n{found}");
    }
    assert!(
        problems(&valid_document(), &"x".repeat(1_000_001))
            .join("")
            .contains("characters")
    );
}
