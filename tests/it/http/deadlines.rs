//! Every answer is sent within 8 s of its request, including authentication and look-ups, because Lightning times out after 10 s.

use std::time::{Duration, Instant};

use serde_json::json;
use sidedoor_fakes::Fault;

use crate::support::app::{OPERATOR, TestApp};
use crate::support::issuer::{Answers, KeyServer, Signer};

const IN_TIME: Duration = Duration::from_secs(8);

#[tokio::test]
async fn deadline_holds_for_user_lookup_without_budget() {
    let app = TestApp::build()
        .set("CONNECT__QUOTAS__DEFAULT__SEARCHUSERS__PER_SECOND", "0.1")
        .set("CONNECT__QUOTAS__DEFAULT__SEARCHUSERS__BURST", "1")
        .start()
        .await;
    let call = app.connect().create_call();
    let listen = async |name: &str| {
        let body = json!({"contactId": call, "supervisor": {"username": name}});
        app.call("POST", "/v1/supervisions").json(&body).send().await
    };
    let first = listen("supervisor-1@example").await;
    assert_eq!(first.status, 201, "{}", first.text);
    let begun = Instant::now();
    let second = listen("supervisor-2@example").await;
    assert!(begun.elapsed() < IN_TIME, "{:?}", begun.elapsed());
    assert_eq!(
        (second.status, second.code()),
        (503, "connect_timeout"),
        "{}",
        second.text
    );
    assert!(second.headers.contains_key("retry-after"));
    assert_eq!(app.connect().calls("MonitorContact"), 1, "only one join was sent");
    app.leave(&first.id(), "supervisor-1").await;
    app.finish().await;
}

/// The issuer's keys, the Salesforce User and MonitorContact are all slow, and share one time limit.
#[tokio::test]
async fn deadline_of_join_includes_authentication() {
    let user = "005000000000001AAA";
    let rsa = Signer::rsa("a");
    let server = KeyServer::start(Answers::SlowKeys(Duration::from_millis(2500), vec![rsa.jwk()])).await;
    let app = TestApp::build()
        .issuer("JWKS_URL", &server.url)
        .set("AUTH__ISSUERS__0__SUPERVISOR_CLAIM_KIND", "salesforce_user_id")
        .set("CONNECT__INSTANCES__MAIN__CALL_TIMEOUT_MS", "20000")
        .start()
        .await;
    let row = json!({"Id": user, "FederationIdentifier": "supervisor-1@example", "IsActive": true});
    app.salesforce()
        .put_row("User", row.as_object().expect("an object").clone());
    app.salesforce().fault(Fault::late("query", 3500));
    app.connect().fault(Fault::late("MonitorContact", 10_000));
    let call = app.connect().create_call();
    let ask = app.call("POST", "/v1/supervisions").key(&rsa.token(user));
    let begun = Instant::now();
    let answer = ask.json(&json!({"contactId": call})).send().await;
    assert!(begun.elapsed() < IN_TIME, "{:?}", begun.elapsed());
    assert_eq!((answer.status, answer.state()), (202, "JOINING"), "{}", answer.text);
    let joined = app
        .until(&answer.id(), "MONITORING", |s| s["state"] == "MONITORING")
        .await;
    assert_eq!(joined["supervisor"]["connectUserId"], "supervisor-1");
    app.leave(&answer.id(), "supervisor-1").await;
    app.finish().await;
}

/// Slow look-ups do not extend the time for the join, because it is counted from the request.
#[tokio::test]
async fn deadline_of_join_counts_from_request() {
    let app = TestApp::build().set("SUPERVISION__JOIN_TTL_S", "2").start().await;
    app.connect().fault(Fault::late("SearchUsers", 2500));
    let call = app.connect().create_call();
    let body = json!({"contactId": call, "supervisor": {"username": "supervisor-1@example"}});
    let late = app.call("POST", "/v1/supervisions").json(&body).send().await;
    assert_eq!((late.status, late.code()), (503, "join_timeout"), "{}", late.text);
    assert_eq!(app.connect().calls("MonitorContact"), 0);
    app.finish().await;
}

#[tokio::test]
async fn deadline_holds_for_probe_of_silent_endpoint() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", silent.local_addr().expect("an address"));
    let app = TestApp::build()
        .set("CONNECT__INSTANCES__MAIN__ENDPOINT_URL", &url)
        .set("HTTP__ANSWER_WITHIN_MS", "3000")
        .start()
        .await;
    let begun = Instant::now();
    let probe = app.call("POST", "/v1/vendors/amazon-connect/probes").key(OPERATOR);
    let answer = probe.json(&json!({"count": 6})).send().await;
    assert_eq!(
        (answer.status, answer.code()),
        (502, "connect_date_unavailable"),
        "{}",
        answer.text
    );
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    app.finish().await;
}
