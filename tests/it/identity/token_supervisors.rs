//! Whom a token names: by Connect user id, by user name, or by their Salesforce User; and what follows for a start.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sidedoor_fakes::Fault;

use crate::support::app::{Answer, BACK_END, SUPERVISOR_1, TestApp, TestAppBuilder, start};
use crate::support::issuer::{Answers, KeyServer, Signer, claims};

const FOREIGNER: &str = "005000000000009AAA";
const USER: &str = "005000000000001AAA";

async fn app(kind: &str, change: impl FnOnce(TestAppBuilder) -> TestAppBuilder) -> (TestApp, Signer) {
    let rsa = Signer::rsa("a");
    let server = KeyServer::start(Answers::Keys(vec![rsa.jwk()])).await;
    let built = TestApp::build()
        .issuer("JWKS_URL", &server.url)
        .set("AUTH__ISSUERS__0__SUPERVISOR_CLAIM_KIND", kind);
    (change(built).start().await, rsa)
}

fn same(built: TestAppBuilder) -> TestAppBuilder {
    built
}

async fn ask(app: &TestApp, token: &str, body: &Value) -> Answer {
    app.call("POST", "/v1/supervisions").key(token).json(body).send().await
}

async fn me(app: &TestApp, token: &str) -> Answer {
    app.call("GET", "/v1/supervisors/me/directives").key(token).send().await
}

fn salesforce_user(app: &TestApp, id: &str, username: Option<&str>, active: bool) {
    let Value::Object(row) = json!({"Id": id, "FederationIdentifier": username, "IsActive": active}) else {
        unreachable!("an object")
    };
    app.salesforce().put_row("User", row);
}

#[tokio::test]
async fn a_user_name_is_looked_up_once_however_many_ask_at_once() {
    let (app, rsa) = app("connect_username", same).await;
    let token = rsa.token("Supervisor-1@Example");
    let all = futures::future::join_all((0..12).map(|_| me(&app, &token))).await;
    assert!(all.iter().all(|a| a.status == 200), "{all:?}");
    assert_eq!(app.connect().calls("SearchUsers"), 1);
    let call = app.connect().create_call();
    let begun = ask(&app, &token, &json!({"contactId": call})).await;
    assert_eq!(begun.status, 201, "{}", begun.text);
    assert_eq!(begun.body["supervisor"]["connectUserId"], "supervisor-1");
    app.leave(&begun.id(), "supervisor-1").await;
    app.finish().await;
}

#[tokio::test]
async fn a_name_that_leads_nowhere_is_told_and_not_asked_about_again_at_once() {
    let (app, rsa) = app("connect_username", same).await;
    for user in ["twin-1", "twin-2"] {
        app.connect().name_user(user, "twin@example");
    }
    for name in ["nobody@example", "twin@example"] {
        let token = rsa.token(name);
        let before = app.connect().calls("SearchUsers");
        for _ in 0..3 {
            let answer = me(&app, &token).await;
            assert_eq!(
                (answer.status, answer.code()),
                (403, "supervisor_link_invalid"),
                "{name}"
            );
            assert!(!answer.text.contains(name), "{}", answer.text);
        }
        assert_eq!(app.connect().calls("SearchUsers"), before + 1, "{name}");
    }
    app.finish().await;
}

#[tokio::test]
async fn a_vendor_that_is_down_locks_nobody_out_who_was_known() {
    let (app, rsa) = app("connect_username", |b| b.set("SUPERVISION__USERNAMES_S", "1")).await;
    let (known, unknown) = (rsa.token("supervisor-1@example"), rsa.token("supervisor-2@example"));
    assert_eq!(me(&app, &known).await.status, 200);
    tokio::time::sleep(Duration::from_millis(2200)).await;
    let down = Fault::error("SearchUsers", 500, "InternalServiceException");
    app.connect().fault(down.times(1000));
    let refused = me(&app, &unknown).await;
    assert_eq!(
        (refused.status, refused.code()),
        (503, "supervisor_lookup_unavailable"),
        "{}",
        refused.text
    );
    assert!(refused.headers.contains_key("retry-after"));
    assert_eq!(me(&app, &known).await.status, 200, "what was found last stands");
    assert!(app.connect().calls("SearchUsers") >= 3, "it was asked again");
    app.finish().await;
}

#[tokio::test]
async fn a_salesforce_user_is_the_connect_user_of_their_record_and_stands_in_the_row() {
    let (app, rsa) = app("salesforce_user_id", same).await;
    salesforce_user(&app, USER, Some("supervisor-1@example"), true);
    let token = rsa.token(USER);
    let call = app.connect().create_call();
    let begun = ask(&app, &token, &json!({"contactId": call})).await;
    assert_eq!(begun.status, 201, "{}", begun.text);
    assert_eq!(begun.body["supervisor"]["connectUserId"], "supervisor-1");
    assert_eq!(begun.body["supervisor"]["salesforceUserId"], USER, "the token's");
    let left = app.leave(&begun.id(), "supervisor-1").await;
    app.until_written(&begun.id()).await;
    let row = app.record(left["legContactId"].as_str().expect("a leg"));
    assert_eq!(row["Supervisor__c"], USER);
    // An id of 15 characters means the same User.
    assert_eq!(me(&app, &rsa.token(&USER[..15])).await.status, 200);
    app.finish().await;
}

