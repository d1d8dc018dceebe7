//! openapi.yaml describes the control API: the same routes as the route tables, and schemas that real answers fit.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};
use sidedoor_fakes::{ConnectFake, Fakes, FakesConfig, connect, salesforce};

const YAML: &str = include_str!("../openapi.yaml");
const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

struct Document(Value);

impl Document {
    fn load() -> Self {
        Self(serde_saphyr::from_str(YAML).expect("openapi.yaml is YAML"))
    }

    fn operations(&self) -> impl Iterator<Item = (String, &str, &Value)> {
        let paths = self.0["paths"].as_object().expect("paths");
        paths.iter().flat_map(|(path, item)| {
            let members = item.as_object().expect("a path item").iter();
            let operations = members.filter(|(name, _)| METHODS.contains(&name.as_str()));
            operations.map(move |(method, operation)| (method.to_uppercase(), path.as_str(), operation))
        })
    }

    fn routes_with_tag(&self, tag: &str) -> BTreeSet<(String, String)> {
        let tagged = |operation: &Value| {
            operation["tags"]
                .as_array()
                .is_some_and(|tags| tags.contains(&json!(tag)))
        };
        self.operations()
            .filter(|(_, _, operation)| tagged(operation))
            .map(|(method, path, _)| (method, path.to_owned()))
            .collect()
    }

    fn operation(&self, method: &str, template: &str) -> &Value {
        let operation = &self.0["paths"][template][method.to_lowercase()];
        assert!(!operation.is_null(), "{method} {template} is not in openapi.yaml");
        operation
    }

    fn resolve<'v>(&'v self, value: &'v Value) -> &'v Value {
        match value["$ref"].as_str() {
            Some(reference) => {
                let pointer = reference.trim_start_matches('#');
                self.0
                    .pointer(pointer)
                    .unwrap_or_else(|| panic!("{reference} is not in openapi.yaml"))
            }
            None => value,
        }
    }

    fn check(&self, schema: &Value, value: &Value, what: &str) {
        let problems = self.problems(schema, value);
        assert!(problems.is_empty(), "{what}: {}\n{value:#}", problems.join("; "));
    }

    fn problems(&self, schema: &Value, value: &Value) -> Vec<String> {
        let root = json!({"$schema": "http://json-schema.org/draft-07/schema#", "allOf": [json_schema(schema)],
            "components": {"schemas": json_schema(&self.0["components"]["schemas"])}});
        let validator = jsonschema::options()
            .should_validate_formats(true)
            .build(&root)
            .expect("the schemas compile");
        validator
            .iter_errors(value)
            .map(|e| format!("{}: {e}", e.instance_path()))
            .collect()
    }
}

/// JSON Schema has no `nullable`, which OpenAPI 3.0 has instead of the type `null`.
fn json_schema(schema: &Value) -> Value {
    match schema {
        Value::Object(members) => {
            let kept = members.iter().filter(|(key, _)| *key != "nullable");
            let converted: Map<String, Value> = kept.map(|(key, value)| (key.clone(), json_schema(value))).collect();
            if members.get("nullable") == Some(&json!(true)) {
                json!({"anyOf": [{"type": "null"}, converted]})
            } else {
                Value::Object(converted)
            }
        }
        Value::Array(items) => items.iter().map(json_schema).collect(),
        other => other.clone(),
    }
}

/// Calls one fake, and checks each request and answer against the document.
struct Client<'d> {
    document: &'d Document,
    http: reqwest::Client,
    url: String,
}

impl<'d> Client<'d> {
    fn new(document: &'d Document, url: &str) -> Self {
        Self {
            document,
            http: reqwest::Client::builder().build().expect("a client"),
            url: url.to_owned(),
        }
    }

