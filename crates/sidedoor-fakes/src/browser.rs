//! A simulated supervisor's browser. It checks a directive as the real leg control does, executes it in the supervisor's own
//! CCP, and acknowledges it. [`Manners`] makes it fail in the ways in which real browsers fail.

mod tab;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
pub(crate) use tab::Heard;
pub use tab::Tab;

use super::clock::{iso, real_now};
use super::connect::ConnectFake;

/// How the simulated browser behaves when it receives a directive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Manners {
    /// Delay before the browser acts, ms.
    pub delay_ms: u64,
    /// The browser neither acts nor acknowledges.
    pub ignores: bool,
    /// The browser acknowledges DONE without acting.
    pub lies: bool,
    /// The browser acts but does not acknowledge.
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

/// The simulated browser of one supervisor.
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
    /// A browser of the Connect user `user`, whose CCP is in `connect`. It sends acknowledgements to `sidedoor_url` with
    /// `bearer` as its token.
    pub fn new(connect: ConnectFake, user: &str, sidedoor_url: &str, bearer: Option<String>) -> Self {
        // Only the TLS set-up of a client can fail, and this one uses plain HTTP on loopback.
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

    /// Sets how the browser behaves.
    #[must_use]
    pub fn with(mut self, manners: Manners) -> Self {
        self.manners = manners;
        self
    }

    /// Executes a directive (the `nextAction` of an answer) if its checks allow it. Returns the outcome that it acknowledged, or
    /// would have acknowledged if it had not been silent; `IGNORED` if it did nothing.
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
        // The real leg control repeats this check: the leg is not a customer's contact, it is a MONITOR contact, and it
        // belongs to this supervisor.
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
            // Leaving would end the customer's call. Sidedoor checked this before it sent the directive; the browser checks
            // again because the agent may have left since then.
            Ok(false) => "REFUSED",
            // The leg ended during the delay above, so this browser did not end it.
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
            tracing::warn!(error = %e, "the simulated browser cannot send its acknowledgement and does not retry");
        }
    }
}
