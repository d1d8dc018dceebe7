//! The errors of MonitorContact: stable code, status, and whether Sidedoor retries.

use std::collections::BTreeSet;

use serde_json::Value;
use sidedoor_fakes::Fault;

use crate::support::app::{SUPERVISOR_1, TestApp, start};

#[tokio::test]
async fn monitor_contact_rejection_has_stable_code() {
    let app = TestApp::build().set("SUPERVISION__JOIN_TTL_S", "1").start().await;
    let credentials = "AWS rejected Sidedoor's credentials (403). An operator must renew them.";
    let clock = "AWS rejected the time of the request (403): the clock of Sidedoor's machine is wrong. An operator must synchronize \
                 it, with chrony or systemd-timesyncd.";
    // What a caller reads: Connect's words about the request, but no words that may name AWS's account or role.
    let table = [
        (
            400,
            "InvalidRequestException",
            "One or more of the input parameters are invalid",
            422,
            "connect_request_invalid",
            "Connect answered 400: One or more of the input parameters are invalid",
        ),
        (
            400,
            "InvalidRequestException",
            "Monitoring failed, please enable call recording",
            422,
            "connect_monitoring_unsupported",
            "Connect answered 400: Monitoring failed, please enable call recording",
        ),
        (
            400,
            "ValidationException",
            "1 validation error detected",
            422,
            "connect_parameter_invalid",
            "Connect answered 400: 1 validation error detected",
        ),
        (
            403,
            "AccessDeniedException",
            "You do not have access to the agent",
            502,
            "connect_access_forbidden",
            "Connect answered 403: You do not have access to the agent",
        ),
        (
            403,
            "AccessDeniedException",
            "User: arn:aws:sts::111122223333:assumed-role/sidedoor-prod/i-1 is not authorized to perform: connect:MonitorContact",
            502,
            "connect_access_forbidden",
            "AWS denied Sidedoor access (403). An operator must check the policy of Sidedoor's role.",
        ),
        (
            404,
            "ResourceNotFoundException",
            "not found",
            404,
            "connect_resource_not_found",
            "Connect answered 404: not found",
        ),
        (
            409,
            "IdempotencyException",
            "used",
            409,
            "connect_idempotency_conflict",
            "Connect answered 409: used",
        ),
        (
            402,
            "ServiceQuotaExceededException",
            "full",
            409,
            "connect_quota_limit_reached",
            "Connect answered 402: full. No other supervisor is known on this contact. Is the supervisor's Contact Control Panel \
             (CCP) open and logged in? Connect answers like this when it is closed.",
        ),
        (
            403,
            "UnrecognizedClientException",
            "invalid",
            502,
            "connect_credentials_invalid",
            credentials,
        ),
        (
            403,
            "ExpiredTokenException",
            "expired",
            502,
            "connect_credentials_invalid",
            credentials,
        ),
        (
            403,
            "RequestTimeTooSkewed",
            "skewed",
            502,
            "connect_clock_invalid",
            clock,
        ),
        (403, "RequestExpired", "expired", 502, "connect_clock_invalid", clock),
        (
            403,
            "InvalidSignatureException",
            "Signature expired: 20261128T200000Z is now earlier than 20261128T201000Z (20261128T201500Z - 5 min.)",
            502,
            "connect_clock_invalid",
            clock,
        ),
        (
            400,
            "InvalidActiveRegionException",
            "The active region is us-east-1",
            502,
            "connect_region_invalid",
            "Connect answered 400: the instance is not active in this Region. An operator must check region and replica_region of \
             the instance.",
        ),
        (
            418,
            "SomethingNewException",
            "new",
            502,
            "connect_request_rejected",
            "Connect answered 418.",
        ),
    ];
    for (status, code, message, answered, stable, told) in table {
        let call = app.connect().create_call();
        app.connect()
            .fault(Fault::error("MonitorContact", status, code).saying(message));
        let before = app.connect().calls("MonitorContact");
        let answer = app.listen(&call, "supervisor-1").await;
        assert_eq!(
            (answer.status, answer.code()),
            (answered, stable),
            "{code}: {}",
            answer.text
        );
        assert_eq!(answer.body["detail"], told, "{code}");
        assert_eq!(
            app.connect().calls("MonitorContact"),
            before + 1,
            "{code} is not retried"
        );
        let failed = app.get(answer.body["supervisionId"].as_str().expect("named")).await;
        assert_eq!(
            (failed.state(), &failed.body["failure"]["code"]),
            ("FAILED", &serde_json::json!(stable))
        );
    }
    app.finish().await;
}

