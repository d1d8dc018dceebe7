//! Contact events, and agent events if wanted, pushed as EventBridge does it through an API destination: best effort, unordered, sometimes twice,
//! sometimes never; an answer of 429 or 5xx, or none within 5 s, is tried again.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::REGION;

/// How often an event is tried; EventBridge: 185 times in 24 h.
const TRIES: u32 = 20;
/// Events under way at a time; more are lost, as "best effort" allows.
const MOST: usize = 50_000;

/// Where and how events go.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct EventSettings {
    /// Sidedoor's `/v1/events/connect`; none pushes nothing.
    pub target: Option<String>,
    /// Sent as `X-API-Key`.
    #[serde(skip_serializing)]
    pub api_key: Option<String>,
    /// The least delay, ms.
    pub delay_min_ms: u64,
    /// The greatest delay, ms.
    pub delay_max_ms: u64,
    /// How often an event comes twice, 0 to 1.
    pub duplicate: f64,
    /// How often an event is held back, so that later ones overtake it, 0 to 1.
    pub reorder: f64,
    /// How often an event never comes, 0 to 1.
    pub loss: f64,
    /// Whether the agent event stream is forwarded too, as Kinesis records in base64.
    pub agent_events: bool,
    /// Whether contact events are sent at all.
    pub contact_events: bool,
}

impl std::fmt::Debug for EventSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EventSettings")
            .field("target", &self.target)
            .finish_non_exhaustive()
    }
}

impl Default for EventSettings {
    fn default() -> Self {
        Self {
            target: None,
            api_key: None,
            delay_min_ms: 100,
            delay_max_ms: 400,
            duplicate: 0.0,
            reorder: 0.0,
            loss: 0.0,
            agent_events: false,
            contact_events: true,
        }
    }
}

/// The pusher.
#[derive(Clone)]
pub(super) struct Events {
    settings: Arc<Mutex<EventSettings>>,
    chance: Arc<Mutex<fastrand::Rng>>,
    under_way: Arc<AtomicUsize>,
    http: reqwest::Client,
    stop: CancellationToken,
}

impl Events {
    pub(super) fn start(settings: EventSettings, seed: u64, stop: CancellationToken) -> Self {
        // The one thing that can fail is TLS, and events of the fake go over plain http to loopback.
        let http = reqwest::Client::builder()
            .timeout(Duration::from_secs(5))
            .build()
            .unwrap_or_default();
        Self {
            settings: Arc::new(Mutex::new(settings)),
            chance: Arc::new(Mutex::new(fastrand::Rng::with_seed(seed))),
            under_way: Arc::default(),
            http,
            stop,
        }
    }

    pub(super) fn change(&self, how: impl FnOnce(&mut EventSettings)) {
        how(&mut self.settings.lock().unwrap_or_else(PoisonError::into_inner));
    }

    pub(super) fn settings(&self) -> EventSettings {
        self.settings.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn pending(&self) -> usize {
        self.under_way.load(Ordering::SeqCst)
    }

    /// Sends an event on its way, as chance will have it.
    pub(super) fn push(&self, event: Value) {
        let settings = self.settings();
        let of_agent = event.get("AgentARN").is_some();
        if !(if of_agent {
            settings.agent_events
        } else {
            settings.contact_events
        }) {
            return;
        }
        let envelope = if of_agent { record(&event) } else { event };
        if settings.target.is_none() || self.pending() >= MOST {
            return;
        }
        let delays: Vec<u64> = {
            let mut chance = self.chance.lock().unwrap_or_else(PoisonError::into_inner);
            if chance.f64() < settings.loss {
                return;
            }
            let copies = if chance.f64() < settings.duplicate { 2 } else { 1 };
            let (least, most) = (settings.delay_min_ms, settings.delay_max_ms.max(settings.delay_min_ms));
            (0..copies)
                .map(|_| {
                    let held = if chance.f64() < settings.reorder { 2 * most } else { 0 };
                    chance.u64(least..=most) + held
                })
                .collect()
        };
        for delay in delays {
            let (events, envelope) = (self.clone(), envelope.clone());
            self.under_way.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(async move {
                events.deliver(delay, &envelope).await;
                events.under_way.fetch_sub(1, Ordering::SeqCst);
            });
        }
    }

    async fn deliver(&self, delay_ms: u64, envelope: &Value) {
        let mut wait = Duration::from_millis(delay_ms.min(600_000));
        for attempt in 0..TRIES {
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = self.stop.cancelled() => return,
            }
            let settings = self.settings();
            let Some(target) = settings.target else { return };
            let mut request = self.http.post(target).json(envelope);
            if let Some(key) = settings.api_key {
                request = request.header("X-API-Key", key);
            }
            match request.send().await {
                Ok(answer) if answer.status().as_u16() == 429 || answer.status().is_server_error() => {}
                Ok(_) => return,
                Err(_) => {}
            }
            wait = Duration::from_millis(100 * 2_u64.pow(attempt.min(5)));
        }
    }
}

/// An agent event as an EventBridge Pipe forwards it from Kinesis: a batch of records, their data in base64.
fn record(event: &Value) -> Value {
    let data = base64::engine::general_purpose::STANDARD.encode(event.to_string());
    json!([{"eventSource": "aws:kinesis", "eventVersion": "1.0", "eventName": "aws:kinesis:record", "awsRegion": REGION,
        "kinesisSchemaVersion": "1.0", "partitionKey": event["AgentARN"], "sequenceNumber": "1", "data": data}])
}

/// The envelope of a contact event.
pub(super) fn envelope(detail: &Value, vendor_now: Timestamp) -> Value {
    json!({
        "version": "0",
        "id": uuid::Uuid::new_v4().to_string(),
        "detail-type": "Amazon Connect Contact Event",
        "source": "aws.connect",
        "account": "111122223333",
        "time": vendor_now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        "region": REGION,
        "resources": [],
        "detail": detail,
    })
}
