//! Salesforce's error table (docs/errors.md), line by line: what happens to a record that meets the error in its own request, what
//! happens to it within a collection, and that the other records of the collection are still written.

use serde_json::{Value, json};
use sidedoor_fakes::Fault;
use sidedoor_fakes::connect::NewContact;
use sidedoor_fakes::salesforce::Object;

use crate::support::app::{READER, TestApp};

/// Errors that pass without anyone's help.
const TRANSIENT: [(u16, &str); 5] = [
    (400, "UNABLE_TO_LOCK_ROW"),
    (503, "SERVER_UNAVAILABLE"),
    (500, "UNKNOWN_EXCEPTION"),
    (502, ""),
    (400, "DUPLICATE_VALUE"),
];
/// Errors of the record itself, which a person has to correct.
const PERMANENT: [(u16, &str); 4] = [
    (300, "MULTIPLE_CHOICES"),
    (400, "REQUIRED_FIELD_MISSING"),
    (400, "FIELD_CUSTOM_VALIDATION_EXCEPTION"),
    (400, "STRING_TOO_LONG"),
];

async fn app() -> TestApp {
    TestApp::build()
        .set("SALESFORCE__FIND_VOICE_CALLS", "false")
        .set("SALESFORCE__REQUEST_TIMEOUT_MS", "600")
        .start()
        .await
}

/// Starts a supervision, whose record is then due for delivery. Returns the IDs of the supervision and of its leg.
async fn pending_record(app: &TestApp, i: usize) -> (String, String) {
    let supervisor = format!("table-{i}");
    app.connect().set_ccp_open(&supervisor, true);
    let call = app.connect().create_contact(NewContact::default());
    let s = app.joined(&call, &supervisor).await;
    let field = |name: &str| s[name].as_str().expect("a string").to_owned();
    (field("id"), field("legContactId"))
}

async fn record_in_state(app: &TestApp, id: &str, state: &str) -> Value {
    let in_state = |s: &Value| s["salesforceRecord"]["state"] == state;
    app.until(id, state, in_state).await["salesforceRecord"].clone()
}

