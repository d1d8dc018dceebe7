//! Steps that many tests share: join, leave, and wait for a result.

use std::time::Duration;

use jiff::SignedDuration;
use serde_json::{Map, Value, json};
use sidedoor::usecases::UseCaseIntervals;

use super::app::TestApp;

/// The use cases' intervals, about a tenth of the production values, so that tests are fast.
pub fn fast_intervals() -> UseCaseIntervals {
    UseCaseIntervals {
        first_look: SignedDuration::from_millis(400),
        leaving_first_look: SignedDuration::from_millis(250),
        after_done: SignedDuration::from_millis(200),
        unknown_leg: SignedDuration::from_millis(100),
        join_row: SignedDuration::from_millis(60),
        after_again: SignedDuration::from_millis(300),
        recalibrate: Some(Duration::from_millis(200)),
        sweep: Duration::from_millis(500),
        seal: Duration::from_millis(50),
        ..UseCaseIntervals::default()
    }
}

impl TestApp {
    /// Waits until the after-check is done and the newest version of the record is written.
    pub async fn until_written(&self, id: &str) -> Value {
        let settled = |s: &Value| {
            s["salesforceRecord"]["state"] == "WRITTEN"
                && (s["state"] != "LEFT"
                    || s["contactId"].is_null()
                    || !s["departure"]["customerCallContinued"].is_null())
        };
        self.until(id, "WRITTEN", settled).await
    }

    /// The Salesforce record of a leg.
    pub fn record(&self, leg: &str) -> Map<String, Value> {
        let rows = self.salesforce().rows("VoiceCallParticipant__c");
        let mut of: Vec<_> = rows
            .into_iter()
            .filter(|r| r.get("Leg_Key__c") == Some(&json!(leg)))
            .collect();
        assert_eq!(of.len(), 1, "each leg has exactly one record: {of:?}");
        of.remove(0)
    }

    /// Starts a supervision and waits until its leg is connected.
    pub async fn joined(&self, call: &str, supervisor: &str) -> Value {
        let id = self.listen(call, supervisor).await.id();
        self.until(&id, "joined", |s| !s["joinedAt"].is_null()).await
    }

    /// Disconnects a supervision, lets the browser carry out the directive, and waits for LEFT.
    pub async fn leave(&self, id: &str, supervisor: &str) -> Value {
        let asked = self.disconnect(id).await;
        assert_eq!(asked.status, 202, "{}", asked.text);
        self.browser(supervisor).obey(&asked.body["nextAction"]).await;
        self.until_left(id).await
    }

    /// Waits for at most 20 s until a list with `query` has an item, and returns the newest.
    pub async fn found(&self, query: &str) -> Value {
        let path = format!("/v1/supervisions?{query}");
        for _ in 0..1000 {
            let found = self.call("GET", &path).send().await.body["items"][0].clone();
            if !found.is_null() {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("timeout: {query} has no item");
    }

    /// Waits until `count` streams of directives are open.
    pub async fn until_streams(&self, count: usize) {
        let wanted = format!("sidedoor_directive_streams {count}\n");
        for _ in 0..500 {
            let metrics = self.call("GET", "/metrics").key(super::app::READER).send().await.text;
            if metrics.contains(&wanted) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("timeout waiting for {count} streams");
    }
}
