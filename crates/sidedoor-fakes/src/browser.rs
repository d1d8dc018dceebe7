//! A supervisor's browser: given a directive, it checks it as the real leg control must, ends its own leg in its own CCP,
//! and acknowledges. It can be told to misbehave, as real ones do.

mod listening;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::clock::{iso, real_now};
use super::connect::ConnectFake;
pub use listening::{Heard, Tab};

/// How a browser behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Manners {
    /// How long it takes to act, ms.
    pub delay_ms: u64,
    /// It does nothing at all.
    pub ignores: bool,
    /// It says DONE and has done nothing.
    pub lies: bool,
    /// It ends its leg and says nothing.
    pub silent: bool,
}

impl Default for Manners {
    fn default() -> Self {
        Self {
            delay_ms: 120,
            ignores: false,
            lies: false,
            silent: false,
        }
    }
}

/// One supervisor's browser.
#[derive(Clone)]
pub struct Browser {
    connect: ConnectFake,
    user: String,
    sidedoor_url: String,
    bearer: Option<String>,
    manners: Manners,
    http: reqwest::Client,
}

impl Browser {
    /// The browser of `user`, with a CCP at `connect`, that acknowledges to Sidedoor.
    pub fn new(connect: ConnectFake, user: &str, sidedoor_url: &str, bearer: Option<String>) -> Self {
        // Plain http to loopback: there is nothing here that can fail to build.
        let http = reqwest::Client::builder()
            .timeout(Duration::from_secs(10))
            .build()
            .unwrap_or_default();
        let sidedoor_url = sidedoor_url.trim_end_matches('/').to_owned();
        Self {
            connect,
            user: user.into(),
            sidedoor_url,
            bearer,
            manners: Manners::default(),
            http,
        }
    }

    /// … with these manners.
    #[must_use]
    pub fn with(mut self, manners: Manners) -> Self {
        self.manners = manners;
        self
    }

    /// Does what a directive (`nextAction`) says, if it is right to. Returns what it acknowledged, or would have.
    pub async fn obey(&self, directive: &Value) -> &'static str {
        if self.manners.ignores {
            return "IGNORED";
        }
        let outcome = if self.manners.lies {
            "DONE"
        } else {
            self.act(directive).await
        };
        if !self.manners.silent {
            self.acknowledge(directive, outcome).await;
        }
        outcome
    }

    async fn act(&self, directive: &Value) -> &'static str {
        let text = |name: &str| directive.get(name).and_then(Value::as_str);
        let (Some(kind), Some(leg)) = (text("kind"), text("legContactId")) else {
            return "REFUSED";
        };
        // The check the real leg control repeats: the leg is no customer's contact, is MONITOR, and is one's own.
        let Some(seen) = self.connect.contact(leg) else {
            return "ALREADY_GONE";
        };
        let own = seen.initiation_method == "MONITOR" && seen.user_id == self.user;
        if !own || text("contactId") == Some(leg) {
            return "REFUSED";
        }
        if seen.ended {
            return "ALREADY_GONE";
        }
        let accepted = directive.get("customerCallMayEnd") == Some(&json!(true));
        match (kind, text("mode")) {
            ("END_LEG_IN_CCP", _) => {}
            ("CHANGE_MODE_IN_CCP", Some(mode)) => {
                let mode = if mode == "BARGE" { "BARGE" } else { "SILENT_MONITOR" };
                return match self.connect.change_mode_in_ccp(&self.user, leg, mode) {
                    Ok(()) => "DONE",
                    Err(_) => "FAILED",
                };
            }
            _ => return "REFUSED",
        }
        tokio::time::sleep(Duration::from_millis(self.manners.delay_ms.min(60_000))).await;
        let ended = if accepted {
            self.connect.end_leg_in_ccp(&self.user, leg).map(|()| true)
        } else {
            self.connect.end_leg_unless_last(&self.user, leg)
        };
        match ended {
            Ok(true) => "DONE",
            // To leave would end the customer's call: the guard was asked before, and is asked again here.
            Ok(false) => "REFUSED",
            // It ended while the browser was at it: it never saw it end by its own hand.
            Err(_) => "ALREADY_GONE",
        }
    }

    async fn acknowledge(&self, directive: &Value, outcome: &str) {
        let id = |name: &str| directive.get(name).and_then(Value::as_str).unwrap_or_default();
        let url = format!(
            "{}/v1/supervisions/{}/acknowledgements",
            self.sidedoor_url,
            id("supervisionId")
        );
        let body = json!({"directiveId": id("directiveId"), "outcome": outcome, "at": iso(real_now())});
        let mut request = self
            .http
            .post(url)
            .header("Idempotency-Key", format!("ack-{}-{outcome}", id("directiveId")))
            .json(&body);
        if let Some(bearer) = &self.bearer {
            request = request.bearer_auth(bearer);
        }
        if let Err(e) = request.send().await {
            tracing::warn!(error = %e, "the simulated browser could not acknowledge");
        }
    }
}
