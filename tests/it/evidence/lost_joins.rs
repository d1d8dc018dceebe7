//! A MonitorContact whose outcome is unknown: its answer was lost, late or unreadable. Exactly one leg follows, the disconnect that was
//! requested meanwhile ends it, and there is one outcome.

use std::time::Duration;

use serde_json::{Value, json};
use sidedoor_fakes::Fault;
use sidedoor_fakes::connect::NewContact;

use crate::support::app::{TestApp, TestAppBuilder};
use crate::support::claims::text;

/// A call fails after 1.5 s without an answer, and a request is answered after 100 ms, finished or not.
fn impatient() -> TestAppBuilder {
    TestApp::build()
        .set("CONNECT__INSTANCES__MAIN__CALL_TIMEOUT_MS", "1500")
        .set("HTTP__ANSWER_WITHIN_MS", "100")
}

/// When the supervisor disconnects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Disconnect {
    /// While the outcome of the join is unknown. From then on MonitorContact must not be sent again, so the vendor need not remember
    /// the token.
    Meanwhile,
    /// After the join is complete.
    Afterwards,
}

/// A voice call is joined while MonitorContact fails by `fault`, and left.
async fn join_and_leave(name: &str, fault: &dyn Fn() -> Vec<Fault>, when: Disconnect) {
    let meanwhile = when == Disconnect::Meanwhile;
    let forgetful = u64::from(!meanwhile) * 60;
    let app = impatient().fakes(|f| f.connect.token_ttl_s = forgetful).start().await;
    let call = app.connect().create_call();
    for fault in fault() {
        app.connect().fault(fault);
    }
    // The answer of a request that waits only for a moment.
    let started = app.listen(&call, "supervisor-1").await;
    assert!(matches!(started.status, 201 | 202), "{name}: {}", started.text);
    let id = started.id();
    if meanwhile {
        let asked = app.disconnect(&id).await;
        assert_eq!(asked.status, 202, "{name}: {}", asked.text);
    } else {
        app.until_connected(&id).await;
        assert_eq!(app.disconnect(&id).await.status, 202, "{name}");
    }
    let directed = app.until(&id, "directed", |s| !s["nextAction"].is_null()).await;
    assert_eq!(
        app.browser("supervisor-1").obey(&directed["nextAction"]).await,
        "DONE",
        "{name}"
    );
    let left = app.until_confirmed(&id).await;
    assert_eq!(left["departure"]["customerCallContinued"], true, "{name}: {left:#}");
    app.assert_contains_truth(&left);
    assert_one_outcome(&app, name, &[&call]).await;
    app.connect().clear_faults();
    app.finish().await;
}

/// Each contact had one leg, which has ended and belongs to the only supervision of the contact, and has one record.
async fn assert_one_outcome(app: &TestApp, name: &str, contacts: &[&str]) {
    let all = app.call("GET", "/v1/supervisions").send().await.body;
    let all = all["items"].as_array().expect("items");
    assert_eq!(all.len(), contacts.len(), "{name}: {all:#?}");
    for contact in contacts {
        let legs = app.connect().legs(contact);
        assert_eq!(legs.len(), 1, "{name}: one leg");
        assert_eq!(app.connect().live_legs(contact), Vec::<String>::new(), "{name}");
        let of: Vec<&Value> = all.iter().filter(|s| s["contactId"] == *contact).collect();
        assert_eq!(of.len(), 1, "{name}: one supervision");
        assert_eq!(
            (&of[0]["state"], &of[0]["origin"], &of[0]["legContactId"]),
            (&json!("LEFT"), &json!("API"), &json!(legs[0])),
            "{name}"
        );
        app.record(&legs[0]);
    }
    let records = app.salesforce().rows("VoiceCallParticipant__c");
    assert_eq!(records.len(), contacts.len(), "{name}: {records:?}");
}

