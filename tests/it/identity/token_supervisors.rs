//! A token names its supervisor by Connect user id, by user name or by Salesforce User. The supervisor that it resolves to decides which
//! supervisions the token may start.

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
async fn token_user_name_is_looked_up_once_for_concurrent_requests() {
    let (app, rsa) = app("connect_username", same).await;
    let token = rsa.token("Supervisor-1@Example");
    let all = futures::future::join_all((0..12).map(|_| me(&app, &token))).await;
    assert!(all.iter().all(|a| a.status == 200), "{all:?}");
    assert_eq!(app.connect().calls("SearchUsers"), 1);
    let call = app.connect().create_call();
    let started = ask(&app, &token, &json!({"contactId": call})).await;
    assert_eq!(started.status, 201, "{}", started.text);
    assert_eq!(started.body["supervisor"]["connectUserId"], "supervisor-1");
    app.leave(&started.id(), "supervisor-1").await;
    app.finish().await;
}

#[tokio::test]
async fn token_unknown_or_ambiguous_user_name_is_cached_and_403() {
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
async fn token_user_known_earlier_is_accepted_while_connect_is_down() {
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
    assert_eq!(
        me(&app, &known).await.status,
        200,
        "the cached user is used while Connect is down"
    );
    assert!(
        app.connect().calls("SearchUsers") >= 3,
        "the expired entry was looked up again"
    );
    app.finish().await;
}

#[tokio::test]
async fn token_salesforce_user_is_resolved_and_written_to_record() {
    let (app, rsa) = app("salesforce_user_id", same).await;
    salesforce_user(&app, USER, Some("supervisor-1@example"), true);
    let token = rsa.token(USER);
    let call = app.connect().create_call();
    let started = ask(&app, &token, &json!({"contactId": call})).await;
    assert_eq!(started.status, 201, "{}", started.text);
    assert_eq!(started.body["supervisor"]["connectUserId"], "supervisor-1");
    assert_eq!(
        started.body["supervisor"]["salesforceUserId"], USER,
        "the User of the token"
    );
    let left = app.leave(&started.id(), "supervisor-1").await;
    app.until_written(&started.id()).await;
    let row = app.record(left["legContactId"].as_str().expect("a leg"));
    assert_eq!(row["Supervisor__c"], USER);
    // An id of 15 characters means the same User.
    assert_eq!(me(&app, &rsa.token(&USER[..15])).await.status, 200);
    app.finish().await;
}

#[tokio::test]
async fn token_salesforce_user_cannot_start_as_another_user() {
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

/// If the credential names no Salesforce User, Salesforce is asked whether the User in the body is the supervisor's.
#[tokio::test]
async fn start_salesforce_user_must_belong_to_supervisor() {
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
        // A back end with `supervise:any` is trusted, so its Salesforce User is not verified.
        let call = app.connect().create_call();
        let mut body = start(&call, "supervisor-1");
        body["salesforceUserId"] = json!(FOREIGNER);
        let trusted = ask(&app, BACK_END, &body).await;
        assert_eq!(trusted.status, 201, "{}", trusted.text);
        app.leave(&trusted.id(), "supervisor-1").await;
        app.finish().await;
    }
}

/// If Salesforce does not answer, the start is refused in time, because otherwise an unverified User would be written to the record.
#[tokio::test]
async fn start_is_503_if_salesforce_user_cannot_be_verified() {
    let (app, rsa) = app("connect_user_id", same).await;
    salesforce_user(&app, USER, Some("supervisor-1@example"), true);
    let call = app.connect().create_call();
    let body = json!({"contactId": call, "salesforceUserId": USER});
    app.salesforce().fault(Fault::late("query", 20_000));
    let started = Instant::now();
    let refused = ask(&app, &rsa.token("supervisor-1"), &body).await;
    assert_eq!(
        (refused.status, refused.code()),
        (503, "supervisor_lookup_unavailable"),
        "{}",
        refused.text
    );
    assert!(started.elapsed() < Duration::from_secs(8), "{:?}", started.elapsed());
    assert_eq!(app.connect().calls("MonitorContact"), 0);
    app.finish().await;
}

#[tokio::test]
async fn token_salesforce_user_without_connect_user_is_403() {
    let (app, rsa) = app("salesforce_user_id", same).await;
    salesforce_user(&app, USER, None, true);
    salesforce_user(&app, "005000000000002AAA", Some("supervisor-1@example"), false);
    salesforce_user(&app, "005000000000003AAA", Some("nobody@example"), true);
    for (user, why) in [
        (USER, "has no user name"),
        ("005000000000002AAA", "is not active"),
        ("005000000000003AAA", "has a name unknown to Connect"),
        (FOREIGNER, "does not exist"),
        ("supervisor-1", "is not an id"),
        ("x'OR+Name!='", "is not an id"),
    ] {
        let answer = me(&app, &rsa.token(user)).await;
        assert_eq!(
            (answer.status, answer.code()),
            (403, "supervisor_link_invalid"),
            "{why}"
        );
    }
    let call = app.connect().create_call();
    let started = ask(&app, &rsa.token(USER), &json!({"contactId": call})).await;
    assert_eq!((started.status, started.code()), (403, "supervisor_link_invalid"));
    app.finish().await;
}

#[tokio::test]
async fn token_lookup_in_slow_or_failed_salesforce_is_503_in_time() {
    let (app, rsa) = app("salesforce_user_id", same).await;
    salesforce_user(&app, USER, Some("supervisor-1@example"), true);
    for fault in [
        Fault::error("query", 503, "SERVER_UNAVAILABLE").times(1),
        Fault::late("query", 20_000).times(1),
    ] {
        app.salesforce().fault(fault);
        let started = Instant::now();
        let answer = me(&app, &rsa.token(USER)).await;
        assert_eq!(
            (answer.status, answer.code()),
            (503, "supervisor_lookup_unavailable"),
            "{}",
            answer.text
        );
        assert!(started.elapsed() < Duration::from_secs(7), "{:?}", started.elapsed());
        app.salesforce().clear_faults();
        // After this time the failure is no longer cached, so Salesforce is asked again.
        tokio::time::sleep(Duration::from_millis(2200)).await;
    }
    app.finish().await;
}

#[tokio::test]
async fn token_lookup_failure_in_salesforce_is_cached_briefly() {
    let (app, rsa) = app("salesforce_user_id", same).await;
    salesforce_user(&app, USER, Some("supervisor-1@example"), true);
    app.salesforce()
        .fault(Fault::error("query", 503, "SERVER_UNAVAILABLE").times(1000));
    let (token, started) = (rsa.token(USER), Instant::now());
    assert_eq!(me(&app, &token).await.status, 503);
    let before = app.salesforce().api_calls();
    let mut asked = 0;
    while started.elapsed() < Duration::from_millis(1500) {
        assert_eq!(me(&app, &token).await.status, 503);
        asked += 1;
        // Stays below the rate limit of a supervisor.
        tokio::time::sleep(Duration::from_millis(40)).await;
    }
    assert!(asked > 10, "{asked}");
    assert_eq!(app.salesforce().api_calls(), before, "the failure is cached");
    app.salesforce().clear_faults();
    tokio::time::sleep(Duration::from_millis(2200)).await;
    assert_eq!(me(&app, &token).await.status, 200);
    app.finish().await;
}

#[tokio::test]
async fn token_claim_and_salesforce_field_are_configurable() {
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
        "`sub` is not the configured claim"
    );
    app.finish().await;
}

#[tokio::test]
async fn start_without_supervisor_uses_the_credentials_supervisor() {
    let (app, rsa) = app("connect_user_id", |b| {
        b.set("AUTH__ISSUERS__0__SCOPES", "supervise:any")
    })
    .await;
    let call = app.connect().create_call();
    let bare = json!({"contactId": call});
    let unnamed = ask(&app, BACK_END, &bare).await;
    assert_eq!((unnamed.status, unnamed.code()), (422, "supervisor_required"));
    // A token with `supervise:any` starts for its own supervisor by default, and for another if the body names one.
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
    // A token without a Connect user has no default supervisor, but it may still name any in the body.
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