/// The errors that AWS's service model has for the operations that are called, from the table that a script takes from botocore.
#[test]
fn every_error_of_the_service_model_is_known_and_documented() {
    let table: Value = serde_json::from_str(include_str!(
        "../../../crates/sidedoor-fakes/src/connect/constraints.json"
    ))
    .expect("JSON");
    let operations = table["operations"].as_object().expect("operations");
    let errors = operations
        .values()
        .filter_map(|operation| operation["errors"].as_array());
    let errors: BTreeSet<&str> = errors.flatten().filter_map(Value::as_str).collect();
    assert!(errors.len() >= 10, "{errors:?}");
    let documented = include_str!("../../../docs/errors.md");
    for error in errors {
        // A status that says nothing, so that only the error's name is recognised.
        let (code, ..) = sidedoor::untrusted::connect_error(Some(error), 418, "");
        assert_ne!(code.as_str(), "connect_request_rejected", "{error}");
        assert!(documented.contains(error), "{error} is not in docs/errors.md");
    }
}

#[tokio::test]
async fn proxy_page_is_not_shown_to_the_caller() {
    let app = TestApp::start().await;
    let call = app.connect().create_call();
    for status in [403, 404, 407] {
        let page = Fault::html_page("MonitorContact").with_status(status);
        app.connect().fault(page);
        let answer = app.listen(&call, "supervisor-1").await;
        assert_eq!(
            (answer.status, answer.code()),
            (502, "connect_request_rejected"),
            "{}",
            answer.text
        );
        let detail = answer.body["detail"].as_str().expect("a detail");
        assert!(detail.contains("proxy") && !detail.contains("Maintenance"), "{detail}");
    }
    app.finish().await;
}

/// The fake's own clock is ten minutes ahead, so that it rejects the age of the signature as AWS does.
#[tokio::test]
async fn wrong_clock_of_the_machine_is_named() {
    let app = TestApp::start().await;
    let call = app.connect().create_call();
    app.connect().change(|c| {
        c.clock.skew_ms = 600_000;
        c.signature_age_s = Some(300);
    });
    let answer = app.listen(&call, "supervisor-1").await;
    assert_eq!(
        (answer.status, answer.code()),
        (502, "connect_clock_invalid"),
        "{}",
        answer.text
    );
    app.finish().await;
}

/// A proxy's 404 about a leg is no evidence that the leg has ended.
#[tokio::test]
async fn proxy_page_about_a_leg_is_no_evidence() {
    let app = TestApp::build().set("SUPERVISION__IDLE_POLL_S", "5").start().await;
    let call = app.connect().create_call();
    let s = app.joined(&call, "supervisor-1").await;
    app.connect().change(|c| c.list_monitor_legs = false);
    let id = s["id"].as_str().expect("an id").to_owned();
    app.connect()
        .fault(Fault::html_page("DescribeContact").with_status(404).times(50));
    app.disconnect(&id).await;
    tokio::time::sleep(std::time::Duration::from_secs(4)).await;
    assert_eq!(app.get(&id).await.state(), "LEAVING");
    app.connect().clear_faults();
    app.connect().hang_up(&call, "AGENT").expect("hung up");
    app.until_left(&id).await;
    app.finish().await;
}

#[tokio::test]
async fn monitor_contact_temporary_error_is_retried() {
    let app = TestApp::start().await;
    for (status, code) in [
        (429, "ThrottlingException"),
        (429, "TooManyRequestsException"),
        (500, "InternalServiceException"),
        (503, ""),
    ] {
        let call = app.connect().create_call();
        app.connect().fault(Fault::error("MonitorContact", status, code));
        let started = app.listen(&call, "supervisor-1").await;
        assert_eq!(started.status, 201, "{code} {}", started.text);
        app.connect().hang_up(&call, "AGENT").expect("hung up");
        app.until_left(&started.id()).await;
    }
    app.finish().await;
}

