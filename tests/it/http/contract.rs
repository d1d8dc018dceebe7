//! The contract, the table of routes, the error codes and their documents are the same.

use std::collections::BTreeSet;

use serde_json::Value;
use sidedoor::http::{ProblemCode, ROUTES};

use crate::support::openapi::Contract;

#[test]
fn contract_and_routes_are_the_same() {
    let served: BTreeSet<(String, String, String)> = ROUTES
        .iter()
        .map(|route| {
            (
                route.verb.as_str().to_owned(),
                route.path.to_owned(),
                route.operation_id.to_owned(),
            )
        })
        .collect();
    assert_eq!(served.len(), ROUTES.len(), "a route is listed twice");
    assert_eq!(Contract::load().operations(), served);
}

#[tokio::test]
async fn contract_routes_are_served_with_no_other_method() {
    let app = crate::support::app::TestApp::start().await;
    for route in &ROUTES {
        let (method, path) = (route.verb.as_str(), route.path);
        let concrete = path
            .replace("{supervisionId}", "0197f0aa-5d1e-7c3a-8a44-3a52b2a4c7f1")
            .replace("{deliveryId}", "0197f0aa-5d1e-7c3a-8a44-3a52b2a4c7f1")
            .replace("{vendor}", "acme")
            .replace("{connectUserId}", "supervisor-9");
        let answer = app.call(method, &concrete).send().await;
        assert_ne!(answer.status, 405, "{method} {path}");
        assert!(answer.status != 404 || path.contains('{'), "{method} {path}");
        let wrong = app.call("DELETE", &concrete).send().await;
        assert_eq!((wrong.status, wrong.code()), (405, "method_unsupported"), "{path}");
    }
    let served = app.call("GET", "/openapi.yaml").send().await;
    assert_eq!(served.text, include_str!("../../../openapi.yaml"));
    app.finish().await;
}

/// The codes of docs/errors.md with their status: the first cells of the tables for our own codes and for those of Connect.
fn documented_codes() -> BTreeSet<(String, u16)> {
    let doc = include_str!("../../../docs/errors.md");
    let doc = doc.split("\n## Salesforce").next().expect("a document");
    let rows = doc.lines().filter(|line| line.starts_with("| `"));
    rows.flat_map(|row| {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        // Our own table has the status in its second column, that of Connect in its last.
        let number = |cell: &str| cell.split_whitespace().next()?.parse::<u16>().ok();
        let status = number(cells[1]).or_else(|| number(cells[cells.len() - 1])).expect(row);
        let codes = cells[0].split('`').skip(1).step_by(2);
        codes.map(|code| (code.to_owned(), status)).collect::<Vec<_>>()
    })
    .collect()
}

#[test]
fn error_codes_are_those_of_docs_errors_md() {
    let served: BTreeSet<(String, u16)> = ProblemCode::ALL
        .iter()
        .map(|code| (code.as_str().to_owned(), code.status().as_u16()))
        .collect();
    assert_eq!(documented_codes(), served);
}

#[test]
fn error_codes_are_those_of_the_contract() {
    let contract = Contract::load();
    let responses = contract.document["components"]["responses"]
        .as_object()
        .expect("responses");
    let mut documented: Vec<&str> = responses
        .values()
        .filter_map(|response| response["description"].as_str()?.split_once(" Codes: "))
        .flat_map(|(_, codes)| codes.split(", "))
        .collect();
    documented.sort_unstable();
    let mut served: Vec<&str> = ProblemCode::ALL.iter().map(|code| code.as_str()).collect();
    served.sort_unstable();
    assert_eq!(documented, served);
}

#[test]
fn contract_references_resolve_and_operation_ids_are_unique() {
    let contract = Contract::load();
    fn references(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(members) => {
                found.extend(members.get("$ref").and_then(Value::as_str).map(ToOwned::to_owned));
                members.values().for_each(|v| references(v, found));
            }
            Value::Array(items) => items.iter().for_each(|v| references(v, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    references(&contract.document, &mut found);
    assert!(found.len() > 50);
    for reference in found {
        assert!(
            contract.document.pointer(reference.trim_start_matches('#')).is_some(),
            "{reference}"
        );
    }
    let ids: Vec<&str> = contract.document["paths"]
        .as_object()
        .expect("paths")
        .values()
        .flat_map(|item| item.as_object().expect("an item").values())
        .filter_map(|operation| operation["operationId"].as_str())
        .collect();
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len());
}

#[test]
fn contract_examples_match_their_schemas() {
    let contract = Contract::load();
    for (method, path) in [
        ("post", "/v1/supervisions"),
        ("post", "/v1/supervisions/{supervisionId}/acknowledgements"),
    ] {
        let content = &contract.document["paths"][path][method]["requestBody"]["content"]["application/json"];
        contract
            .check(&content["schema"], &content["example"])
            .expect("the example is valid");
    }
}

#[test]
fn contract_validation_rejects_undeclared_answers() {
    let contract = Contract::load();
    let health = |status, body: &str| contract.validate("GET", "/healthz", status, "application/json", body);
    assert!(health(200, r#"{"status":"ok","version":"1"}"#).is_ok());
    assert!(health(200, r#"{"status":"ok","version":"1","more":1}"#).is_err());
    assert!(health(200, r#"{"status":"fine","version":"1"}"#).is_err());
    assert!(health(200, r#"{"status":"ok"}"#).is_err());
    assert!(health(418, r#"{"status":"ok","version":"1"}"#).is_err());
    assert!(contract.validate("GET", "/healthz", 200, "text/html", "x").is_err());
}
