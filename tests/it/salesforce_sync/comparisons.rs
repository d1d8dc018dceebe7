//! The service compares its departures with the org's own records (ConversationParticipant), which it never writes.

use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::support::app::{READER, TestApp};
use crate::support::departures::{departed, seed};
use crate::support::sql;

fn fields(fields: &Value) -> Map<String, Value> {
    fields.as_object().expect("an object").clone()
}

async fn metric(app: &TestApp, line: &str) -> String {
    for _ in 0..500 {
        let metrics = app.call("GET", "/metrics").key(READER).send().await.text;
        if metrics.contains(line) {
            return metrics;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!(
        "{line} is missing: {}",
        app.call("GET", "/metrics").key(READER).send().await.text
    );
}

/// Leaves, and waits until the time of the departure is final: what Connect answers when it is asked, and a late event, may still
/// correct it.
async fn left_for_good(app: &TestApp, id: &str) -> Value {
    app.leave(id, "supervisor-1").await;
    app.until(id, "confirmed by the vendor", |s| s["confirmation"] == "VENDOR_ASKED")
        .await;
    app.events_delivered().await;
    app.until_written(id).await
}

#[tokio::test]
async fn comparison_with_org_record_writes_nothing_to_org() {
    let app = TestApp::build().compare_often().start().await;
    let (sf, user) = (app.salesforce(), "005000000000001AAA");
    let call = app.connect().create_call();
    let voice_call = sf.put_row(
        "VoiceCall",
        fields(&json!({"VendorCallKey": call, "ConversationId": "0dwfake00000001AAA"})),
    );
    let body = json!({"contactId": call, "supervisor": {"connectUserId": "supervisor-1"}, "salesforceUserId": user,
        "voiceCallId": voice_call});
    let started = app.call("POST", "/v1/supervisions").json(&body).send().await;
    let id = started.id();
    app.until(&id, "joined", |s| !s["joinedAt"].is_null()).await;
    let left = left_for_good(&app, &id).await;
    let explain = || async {
        let (store, id) = (app.store_path(), id.clone());
        let run = move || {
            std::process::Command::new(env!("CARGO_BIN_EXE_sidedoor"))
                .args(["timing", "explain", &id])
                .env("SIDEDOOR__STORE__URL", format!("sqlite://{}", store.display()))
                .env("SIDEDOOR__SALESFORCE__ENABLED", "false")
                .env("SIDEDOOR__CONNECT__INSTANCES__MAIN__INSTANCE_ID", "x")
                .env("SIDEDOOR__CONNECT__INSTANCES__MAIN__REGION", "us-west-2")
                .output()
                .expect("it runs")
        };
        let output = tokio::task::spawn_blocking(run).await.expect("no panic");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    // The org writes its record later than we do.
    tokio::time::sleep(Duration::from_millis(400)).await;
    let not_yet = explain().await;
    assert!(
        not_yet.contains("ConversationParticipant) was not found when Sidedoor looked"),
        "{not_yet}"
    );
    let at: jiff::Timestamp = left["departure"]["disconnectedAt"]
        .as_str()
        .expect("text")
        .parse()
        .expect("a time");
    let theirs = at + jiff::SignedDuration::from_millis(2500);
    let whole = theirs.strftime("%Y-%m-%dT%H:%M:%S.000+0000").to_string();
    sf.put_row(
        "ConversationParticipant",
        fields(
            &json!({"ConversationId": "0dwfake00000001AAA", "ParticipantEntityId": "005000000000001", "LeftTime": whole,
            "LeftTimeMilliSecs": theirs.as_millisecond().rem_euclid(1000), "ParticipantRole": "Supervisor"}),
        ),
    );
    let metrics = metric(&app, "sidedoor_participants_compared_total{inside=\"false\"} 1").await;
    let sum = metrics
        .lines()
        .find_map(|l| l.strip_prefix("sidedoor_participant_difference_seconds_sum "));
    let sum: f64 = sum.expect("a sum").parse().expect("a number");
    // Our departure may have been recomputed since then from better evidence.
    let compared = "SELECT CAST(left_at - ours_at AS TEXT) FROM comparisons WHERE left_at IS NOT NULL";
    let difference = sql(&app.store_path(), compared).await.expect("read")[0][0].clone();
    let ms: f64 = difference.parse().expect("a number");
    assert!(
        (sum - ms / 1000.0).abs() < 0.002,
        "the metric equals the stored difference to 2 ms: {sum} and {ms}"
    );
    assert!((ms - 2500.0).abs() < 1000.0, "{ms}");
    let explained = explain().await;
    assert!(
        explained.contains(&format!("{difference} ms from")) && explained.contains("outside"),
        "{explained}"
    );
    // The departure is compared only once, and no record of the org was changed.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let metrics = metric(&app, "sidedoor_participants_compared_total").await;
    assert!(metrics.contains("{inside=\"false\"} 1\n"), "{metrics}");
    assert!(sf.written().iter().all(|w| w.object == "VoiceCallParticipant__c"));
    app.finish().await;
}

#[tokio::test]
async fn comparison_asks_org_without_object_only_once() {
    let app = TestApp::build().compare_often().start().await;
    app.salesforce().remove_object("ConversationParticipant");
    let call = app.connect().create_call();
    app.salesforce().put_row(
        "VoiceCall",
        fields(&json!({"VendorCallKey": call, "ConversationId": "0dwfake00000001AAA"})),
    );
    let s = app.joined(&call, "supervisor-1").await;
    let id = s["id"].as_str().expect("an id").to_owned();
    app.leave(&id, "supervisor-1").await;
    app.until_written(&id).await;
    // The service queries the conversations once and is answered that the object does not exist.
    let before = app.salesforce().api_calls();
    for _ in 0..200 {
        if app.salesforce().asked("ConversationParticipant") > 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(app.salesforce().asked("ConversationParticipant"), 1);
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert_eq!(app.salesforce().asked("ConversationParticipant"), 1);
    assert!(app.salesforce().api_calls() <= before + 3);
    app.finish().await;
}

/// The org has one record, we have two departures without a Salesforce User, so the record cannot be assigned to either.
#[tokio::test]
async fn comparison_skips_org_record_that_is_ambiguous() {
    let app = TestApp::build().compare_often().start().await;
    let sf = app.salesforce();
    let call = app.connect().create_call();
    sf.put_row(
        "VoiceCall",
        fields(&json!({"VendorCallKey": call, "ConversationId": "0dwfake00000001AAA"})),
    );
    sf.put_row(
        "ConversationParticipant",
        fields(
            &json!({"ConversationId": "0dwfake00000001AAA", "LeftTime": "2026-08-04T17:43:47.000+0000",
            "ParticipantRole": "Supervisor"}),
        ),
    );
    let first = app.joined(&call, "supervisor-1").await;
    let second = app.joined(&call, "supervisor-2").await;
    let id = |s: &Value| s["id"].as_str().expect("an id").to_owned();
    // The second supervisor leaves later, so that only the first departure is due for comparison.
    app.leave(&id(&first), "supervisor-1").await;
    app.until_written(&id(&first)).await;
    for _ in 0..200 {
        if sf.asked("ConversationParticipant") > 1 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let metrics = app.call("GET", "/metrics").key(READER).send().await.text;
    assert!(
        sf.asked("ConversationParticipant") > 1,
        "the service queried the org's records"
    );
    assert!(!metrics.contains("sidedoor_participants_compared_total{"), "{metrics}");
    app.leave(&id(&second), "supervisor-2").await;
    app.until_written(&id(&second)).await;
    app.finish().await;
}

/// A ConversationParticipant as the org writes it: the time in whole seconds and the milliseconds in a field of their own.
fn org_participant(conversation: &str, user: Option<&str>, left: jiff::Timestamp) -> Map<String, Value> {
    let whole = left.strftime("%Y-%m-%dT%H:%M:%S.000+0000").to_string();
    fields(
        &json!({"ConversationId": conversation, "ParticipantEntityId": user, "ParticipantRole": "Supervisor",
        "LeftTime": whole, "LeftTimeMilliSecs": left.as_millisecond().rem_euclid(1000)}),
    )
}

/// After a transfer two VoiceCalls share one conversation, so a supervisor who was on both has two records in it.
#[tokio::test]
async fn comparison_matches_each_call_of_shared_conversation() {
    let app = TestApp::build().compare_often().start().await;
    let (sf, user, conversation) = (app.salesforce(), "005000000000001AAA", "0dwfake00000001AAA");
    let mut departures = Vec::new();
    for shift in [400, 700] {
        let call = app.connect().create_call();
        let voice_call = sf.put_row(
            "VoiceCall",
            fields(&json!({"VendorCallKey": call, "ConversationId": conversation})),
        );
        let body = json!({"contactId": call, "supervisor": {"connectUserId": "supervisor-1"}, "salesforceUserId": user,
            "voiceCallId": voice_call});
        let id = app.call("POST", "/v1/supervisions").json(&body).send().await.id();
        app.until(&id, "joined", |s| !s["joinedAt"].is_null()).await;
        let left = left_for_good(&app, &id).await;
        let at = left["departure"]["disconnectedAt"].as_str().expect("a time");
        let at: jiff::Timestamp = at.parse().expect("a time");
        departures.push((id, at + jiff::SignedDuration::from_millis(shift)));
        // The two org records are further from each other than each is from our departure.
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    for (_, theirs) in &departures {
        sf.put_row(
            "ConversationParticipant",
            org_participant(conversation, Some(user), *theirs),
        );
    }
    let compared = "SELECT CAST(left_at - ours_at AS TEXT) FROM comparisons WHERE left_at IS NOT NULL ORDER BY ours_at";
    for _ in 0..500 {
        if sql(&app.store_path(), compared).await.expect("read").len() == 2 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let differences = sql(&app.store_path(), compared).await.expect("read");
    assert_eq!(differences, [["400"], ["700"]]);
    app.finish().await;
}

/// More departures than one query may name are compared in one round, page by page. A departure that cannot be read does not
/// use up a page.
#[tokio::test]
async fn comparison_round_covers_all_due_departures_in_pages() {
    let mut app = TestApp::build()
        .set("SALESFORCE__FIND_VOICE_CALLS", "false")
        .compare_every(Duration::from_secs(5))
        .start()
        .await;
    app.crash();
    let now = jiff::Timestamp::now();
    let departures = (0..250).map(|i| {
        let mut s = departed(i, now - jiff::SignedDuration::from_secs(60));
        let conversation = format!("0dw{i:012}AAA");
        let sf = app.salesforce();
        s.voice_call_id = Some(sf.put_row("VoiceCall", fields(&json!({"ConversationId": conversation}))));
        sf.put_row("ConversationParticipant", org_participant(&conversation, None, now));
        s
    });
    let departures: Vec<_> = departures.collect();
    seed(&app.store_path(), departures.into_iter(), now).await;
    app.restart().await;
    let recorded = "SELECT CAST(COUNT(*) AS TEXT) FROM deliveries WHERE state = 'RECORDED'";
    for _ in 0..200 {
        if sql(&app.store_path(), recorded).await.expect("read") == [["250"]] {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // By SQL, because this is a damaged store: an unreadable document that was written with a VoiceCall.
    let spoilt = "UPDATE supervisions SET doc = json_object('voice_call_id', 'x'), packed = NULL WHERE id = (SELECT MIN(id) FROM supervisions)";
    sql(&app.store_path(), spoilt).await.expect("spoilt");
    let compared = "SELECT CAST(COUNT(*) AS TEXT) FROM comparisons WHERE left_at IS NOT NULL";
    for _ in 0..500 {
        if sql(&app.store_path(), compared).await.expect("read") != [["0"]] {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // The next round starts seconds later.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(sql(&app.store_path(), compared).await.expect("read"), [["249"]]);
    assert_eq!(
        app.salesforce().asked("ConversationParticipant"),
        3,
        "one query for each hundred departures"
    );
}

/// A login that is refused for a while does not mean that the org lacks the object.
#[tokio::test]
async fn comparison_continues_after_login_was_refused() {
    let app = TestApp::build().compare_often().start().await;
    let (sf, conversation) = (app.salesforce(), "0dwfake00000001AAA");
    let call = app.connect().create_call();
    let voice_call = fields(&json!({"VendorCallKey": call, "ConversationId": conversation}));
    sf.put_row("VoiceCall", voice_call);
    let s = app.joined(&call, "supervisor-1").await;
    let id = s["id"].as_str().expect("an id").to_owned();
    app.leave(&id, "supervisor-1").await;
    app.until_written(&id).await;
    sf.revoke_tokens();
    sf.fault(sidedoor_fakes::Fault::error("token", 400, "invalid_client").times(1000));
    tokio::time::sleep(Duration::from_millis(600)).await;
    sf.clear_faults();
    sf.put_row(
        "ConversationParticipant",
        org_participant(conversation, None, jiff::Timestamp::now()),
    );
    metric(&app, "sidedoor_participants_compared_total{").await;
    app.finish().await;
}
