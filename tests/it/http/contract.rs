//! The contract cannot drift: the document against the routes both ways.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::support::openapi::Contract;

#[test]
fn contract_and_routes_are_the_same_both_ways() {
    let served: BTreeSet<(String, String)> = sidedoor::http::ROUTES
        .iter()
        .map(|(m, p)| ((*m).to_owned(), (*p).to_owned()))
        .collect();
    assert_eq!(Contract::load().routes(), served);
}

#[tokio::test]
async fn every_route_in_the_list_is_really_served_and_no_method_beside_it() {
    let app = crate::support::app::TestApp::start().await;
    for (method, path) in sidedoor::http::ROUTES {
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
fn contract_examples_are_what_their_schemas_say() {
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
fn contract_validation_sees_undeclared_members_wrong_types_and_statuses() {
    let contract = Contract::load();
    let health = |status, body: &str| contract.validate("GET", "/healthz", status, "application/json", body);
    assert!(health(200, r#"{"status":"ok","version":"1"}"#).is_ok());
    assert!(health(200, r#"{"status":"ok","version":"1","more":1}"#).is_err());
    assert!(health(200, r#"{"status":"fine","version":"1"}"#).is_err());
    assert!(health(200, r#"{"status":"ok"}"#).is_err());
    assert!(health(418, r#"{"status":"ok","version":"1"}"#).is_err());
    assert!(contract.validate("GET", "/healthz", 200, "text/html", "x").is_err());
}