#[tokio::test]
async fn start_reports_full_contact_and_ended_contact() {
    let app = TestApp::start().await;
    let call = app.connect().create_call();
    let first = app.listen(&call, "supervisor-1").await.id();
    app.listen(&call, "supervisor-2").await;
    let third = app.listen(&call, "supervisor-3").await;
    assert_eq!((third.status, third.code()), (409, "contact_limit_reached"));
    let on_call = third.body["onCall"].as_array().expect("who is on it");
    let who = |i: usize| (on_call[i]["connectUserId"].as_str(), on_call[i]["state"].as_str());
    assert_eq!(who(0), (Some("supervisor-1"), Some("MONITORING")));
    assert_eq!(who(1), (Some("supervisor-2"), Some("MONITORING")));
    assert_eq!(on_call[0]["supervisionId"], first.as_str());
    let failed = app.get(third.body["supervisionId"].as_str().expect("an id")).await;
    assert_eq!(failed.body["failure"]["code"], "contact_limit_reached");
    // A quota error with fewer supervisors on the contact is another quota's.
    let other = app.connect().create_call();
    app.connect()
        .fault(Fault::error("MonitorContact", 402, "ServiceQuotaExceededException"));
    let quota = app.listen(&other, "supervisor-3").await;
    assert_eq!((quota.status, quota.code()), (409, "connect_quota_limit_reached"));
    // With one supervisor on it, nothing says which quota it was, so nothing is asked about the CCP.
    let third = app.connect().create_call();
    app.joined(&third, "supervisor-4").await;
    app.connect()
        .fault(Fault::error("MonitorContact", 402, "ServiceQuotaExceededException").saying("over a quota"));
    let quota = app.listen(&third, "supervisor-3").await;
    assert_eq!(quota.body["detail"], "Connect answered 402: over a quota");
    app.connect().hang_up(&third, "AGENT").expect("hung up");
    app.connect().hang_up(&call, "AGENT").expect("hung up");
    let over = app.listen(&call, "supervisor-3").await;
    assert_eq!((over.status, over.code()), (422, "connect_request_invalid"));
    let nowhere = app.listen("no-such-contact", "supervisor-3").await;
    assert_eq!((nowhere.status, nowhere.code()), (404, "connect_resource_not_found"));
    app.finish().await;
}

#[tokio::test]
async fn full_contact_tells_a_supervisor_how_many_and_not_who() {
    let app = TestApp::start().await;
    let call = app.connect().create_call();
    for supervisor in ["supervisor-2", "supervisor-3"] {
        app.joined(&call, supervisor).await;
    }
    let request = app.call("POST", "/v1/supervisions").key(SUPERVISOR_1);
    let refused = request.json(&start(&call, "supervisor-1")).send().await;
    assert_eq!((refused.status, refused.code()), (409, "contact_limit_reached"));
    let path = format!(
        "/v1/supervisions/{}",
        refused.body["supervisionId"].as_str().expect("an id")
    );
    let own = app.call("GET", &path).key(SUPERVISOR_1).send().await;
    let timeline = app
        .call("GET", &format!("{path}/timeline"))
        .key(SUPERVISOR_1)
        .send()
        .await;
    for answer in [&refused, &own, &timeline] {
        let names = answer.text.contains("supervisor-2") || answer.text.contains("supervisor-3");
        assert!(!names && answer.body["onCall"].is_null(), "{}", answer.text);
    }
    assert!(
        refused.body["detail"]
            .as_str()
            .expect("a detail")
            .contains("2 are on it"),
        "{}",
        refused.text
    );
    app.connect().hang_up(&call, "AGENT").expect("hung up");
    app.finish().await;
}

#[tokio::test]
async fn closed_ccp_is_asked_about_without_other_supervisors() {
    let app = TestApp::start().await;
    let call = app.connect().create_call();
    app.connect().change(|c| c.refuse_closed_ccp = true);
    app.connect().set_ccp_open("supervisor-1", false);
    let refused = app.listen(&call, "supervisor-1").await;
    assert_eq!((refused.status, refused.code()), (409, "connect_quota_limit_reached"));
    let detail = refused.body["detail"].as_str().expect("a detail").to_owned();
    assert!(detail.contains("CCP"), "{detail}");
    let failed = app.get(refused.body["supervisionId"].as_str().expect("an id")).await;
    assert_eq!(failed.body["failure"]["detail"], detail);
    app.connect().set_ccp_open("supervisor-1", true);
    app.joined(&call, "supervisor-1").await;
    app.connect().hang_up(&call, "AGENT").expect("hung up");
    app.finish().await;
}

#[tokio::test]
async fn start_survives_unreachable_connect() {
    let app = TestApp::build()
        .set("SUPERVISION__JOIN_TTL_S", "1")
        .set("CONNECT__INSTANCES__MAIN__ENDPOINT_URL", "http://127.0.0.1:9")
        .start()
        .await;
    let call = app.connect().create_call();
    let answer = app.listen(&call, "supervisor-1").await;
    assert_eq!(
        (answer.status, answer.state()),
        (202, "JOINING"),
        "it is not known yet whether a leg exists: {}",
        answer.text
    );
    assert_eq!(
        app.call("GET", "/readyz").send().await.status,
        200,
        "readiness does not depend on vendors"
    );
    app.assert_invariants().await;
}
