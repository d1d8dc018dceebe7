//! What many stories begin or end with.

use std::time::Duration;

use jiff::SignedDuration;
use serde_json::{Map, Value, json};
use sidedoor::flows::Pace;

use super::answer::Answer;
use super::house::{House, start};

/// The flows' waits, a tenth of what they are.
pub fn quick() -> Pace {
    Pace {
        first_look: SignedDuration::from_millis(400),
        leaving_first_look: SignedDuration::from_millis(250),
        after_done: SignedDuration::from_millis(200),
        unexplained: SignedDuration::from_millis(100),
        join_row: SignedDuration::from_millis(60),
        after_again: SignedDuration::from_millis(300),
        regrade: Some(Duration::from_millis(200)),
        sweep: Duration::from_millis(500),
        ..Pace::default()
    }
}

impl House {
    /// Starts a supervision and hopes for the best.
    pub async fn listen(&self, contact: &str, supervisor: &str) -> Answer {
        self.call("POST", "/v1/supervisions")
            .json(&start(contact, supervisor))
            .send()
            .await
    }

    pub async fn disconnect(&self, id: &str) -> Answer {
        self.call("POST", &format!("/v1/supervisions/{id}/disconnect"))
            .send()
            .await
    }

    pub async fn get(&self, id: &str) -> Answer {
        self.call("GET", &format!("/v1/supervisions/{id}")).send().await
    }

    /// Until the after-check is done and the newest version of the row stands.
    pub async fn until_recorded(&self, id: &str) -> Value {
        let settled = |s: &Value| {
            s["recording"]["state"] == "RECORDED"
                && (s["state"] != "LEFT"
                    || s["contactId"].is_null()
                    || !s["departure"]["customerCallContinued"].is_null())
        };
        self.until(id, "RECORDED", settled).await
    }

    /// The row of a leg.
    pub fn row(&self, leg: &str) -> Map<String, Value> {
        let rows = self.salesforce().rows("VoiceCallParticipant__c");
        let mut of: Vec<_> = rows
            .into_iter()
            .filter(|r| r.get("Leg_Key__c") == Some(&json!(leg)))
            .collect();
        assert_eq!(of.len(), 1, "one leg, one row: {of:?}");
        of.remove(0)
    }

    /// A supervisor listens and is connected.
    pub async fn joined(&self, call: &str, supervisor: &str) -> Value {
        let id = self.listen(call, supervisor).await.id();
        self.until(&id, "joined", |s| !s["joinedAt"].is_null()).await
    }

    /// A supervisor leaves, as their browser would, and is gone.
    pub async fn leave(&self, id: &str, supervisor: &str) -> Value {
        let asked = self.disconnect(id).await;
        assert_eq!(asked.status, 202, "{}", asked.text);
        self.browser(supervisor).obey(&asked.body["nextAction"]).await;
        self.until_left(id).await
    }

    /// The newest supervision that a list finds, once it finds one; 20 s at most.
    pub async fn found(&self, query: &str) -> Value {
        let path = format!("/v1/supervisions?{query}");
        for _ in 0..1000 {
            let found = self.call("GET", &path).send().await.body["items"][0].clone();
            if !found.is_null() {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{query} found nothing");
    }

    /// Waits until so many streams of directives are open.
    pub async fn until_streams(&self, count: usize) {
        let wanted = format!("sidedoor_directive_streams {count}\n");
        for _ in 0..500 {
            let metrics = self.call("GET", "/metrics").key(super::house::READER).send().await.text;
            if metrics.contains(&wanted) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("there never were {count} streams");
    }
}