#[tokio::test]
async fn nobody_listens_in_the_name_of_another_salesforce_user() {
    let (app, rsa) = app("salesforce_user_id", same).await;
    salesforce_user(&app, USER, Some("supervisor-1@example"), true);
    let (token, call) = (rsa.token(USER), app.connect().create_call());
    let body = |user: &str| json!({"contactId": call, "salesforceUserId": user});
    let forged = ask(&app, &token, &body(FOREIGNER)).await;
    assert_eq!(
        (forged.status, forged.code()),
        (403, "action_forbidden"),
        "{}",
        forged.text
    );
    let own = ask(&app, &token, &body(&USER[..15])).await;
    assert_eq!(own.status, 201, "{}", own.text);
    app.leave(&own.id(), "supervisor-1").await;
    app.finish().await;
}

/// A credential that names no Salesforce User itself: whose Connect user the given one is, Salesforce is asked.
#[tokio::test]
async fn a_salesforce_user_that_the_credential_does_not_name_is_the_supervisors_by_salesforces_word() {
    for kind in ["connect_user_id", "connect_username"] {
        let (app, rsa) = app(kind, same).await;
        salesforce_user(&app, USER, Some("Supervisor-1@Example"), true);
        salesforce_user(&app, FOREIGNER, Some("supervisor-2@example"), true);
        salesforce_user(&app, "005000000000002AAA", None, true);
        let named = if kind == "connect_user_id" {
            "supervisor-1"
        } else {
            "supervisor-1@example"
        };
        for credential in [rsa.token(named), SUPERVISOR_1.to_owned()] {
            let call = app.connect().create_call();
            let body = |user: &str| json!({"contactId": call, "salesforceUserId": user});
            for forged in [FOREIGNER, "005000000000002AAA", "005000000000008AAA"] {
                let refused = ask(&app, &credential, &body(forged)).await;
                assert_eq!(
                    (refused.status, refused.code()),
                    (403, "action_forbidden"),
                    "{kind} {forged}"
                );
            }
            let own = ask(&app, &credential, &body(USER)).await;
            assert_eq!(own.status, 201, "{kind}: {}", own.text);
            assert_eq!(own.body["supervisor"]["salesforceUserId"], USER);
            app.leave(&own.id(), "supervisor-1").await;
        }
        // A back end that may act as anyone says whose it is.
        let call = app.connect().create_call();
        let mut body = start(&call, "supervisor-1");
        body["salesforceUserId"] = json!(FOREIGNER);
        let trusted = ask(&app, BACK_END, &body).await;
        assert_eq!(trusted.status, 201, "{}", trusted.text);
        app.leave(&trusted.id(), "supervisor-1").await;
        app.finish().await;
    }
}

/// Salesforce does not say: nobody is put into the record on a caller's word, and the answer comes in time.
#[tokio::test]
async fn a_salesforce_that_cannot_say_whose_user_it_is_has_nobody_recorded() {
    let (app, rsa) = app("connect_user_id", same).await;
    salesforce_user(&app, USER, Some("supervisor-1@example"), true);
    let call = app.connect().create_call();
    let body = json!({"contactId": call, "salesforceUserId": USER});
    app.salesforce().fault(Fault::late("query", 20_000));
    let begun = Instant::now();
    let refused = ask(&app, &rsa.token("supervisor-1"), &body).await;
    assert_eq!(
        (refused.status, refused.code()),
        (503, "supervisor_lookup_unavailable"),
        "{}",
        refused.text
    );
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    assert_eq!(app.connect().calls("MonitorContact"), 0);
    app.finish().await;
}

#[tokio::test]
async fn a_salesforce_user_without_a_connect_user_is_told_so() {
    let (app, rsa) = app("salesforce_user_id", same).await;
    salesforce_user(&app, USER, None, true);
    salesforce_user(&app, "005000000000002AAA", Some("supervisor-1@example"), false);
    salesforce_user(&app, "005000000000003AAA", Some("nobody@example"), true);
    for (user, why) in [
        (USER, "has no user name"),
        ("005000000000002AAA", "is not active"),
        ("005000000000003AAA", "is nobody in Connect"),
        (FOREIGNER, "does not exist"),
        ("supervisor-1", "is no id"),
        ("x'OR+Name!='", "is no id"),
    ] {
        let answer = me(&app, &rsa.token(user)).await;
        assert_eq!(
            (answer.status, answer.code()),
            (403, "supervisor_link_invalid"),
            "{why}"
        );
    }
    let call = app.connect().create_call();
    let begun = ask(&app, &rsa.token(USER), &json!({"contactId": call})).await;
    assert_eq!((begun.status, begun.code()), (403, "supervisor_link_invalid"));
    app.finish().await;
}

