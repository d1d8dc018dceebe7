//! Helpers of the tests about claims and evidence: forged events, counts of refutations, and the interval of a departure.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::Value;
use sidedoor_fakes::ForgedEvent;

use super::app::{EVENTS, READER, TestApp};

/// A time of an answer.
pub fn instant(value: &Value) -> Timestamp {
    value.as_str().expect("a time").parse().expect("RFC 3339")
}

/// The text of a member of a supervision.
pub fn text(supervision: &Value, member: &str) -> String {
    supervision[member].as_str().expect("a text").to_owned()
}

/// An event that says that this leg ended just now.
pub fn forged_end(leg: &str) -> ForgedEvent {
    ForgedEvent {
        contact_id: leg.to_owned(),
        disconnected_at: Some(Timestamp::now()),
        disconnect_reason: Some("AGENT_DISCONNECT".into()),
        ..ForgedEvent::default()
    }
}

impl TestApp {
    /// Posts an event with the credential of Connect's events, and returns the body of the answer, which must be 200.
    pub async fn send_event(&self, event: &Value) -> Value {
        let call = self.call("POST", "/v1/events/connect").key(EVENTS);
        let answer = call.json(event).send().await;
        assert_eq!(answer.status, 200, "{event}: {}", answer.text);
        answer.body
    }

    /// The value of a metric, whose name includes its labels; 0 if there is none.
    pub async fn metric(&self, name: &str) -> u64 {
        let text = self.call("GET", "/metrics").key(READER).send().await.text;
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.map_or(0, |value| value.parse().expect("a number"))
    }

    /// How many claims of the events' credential were refuted.
    pub async fn claims_refuted(&self) -> u64 {
        self.metric("sidedoor_claims_refuted_total{credential=\"events\"}")
            .await
    }

    /// Waits for at most 30 s until `count` claims of the events' credential were refuted. Meanwhile the supervision is MONITORING.
    pub async fn until_refuted(&self, id: &str, count: u64) {
        let begun = Instant::now();
        loop {
            let refuted = self.claims_refuted().await;
            let s = self.get(id).await.body;
            assert_eq!(s["state"], "MONITORING", "{s:#}");
            if refuted >= count {
                assert_eq!(refuted, count);
                return;
            }
            assert!(begun.elapsed() < Duration::from_secs(30), "not refuted: {s:#}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until the fake vendor has connected a supervision's leg. Returns the supervision.
    pub async fn until_connected(&self, id: &str) -> Value {
        let connected = |s: &Value| {
            let leg = s["legContactId"].as_str().and_then(|leg| self.connect().contact(leg));
            s["state"] == "MONITORING" && leg.is_some_and(|leg| leg.connected)
        };
        self.until(id, "connected", connected).await
    }

    /// Waits until the end of the leg is confirmed by the vendor's answer, the after-check is done, and both are in the one record
    /// of the leg.
    pub async fn until_confirmed(&self, id: &str) -> Value {
        let confirmed = |s: &Value| {
            s["state"] == "LEFT"
                && s["confirmation"] == "VENDOR_ASKED"
                && s["salesforceRecord"]["state"] == "WRITTEN"
                && !s["departure"]["customerCallContinued"].is_null()
        };
        let left = self.until(id, "confirmed and written", confirmed).await;
        let record = self.record(&text(&left, "legContactId"));
        assert_eq!(record["Confirmation__c"], "VENDOR_ASKED", "{record:?}");
        left
    }

    /// Waits for at most 30 s until the record of a leg has this confirmation.
    pub async fn until_record_is(&self, leg: &str, confirmation: &str) {
        for _ in 0..1500 {
            let records = self.salesforce().rows("VoiceCallParticipant__c");
            let mut of = records.iter().filter(|r| r["Leg_Key__c"] == leg);
            if of.any(|r| r["Confirmation__c"] == confirmation) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("timeout: the record of {leg} never became {confirmation}");
    }

    /// Asserts that the real end of the leg is not outside the departure's interval.
    pub fn assert_contains_truth(&self, supervision: &Value) {
        let leg = text(supervision, "legContactId");
        let truth = self.connect().contact(&leg).and_then(|c| c.true_disconnect_at);
        let truth = truth.expect("it ended").as_millisecond();
        let departure = &supervision["departure"];
        let ms = |member: &str| instant(&departure[member]).as_millisecond();
        assert!(truth <= ms("latest"), "it ended at {truth} ms: {supervision:#}");
        if !departure["earliest"].is_null() {
            assert!(ms("earliest") <= truth, "it ended at {truth} ms: {supervision:#}");
            let uncertainty = departure["uncertaintyMs"].as_i64().expect("bounded");
            let error = (ms("disconnectedAt") - truth).abs();
            assert!(error <= uncertainty, "it ended at {truth} ms: {supervision:#}");
        }
    }
}
