//! A supervision whose stored document cannot be parsed (damaged by the disk, or written by a newer version) does not affect
//! others: neither their lists, nor their records, nor their VoiceCalls.

use std::time::Duration;

use serde_json::{Map, Value, json};

use sidedoor_fakes::FakesConfig;

use crate::support::app::{READER, TestApp};
use crate::support::departures::{departed, open_after_crash, seed};
use crate::support::process::{free_port, spawn_logging};
use crate::support::sql;
use crate::support::stored_states::{damage_document, make_record_due, make_voice_call_searches_due};

#[tokio::test]
async fn unreadable_document_does_not_block_others() {
    let mut app = TestApp::start().await;
    let calls: Vec<String> = (0..3).map(|_| app.connect().create_call()).collect();
    let mut started = Vec::new();
    for (i, call) in calls.iter().enumerate() {
        let s = app.joined(call, &format!("supervisor-{}", i + 1)).await;
        let text = |name: &str| s[name].as_str().expect("a text").to_owned();
        app.until_written(&text("id")).await;
        started.push((text("id"), text("legContactId")));
    }
    app.crash();
    // The second document is damaged and its delivery stays pending; the searches for VoiceCalls are due now.
    make_record_due(&app.store_path(), &started[1].0).await;
    make_voice_call_searches_due(&app.store_path()).await;
    damage_document(&app.store_path(), &started[1].0).await;
    let mut voice_call = Map::new();
    voice_call.insert("VendorCallKey".into(), json!(calls[0]));
    let record = app.salesforce().put_row("VoiceCall", voice_call);
    app.restart().await;

    let ids = |page: &Value, name: &str| -> Vec<String> {
        let items = page["items"].as_array().expect("items");
        items
            .iter()
            .map(|i| i[name].as_str().expect("an id").to_owned())
            .collect()
    };
    let others = [started[2].0.clone(), started[0].0.clone()];
    for (path, name) in [("/v1/deliveries", "supervisionId"), ("/v1/supervisions", "id")] {
        let page = app.call("GET", path).key(READER).send().await;
        assert_eq!(page.status, 200, "{}", page.text);
        assert_eq!(ids(&page.body, name), others, "{path}");
        // Pages of one item skip it too.
        let first = app
            .call("GET", &format!("{path}?pageSize=1"))
            .key(READER)
            .send()
            .await
            .body;
        let cursor = first["nextCursor"].as_str().expect("there is more");
        let next = app
            .call("GET", &format!("{path}?pageSize=1&cursor={cursor}"))
            .key(READER)
            .send()
            .await
            .body;
        assert_eq!(ids(&next, name), [started[0].0.clone()], "{path}");
    }
    for _ in 0..500 {
        if app.record(&started[0].1).contains_key("Voice_Call__c") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(app.record(&started[0].1)["Voice_Call__c"], record.as_str());
}

/// The record of the damaged one is due. It is logged once, not in every round, its record waits, and `sidedoor check` names it.
#[tokio::test]
async fn unreadable_document_is_logged_once_and_listed_by_check() {
    const ROWS: usize = 30;
    let fakes = sidedoor_fakes::start(FakesConfig::default())
        .await
        .expect("the fakes start");
    let folder = tempfile::tempdir().expect("a folder");
    let (store, log) = (folder.path().join("store.db"), folder.path().join("log"));
    let now = jiff::Timestamp::from_second(1_790_000_000).expect("in range");
    open_after_crash(&store).await.close().await;
    let departures: Vec<_> = (0..ROWS).map(|i| departed(i, now)).collect();
    let damaged = departures[0].id.to_string();
    seed(&store, departures.into_iter(), now).await;
    damage_document(&store, &damaged).await;
    let quiet = [
        ("SALESFORCE__FIND_VOICE_CALLS", "false"),
        ("SALESFORCE__COMPARE_PARTICIPANTS", "false"),
    ];
    let service = spawn_logging(&fakes, free_port(), &store, &log, &quiet);
    let written = || {
        let rows = fakes.salesforce().rows("VoiceCallParticipant__c");
        rows.len()
    };
    for _ in 0..1000 {
        if written() == ROWS - 1 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(written(), ROWS - 1, "the others are written");
    // Several rounds of every loop.
    tokio::time::sleep(Duration::from_secs(12)).await;
    let lines = std::fs::read_to_string(&log).expect("a log");
    let about: Vec<&str> = lines.lines().filter(|line| line.contains(&damaged)).collect();
    assert_eq!(about.len(), 1, "{about:#?}");
    let due = "SELECT CAST(due_at > unixepoch() * 1000 AS TEXT) FROM deliveries WHERE state = 'PENDING'";
    assert_eq!(
        sql(&store, due).await.expect("read"),
        [["1"]],
        "it is tried again later"
    );
    service.kill();

    let mut check = std::process::Command::new(env!("CARGO_BIN_EXE_sidedoor"));
    check
        .args(["check", "--output", "json"])
        .env("SIDEDOOR__STORE__URL", format!("sqlite://{}", store.display()));
    for (name, value) in [
        (
            "CONNECT__INSTANCES__MAIN__INSTANCE_ID",
            sidedoor_fakes::connect::INSTANCE,
        ),
        ("CONNECT__INSTANCES__MAIN__REGION", sidedoor_fakes::connect::REGION),
        ("CONNECT__INSTANCES__MAIN__ENDPOINT_URL", fakes.connect_url()),
        ("SALESFORCE__ENABLED", "false"),
    ] {
        check.env(format!("SIDEDOOR__{name}"), value);
    }
    let ran = tokio::task::spawn_blocking(move || check.output().expect("it runs"))
        .await
        .expect("no panic");
    let printed = String::from_utf8_lossy(&ran.stdout).into_owned();
    let report: Value = serde_json::from_str(&printed).unwrap_or_else(|e| panic!("{e}: {printed}"));
    let line = report.to_string();
    assert!(line.contains("store-readable") && line.contains(&damaged), "{report:#}");
}