async fn in_both_orders(name: &str, fault: impl Fn() -> Vec<Fault>) {
    tokio::join!(
        join_and_leave(name, &fault, Disconnect::Meanwhile),
        join_and_leave(name, &fault, Disconnect::Afterwards),
    );
}

/// The answer comes after the timeout, and the vendor has made the leg.
fn slow() -> Fault {
    Fault::hang("MonitorContact", 5000).after_effect()
}

/// MonitorContact answers 503 for a while.
fn down() -> Fault {
    Fault {
        for_ms: Some(2500),
        ..Fault::error("MonitorContact", 503, "ServiceUnavailable").times(u32::MAX)
    }
}

/// The next answer takes so long that the disconnect comes before it.
fn late(fault: Fault) -> Fault {
    Fault { delay_ms: 800, ..fault }
}

#[tokio::test]
async fn lost_join_by_slow_answer_makes_one_leg() {
    in_both_orders("slow", || vec![slow()]).await;
}

#[tokio::test]
async fn lost_join_by_cut_answer_makes_one_leg() {
    in_both_orders("cut", || vec![late(Fault::cut_answer("MonitorContact"))]).await;
}

#[tokio::test]
async fn lost_join_by_html_page_makes_one_leg() {
    in_both_orders("page", || vec![late(Fault::html_page("MonitorContact").after_effect())]).await;
}

#[tokio::test]
async fn lost_join_while_connect_is_down_makes_one_leg() {
    in_both_orders("down", || vec![late(Fault::lost_answer("MonitorContact")), down()]).await;
}

#[tokio::test]
async fn lost_join_by_hanging_call_makes_one_leg() {
    in_both_orders("hang", || vec![Fault::hang("MonitorContact", 0).after_effect()]).await;
}

/// The vendor makes the leg only after we have stopped waiting for its answer.
#[tokio::test]
async fn lost_join_whose_leg_appears_late_inherits_disconnect() {
    let app = impatient().start().await;
    let call = app.connect().create_call();
    app.connect().fault(Fault::hang("MonitorContact", 0));
    let id = app.listen(&call, "supervisor-1").await.id();
    assert_eq!(app.disconnect(&id).await.status, 202);
    // The call has failed, and the leg was not there when it was first looked for.
    tokio::time::sleep(Duration::from_millis(2200)).await;
    assert_eq!(app.get(&id).await.state(), "JOINING");
    app.connect().begin_leg_by_hand(&call, "supervisor-1").expect("a leg");
    let directed = app.until(&id, "directed", |s| !s["nextAction"].is_null()).await;
    assert_eq!(app.browser("supervisor-1").obey(&directed["nextAction"]).await, "DONE");
    let left = app.until_confirmed(&id).await;
    app.assert_contains_truth(&left);
    assert_eq!(app.connect().calls("MonitorContact"), 1);
    assert_one_outcome(&app, "late leg", &[&call]).await;
    app.finish().await;
}

/// A supervisor may listen to several chats, so the leg of the first is a candidate for the join of the second.
#[tokio::test]
async fn lost_join_of_second_chat_does_not_take_first_chats_leg() {
    tokio::join!(two_chats(Disconnect::Meanwhile), two_chats(Disconnect::Afterwards));
}

async fn two_chats(when: Disconnect) {
    let app = impatient().start().await;
    let chat = || NewContact {
        channel: "CHAT".into(),
        ..NewContact::default()
    };
    let (first, second) = (
        app.connect().create_contact(chat()),
        app.connect().create_contact(chat()),
    );
    let first_id = app.listen(&first, "supervisor-1").await.id();
    app.until(&first_id, "a chat", |s| s["channel"] == "CHAT").await;
    app.connect().fault(slow());
    let started = app.listen(&second, "supervisor-1").await;
    assert_eq!(started.status, 202, "{}", started.text);
    let second_id = started.id();
    if when == Disconnect::Afterwards {
        app.until_connected(&second_id).await;
    }
    assert_eq!(app.disconnect(&second_id).await.status, 202);
    let left = app.until_confirmed(&second_id).await;
    assert_eq!(text(&left, "contactId"), second);
    app.assert_contains_truth(&left);
    assert_eq!(app.get(&first_id).await.state(), "MONITORING");
    assert_eq!(app.connect().live_legs(&first).len(), 1);
    assert_eq!(app.disconnect(&first_id).await.status, 202);
    app.until_confirmed(&first_id).await;
    assert_one_outcome(&app, "chats", &[&first, &second]).await;
    app.finish().await;
}

