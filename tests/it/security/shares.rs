//! What one caller names, asks for and stores uses up its own share: look-ups at the vendors, tickets and idempotency keys.

use std::time::Duration;

use serde_json::{Value, json};
use sidedoor_fakes::Fault;

use crate::support::app::{Answer, BACK_END, OPERATOR, SUPERVISOR_1, TestApp, start};
use crate::support::issuer::{Answers, KeyServer, Signer};
use crate::support::sql;

/// A key of supervisor-1 that also sees the board.
const BOARD_1: &str = "key-of-supervisor-1-b";

async fn ask(app: &TestApp, key: &str, body: &Value) -> Answer {
    app.call("POST", "/v1/supervisions").key(key).json(body).send().await
}

#[tokio::test]
async fn names_of_others_cause_no_look_up() {
    let app = TestApp::build()
        .set("HTTP__RATE_PER_SUPERVISOR_BURST", "1000")
        .start()
        .await;
    let call = app.connect().create_call();
    for n in 0..40 {
        let body = json!({"contactId": call, "supervisor": {"username": format!("made-up-{n}@example")}});
        let refused = ask(&app, SUPERVISOR_1, &body).await;
        assert_eq!((refused.status, refused.code()), (403, "action_forbidden"));
        let body = json!({"contactId": call, "salesforceUserId": format!("005{n:012}AAA")});
        let refused = ask(&app, SUPERVISOR_1, &body).await;
        assert_eq!((refused.status, refused.code()), (403, "action_forbidden"));
    }
    assert_eq!(app.connect().calls("SearchUsers"), 0);
    assert!(
        app.connect().calls("DescribeUser") <= 1,
        "the caller's own user is looked up once"
    );
    let asked = app.salesforce().api_calls();
    assert!(
        asked <= 3,
        "Salesforce is asked once who is linked to the caller: {asked}"
    );
    app.assert_invariants().await;
}

#[tokio::test]
async fn own_names_are_accepted_and_looked_up_once() {
    let app = TestApp::start().await;
    let Value::Object(row) = json!({"Id": "005000000000001AAA", "FederationIdentifier": "supervisor-1@example",
        "IsActive": true})
    else {
        unreachable!("an object")
    };
    app.salesforce().put_row("User", row);
    let call = app.connect().create_call();
    let body = json!({"contactId": call, "salesforceUserId": "005000000000001",
        "supervisor": {"username": "Supervisor-1@Example"}});
    let started = ask(&app, SUPERVISOR_1, &body).await;
    assert_eq!(started.status, 201, "{}", started.text);
    assert_eq!(started.body["supervisor"]["salesforceUserId"], "005000000000001");
    for _ in 0..5 {
        assert_eq!(ask(&app, SUPERVISOR_1, &body).await.status, 200);
    }
    assert_eq!(app.connect().calls("SearchUsers"), 0);
    assert_eq!(app.connect().calls("DescribeUser"), 1);
    app.leave(&started.id(), "supervisor-1").await;
    app.finish().await;
}

#[tokio::test]
async fn unknown_names_are_looked_up_once() {
    let app = TestApp::start().await;
    let call = app.connect().create_call();
    for _ in 0..5 {
        let body = json!({"contactId": call, "supervisor": {"username": "Nobody@example"}});
        let unknown = ask(&app, BACK_END, &body).await;
        assert_eq!((unknown.status, unknown.code()), (404, "supervisor_not_found"));
    }
    assert_eq!(app.connect().calls("SearchUsers"), 1);
    app.assert_invariants().await;
}

#[tokio::test]
async fn look_ups_of_one_caller_leave_the_budget_to_others() {
    let rsa = Signer::rsa("a");
    let server = KeyServer::start(Answers::Keys(vec![rsa.jwk()])).await;
    let app = TestApp::build()
        .issuer("JWKS_URL", &server.url)
        .set("AUTH__ISSUERS__0__SUPERVISOR_CLAIM_KIND", "connect_username")
        .set("CONNECT__QUOTAS__DEFAULT__SEARCHUSERS__PER_SECOND", "4")
        .set("CONNECT__QUOTAS__DEFAULT__SEARCHUSERS__BURST", "4")
        .start()
        .await;
    let (app, call) = (&app, app.connect().create_call());
    let flood = (0..60).map(|n| {
        let body = json!({"contactId": call, "supervisor": {"username": format!("made-up-{n}@example")}});
        async move { ask(app, BACK_END, &body).await.status }
    });
    let colleague = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let token = rsa.token("supervisor-2@example");
        let left = app
            .call("POST", "/v1/supervisors/me/disconnect")
            .key(&token)
            .send()
            .await;
        assert_eq!(
            (left.status, left.code()),
            (404, "supervision_not_found"),
            "{}",
            left.text
        );
        left
    };
    let flood = futures::future::join_all(flood);
    tokio::select! {
        _ = flood => panic!("the flood is over before the colleague has left"),
        _ = colleague => {}
    }
}

