//! The contract has no breaking change since a released one; each rule of the comparison is shown to reject a break.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::support::compatibility::breaks;
use crate::support::openapi::Contract;

fn released() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/contract/released");
    let mut all: Vec<PathBuf> = std::fs::read_dir(folder)
        .expect("the released contracts")
        .map(|entry| entry.expect("readable").path())
        .filter(|path| path.extension().is_some_and(|e| e == "yaml"))
        .collect();
    all.sort();
    all
}

fn major(version: &Value) -> u64 {
    let number = version.as_str().and_then(|v| v.split('.').next());
    number.and_then(|n| n.parse().ok()).expect("a version")
}

/// Every released contract of this major version is kept; docs/contract.md says how one is released.
#[test]
fn compatibility_with_every_released_contract() {
    let now = Contract::load().document;
    let mut compared = 0;
    for path in released() {
        let text = std::fs::read_to_string(&path).expect("readable");
        let then: Value = serde_saphyr::from_str(&text).expect("YAML");
        let name = format!("openapi-{}.yaml", then["info"]["version"].as_str().expect("a version"));
        assert!(path.ends_with(&name), "{} should be {name}", path.display());
        if major(&then["info"]["version"]) != major(&now["info"]["version"]) {
            continue;
        }
        compared += 1;
        assert_eq!(breaks(&then, &now), Vec::<String>::new(), "since {name}");
    }
    assert!(compared > 0, "no released contract of this major version");
}

#[test]
fn compatibility_holds_with_itself_and_not_with_half() {
    let whole = Contract::load().document;
    assert_eq!(breaks(&whole, &whole), Vec::<String>::new());
    let mut half = whole.clone();
    half["paths"].as_object_mut().expect("paths").remove("/v1/supervisions");
    half["components"]["schemas"]["Supervision"]["properties"]
        .as_object_mut()
        .expect("properties")
        .remove("state");
    let found = breaks(&whole, &half);
    assert_eq!(
        found,
        [
            "/v1/supervisions: the path was removed",
            "Supervision as answered: the property state was removed"
        ]
    );
}

