//! What users of other systems complain of (`supervision-anchors`), each with a test of its own that shows it does not happen here.
//! Also of their kind: the guard, in `modes`; hanging tabs, in `directives`; agents left on hold, in `after_checks`.

use serde_json::Value;
use sidedoor_fakes::{Fault, Manners};

use crate::support::app::TestApp;

fn text<'v>(of: &'v Value, name: &str) -> &'v str {
    of[name].as_str().expect("a text")
}

/// "Leaving does not leave": the button was pressed, the page said done, and the supervisor is still on the line.
#[tokio::test]
async fn leave_that_does_not_leave_is_never_called_left() {
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
    assert_eq!(seen["items"][0]["id"], s["id"], "operators see it");
    app.browser("supervisor-1").obey(&action).await;
    app.until_left(text(&s, "id")).await;
    app.finish().await;
}

/// "Presence stays after the leg is gone": nobody pressed anything, no event came, and the leg is gone all the same.
#[tokio::test]
async fn stale_presence_ends_with_the_leg_and_not_with_a_button() {
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

/// "Orphans": a leg without any live request, of which no event ever came. Somebody is on the call and nobody knows.
#[tokio::test]
async fn an_orphan_whose_every_event_was_lost_is_found_and_can_be_sent_away() {
    let app = TestApp::build().set("SUPERVISION__IDLE_POLL_S", "5").start().await;
    let call = app.connect().create_call();
    let first = app.joined(&call, "supervisor-1").await;
    app.leave(text(&first, "id"), "supervisor-1").await;
    app.events_delivered().await;
    app.connect().change_events(|e| e.loss = 1.0);
    let orphan = app.connect().begin_leg_by_hand(&call, "supervisor-1").expect("begun");
    let found = app.found("origin=OBSERVED").await;
    assert_eq!(found["legContactId"], orphan.as_str());
    app.leave(text(&found, "id"), "supervisor-1").await;
    app.finish().await;
}

/// "Double drop": two screens press Disconnect at once, the answer to one is lost, both browsers act. One leg ends, once, and the
/// customer stays.
#[tokio::test]
async fn double_drop_ends_one_leg_once() {
    let app = TestApp::start().await;
    let call = app.connect().create_call();
    let s = app.joined(&call, "supervisor-1").await;
    let other = app.joined(&call, "supervisor-2").await;
    let (one, two) = tokio::join!(app.disconnect(text(&s, "id")), app.disconnect(text(&s, "id")));
    assert_eq!(
        one.body["nextAction"]["directiveId"], two.body["nextAction"]["directiveId"],
        "one directive"
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

/// "Guards that fail silently": what was checked before is checked after, and an answer that cannot be had is not taken for good.
#[tokio::test]
async fn a_guard_that_cannot_look_says_so() {
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
        "unknown is not true"
    );
    app.finish().await;
}
