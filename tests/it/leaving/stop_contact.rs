//! Ending chat and task legs from the server by StopContact behind the interlock, and what happens when Connect refuses it.

use serde_json::json;
use sidedoor_fakes::Fault;
use sidedoor_fakes::connect::{NewContact, StopVoiceLeg};

use crate::support::app::TestApp;

fn chat() -> NewContact {
    NewContact {
        channel: "CHAT".into(),
        ..NewContact::default()
    }
}

#[tokio::test]
async fn stop_contact_ends_only_the_leg_of_a_chat() {
    let app = TestApp::start().await;
    for channel in ["CHAT", "TASK"] {
        let contact = app.connect().create_contact(NewContact {
            channel: channel.into(),
            ..NewContact::default()
        });
        let started = app.listen(&contact, "supervisor-1").await;
        let leg = started.body["legContactId"].as_str().expect("a leg").to_owned();
        let left = app.disconnect(&started.id()).await;
        assert_eq!(
            left.body["nextAction"],
            json!(null),
            "the server ends the leg, so the browser gets no directive"
        );
        let left = app.until_left(&started.id()).await;
        assert_eq!(
            (&left["channel"], &left["departure"]["reason"]),
            (&json!(channel), &json!("SUPERVISOR"))
        );
        let stopped: Vec<_> = app
            .connect()
            .ledger()
            .calls
            .iter()
            .filter(|c| c.operation == "StopContact")
            .map(|c| c.about.clone())
            .collect();
        assert_eq!(stopped.last(), Some(&leg));
        app.until_written(&started.id()).await;
        assert!(!app.connect().contact(&contact).expect("there").ended);
    }
    app.finish().await;
}

#[tokio::test]
async fn stop_contact_refused_falls_back_to_browser() {
    let app = TestApp::start().await;
    let contact = app.connect().create_contact(chat());
    let id = app.listen(&contact, "supervisor-1").await.id();
    app.connect()
        .fault(Fault::error("StopContact", 403, "AccessDeniedException"));
    let left = app.disconnect(&id).await;
    assert_eq!(left.body["nextAction"]["kind"], "END_LEG_IN_CCP");
    app.browser("supervisor-1").obey(&left.body["nextAction"]).await;
    app.until_left(&id).await;
    app.finish().await;
}

#[tokio::test]
async fn stop_contact_throttled_is_retried_and_200_means_accepted() {
    let app = TestApp::start().await;
    let contact = app.connect().create_contact(chat());
    let id = app.listen(&contact, "supervisor-1").await.id();
    app.connect()
        .fault(Fault::error("StopContact", 429, "ThrottlingException"));
    app.connect()
        .fault(Fault::error("StopContact", 500, "InternalServiceException"));
    app.disconnect(&id).await;
    app.until_left(&id).await;
    assert_eq!(app.connect().calls("StopContact"), 3);
    app.finish().await;
}

#[tokio::test]
async fn stop_contact_on_voice_still_directs_browser() {
    for answer in [
        StopVoiceLeg::Refuse400,
        StopVoiceLeg::Gone410,
        StopVoiceLeg::AcceptAndIgnore,
    ] {
        let app = TestApp::build()
            .set("CONNECT__INSTANCES__MAIN__VOICE_LEG_END", "stop_contact_then_ccp")
            .fakes(|f| f.connect.stop_voice_leg = answer)
            .start()
            .await;
        let call = app.connect().create_call();
        let id = app.listen(&call, "supervisor-1").await.id();
        app.until(&id, "the channel known", |s| s["channel"] == "VOICE").await;
        let left = app.disconnect(&id).await;
        assert_eq!(
            (left.status, left.state()),
            (202, "LEAVING"),
            "a 200 of StopContact does not prove that the leg ended"
        );
        assert_eq!(left.body["nextAction"]["kind"], "END_LEG_IN_CCP");
        assert_eq!(app.connect().calls("StopContact"), 1);
        app.browser("supervisor-1").obey(&left.body["nextAction"]).await;
        app.until_left(&id).await;
        app.finish().await;
    }
}

#[tokio::test]
async fn stop_contact_is_not_sent_if_chat_ends_in_ccp() {
    let app = TestApp::build()
        .set("CONNECT__INSTANCES__MAIN__CHAT_LEG_END", "ccp")
        .start()
        .await;
    let contact = app.connect().create_contact(chat());
    let id = app.listen(&contact, "supervisor-1").await.id();
    let left = app.disconnect(&id).await;
    app.browser("supervisor-1").obey(&left.body["nextAction"]).await;
    app.until_left(&id).await;
    assert_eq!(app.connect().calls("StopContact"), 0);
    app.finish().await;
}

#[tokio::test]
async fn stop_contact_pending_is_sent_after_restart() {
    let mut app = TestApp::build().set("HTTP__ANSWER_WITHIN_MS", "100").start().await;
    let contact = app.connect().create_contact(chat());
    let id = app.listen(&contact, "supervisor-1").await.id();
    app.until(&id, "the channel known", |s| s["channel"] == "CHAT").await;
    app.connect().fault(Fault::late("DescribeContact", 3000));
    app.disconnect(&id).await;
    app.crash_and_restart().await;
    app.until_left(&id).await;
    app.finish().await;
}