#[tokio::test]
async fn a_salesforce_that_is_down_or_slow_is_told_as_such_and_in_time() {
    let (app, rsa) = app("salesforce_user_id", same).await;
    salesforce_user(&app, USER, Some("supervisor-1@example"), true);
    for fault in [
        Fault::error("query", 503, "SERVER_UNAVAILABLE").times(1),
        Fault::late("query", 20_000).times(1),
    ] {
        app.salesforce().fault(fault);
        let begun = Instant::now();
        let answer = me(&app, &rsa.token(USER)).await;
        assert_eq!(
            (answer.status, answer.code()),
            (503, "supervisor_lookup_unavailable"),
            "{}",
            answer.text
        );
        assert!(begun.elapsed() < Duration::from_secs(7), "{:?}", begun.elapsed());
        app.salesforce().clear_faults();
        // Asked again, not answered from memory.
        tokio::time::sleep(Duration::from_millis(2200)).await;
    }
    app.finish().await;
}

#[tokio::test]
async fn a_salesforce_that_is_down_is_not_asked_by_every_request() {
    let (app, rsa) = app("salesforce_user_id", same).await;
    salesforce_user(&app, USER, Some("supervisor-1@example"), true);
    app.salesforce()
        .fault(Fault::error("query", 503, "SERVER_UNAVAILABLE").times(1000));
    let (token, begun) = (rsa.token(USER), Instant::now());
    assert_eq!(me(&app, &token).await.status, 503);
    let before = app.salesforce().api_calls();
    let mut asked = 0;
    while begun.elapsed() < Duration::from_millis(1500) {
        assert_eq!(me(&app, &token).await.status, 503);
        asked += 1;
        // Slower than a supervisor's rate allows.
        tokio::time::sleep(Duration::from_millis(40)).await;
    }
    assert!(asked > 10, "{asked}");
    assert_eq!(app.salesforce().api_calls(), before, "it was asked a moment ago");
    app.salesforce().clear_faults();
    tokio::time::sleep(Duration::from_millis(2200)).await;
    assert_eq!(me(&app, &token).await.status, 200);
    app.finish().await;
}

#[tokio::test]
async fn another_claim_and_another_field_may_name_the_supervisor() {
    let (app, rsa) = app("salesforce_user_id", |b| {
        b.set("AUTH__ISSUERS__0__SUPERVISOR_CLAIM", "https://acme.example/user")
            .set("SALESFORCE__CONNECT_USERNAME_FIELD", "Username")
    })
    .await;
    let Value::Object(row) = json!({"Id": USER, "Username": "supervisor-2@example", "IsActive": true}) else {
        unreachable!("an object")
    };
    app.salesforce().put_row("User", row);
    let mut named = claims("somebody-else");
    named["https://acme.example/user"] = json!(USER);
    let ticket = app.call("POST", "/v1/supervisors/me/tickets").key(&rsa.sign(&named));
    assert_eq!(ticket.send().await.body["connectUserId"], "supervisor-2");
    assert_eq!(
        me(&app, &rsa.token(USER)).await.status,
        401,
        "sub is not the claim here"
    );
    app.finish().await;
}

#[tokio::test]
async fn without_a_supervisor_the_credential_names_one_or_the_answer_says_what_is_missing() {
    let (app, rsa) = app("connect_user_id", |b| {
        b.set("AUTH__ISSUERS__0__SCOPES", "supervise:any")
    })
    .await;
    let call = app.connect().create_call();
    let bare = json!({"contactId": call});
    let unnamed = ask(&app, BACK_END, &bare).await;
    assert_eq!((unnamed.status, unnamed.code()), (422, "supervisor_required"));
    // A token of a trusted back end names its own supervisor, and may name another.
    let token = rsa.token("supervisor-1");
    let own = ask(&app, &token, &bare).await;
    assert_eq!(
        (own.status, &own.body["supervisor"]["connectUserId"]),
        (201, &json!("supervisor-1"))
    );
    let other = ask(&app, &token, &start(&call, "supervisor-2")).await;
    assert_eq!(
        (other.status, &other.body["supervisor"]["connectUserId"]),
        (201, &json!("supervisor-2"))
    );
    // One that names nobody in Connect may still act as anyone by name.
    let nobody = rsa.token("no/such/user");
    let unbound = ask(&app, &nobody, &bare).await;
    assert_eq!((unbound.status, unbound.code()), (403, "supervisor_link_invalid"));
    let named = ask(&app, &nobody, &start(&call, "supervisor-1")).await;
    assert_eq!((named.status, named.id()), (200, own.id()), "{}", named.text);
    for (id, user) in [(own.id(), "supervisor-1"), (other.id(), "supervisor-2")] {
        app.leave(&id, user).await;
    }
    app.finish().await;
}
