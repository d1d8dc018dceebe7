//! Collections: many records in few calls, each settled by itself, so that one bad record does not affect others; and dead letters.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::stream::{self, StreamExt};
use serde_json::{Value, json};
use sidedoor_fakes::Fault;
use sidedoor_fakes::connect::NewContact;

use crate::support::app::{BACK_END, OPERATOR, READER, TestApp};
use crate::support::sql;
use crate::support::stored_states::{make_pending_records_due, pass_ten_minutes};

/// Starts one supervision for each of `supervisors` supervisors, each on its own call. Returns supervision, leg and call.
async fn start_supervisions(app: &TestApp, supervisors: usize) -> Vec<(String, String, String)> {
    let starts = stream::iter(0..supervisors).map(|i| async move {
        let supervisor = format!("crowd-{i}");
        app.connect().set_ccp_open(&supervisor, true);
        let call = app.connect().create_contact(NewContact::default());
        let s = app.joined(&call, &supervisor).await;
        let text = |name: &str| s[name].as_str().expect("a text").to_owned();
        (text("id"), text("legContactId"), call)
    });
    starts.buffer_unordered(16).collect().await
}

/// Waits until a record has the state `wanted`. After an outage this takes a while, because the service pauses for about as long again.
async fn until_record(app: &TestApp, id: &str, wanted: &str) -> Value {
    for _ in 0..1500 {
        let s = app.get(id).await.body;
        if s["salesforceRecord"]["state"] == wanted {
            return s;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!(
        "timeout waiting for {id} to become {wanted}: {:#}",
        app.get(id).await.body["salesforceRecord"]
    );
}

/// Waits until no delivery is pending.
async fn all_sent(app: &TestApp) {
    let pending = "SELECT CAST(COUNT(*) AS TEXT) FROM deliveries WHERE state = 'PENDING'";
    for _ in 0..3000 {
        if sql(&app.store_path(), pending).await.expect("read") == [["0"]] {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("timeout: deliveries are still pending");
}

/// Waits until no supervision has a check due and no delivery is pending.
async fn all_settled(app: &TestApp) {
    let pending = "SELECT CAST(COUNT(*) AS TEXT) FROM deliveries WHERE state = 'PENDING'
                   UNION ALL SELECT CAST(COUNT(*) AS TEXT) FROM supervisions
                   WHERE state <> 'FAILED' AND (state <> 'LEFT' OR id IN (SELECT supervision_id FROM unfinished))";
    for _ in 0..6000 {
        if sql(&app.store_path(), pending).await.expect("read") == [["0"], ["0"]] {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("timeout: deliveries are still pending");
}

async fn deliveries(app: &TestApp, query: &str) -> Value {
    let answer = app
        .call("GET", &format!("/v1/deliveries?{query}"))
        .key(READER)
        .send()
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.body
}

/// One call for each record would be a thousand calls. The departures are collected while the org accepts nothing, so that
/// the burst is the same on every machine.
#[tokio::test]
async fn bulk_delivery_of_thousand_departures_takes_ten_calls() {
    // The org has no VoiceCall for any of them, and each was searched for once.
    let mut app = TestApp::start().await;
    let crowd = start_supervisions(&app, 1000).await;
    all_sent(&app).await;
    app.salesforce()
        .fault(Fault::error("*", 503, "SERVER_UNAVAILABLE").times(100_000));
    for (_, _, call) in &crowd {
        app.connect().hang_up(call, "AGENT").expect("over");
    }
    let open = "SELECT CAST(COUNT(*) AS TEXT) FROM supervisions WHERE state <> 'LEFT' OR id IN (SELECT supervision_id FROM unfinished)";
    for _ in 0..3000 {
        if sql(&app.store_path(), open).await.expect("read") == [["0"]] {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // The restart clears the cache of VoiceCalls; all deliveries become due at once, however often they failed before.
    app.crash();
    app.salesforce().clear_faults();
    make_pending_records_due(&app.store_path()).await;
    let before = app.salesforce().api_calls();
    let asked_before = app.salesforce().asked("User");
    app.restart().await;
    all_settled(&app).await;
    // The first calls describe the object; a search for VoiceCalls may happen at the same time.
    let asked = app.salesforce().asked("User") - asked_before;
    // Supervisors whose user names became known after their join was recorded are asked about now, a hundred at a time.
    assert!(asked <= 10, "{asked} questions about 1,000 supervisors");
    let calls = app.salesforce().api_calls() - before - u64::try_from(asked).expect("few");
    assert!(calls <= 10 + 2, "{calls} calls");
    let rows = app.salesforce().rows("VoiceCallParticipant__c");
    let left = rows.iter().filter(|r| r.contains_key("Disconnected_At__c")).count();
    assert_eq!(left, 1000);
    app.assert_invariants().await;
}

#[tokio::test]
async fn bulk_delivery_settles_each_record_by_itself() {
    let app = TestApp::build()
        .set("SALESFORCE__FIND_VOICE_CALLS", "false")
        .start()
        .await;
    // While the org is down, deliveries accumulate, so that one call then carries all of them.
    app.salesforce()
        .fault(Fault::error("*", 503, "SERVER_UNAVAILABLE").times(1000));
    let crowd = start_supervisions(&app, 12).await;
    let table = [
        ("REQUIRED_FIELD_MISSING", "FAILED"),
        ("FIELD_CUSTOM_VALIDATION_EXCEPTION", "FAILED"),
        ("UNABLE_TO_LOCK_ROW", "WRITTEN"),
        ("DUPLICATE_VALUE", "WRITTEN"),
        ("SERVER_UNAVAILABLE", "WRITTEN"),
    ];
    app.salesforce().clear_faults();
    for ((code, end), (_, leg, _)) in table.iter().zip(&crowd) {
        let times = if *end == "FAILED" { 50 } else { 1 };
        let mut fault = Fault::error("item", 400, code).times(times);
        fault.matching = Some(leg.clone());
        app.salesforce().fault(fault.clone());
        fault.operation = "upsert".into();
        app.salesforce().fault(fault);
    }
    for (i, (id, ..)) in crowd.iter().enumerate() {
        let wanted = table.get(i).map_or("WRITTEN", |(_, end)| *end);
        let s = until_record(&app, id, wanted).await;
        if let Some((code, "FAILED")) = table.get(i) {
            assert!(
                s["salesforceRecord"]["lastError"]
                    .as_str()
                    .expect("a text")
                    .contains(code),
                "{s:#}"
            );
        }
    }
    let dead = deliveries(&app, "state=FAILED").await;
    let kept: BTreeSet<&str> = dead["items"]
        .as_array()
        .expect("items")
        .iter()
        .map(|d| d["externalId"].as_str().expect("a key"))
        .collect();
    assert_eq!(kept, crowd[..2].iter().map(|(_, leg, _)| leg.as_str()).collect());
    assert!(
        dead["items"][0]["lastAnswer"]
            .as_str()
            .expect("kept")
            .contains("statusCode")
    );
    app.assert_invariants().await;
}

/// If the org rejects a whole call because of one record, the service splits the call until that record is alone, or sends fewer
/// records with each call. A code that does not show whose fault it is takes half an hour of other records to make a dead letter.
#[tokio::test]
async fn bulk_delivery_poison_record_does_not_block_others() {
    for (code, certain) in [
        ("JSON_PARSER_ERROR", true),
        ("INVALID_FIELD", false),
        ("UNKNOWN_TO_US", false),
    ] {
        assert_poison_is_isolated(code, certain).await;
    }
}

async fn assert_poison_is_isolated(code: &str, certain: bool) {
    let app = TestApp::build()
        .set("SALESFORCE__FIND_VOICE_CALLS", "false")
        .start()
        .await;
    app.salesforce()
        .fault(Fault::error("*", 503, "SERVER_UNAVAILABLE").times(1000));
    let crowd = start_supervisions(&app, 20).await;
    let poison = &crowd[7].1;
    app.salesforce().clear_faults();
    for operation in ["collections", "upsert"] {
        // More often than any number of attempts, because the record must never be accepted.
        let mut fault = Fault::error(operation, 400, code).times(10_000);
        fault.matching = Some(poison.clone());
        app.salesforce().fault(fault);
    }
    for (id, ..) in crowd.iter().filter(|(_, leg, _)| leg != poison) {
        until_record(&app, id, "WRITTEN").await;
    }
    let bad = &crowd[7].0;
    if !certain {
        fail_in_half_an_hour(&app, bad).await;
    }
    until_record(&app, bad, "FAILED").await;
    app.assert_invariants().await;
}

/// Lets other records be accepted and ten minutes pass, again and again, until the record is a dead letter.
async fn fail_in_half_an_hour(app: &TestApp, bad: &str) {
    let record = async || app.get(bad).await.body["salesforceRecord"].clone();
    // An attempt that began before the ten minutes passed does not count, so there may be more rounds than four.
    for i in 0..10 {
        let call = app.connect().create_contact(NewContact::default());
        let supervisor = format!("later-{i}");
        app.connect().set_ccp_open(&supervisor, true);
        let other = app.joined(&call, &supervisor).await;
        until_record(app, other["id"].as_str().expect("an id"), "WRITTEN").await;
        let before = record().await;
        if before["state"] == "FAILED" {
            return;
        }
        pass_ten_minutes(&app.store_path()).await;
        for _ in 0..1500 {
            let now = record().await;
            if now["state"] == "FAILED" || now["attempts"] != before["attempts"] {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

#[tokio::test]
async fn bulk_delivery_lost_answer_or_expired_token_loses_nothing() {
    let app = TestApp::build()
        .set("SALESFORCE__FIND_VOICE_CALLS", "false")
        .start()
        .await;
    app.salesforce()
        .fault(Fault::error("*", 503, "SERVER_UNAVAILABLE").times(1000));
    let crowd = start_supervisions(&app, 30).await;
    app.salesforce().clear_faults();
    app.salesforce().revoke_tokens();
    app.salesforce().fault(Fault::lost_answer("collections"));
    for (id, leg, _) in &crowd {
        until_record(&app, id, "WRITTEN").await;
        app.record(leg);
    }
    assert_eq!(app.salesforce().rows("VoiceCallParticipant__c").len(), 30);
    app.assert_invariants().await;
}

#[tokio::test]
async fn bulk_delivery_outage_loses_nothing_and_recovers_slowly() {
    let app = TestApp::build()
        .set("SALESFORCE__FIND_VOICE_CALLS", "false")
        .start()
        .await;
    // The org works at first, so that the service has a token and the object's description and the fault hits the record calls.
    let call = app.connect().create_contact(NewContact::default());
    app.connect().set_ccp_open("first", true);
    let first = app.joined(&call, "first").await;
    until_record(&app, first["id"].as_str().expect("an id"), "WRITTEN").await;
    app.salesforce()
        .fault(Fault::error("*", 503, "SERVER_UNAVAILABLE").times(100_000));
    let before = app.salesforce().api_calls();
    let crowd = start_supervisions(&app, 300).await;
    let tried = app.salesforce().api_calls() - before;
    assert!(tried < 40, "an org that is down gets few calls: {tried}");
    let mut paused = Value::Null;
    for _ in 0..500 {
        paused = deliveries(&app, "state=PENDING&pageSize=1").await;
        if !paused["paused"].is_null() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(
        paused["paused"]["reason"]
            .as_str()
            .expect("why")
            .contains("SERVER_UNAVAILABLE"),
        "{paused:#}"
    );
    assert!(!paused["nextCursor"].is_null());
    let metrics = app.call("GET", "/metrics").key(READER).send().await.text;
    assert!(metrics.contains("sidedoor_deliveries_paused 1"));
    app.salesforce().clear_faults();
    let before = app.salesforce().api_calls();
    let asked_before = app.salesforce().asked("User");
    for (id, ..) in &crowd {
        until_record(&app, id, "WRITTEN").await;
    }
    // At most one question about a hundred supervisors for each call that writes.
    let asked = app.salesforce().asked("User") - asked_before;
    assert!(asked <= 12, "{asked} questions for 300 records");
    let calls = app.salesforce().api_calls() - before - u64::try_from(asked).expect("few");
    assert!(calls <= 12, "{calls} calls for 300 records");
    app.assert_invariants().await;
}

#[tokio::test]
async fn dead_letters_replay_has_dry_run_before_sending() {
    let app = TestApp::build()
        .set("SALESFORCE__FIND_VOICE_CALLS", "false")
        .start()
        .await;
    for operation in ["upsert", "collections"] {
        let fault = Fault::error(operation, 400, "REQUIRED_FIELD_MISSING").saying("Required: X__c");
        app.salesforce().fault(fault.times(1000));
    }
    let crowd = start_supervisions(&app, 3).await;
    for (id, ..) in &crowd {
        until_record(&app, id, "FAILED").await;
    }
    app.salesforce().clear_faults();
    let dead = deliveries(&app, "state=FAILED").await;
    let first = dead["items"][0].clone();
    let path = format!("/v1/deliveries/{}/replay", first["deliveryId"].as_str().expect("an id"));
    for (key, body, status) in [
        (READER, None, 403),
        (BACK_END, None, 403),
        (OPERATOR, Some(json!({"dryRun": "yes"})), 400),
        (OPERATOR, Some(json!({"dryRun": true})), 200),
    ] {
        let mut call = app.call("POST", &path).key(key);
        if let Some(body) = &body {
            call = call.json(body);
        }
        let answer = call.send().await;
        assert_eq!(answer.status, status, "{}", answer.text);
    }
    assert_eq!(
        deliveries(&app, "state=FAILED").await["items"]
            .as_array()
            .expect("items")
            .len(),
        3,
        "the dry run changed nothing"
    );
    let done = app.call("POST", &path).key(OPERATOR).send().await;
    assert_eq!((done.status, &done.body["records"]), (200, &json!(1)));
    let id = first["supervisionId"].as_str().expect("an id");
    until_record(&app, id, "WRITTEN").await;
    app.record(first["externalId"].as_str().expect("a key"));

    let now = jiff::Timestamp::now();
    let hour = jiff::SignedDuration::from_hours(1);
    let mut range = json!({"begunSince": (now - hour).to_string(), "begunBefore": (now + hour).to_string()});
    let replay = async |body: &Value| {
        app.call("POST", "/v1/deliveries/replay")
            .key(OPERATOR)
            .json(body)
            .send()
            .await
    };
    let looked = replay(&range).await;
    assert_eq!(
        (&looked.body["dryRun"], &looked.body["records"]),
        (&json!(true), &json!(2))
    );
    assert_eq!(
        deliveries(&app, "state=FAILED").await["items"]
            .as_array()
            .expect("items")
            .len(),
        2
    );
    range["dryRun"] = json!(false);
    assert_eq!(replay(&range).await.body["records"], 2);
    for (id, leg, _) in &crowd {
        until_record(&app, id, "WRITTEN").await;
        app.record(leg);
    }
    assert_eq!(
        app.salesforce().rows("VoiceCallParticipant__c").len(),
        3,
        "the replay wrote the same records with the same keys"
    );
    let audit = "SELECT DISTINCT actor FROM audit WHERE action = 'delivery.replayed'";
    assert_eq!(sql(&app.store_path(), audit).await.expect("read"), [["operator"]]);
    let missing = app
        .call("POST", "/v1/deliveries/0197f0aa-5d1e-7c3a-8a44-3a52b2a4c7f1/replay")
        .key(OPERATOR)
        .send()
        .await;
    assert_eq!((missing.status, missing.code()), (404, "delivery_not_found"));
    app.assert_invariants().await;
}

#[tokio::test]
async fn dead_letter_can_be_discarded_with_a_reason() {
    let app = TestApp::build()
        .set("SALESFORCE__FIND_VOICE_CALLS", "false")
        .start()
        .await;
    app.salesforce()
        .fault(Fault::error("upsert", 400, "REQUIRED_FIELD_MISSING").times(1000));
    let call = app.connect().create_call();
    let s = app.joined(&call, "supervisor-1").await;
    let id = s["id"].as_str().expect("an id");
    until_record(&app, id, "FAILED").await;
    let dead = deliveries(&app, "state=FAILED").await["items"][0].clone();
    let path = format!("/v1/deliveries/{}/discard", dead["deliveryId"].as_str().expect("an id"));
    let reason = json!({"reason": "the call was a test"});
    for (key, body, status) in [
        (READER, &reason, 403),
        (BACK_END, &reason, 403),
        (OPERATOR, &json!({}), 400),
        (OPERATOR, &json!({"reason": ""}), 400),
    ] {
        let answer = app.call("POST", &path).key(key).json(body).send().await;
        assert_eq!(answer.status, status, "{}", answer.text);
    }
    assert_eq!(
        app.get(id).await.body["salesforceRecord"]["state"],
        "FAILED",
        "nothing changed"
    );
    for _ in 0..2 {
        let answer = app.call("POST", &path).key(OPERATOR).json(&reason).send().await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        assert_eq!(answer.body["salesforceRecord"]["state"], "DISCARDED");
    }
    for state in ["FAILED", "WRITTEN", "PENDING"] {
        assert_eq!(
            deliveries(&app, &format!("state={state}")).await["items"],
            json!([]),
            "{state}"
        );
    }
    let all = deliveries(&app, "pageSize=1").await;
    assert_eq!(all["items"][0]["salesforceRecord"]["state"], "DISCARDED");
    let audit = "SELECT actor, why FROM audit WHERE action = 'delivery.discarded'";
    let lines = sql(&app.store_path(), audit).await.expect("read");
    assert_eq!(lines, [["operator", "the call was a test"]], "once");
    let metrics = app.call("GET", "/metrics").key(READER).send().await.text;
    assert!(!metrics.contains("sidedoor_rows{state=\"FAILED\"} 1"), "{metrics}");

    // The supervisor leaves. The newer version is not sent.
    app.leave(id, "supervisor-1").await;
    app.until_left(id).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let record = app.get(id).await.body["salesforceRecord"].clone();
    assert_eq!(record["state"], "DISCARDED", "{record}");
    assert_eq!(app.salesforce().written().len(), 0);

    app.salesforce().clear_faults();
    let replay = path.replace("/discard", "/replay");
    let replayed = app.call("POST", &replay).key(OPERATOR).send().await;
    assert_eq!(replayed.status, 200, "{}", replayed.text);
    until_record(&app, id, "WRITTEN").await;
    let refused = app.call("POST", &path).key(OPERATOR).json(&reason).send().await;
    assert_eq!((refused.status, refused.code()), (409, "delivery_state_conflict"));
    app.finish().await;
}