/// No source shows the leg of this chat, but the vendor gives it again for the same token, and StopContact ends it.
#[tokio::test]
async fn lost_join_of_a_chat_repeats_its_token_to_end_the_leg() {
    let hidden = |f: &mut sidedoor_fakes::FakesConfig| {
        (f.connect.list_monitor_legs, f.connect.search_lag_ms) = (false, 3_600_000);
        f.events.loss = 1.0;
    };
    let app = impatient().fakes(hidden).start().await;
    let chat = app.connect().create_contact(NewContact {
        channel: "CHAT".into(),
        ..NewContact::default()
    });
    app.connect().fault(slow());
    let started = app.listen(&chat, "supervisor-1").await;
    assert_eq!(started.status, 202, "{}", started.text);
    let id = started.id();
    assert_eq!(app.disconnect(&id).await.status, 202);
    let left = app.until_confirmed(&id).await;
    app.assert_contains_truth(&left);
    assert_eq!(app.connect().calls("MonitorContact"), 2);
    assert_one_outcome(&app, "hidden chat", &[&chat]).await;
    app.finish().await;
}

/// The search asks for the kind of contact first, so a chat does not occupy the voice slot for up to a day.
#[tokio::test]
async fn lost_join_of_a_chat_does_not_refuse_another_chat() {
    let app = impatient().start().await;
    let chat = || NewContact {
        channel: "CHAT".into(),
        ..NewContact::default()
    };
    let (first, second) = (
        app.connect().create_contact(chat()),
        app.connect().create_contact(chat()),
    );
    // Neither the call nor its repeat is answered, and none makes a leg.
    app.connect().fault(Fault::hang("MonitorContact", 0).times(2));
    let first_id = app.listen(&first, "supervisor-1").await.id();
    assert_eq!(app.disconnect(&first_id).await.status, 202);
    app.until(&first_id, "known as a chat", |s| s["channel"] == "CHAT")
        .await;
    let started = app.listen(&second, "supervisor-1").await;
    assert!(matches!(started.status, 201 | 202), "{}", started.text);
    app.until_connected(&started.id()).await;
}

/// Only SearchContacts finds this leg, on its second page: the leg has ended, and the supervisor started more than 100 legs afterwards.
#[tokio::test]
async fn lost_join_is_found_on_a_later_page_of_search_contacts() {
    let app = impatient().fakes(|f| f.events.loss = 1.0).start().await;
    let call = app.connect().create_call();
    app.connect().fault(slow());
    let id = app.listen(&call, "supervisor-1").await.id();
    assert_eq!(app.disconnect(&id).await.status, 202);
    assert_eq!(app.connect().legs(&call).len(), 1);
    app.connect().hang_up(&call, "CUSTOMER").expect("hung up");
    let other = app.connect().create_call();
    for _ in 0..120 {
        let leg = app.connect().begin_leg_by_hand(&other, "supervisor-1");
        let leg = leg.expect("a leg");
        app.connect().end_leg_in_ccp("supervisor-1", &leg).expect("ended");
    }
    let left = app.until_confirmed(&id).await;
    app.assert_contains_truth(&left);
    assert_eq!(app.connect().calls("SearchContacts"), 2, "one look, two pages");
    assert_one_outcome(&app, "pages", &[&call]).await;
    app.finish().await;
}
