//! Sends contact events, and optionally agent events, as EventBridge does through an API destination: best effort, unordered,
//! sometimes twice, sometimes never. An event is sent again after an answer of 429 or 5xx, or no answer within 5 s.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::event_payloads::kinesis_batch;

/// Attempts for each event. EventBridge makes 185 in 24 h.
const MAX_ATTEMPTS: u32 = 20;
/// Largest number of events that are delayed or waiting for a retry. Further events are dropped, which "best effort" allows.
const MAX_IN_FLIGHT: usize = 50_000;

/// Where and how events are sent.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct EventSettings {
    /// URL of Sidedoor's `/v1/events/connect`. Without it no events are sent.
    pub target: Option<String>,
    /// API key, sent as `X-API-Key`.
    #[serde(skip_serializing)]
    pub api_key: Option<String>,
    /// Shortest delay, ms.
    pub delay_min_ms: u64,
    /// Longest delay, ms.
    pub delay_max_ms: u64,
    /// Share of events that are sent twice, 0 to 1.
    pub duplicate: f64,
    /// Share of events that are delayed further, so that later events overtake them, 0 to 1.
    pub reorder: f64,
    /// Share of events that are never sent, 0 to 1.
    pub loss: f64,
    /// Send agent events, as an EventBridge Pipe forwards them from Kinesis: records with base64 data.
    pub agent_events: bool,
    /// Send contact events.
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

/// Sends events in the background, with random delays, losses and duplicates.
#[derive(Clone)]
pub(super) struct EventPusher {
    settings: Arc<Mutex<EventSettings>>,
    rng: Arc<Mutex<fastrand::Rng>>,
    in_flight: Arc<AtomicUsize>,
    http: reqwest::Client,
    stop: CancellationToken,
}

impl EventPusher {
    pub(super) fn start(settings: EventSettings, seed: u64, stop: CancellationToken) -> Self {
        // Only the TLS set-up of a client can fail, and events go over plain HTTP to loopback.
        let http = reqwest::Client::builder()
            .timeout(Duration::from_secs(5))
            .build()
            .unwrap_or_default();
        Self {
            settings: Arc::new(Mutex::new(settings)),
            rng: Arc::new(Mutex::new(fastrand::Rng::with_seed(seed))),
            in_flight: Arc::default(),
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
        self.in_flight.load(Ordering::SeqCst)
    }

    /// Schedules an event. It is dropped when its kind is off, there is no target, or too many events are in flight.
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
        let envelope = if of_agent { kinesis_batch(&event) } else { event };
        if settings.target.is_none() || self.pending() >= MAX_IN_FLIGHT {
            return;
        }
        let delays: Vec<u64> = {
            let mut rng = self.rng.lock().unwrap_or_else(PoisonError::into_inner);
            if rng.f64() < settings.loss {
                return;
            }
            let copies = if rng.f64() < settings.duplicate { 2 } else { 1 };
            let (least, most) = (settings.delay_min_ms, settings.delay_max_ms.max(settings.delay_min_ms));
            (0..copies)
                .map(|_| {
                    let held = if rng.f64() < settings.reorder { 2 * most } else { 0 };
                    rng.u64(least..=most) + held
                })
                .collect()
        };
        for delay in delays {
            self.send_after(delay, envelope.clone());
        }
    }

    /// Sends an event at once, whatever the settings say about delays, losses and duplicates.
    pub(super) fn send(&self, envelope: Value) {
        self.send_after(0, envelope);
    }

    fn send_after(&self, delay_ms: u64, envelope: Value) {
        let events = self.clone();
        self.in_flight.fetch_add(1, Ordering::SeqCst);
        tokio::spawn(async move {
            events.deliver(delay_ms, &envelope).await;
            events.in_flight.fetch_sub(1, Ordering::SeqCst);
        });
    }

    async fn deliver(&self, delay_ms: u64, envelope: &Value) {
        let mut wait = Duration::from_millis(delay_ms.min(600_000));
        for attempt in 0..MAX_ATTEMPTS {
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
