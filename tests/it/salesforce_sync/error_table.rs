//! Salesforce's error table (docs/errors.md), line by line: what becomes of a row that meets it alone, and of one that meets it
//! among others in a collection, and that the others never suffer.

use serde_json::{Value, json};
use sidedoor_fakes::Fault;
use sidedoor_fakes::connect::NewContact;
use sidedoor_fakes::salesforce::Object;

use crate::support::app::{READER, TestApp};

/// What passes by itself.
const PASSING: [(u16, &str); 5] = [
    (400, "UNABLE_TO_LOCK_ROW"),
    (503, "SERVER_UNAVAILABLE"),
    (500, "UNKNOWN_EXCEPTION"),
    (502, ""),
    (400, "DUPLICATE_VALUE"),
];
/// What needs a person.
const OF_THE_ROW: [(u16, &str); 4] = [
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

/// A supervisor listens: their row is on its way. Its supervision and its leg.
async fn row(app: &TestApp, i: usize) -> (String, String) {
    let supervisor = format!("table-{i}");
    app.connect().set_ccp_open(&supervisor, true);
    let call = app.connect().create_contact(NewContact::default());
    let s = app.joined(&call, &supervisor).await;
    let text = |name: &str| s[name].as_str().expect("a text").to_owned();
    (text("id"), text("legContactId"))
}

async fn ends(app: &TestApp, id: &str, state: &str) -> Value {
    let recording = |s: &Value| s["salesforceRecord"]["state"] == state;
    app.until(id, state, recording).await["salesforceRecord"].clone()
}

async fn paused(app: &TestApp) -> Value {
    for _ in 0..500 {
        let told = app.call("GET", "/v1/deliveries").key(READER).send().await.body;
        if !told["paused"].is_null() {
            return told["paused"].clone();
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("deliveries are not paused");
}

#[tokio::test]
async fn alone_each_line_ends_as_it_must() {
    let app = app().await;
    let sf = app.salesforce();
    for (i, (status, code)) in PASSING.into_iter().enumerate() {
        sf.fault(Fault::error("upsert", status, code));
        let (id, leg) = row(&app, i).await;
        ends(&app, &id, "WRITTEN").await;
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
        let (id, leg) = row(&app, 10 + i).await;
        ends(&app, &id, "WRITTEN").await;
        app.record(&leg);
    }
    sf.revoke_tokens();
    let (id, _) = row(&app, 20).await;
    ends(&app, &id, "WRITTEN").await;
    for (i, (status, code)) in OF_THE_ROW.into_iter().enumerate() {
        sf.fault(Fault::error("upsert", status, code).times(50));
        let (id, _) = row(&app, 30 + i).await;
        let dead = ends(&app, &id, "FAILED").await;
        assert!(dead["lastError"].as_str().expect("told").contains(code), "{dead}");
        sf.clear_faults();
    }
    app.assert_invariants().await;
}

#[tokio::test]
async fn limits_park_the_org_and_kill_no_row() {
    for (status, code) in [(403, "REQUEST_LIMIT_EXCEEDED"), (429, "")] {
        let app = app().await;
        app.salesforce().fault(Fault::error("upsert", status, code).times(50));
        let (id, _) = row(&app, 0).await;
        let told = paused(&app).await;
        let until: jiff::Timestamp = told["until"].as_str().expect("a time").parse().expect("a time");
        assert!(
            until > jiff::Timestamp::now() + jiff::SignedDuration::from_secs(200),
            "{told}"
        );
        ends(&app, &id, "PENDING").await;
        app.assert_invariants().await;
    }
}

/// The org changed: every row would fail. One look at its description says so and what to do.
#[tokio::test]
async fn what_ails_the_whole_org_parks_it_and_names_the_remedy() {
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
    for (line, object, remedy) in changes {
        let app = app().await;
        // One row stands, so that the service knows the object from before.
        let (first, _) = row(&app, 0).await;
        ends(&app, &first, "WRITTEN").await;
        match object {
            Some(object) => app.salesforce().put_object(object),
            None => app.salesforce().remove_object("VoiceCallParticipant__c"),
        }
        let (id, _) = row(&app, 1).await;
        let told = paused(&app).await;
        assert!(told["reason"].as_str().expect("why").contains(remedy), "{line}: {told}");
        ends(&app, &id, "PENDING").await;
        app.assert_invariants().await;
    }
}

#[tokio::test]
async fn among_others_each_line_ends_the_same_and_the_others_stand() {
    let app = app().await;
    let sf = app.salesforce();
    // While the org is down the rows gather, so that one call carries them all.
    sf.fault(Fault::error("*", 503, "SERVER_UNAVAILABLE").times(10_000));
    let mut rows = Vec::new();
    for i in 0..16 {
        rows.push(row(&app, i).await);
    }
    sf.clear_faults();
    let passing = PASSING
        .into_iter()
        .filter(|(_, code)| !code.is_empty())
        .map(|(_, code)| (code, 1, "WRITTEN"));
    // 300 is an answer to a URL: a record of a collection has no status of its own.
    let of_the_row = OF_THE_ROW
        .into_iter()
        .filter(|(status, _)| *status != 300)
        .map(|(_, code)| (code, 50, "FAILED"));
    let lines: Vec<_> = passing.chain(of_the_row).collect();
    for ((code, times, _), (_, leg)) in lines.iter().zip(&rows) {
        for operation in ["item", "upsert"] {
            let mut fault = Fault::error(operation, 400, code).times(*times);
            fault.matching = Some(leg.clone());
            sf.fault(fault);
        }
    }
    for (i, (id, leg)) in rows.iter().enumerate() {
        let (code, _, end) = lines.get(i).copied().unwrap_or(("none", 0, "WRITTEN"));
        let recording = ends(&app, id, end).await;
        if end == "FAILED" {
            assert!(
                recording["lastError"].as_str().expect("told").contains(code),
                "{recording}"
            );
        } else {
            app.record(leg);
        }
    }
    let together = sf.written().len();
    assert!(together >= 13, "{together}");
    app.assert_invariants().await;
}

/// A collection that is refused, lost or late as a whole, and a session that ends in the middle.
#[tokio::test]
async fn a_whole_collection_that_fails_loses_and_doubles_nothing() {
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
        let mut rows = Vec::new();
        for i in 0..5 {
            rows.push(row(&app, 100 * (round + 1) + i).await);
        }
        sf.clear_faults();
        match fault {
            Some(fault) => sf.fault(fault),
            None => sf.revoke_tokens(),
        }
        for (id, leg) in &rows {
            ends(&app, id, "WRITTEN").await;
            app.record(leg);
        }
    }
    app.assert_invariants().await;
}

/// A lookup that the org refuses is left out, alone and among others.
#[tokio::test]
async fn a_refused_lookup_is_left_out_and_marked_wherever_it_stands() {
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
    let recorded = ends(&app, &alone, "WRITTEN").await;
    assert!(
        recorded["lastError"]
            .as_str()
            .expect("marked")
            .contains("without its VoiceCall"),
        "{recorded}"
    );
    sf.fault(Fault::error("*", 503, "SERVER_UNAVAILABLE").times(10_000));
    let mut ids = Vec::new();
    for i in 1..5 {
        ids.push(listen(i).await);
    }
    let (other, _) = row(&app, 9).await;
    sf.clear_faults();
    for id in &ids {
        let recorded = ends(&app, id, "WRITTEN").await;
        assert!(
            recorded["lastError"]
                .as_str()
                .expect("marked")
                .contains("without its VoiceCall"),
            "{recorded}"
        );
    }
    ends(&app, &other, "WRITTEN").await;
    app.assert_invariants().await;
}

/// Whatever a lookup is refused with, the row stands, without that lookup and with the other.
#[tokio::test]
async fn only_the_refused_lookup_is_left_out() {
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
        // As long as the row names this User.
        let mut fault = Fault::error("upsert", 400, code).times(100);
        fault.matching = Some("005000000000001AAA".into());
        fault.fields = vec!["supervisor__C".into()];
        sf.fault(fault);
        let body = json!({"contactId": call, "supervisor": {"connectUserId": supervisor},
            "voiceCallId": "0LQ000000000001AAA", "salesforceUserId": "005000000000001AAA"});
        let begun = app.call("POST", "/v1/supervisions").json(&body).send().await;
        let recorded = ends(&app, &begun.id(), "WRITTEN").await;
        let said = recorded["lastError"].as_str().expect("marked");
        assert!(
            said.contains("without its supervisor's User") && said.contains(code),
            "{said}"
        );
        let row = app.record(begun.body["legContactId"].as_str().expect("a leg"));
        assert_eq!(row["Voice_Call__c"], "0LQ000000000001AAA", "{code}");
        assert_eq!(row.get("Supervisor__c"), None, "{code}");
    }
    app.assert_invariants().await;
}
