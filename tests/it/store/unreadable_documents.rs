//! A supervision whose stored document cannot be parsed (damaged by the disk, or written by a newer version) does not affect
//! others: neither their lists, nor their records, nor their VoiceCalls.

use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::support::app::{READER, TestApp};
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