#[tokio::test]
async fn starts_on_agents_ask_connect_a_few_at_a_time() {
    let app = TestApp::build()
        .set("AUTH__API_KEYS__10__NAME", "supervisor-1-board")
        .set("AUTH__API_KEYS__10__SECRET", BOARD_1)
        .set("AUTH__API_KEYS__10__SCOPES", "supervise,board")
        .set("AUTH__API_KEYS__10__SUPERVISOR", "supervisor-1")
        .start()
        .await;
    app.connect().fault(Fault::late("GetCurrentUserData", 400).times(1000));
    let app = &app;
    let starts = (0..30).map(|n| async move {
        ask(app, BOARD_1, &json!({"agentUserId": format!("nobody-{n}")}))
            .await
            .status
    });
    let starts = futures::future::join_all(starts);
    let _ = tokio::time::timeout(Duration::from_millis(1900), starts).await;
    let calls = app.connect().calls("GetCurrentUserData");
    assert!(calls <= 12, "two at a time, each for 0.4 s: {calls}");
}

#[tokio::test]
async fn tickets_are_counted_and_audited_once_an_hour() {
    let app = TestApp::start().await;
    let mut tickets = Vec::new();
    for _ in 0..30 {
        let issued = app
            .call("POST", "/v1/supervisors/me/tickets")
            .key(SUPERVISOR_1)
            .send()
            .await;
        assert_eq!(issued.status, 201, "{}", issued.text);
        tickets.push(issued.body["ticket"].as_str().expect("a ticket").to_owned());
    }
    let lines = "SELECT outcome FROM audit WHERE action = 'ticket.issued'";
    let lines = sql(&app.store_path(), lines).await.expect("read");
    assert_eq!(lines, [["for supervisor-1"]]);
    let told = app.call("GET", "/metrics").key(OPERATOR).send().await.text;
    assert!(told.contains("sidedoor_tickets_issued_total 30"), "{told}");
    let redeemed = async |ticket: &str| {
        let path = format!("/v1/supervisors/supervisor-1/directives?ticket={ticket}");
        app.call("GET", &path).anonymous().send().await.status
    };
    assert_eq!(redeemed(&tickets[9]).await, 401, "a supervisor has 20 tickets at most");
    assert_eq!(redeemed(&tickets[10]).await, 200);
    assert_eq!(redeemed(&tickets[29]).await, 200);
    app.finish().await;
}

#[tokio::test]
async fn idempotency_keys_of_one_caller_are_limited() {
    let app = TestApp::build()
        .set("RETENTION__IDEMPOTENCY_KEYS_PER_SUPERVISOR", "3")
        .start()
        .await;
    let call = app.connect().create_call();
    let with = async |key: &str, name: &str, body: &Value| {
        app.call("POST", "/v1/supervisions")
            .key(key)
            .json(body)
            .idempotency(name)
            .send()
            .await
    };
    let body = start(&call, "supervisor-1");
    let first = with(SUPERVISOR_1, "key-0", &body).await;
    assert_eq!(first.status, 201, "{}", first.text);
    for n in 1..3 {
        assert_eq!(with(SUPERVISOR_1, &format!("key-{n}"), &body).await.status, 200);
    }
    let refused = with(SUPERVISOR_1, "key-3", &body).await;
    assert_eq!(
        (refused.status, refused.code()),
        (429, "rate_limit_reached"),
        "{}",
        refused.text
    );
    assert!(refused.headers.contains_key("retry-after"));
    let repeat = with(SUPERVISOR_1, "key-0", &body).await;
    assert_eq!(
        (repeat.status, &repeat.text),
        (201, &first.text),
        "a repeat is answered"
    );
    assert_eq!(ask(&app, SUPERVISOR_1, &body).await.status, 200, "without a key");
    let other = with(BACK_END, "key-3", &body).await;
    assert_eq!(other.status, 200, "another caller has keys of its own: {}", other.text);
    let path = format!("/v1/supervisions/{}/disconnect", first.id());
    let leave = app
        .call("POST", &path)
        .key(SUPERVISOR_1)
        .idempotency("key-4")
        .send()
        .await;
    assert_eq!(leave.status, 202, "a disconnect is never refused: {}", leave.text);
    app.browser("supervisor-1").obey(&leave.body["nextAction"]).await;
    app.until_left(&first.id()).await;
    let kept = "SELECT COUNT(*) FROM idempotency_keys WHERE caller = 'supervisor-1'";
    assert_eq!(sql(&app.store_path(), kept).await.expect("read"), [["3"]]);
    app.finish().await;
}