/// A contract with a bit of everything, to change in one place at a time.
fn base() -> Value {
    json!({
        "security": [{"bearer": []}],
        "paths": {
            "/open": {"get": {"operationId": "open", "security": [], "responses": {"200": {"description": "d"}}}},
            "/things/{id}": {
                "parameters": [{"name": "id", "in": "path", "required": true, "schema": {"type": "string"}}],
                "get": {
                    "operationId": "getThing",
                    "parameters": [
                        {"name": "size", "in": "query", "schema": {"type": "integer", "minimum": 1, "maximum": 200, "default": 50}},
                        {"name": "X-Tag", "in": "header", "schema": {"type": "string"}}],
                    "responses": {
                        "200": {"description": "d",
                            "headers": {"X-Request-Id": {"required": true, "schema": {"type": "string"}}},
                            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Thing"}}}},
                        "404": {"$ref": "#/components/responses/None"}}},
                "post": {
                    "operationId": "putThing",
                    "requestBody": {"required": false,
                        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Wish"}}}},
                    "responses": {"201": {"description": "d"}}}}},
        "components": {
            "responses": {"None": {"description": "d",
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Thing"}}}}},
            "schemas": {
                "Thing": {"type": "object", "additionalProperties": false, "required": ["name"], "properties": {
                    "name": {"type": "string", "maxLength": 10},
                    "note": {"type": "string", "nullable": true},
                    "state": {"type": "string", "enum": ["ON", "OFF"]},
                    "inner": {"nullable": true, "allOf": [{"$ref": "#/components/schemas/Thing"}]},
                    "all": {"type": "array", "items": {"type": "string", "format": "date-time"}}}},
                "Wish": {"type": "object", "required": ["name"], "properties": {
                    "name": {"type": "string", "minLength": 1, "maxLength": 10},
                    "note": {"type": "string", "nullable": true},
                    "mode": {"type": "string", "enum": ["ON", "OFF"]},
                    "size": {"type": "integer"},
                    "free": {"type": "string", "pattern": "^a"},
                    "list": {"type": "array", "maxItems": 5, "items": {"type": "string"}}}}}},
    })
}

/// The base with one value changed; null removes the member.
fn with(pointer: &str, value: &Value) -> Value {
    let mut changed = base();
    let (parent, member) = pointer.rsplit_once('/').expect("a pointer");
    let member = member.replace("~1", "/");
    match changed.pointer_mut(parent).expect("there") {
        Value::Object(members) if value.is_null() => {
            members.remove(&member).expect("there");
        }
        Value::Object(members) => {
            members.insert(member, value.clone());
        }
        Value::Array(items) => items[member.parse::<usize>().expect("a place")] = value.clone(),
        _ => panic!("{pointer} does not exist"),
    }
    changed
}

const GET: &str = "/paths/~1things~1{id}/get";
const POST: &str = "/paths/~1things~1{id}/post";
const THING: &str = "/components/schemas/Thing";
const WISH: &str = "/components/schemas/Wish";

#[test]
fn compatibility_rules_each_reject_a_break() {
    let null = Value::Null;
    let cases: Vec<(String, Value, &str)> = vec![
        ("/paths/~1open".into(), null.clone(), "/open: the path was removed"),
        (GET.into(), null.clone(), "GET /things/{id}: the operation was removed"),
        (format!("{GET}/operationId"), json!("x"), "operationId changed"),
        (
            format!("{GET}/x-sidedoor-external-services"),
            json!(false),
            "removed from the Salesforce import",
        ),
        (
            "/paths/~1open/get/security".into(),
            null.clone(),
            "a credential is now required",
        ),
        (
            format!("{POST}/requestBody/required"),
            json!(true),
            "a body is now required",
        ),
        (
            format!("{POST}/requestBody/content/application~1json"),
            null.clone(),
            "application/json was removed",
        ),
        (
            format!("{GET}/responses/404"),
            null.clone(),
            "404: the answer was removed",
        ),
        (
            format!("{GET}/responses/202"),
            json!({"description": "d"}),
            "202: a new success status",
        ),
        (
            format!("{GET}/responses/200/content/application~1json"),
            null.clone(),
            "application/json was removed",
        ),
        (
            format!("{GET}/responses/200/headers/X-Request-Id"),
            null.clone(),
            "the header X-Request-Id was removed",
        ),
        (
            format!("{GET}/responses/200/headers/X-Request-Id/required"),
            json!(false),
            "is now optional",
        ),
        (
            format!("{GET}/parameters"),
            json!([]),
            "query parameter size: the parameter was removed",
        ),
        (
            format!("{GET}/parameters/0/required"),
            json!(true),
            "size: the parameter is now required",
        ),
        (
            format!("{GET}/parameters/0/schema/maximum"),
            json!(100),
            "size: maximum is narrower",
        ),
        (
            format!("{GET}/parameters/0/schema/minimum"),
            json!(2),
            "size: minimum is narrower",
        ),
        (
            format!("{GET}/parameters/0/schema/default"),
            json!(10),
            "size: default changed",
        ),
        (
            format!("{GET}/parameters/0/schema/type"),
            json!("number"),
            "size: type changed",
        ),
        (
            format!("{POST}/parameters"),
            json!([{"name": "new", "in": "query", "required": true, "schema": {"type": "string"}}]),
            "query parameter new: a new required parameter",
        ),
        (
            format!("{THING}/properties/note"),
            null.clone(),
            "Thing as answered: the property note was removed",
        ),
        (format!("{THING}/required"), json!([]), "\"name\" is now optional"),
        (
            format!("{THING}/properties/name/type"),
            json!("integer"),
            "type changed",
        ),
        (
            format!("{THING}/properties/name/nullable"),
            json!(true),
            "name: may now be null",
        ),
        (
            format!("{THING}/properties/name/maxLength"),
            json!(20),
            "maxLength is wider",
        ),
        (
            format!("{THING}/properties/name/maxLength"),
            null.clone(),
            "maxLength is wider",
        ),
        (
            format!("{THING}/properties/state/enum"),
            json!(["ON"]),
            "the enum value \"OFF\" was removed",
        ),
        (
            format!("{THING}/properties/state/enum"),
            json!(["ON", "OFF", "HALF"]),
            "\"HALF\" is new in an answer",
        ),
        (
            format!("{THING}/properties/state/enum"),
            null.clone(),
            "the enum was added or removed",
        ),
        (
            format!("{THING}/properties/all/items/format"),
            null.clone(),
            "all items: format changed",
        ),
        (
            format!("{THING}/properties/inner/allOf/0/$ref"),
            json!("#/components/schemas/Wish"),
            "the generated class changed",
        ),
        (format!("{THING}/oneOf"), json!([{}]), "oneOf changed"),
        (
            format!("{WISH}/properties/size"),
            null.clone(),
            "Wish as sent: the property size was removed",
        ),
        (
            format!("{WISH}/required"),
            json!(["name", "mode"]),
            "\"mode\" is now required",
        ),
        (
            format!("{WISH}/properties/mode/enum"),
            json!(["ON"]),
            "the enum value \"OFF\" was removed",
        ),
        (
            format!("{WISH}/properties/free/enum"),
            json!(["a"]),
            "the enum was added or removed",
        ),
        (
            format!("{WISH}/properties/note/nullable"),
            json!(false),
            "null is no longer accepted",
        ),
        (
            format!("{WISH}/properties/name/maxLength"),
            json!(5),
            "maxLength is narrower",
        ),
        (
            format!("{WISH}/properties/name/minLength"),
            json!(2),
            "minLength is narrower",
        ),
        (
            format!("{WISH}/properties/note/maxLength"),
            json!(5),
            "maxLength is narrower",
        ),
        (
            format!("{WISH}/properties/list/maxItems"),
            json!(4),
            "maxItems is narrower",
        ),
        (
            format!("{WISH}/properties/list/items/maxLength"),
            json!(4),
            "list items: maxLength is narrower",
        ),
        (
            format!("{WISH}/properties/free/pattern"),
            json!("^ab"),
            "pattern changed",
        ),
        (
            format!("{WISH}/properties/size/format"),
            json!("int32"),
            "format changed",
        ),
        (
            format!("{WISH}/additionalProperties"),
            json!(false),
            "additional properties are now rejected",
        ),
    ];
    for (pointer, value, word) in &cases {
        let found = breaks(&base(), &with(pointer, value)).join("\n");
        assert!(
            found.contains(word),
            "{pointer} = {value}: {word:?} was not found in:\n{found}"
        );
    }
    let mut without = base();
    without["components"]["schemas"]
        .as_object_mut()
        .expect("schemas")
        .remove("Wish");
    without["paths"]["/things/{id}"]["post"]["requestBody"]["content"]["application/json"]["schema"] =
        json!({"type": "object"});
    assert!(
        breaks(&base(), &without)
            .join("\n")
            .contains("Wish: the schema was removed")
    );
}

#[test]
fn compatibility_allows_additions() {
    let cases: Vec<(String, Value)> = vec![
        (
            "/paths/~1new".into(),
            json!({"get": {"operationId": "new", "responses": {}}}),
        ),
        (format!("{GET}/responses/409"), json!({"description": "d"})),
        (format!("{GET}/description"), json!("described better")),
        (
            format!("{GET}/responses/200/headers/X-More"),
            json!({"schema": {"type": "string"}}),
        ),
        (format!("{GET}/parameters/0/schema/maximum"), json!(500)),
        (format!("{GET}/parameters/0/schema/minimum"), Value::Null),
        (
            format!("{POST}/parameters"),
            json!([{"name": "new", "in": "query", "schema": {"type": "string"}}]),
        ),
        (
            "/paths/~1things~1{id}/parameters/0/description".into(),
            json!("described"),
        ),
        (
            format!("{POST}/requestBody/content/text~1plain"),
            json!({"schema": {"type": "string"}}),
        ),
        (format!("{THING}/properties/more"), json!({"type": "string"})),
        (format!("{THING}/required"), json!(["name", "state"])),
        (format!("{THING}/properties/note/nullable"), json!(false)),
        (format!("{THING}/properties/name/maxLength"), json!(5)),
        (format!("{WISH}/properties/more"), json!({"type": "string"})),
        (format!("{WISH}/required"), json!([])),
        (format!("{WISH}/properties/mode/enum"), json!(["ON", "OFF", "HALF"])),
        (format!("{WISH}/properties/mode/enum"), Value::Null),
        (format!("{WISH}/properties/name/nullable"), json!(true)),
        (format!("{WISH}/properties/name/maxLength"), json!(20)),
        (format!("{WISH}/properties/free/pattern"), Value::Null),
        ("/components/schemas/New".into(), json!({"type": "object"})),
    ];
    for (pointer, value) in &cases {
        assert_eq!(
            breaks(&base(), &with(pointer, value)),
            Vec::<String>::new(),
            "{pointer} = {value}"
        );
    }
}