    /// `parameter` replaces the parameter of the path template.
    async fn call(&self, method: &str, template: &str, parameter: &str, body: Option<Value>) -> (u16, Value) {
        let operation = self.document.operation(method, template);
        let path = match (template.find('{'), template.find('}')) {
            (Some(start), Some(end)) => format!("{}{parameter}{}", &template[..start], &template[end + 1..]),
            _ => template.to_owned(),
        };
        let mut request = self
            .http
            .request(method.parse().expect("a method"), format!("{}{path}", self.url));
        if let Some(body) = &body {
            request = request.json(body);
        }
        let response = request.send().await.expect("an answer");
        let status = response.status().as_u16();
        let media = response.headers().get("content-type").map(|value| {
            let text = value.to_str().expect("text");
            text.split(';').next().unwrap_or_default().to_owned()
        });
        let text = response.text().await.expect("a body");
        let what = format!("{method} {template} {status}");
        if let Some(body) = body.filter(|_| status < 400) {
            let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
            self.document.check(schema, &body, &format!("{what} request"));
        }
        let responses = operation["responses"].as_object().expect("responses");
        let declared = responses
            .get(&status.to_string())
            .or_else(|| responses.get("4XX").filter(|_| status >= 400));
        let declared = self
            .document
            .resolve(declared.unwrap_or_else(|| panic!("{what} is not declared: {text}")));
        let Some(media) = media.filter(|_| !text.is_empty()) else {
            assert!(
                declared["content"].is_null(),
                "{what} declares a body, but the answer has none"
            );
            return (status, Value::Null);
        };
        let content = &declared["content"][&media];
        assert!(!content.is_null(), "{what} does not declare {media}");
        if media != "application/json" {
            return (status, json!(text));
        }
        let answer = serde_json::from_str(&text).expect("JSON");
        self.document.check(&content["schema"], &answer, &what);
        (status, answer)
    }
}

async fn start() -> Fakes {
    sidedoor_fakes::start(FakesConfig::default())
        .await
        .expect("the fakes start")
}

#[test]
fn openapi_and_route_tables_have_the_same_routes() {
    let document = Document::load();
    for (tag, table) in [
        ("connect", connect::control_routes()),
        ("salesforce", salesforce::control_routes()),
    ] {
        let served: BTreeSet<(String, String)> = table
            .iter()
            .map(|(method, path)| ((*method).to_owned(), (*path).to_owned()))
            .collect();
        assert_eq!(served.len(), table.len(), "{tag}: a route is in the table twice");
        assert_eq!(document.routes_with_tag(tag), served, "{tag}");
    }
}

#[test]
fn openapi_references_resolve_and_operation_ids_are_unique() {
    fn check_references(document: &Document, value: &Value) -> usize {
        match value {
            Value::Object(members) => {
                document.resolve(value);
                let inner: usize = members.values().map(|member| check_references(document, member)).sum();
                inner + usize::from(members.contains_key("$ref"))
            }
            Value::Array(items) => items.iter().map(|item| check_references(document, item)).sum(),
            _ => 0,
        }
    }
    let document = Document::load();
    assert!(check_references(&document, &document.0) > 50);
    let ids: Vec<&str> = document
        .operations()
        .map(|(method, path, operation)| {
            let id = operation["operationId"].as_str();
            id.unwrap_or_else(|| panic!("{method} {path} has no operationId"))
        })
        .collect();
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len());
}

#[test]
fn openapi_examples_match_their_schemas() {
    let document = Document::load();
    let mut examples = 0;
    for (method, path, operation) in document.operations() {
        let content = &operation["requestBody"]["content"]["application/json"];
        if let Some(example) = content.get("example") {
            document.check(&content["schema"], example, &format!("example of {method} {path}"));
            examples += 1;
        }
    }
    assert!(examples > 10, "{examples} examples");
}

#[test]
fn openapi_schemas_reject_unknown_members_and_wrong_types() {
    let document = Document::load();
    let settings = json!({"$ref": "#/components/schemas/ConnectSettings"});
    assert!(document.problems(&settings, &json!({"connectDelayMs": 5})).is_empty());
    assert!(!document.problems(&settings, &json!({"connectDelayMs": "5"})).is_empty());
    assert!(!document.problems(&settings, &json!({"connectDelay": 5})).is_empty());
    assert!(
        !document
            .problems(&settings, &json!({"stopVoiceLeg": "explode"}))
            .is_empty()
    );
}

#[tokio::test]
async fn openapi_is_served_on_both_ports() {
    let (document, fakes) = (Document::load(), start().await);
    for url in [fakes.connect_url(), fakes.salesforce_url()] {
        let client = Client::new(&document, url);
        let (status, text) = client.call("GET", "/_fake/openapi.yaml", "", None).await;
        assert_eq!((status, text.as_str()), (200, Some(YAML)));
    }
}

