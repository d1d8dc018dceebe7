//! Failures that users of other supervision products report, each with a test that shows that it does not happen here.
//! Related tests: the barge safety check in `modes`, hanging tabs in `directives::streams`, agents left on hold in `after_checks`.

use serde_json::Value;
use sidedoor_fakes::{Fault, Manners};

use crate::support::app::TestApp;

fn text<'v>(of: &'v Value, name: &str) -> &'v str {
    of[name].as_str().expect("a text")
}

/// "Leaving does not leave": the supervisor pressed the button and the page reported success, but the leg is still on the call.
#[tokio::test]
async fn false_done_is_never_reported_as_left() {
    let app = TestApp::build().set("SUPERVISION__LEAVE_DEADLINE_S", "1").start().await;
    let call = app.connect().create_call();
    let s = app.joined(&call, "supervisor-1").await;
    let action = app.disconnect(text(&s, "id")).await.body["nextAction"].clone();
    let lies = Manners {
        lies: true,
        ..Manners::default()
    };
    app.browser("supervisor-1").with(lies).obey(&action).await;
    let overdue = app.until(text(&s, "id"), "overdue", |s| s["overdue"] == true).await;
    assert_eq!(
        (text(&overdue, "state"), text(&overdue, "leaveOutcome")),
        ("LEAVING", "OVERDUE")
    );
    let seen = app.call("GET", "/v1/supervisions?overdue=true").send().await.body;
    assert_eq!(seen["items"][0]["id"], s["id"], "operators can list it");
    app.browser("supervisor-1").obey(&action).await;
    app.until_left(text(&s, "id")).await;
    app.finish().await;
}

/// "Presence stays after the leg is gone": the leg ended without a disconnect request and without an event.
#[tokio::test]
async fn presence_ends_with_leg_without_request_or_event() {
    let app = TestApp::build().set("SUPERVISION__IDLE_POLL_S", "5").start().await;
    let call = app.connect().create_call();
    let s = app.joined(&call, "supervisor-1").await;
    app.events_delivered().await;
    app.connect().change_events(|e| e.loss = 1.0);
    app.connect()
        .end_leg_in_ccp("supervisor-1", text(&s, "legContactId"))
        .expect("ended");
    let left = app.until_left(text(&s, "id")).await;
    assert_eq!(left["departure"]["reason"], "SUPERVISOR");
    app.finish().await;
}

/// "Orphans": a leg that belongs to no active supervision and sent no event, so that a listener on the call is not shown anywhere.
#[tokio::test]
async fn orphan_leg_without_events_is_found_and_can_leave() {
    let app = TestApp::build().set("SUPERVISION__IDLE_POLL_S", "5").start().await;
    let call = app.connect().create_call();
    let first = app.joined(&call, "supervisor-1").await;
    app.leave(text(&first, "id"), "supervisor-1").await;
    app.events_delivered().await;
    app.connect().change_events(|e| e.loss = 1.0);
    let orphan = app.connect().begin_leg_by_hand(&call, "supervisor-1").expect("a leg");
    let found = app.found("origin=OBSERVED").await;
    assert_eq!(found["legContactId"], orphan.as_str());
    app.leave(text(&found, "id"), "supervisor-1").await;
    app.finish().await;
}

/// "Double drop": two pages press Disconnect at once, one response is lost, and both browsers act. One leg ends, once, and the
/// customer's call continues.
#[tokio::test]
async fn double_disconnect_ends_one_leg_once() {
    let app = TestApp::start().await;
    let call = app.connect().create_call();
    let s = app.joined(&call, "supervisor-1").await;
    let other = app.joined(&call, "supervisor-2").await;
    let (one, two) = tokio::join!(app.disconnect(text(&s, "id")), app.disconnect(text(&s, "id")));
    assert_eq!(
        one.body["nextAction"]["directiveId"], two.body["nextAction"]["directiveId"],
        "both requests return the same directive"
    );
    let browser = app.browser("supervisor-1");
    let (a, b) = (one.body["nextAction"].clone(), two.body["nextAction"].clone());
    let said = tokio::join!(browser.obey(&a), browser.obey(&b));
    assert!(
        matches!(said, ("DONE", "ALREADY_GONE") | ("ALREADY_GONE", "DONE")),
        "{said:?}"
    );
    app.until_left(text(&s, "id")).await;
    let ended = app.connect().ledger().ended;
    assert_eq!(ended.len(), 1, "{ended:?}");
    assert_eq!(
        app.get(text(&other, "id")).await.state(),
        "MONITORING",
        "the other supervisor stays"
    );
    app.connect().hang_up(&call, "CUSTOMER").expect("over");
    app.until_left(text(&other, "id")).await;
    app.finish().await;
}

/// "Checks that fail silently": the service checks again after the departure, and does not report a failed check as a success.
#[tokio::test]
async fn after_check_without_answer_reports_unknown() {
    let app = TestApp::start().await;
    let call = app.connect().create_call();
    let s = app.joined(&call, "supervisor-1").await;
    let action = app.disconnect(text(&s, "id")).await.body["nextAction"].clone();
    app.connect()
        .fault(Fault::error("DescribeContact", 400, "InvalidRequestException").times(50));
    app.browser("supervisor-1").obey(&action).await;
    let left = app.until_left(text(&s, "id")).await;
    assert_eq!(
        left["departure"]["customerCallContinued"],
        Value::Null,
        "a failed check leaves the result unknown"
    );
    app.connect().clear_faults();
    let known = |s: &Value| s["departure"]["customerCallContinued"] == true;
    app.until(text(&s, "id"), "checked", known).await;
    app.finish().await;
}
