//! The errors of MonitorContact: stable code, status, and whether Sidedoor retries.

use sidedoor_fakes::Fault;

use crate::support::app::TestApp;

#[tokio::test]
async fn monitor_contact_rejection_has_stable_code() {
    let app = TestApp::build().set("SUPERVISION__JOIN_TTL_S", "1").start().await;
    let table = [
        (
            400,
            "InvalidRequestException",
            "One or more of the input parameters are invalid",
            422,
            "connect_request_invalid",
        ),
        (
            400,
            "InvalidRequestException",
            "Monitoring failed, please enable call recording",
            422,
            "connect_monitoring_unsupported",
        ),
        (
            403,
            "AccessDeniedException",
            "You do not have access to the agent",
            502,
            "connect_access_forbidden",
        ),
        (
            404,
            "ResourceNotFoundException",
            "not found",
            404,
            "connect_resource_not_found",
        ),
        (409, "IdempotencyException", "used", 409, "connect_idempotency_conflict"),
        (
            402,
            "ServiceQuotaExceededException",
            "full",
            409,
            "connect_quota_limit_reached",
        ),
        (
            403,
            "UnrecognizedClientException",
            "invalid",
            502,
            "connect_credentials_invalid",
        ),
        (
            403,
            "ExpiredTokenException",
            "expired",
            502,
            "connect_credentials_invalid",
        ),
        (418, "SomethingNewException", "new", 502, "connect_request_rejected"),
    ];
    for (status, code, message, answered, stable) in table {
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
        assert!(answer.body["detail"].as_str().expect("told").contains(message));
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
    app.connect().hang_up(&call, "AGENT").expect("hung up");
    let over = app.listen(&call, "supervisor-3").await;
    assert_eq!((over.status, over.code()), (422, "connect_request_invalid"));
    let nowhere = app.listen("no-such-contact", "supervisor-3").await;
    assert_eq!((nowhere.status, nowhere.code()), (404, "connect_resource_not_found"));
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