async fn until_connected(connect: &ConnectFake, leg: &str) {
    let poll = async {
        while !connect.contact(leg).is_some_and(|leg| leg.connected) {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(10), poll)
        .await
        .expect("the leg connects");
}

#[tokio::test]
async fn connect_answers_match_the_schemas() {
    let (document, fakes) = (Document::load(), start().await);
    let client = Client::new(&document, fakes.connect_url());
    let (_, made) = client
        .call("POST", "/_fake/contacts", "", Some(json!({"channel": "VOICE"})))
        .await;
    let call = made["contactId"].as_str().expect("an id");
    let user = json!({"userId": "supervisor-9", "username": "jane.doe"});
    assert_eq!(client.call("POST", "/_fake/users", "", Some(user)).await.0, 201);
    let leg = json!({"contactId": call, "userId": "supervisor-9"});
    let (status, begun) = client.call("POST", "/_fake/legs", "", Some(leg.clone())).await;
    assert_eq!(status, 201);
    assert_eq!(
        client.call("POST", "/_fake/legs", "", Some(leg)).await.0,
        409,
        "one voice call a supervisor"
    );
    let leg = begun["legContactId"].as_str().expect("an id");
    until_connected(fakes.connect(), leg).await;
    let mode = json!({"legContactId": leg, "mode": "BARGE"});
    assert_eq!(
        client
            .call("POST", "/_fake/ccp/{userId}/mode", "supervisor-9", Some(mode))
            .await
            .0,
        204
    );
    assert_eq!(
        client.call("GET", "/_fake/contacts/{contactId}", leg, None).await.1["mode"],
        "BARGE"
    );
    assert_eq!(
        client
            .call("GET", "/_fake/contacts/{contactId}", "unknown", None)
            .await
            .0,
        404
    );
    let (_, other) = client.call("POST", "/_fake/contacts", "", Some(json!({}))).await;
    let other = other["contactId"].as_str().expect("an id");
    let (transfer, to) = ("/_fake/contacts/{contactId}/transfer", json!({"agentId": "agent-2"}));
    let (status, next) = client.call("POST", transfer, other, Some(to.clone())).await;
    assert_eq!(status, 201);
    let (_, view) = client.call("GET", "/_fake/contacts/{contactId}", other, None).await;
    assert_eq!(view["nextContactId"], next["contactId"]);
    assert_eq!(
        client.call("POST", transfer, other, Some(to)).await.0,
        409,
        "it has ended"
    );
    let hold = json!({"onHold": true});
    assert_eq!(
        client
            .call("POST", "/_fake/contacts/{contactId}/hold", call, Some(hold))
            .await
            .0,
        204
    );
    let agent_leaves = "/_fake/contacts/{contactId}/agent-leaves";
    assert_eq!(client.call("POST", agent_leaves, call, None).await.0, 204);
    // The supervisor is the last party now, so leaving ends the customer's call.
    let end = json!({"legContactId": leg});
    assert_eq!(
        client
            .call("POST", "/_fake/ccp/{userId}/end-leg", "supervisor-9", Some(end))
            .await
            .0,
        204
    );
    let (_, ledger) = client.call("GET", "/_fake/ledger", "", None).await;
    assert_eq!(ledger["customerContactsWeEnded"][0]["by"], "LAST_PARTY_LEFT");
    let by = json!({"by": "CUSTOMER"});
    assert_eq!(
        client
            .call("POST", "/_fake/contacts/{contactId}/hang-up", call, Some(by))
            .await
            .0,
        409
    );
    assert_eq!(
        client.call("GET", "/_fake/contacts/{contactId}", call, None).await.1["ended"],
        true
    );
    assert_eq!(
        client
            .call("POST", "/_fake/contacts", "", Some(json!({"chanel": "CHAT"})))
            .await
            .0,
        422
    );
}

#[tokio::test]
async fn browser_and_event_answers_match_the_schemas() {
    let (document, fakes) = (Document::load(), start().await);
    let client = Client::new(&document, fakes.connect_url());
    // Nothing listens on this port, so the browser cannot acknowledge and the tab receives nothing.
    let nowhere = "http://127.0.0.1:9";
    let directive = json!({"sidedoorUrl": nowhere, "directive": {"kind": "END_LEG_IN_CCP", "legContactId": "unknown"}});
    let directives = "/_fake/browser/{userId}/directives";
    let (_, executed) = client.call("POST", directives, "supervisor-1", Some(directive)).await;
    assert_eq!(executed["outcome"], "ALREADY_GONE");
    let tabs = "/_fake/browser/{userId}/tabs";
    let tab = json!({"sidedoorUrl": nowhere, "manners": {"delayMs": 1, "silent": true}});
    assert_eq!(client.call("POST", tabs, "supervisor-1", Some(tab)).await.0, 201);
    assert_eq!(
        client.call("GET", tabs, "supervisor-1", None).await.1,
        json!({"tabs": [{"heard": []}]})
    );
    assert_eq!(client.call("DELETE", tabs, "supervisor-1", None).await.0, 204);
    assert_eq!(
        client.call("GET", tabs, "supervisor-1", None).await.1,
        json!({"tabs": []})
    );
    let forged = json!({"eventType": "COMPLETED", "contactId": "leg-1", "userId": "supervisor-1"});
    let (status, event) = client.call("POST", "/_fake/events/forged", "", Some(forged)).await;
    assert_eq!((status, &event["detail"]["eventType"]), (201, &json!("COMPLETED")));
    let events = json!({"target": format!("{nowhere}/v1/events/connect"), "apiKey": "key-of-the-events", "loss": 1.0});
    let (status, changed) = client.call("PATCH", "/_fake/events", "", Some(events)).await;
    assert_eq!(
        (status, &changed["delayMinMs"], changed.get("apiKey")),
        (200, &json!(100), None)
    );
}

#[tokio::test]
async fn settings_and_fault_answers_match_the_schemas() {
    let (document, fakes) = (Document::load(), start().await);
    for (url, change, member) in [
        (fakes.connect_url(), json!({"connectDelayMs": 7}), "connectDelayMs"),
        (fakes.salesforce_url(), json!({"dailyLimit": 7}), "dailyLimit"),
    ] {
        let client = Client::new(&document, url);
        assert_eq!(
            client.call("PATCH", "/_fake/settings", "", Some(change)).await.1[member],
            7
        );
        assert_eq!(client.call("GET", "/_fake/settings", "", None).await.1[member], 7);
        assert_eq!(
            client
                .call("PATCH", "/_fake/settings", "", Some(json!({"unknown": 1})))
                .await
                .0,
            400
        );
        let fault = json!({"operation": "*", "status": 503, "times": 2, "matching": "one"});
        assert_eq!(client.call("POST", "/_fake/faults", "", Some(fault)).await.0, 201);
        assert_eq!(client.call("GET", "/_fake/faults", "", None).await.1[0]["times"], 2);
        assert_eq!(client.call("DELETE", "/_fake/faults", "", None).await.0, 204);
        assert_eq!(client.call("GET", "/_fake/faults", "", None).await.1, json!([]));
        assert_eq!(
            client
                .call("POST", "/_fake/faults", "", Some(json!({"times": 1})))
                .await
                .0,
            422
        );
    }
}

#[tokio::test]
async fn salesforce_answers_match_the_schemas() {
    let (document, fakes) = (Document::load(), start().await);
    let client = Client::new(&document, fakes.salesforce_url());
    let object =
        document.operation("PUT", "/_fake/objects")["requestBody"]["content"]["application/json"]["example"].clone();
    assert_eq!(client.call("PUT", "/_fake/objects", "", Some(object)).await.0, 204);
    let form = [
        ("grant_type", "client_credentials"),
        ("client_id", "fake-client-id"),
        ("client_secret", "fake-client-secret"),
    ];
    let url = fakes.salesforce_url();
    let login = client
        .http
        .post(format!("{url}/services/oauth2/token"))
        .form(&form)
        .send()
        .await
        .expect("an answer");
    let login: Value = login.json().await.expect("JSON");
    let token = login["access_token"].as_str().expect("a token");
    for (method, path, body) in [
        ("PATCH", "sobjects/Participant__c/Leg_Key__c/leg-1", json!({})),
        (
            "POST",
            "sobjects/Supervisor_Directive__e",
            json!({"Stream_Key__c": "supervisor-1"}),
        ),
    ] {
        let request = client.http.request(
            method.parse().expect("a method"),
            format!("{url}/services/data/v68.0/{path}"),
        );
        let answer = request.bearer_auth(token).json(&body).send().await.expect("an answer");
        assert_eq!(answer.status(), 201, "{path}");
    }
    assert_eq!(
        client.call("GET", "/_fake/written", "", None).await.1[0]["key"],
        "leg-1"
    );
    let (_, events) = client.call("GET", "/_fake/platform-events", "", None).await;
    assert_eq!(events[0]["event"], "Supervisor_Directive__e");
    assert_eq!(
        client.call("GET", "/_fake/usage", "", None).await.1,
        json!({"apiCalls": 2, "logins": 1})
    );
    let user = json!({"Id": "005xx0000012345AAA", "IsActive": true});
    let (_, added) = client.call("POST", "/_fake/rows/{object}", "User", Some(user)).await;
    assert_eq!(added["id"], "005xx0000012345AAA");
    assert_eq!(
        client.call("GET", "/_fake/rows/{object}", "User", None).await.1[0]["IsActive"],
        true
    );
    assert_eq!(client.call("POST", "/_fake/revoke-tokens", "", None).await.0, 204);
    assert_eq!(
        client
            .call("DELETE", "/_fake/objects/{object}", "Participant__c", None)
            .await
            .0,
        204
    );
}
