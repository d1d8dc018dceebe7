//! Two calls to Salesforce at a time: a hung call stops nothing else, and no two carry the same record.

use std::time::{Duration, Instant};

use sidedoor_fakes::Fault;

use crate::support::app::TestApp;

async fn app() -> TestApp {
    TestApp::build()
        .set("SALESFORCE__FIND_VOICE_CALLS", "false")
        .set("SALESFORCE__REQUEST_TIMEOUT_MS", "20000")
        .start()
        .await
}

/// The first write of a record hangs. The supervisor leaves meanwhile, so that a newer version becomes due.
#[tokio::test]
async fn hung_upsert_delays_no_other_record() {
    const HANGS: Duration = Duration::from_secs(8);
    let app = app().await;
    app.salesforce()
        .fault(Fault::hang("upsert", u64::try_from(HANGS.as_millis()).expect("short")));
    let calls: Vec<String> = (0..3).map(|_| app.connect().create_call()).collect();
    let begun = Instant::now();
    let hung = app.joined(&calls[0], "supervisor-1").await;
    while app.salesforce().most_writes_at_once() == 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let id = hung["id"].as_str().expect("an id");
    app.leave(id, "supervisor-1").await;
    app.until_left(id).await;
    for (call, supervisor) in calls[1..].iter().zip(["supervisor-2", "supervisor-3"]) {
        let other = app.joined(call, supervisor).await;
        app.until_written(other["id"].as_str().expect("an id")).await;
        assert!(begun.elapsed() < HANGS, "the record waited for the call that hangs");
    }
    let record = &app.get(id).await.body["salesforceRecord"];
    assert_eq!(record["state"], "PENDING", "{record:#}");
    assert_eq!(app.salesforce().overlapping_writes(), Vec::<String>::new());

    // When the call has failed, the newest version is written, and it has the departure.
    app.until(id, "written", |s| s["salesforceRecord"]["state"] == "WRITTEN")
        .await;
    let leg = hung["legContactId"].as_str().expect("a leg");
    assert!(app.record(leg).contains_key("Disconnected_At__c"));
    app.assert_invariants().await;
}

/// Calls that hang, are lost, or come late, while every record changes several times.
#[tokio::test]
async fn slow_calls_never_share_a_record() {
    let app = TestApp::build()
        .set("SALESFORCE__FIND_VOICE_CALLS", "false")
        .set("SALESFORCE__REQUEST_TIMEOUT_MS", "700")
        .start()
        .await;
    for ms in [900, 300, 50, 650, 1200, 400] {
        for operation in ["upsert", "collections"] {
            app.salesforce().fault(Fault::late(operation, ms));
            app.salesforce().fault(Fault::hang(operation, ms));
            app.salesforce().fault(Fault::lost_answer(operation));
        }
    }
    let mut ids = Vec::new();
    for i in 0..12 {
        let supervisor = format!("crowd-{i}");
        app.connect().set_ccp_open(&supervisor, true);
        let call = app.connect().create_call();
        let s = app.joined(&call, &supervisor).await;
        ids.push((s["id"].as_str().expect("an id").to_owned(), call));
    }
    for (_, call) in &ids {
        app.connect().hang_up(call, "AGENT").expect("over");
    }
    app.salesforce().clear_faults();
    for (id, _) in &ids {
        app.until_left(id).await;
        app.until(id, "written", |s| s["salesforceRecord"]["state"] == "WRITTEN")
            .await;
    }
    app.finish().await;
}