async fn paused_deliveries(app: &TestApp) -> Value {
    for _ in 0..500 {
        let answer = app.call("GET", "/v1/deliveries").key(READER).send().await.body;
        if !answer["paused"].is_null() {
            return answer["paused"].clone();
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("deliveries are not paused");
}

#[tokio::test]
async fn single_record_meets_each_error_of_the_table() {
    let app = app().await;
    let sf = app.salesforce();
    for (i, (status, code)) in TRANSIENT.into_iter().enumerate() {
        sf.fault(Fault::error("upsert", status, code));
        let (id, leg) = pending_record(&app, i).await;
        record_in_state(&app, &id, "WRITTEN").await;
        app.record(&leg);
    }
    let dropped = Fault {
        drop_connection: true,
        status: None,
        ..Fault::error("upsert", 500, "")
    };
    for (i, fault) in [dropped, Fault::lost_answer("upsert"), Fault::late("upsert", 1200)]
        .into_iter()
        .enumerate()
    {
        sf.fault(fault);
        let (id, leg) = pending_record(&app, 10 + i).await;
        record_in_state(&app, &id, "WRITTEN").await;
        app.record(&leg);
    }
    sf.revoke_tokens();
    let (id, _) = pending_record(&app, 20).await;
    record_in_state(&app, &id, "WRITTEN").await;
    for (i, (status, code)) in PERMANENT.into_iter().enumerate() {
        sf.fault(Fault::error("upsert", status, code).times(50));
        let (id, _) = pending_record(&app, 30 + i).await;
        let failed = record_in_state(&app, &id, "FAILED").await;
        assert!(
            failed["lastError"].as_str().expect("a string").contains(code),
            "{failed}"
        );
        sf.clear_faults();
    }
    app.assert_invariants().await;
}

#[tokio::test]
async fn limits_pause_deliveries_and_leave_the_record_pending() {
    for (status, code) in [(403, "REQUEST_LIMIT_EXCEEDED"), (429, "")] {
        let app = app().await;
        app.salesforce().fault(Fault::error("upsert", status, code).times(50));
        let (id, _) = pending_record(&app, 0).await;
        let pause = paused_deliveries(&app).await;
        let until: jiff::Timestamp = pause["until"].as_str().expect("a time").parse().expect("a time");
        assert!(
            until > jiff::Timestamp::now() + jiff::SignedDuration::from_secs(200),
            "{pause}"
        );
        record_in_state(&app, &id, "PENDING").await;
        app.assert_invariants().await;
    }
}

/// The org changed, so that every record would fail. Sidedoor reads the object's description once, and says what to correct.
#[tokio::test]
async fn faults_of_the_whole_org_pause_deliveries_and_name_the_remedy() {
    let field = |name: &'static str, how: fn(&mut sidedoor_fakes::salesforce::Field)| {
        let mut object = Object::participant("VoiceCallParticipant__c");
        object.fields.iter_mut().filter(|f| f.name == name).for_each(how);
        object
    };
    let mut gone = Object::participant("VoiceCallParticipant__c");
    gone.fields.retain(|f| f.name != "Mode__c");
    let mut closed = Object::participant("VoiceCallParticipant__c");
    (closed.createable, closed.updateable) = (false, false);
    let changes = [
        ("INVALID_FIELD", Some(gone), "Mode__c"),
        (
            "INVALID_FIELD_FOR_INSERT_UPDATE",
            Some(field("Rejoin__c", |f| f.createable = false)),
            "permission set",
        ),
        ("INSUFFICIENT_ACCESS", Some(closed), "permission set"),
        ("NOT_FOUND", None, "infra/salesforce"),
    ];
    for (code, object, remedy) in changes {
        let app = app().await;
        // One record is written first, so that the service already knows the object.
        let (first, _) = pending_record(&app, 0).await;
        record_in_state(&app, &first, "WRITTEN").await;
        match object {
            Some(object) => app.salesforce().put_object(object),
            None => app.salesforce().remove_object("VoiceCallParticipant__c"),
        }
        let (id, _) = pending_record(&app, 1).await;
        let pause = paused_deliveries(&app).await;
        assert!(
            pause["reason"].as_str().expect("a string").contains(remedy),
            "{code}: {pause}"
        );
        record_in_state(&app, &id, "PENDING").await;
        app.assert_invariants().await;
    }
}

#[tokio::test]
async fn record_in_a_collection_meets_each_error_and_the_others_are_written() {
    let app = app().await;
    let sf = app.salesforce();
    // While the org is down, the records wait, so that one request then carries all of them.
    sf.fault(Fault::error("*", 503, "SERVER_UNAVAILABLE").times(10_000));
    let mut records = Vec::new();
    for i in 0..16 {
        records.push(pending_record(&app, i).await);
    }
    sf.clear_faults();
    let transient = TRANSIENT
        .into_iter()
        .filter(|(_, code)| !code.is_empty())
        .map(|(_, code)| (code, 1, "WRITTEN"));
    // 300 answers a request for a URL; a record within a collection has no status of its own.
    let permanent = PERMANENT
        .into_iter()
        .filter(|(status, _)| *status != 300)
        .map(|(_, code)| (code, 50, "FAILED"));
    let errors: Vec<_> = transient.chain(permanent).collect();
    for ((code, times, _), (_, leg)) in errors.iter().zip(&records) {
        for operation in ["item", "upsert"] {
            let mut fault = Fault::error(operation, 400, code).times(*times);
            fault.matching = Some(leg.clone());
            sf.fault(fault);
        }
    }
    for (i, (id, leg)) in records.iter().enumerate() {
        let (code, _, end) = errors.get(i).copied().unwrap_or(("none", 0, "WRITTEN"));
        let record = record_in_state(&app, id, end).await;
        if end == "FAILED" {
            assert!(
                record["lastError"].as_str().expect("a string").contains(code),
                "{record}"
            );
        } else {
            app.record(leg);
        }
    }
    let together = sf.written().len();
    assert!(together >= 13, "{together}");
    app.assert_invariants().await;
}

/// The whole collection is refused, or its answer is lost or late, or the session expires between two requests.
#[tokio::test]
async fn failed_collection_loses_no_record_and_writes_none_twice() {
    let app = app().await;
    let sf = app.salesforce();
    let dropped = Fault {
        drop_connection: true,
        status: None,
        ..Fault::error("collections", 500, "")
    };
    let faults = [
        Some(Fault::error("collections", 503, "SERVER_UNAVAILABLE")),
        Some(Fault::lost_answer("collections")),
        Some(dropped),
        Some(Fault::late("collections", 1200)),
        None,
    ];
    for (round, fault) in faults.into_iter().enumerate() {
        sf.fault(Fault::error("*", 503, "SERVER_UNAVAILABLE").times(10_000));
        let mut records = Vec::new();
        for i in 0..5 {
            records.push(pending_record(&app, 100 * (round + 1) + i).await);
        }
        sf.clear_faults();
        match fault {
            Some(fault) => sf.fault(fault),
            None => sf.revoke_tokens(),
        }
        for (id, leg) in &records {
            record_in_state(&app, id, "WRITTEN").await;
            app.record(leg);
        }
    }
    app.assert_invariants().await;
}

/// A lookup that the org refuses is left out, both of a single record and of one within a collection.
#[tokio::test]
async fn refused_lookup_is_left_out_and_reported() {
    let app = TestApp::build()
        .set("SALESFORCE__FIND_VOICE_CALLS", "false")
        .fakes(|f| f.salesforce.strict_lookups = true)
        .start()
        .await;
    let sf = app.salesforce();
    let listen = |i: usize| {
        let app = &app;
        async move {
            let supervisor = format!("lookup-{i}");
            app.connect().set_ccp_open(&supervisor, true);
            let call = app.connect().create_call();
            let body = json!({"contactId": call, "supervisor": {"connectUserId": supervisor},
                "voiceCallId": "0LQ000000000001AAA"});
            app.call("POST", "/v1/supervisions").json(&body).send().await.id()
        }
    };
    let alone = listen(0).await;
    let record = record_in_state(&app, &alone, "WRITTEN").await;
    assert!(
        record["lastError"]
            .as_str()
            .expect("a string")
            .contains("without its VoiceCall"),
        "{record}"
    );
    sf.fault(Fault::error("*", 503, "SERVER_UNAVAILABLE").times(10_000));
    let mut ids = Vec::new();
    for i in 1..5 {
        ids.push(listen(i).await);
    }
    let (other, _) = pending_record(&app, 9).await;
    sf.clear_faults();
    for id in &ids {
        let record = record_in_state(&app, id, "WRITTEN").await;
        assert!(
            record["lastError"]
                .as_str()
                .expect("a string")
                .contains("without its VoiceCall"),
            "{record}"
        );
    }
    record_in_state(&app, &other, "WRITTEN").await;
    app.assert_invariants().await;
}

/// Whichever code a lookup is refused with, the record is written without that lookup and with the other one.
#[tokio::test]
async fn accepted_lookup_is_kept_when_another_is_refused() {
    let app = app().await;
    let sf = app.salesforce();
    let codes = [
        "INVALID_CROSS_REFERENCE_KEY",
        "MALFORMED_ID",
        "FIELD_INTEGRITY_EXCEPTION",
        "INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY",
        "FIELD_FILTER_VALIDATION_EXCEPTION",
        "ENTITY_IS_DELETED",
    ];
    for (i, code) in codes.into_iter().enumerate() {
        let supervisor = format!("lookup-{i}");
        app.connect().set_ccp_open(&supervisor, true);
        let call = app.connect().create_call();
        sf.clear_faults();
        // Fails as long as the record names this User.
        let mut fault = Fault::error("upsert", 400, code).times(100);
        fault.matching = Some("005000000000001AAA".into());
        fault.fields = vec!["supervisor__C".into()];
        sf.fault(fault);
        let body = json!({"contactId": call, "supervisor": {"connectUserId": supervisor},
            "voiceCallId": "0LQ000000000001AAA", "salesforceUserId": "005000000000001AAA"});
        let started = app.call("POST", "/v1/supervisions").json(&body).send().await;
        let record = record_in_state(&app, &started.id(), "WRITTEN").await;
        let error = record["lastError"].as_str().expect("a string");
        assert!(
            error.contains("without its supervisor's User") && error.contains(code),
            "{error}"
        );
        let participant = app.record(started.body["legContactId"].as_str().expect("a string"));
        assert_eq!(participant["Voice_Call__c"], "0LQ000000000001AAA", "{code}");
        assert_eq!(participant.get("Supervisor__c"), None, "{code}");
    }
    app.assert_invariants().await;
}
