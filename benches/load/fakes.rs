//! The fakes of both vendors, in a process of their own, so that their CPU time does not count.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::Outcome;
use crate::process::Running;
use crate::services::EVENTS_KEY;

pub(crate) const INSTANCE: &str = "11111111-2222-4333-8444-555555555555";

/// Time without a vendor call after which all work counts as done. Longer than the wait for the after-check, 2.4 s.
const QUIET: Duration = Duration::from_secs(4);

/// All calls that the vendors have received.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Calls {
    pub(crate) monitors: f64,
    pub(crate) describes: f64,
    pub(crate) polls: f64,
    /// All other Connect calls.
    pub(crate) others: f64,
    pub(crate) salesforce: f64,
}

impl Calls {
    pub(crate) fn each(self, before: Self, pairs: usize) -> Self {
        let share = |after: f64, before: f64| (after - before) / pairs as f64;
        Self {
            monitors: share(self.monitors, before.monitors),
            describes: share(self.describes, before.describes),
            polls: share(self.polls, before.polls),
            others: share(self.others, before.others),
            salesforce: share(self.salesforce, before.salesforce),
        }
    }

    pub(crate) fn all(self) -> f64 {
        self.monitors + self.describes + self.polls + self.others + self.salesforce
    }
}

/// The running fakes.
pub(crate) struct Fakes {
    _process: Running,
    pub(crate) connect: String,
    pub(crate) salesforce: String,
    pub(crate) http: reqwest::Client,
}

impl Fakes {
    pub(crate) fn start() -> Outcome<Self> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sidedoor"));
        command.args([
            "fakes",
            "--connect-listen",
            "127.0.0.1:0",
            "--salesforce-listen",
            "127.0.0.1:0",
        ]);
        let mut process = Running::start(command.stdout(Stdio::piped()), None)?;
        let mut line = String::new();
        BufReader::new(process.stdout().ok_or("no output")?).read_line(&mut line)?;
        let urls: Value = serde_json::from_str(&line)?;
        let url = |name: &str| urls[name].as_str().unwrap_or_default().to_owned();
        Ok(Self {
            _process: process,
            connect: url("connectUrl"),
            salesforce: url("salesforceUrl"),
            http: reqwest::Client::builder().timeout(Duration::from_secs(30)).build()?,
        })
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Outcome<Value> {
        let url = format!("{}/_fake/{path}", self.connect);
        let answer = self.http.post(&url).json(&body).send().await?.error_for_status()?;
        let text = answer.text().await?;
        Ok(if text.is_empty() {
            Value::Null
        } else {
            serde_json::from_str(&text)?
        })
    }

    pub(crate) async fn settings(&self, changes: Value) -> Outcome<()> {
        let url = format!("{}/_fake/settings", self.connect);
        self.http.patch(url).json(&changes).send().await?.error_for_status()?;
        Ok(())
    }

    /// Sends events to `service`; `loss` is the share of events that are lost.
    pub(crate) async fn send_events_to(&self, service: &str, loss: f64) -> Outcome<()> {
        let body = json!({"target": format!("{service}/v1/events/connect"), "apiKey": EVENTS_KEY, "delayMinMs": 5,
            "delayMaxMs": 10, "loss": loss});
        let url = format!("{}/_fake/events", self.connect);
        self.http.patch(url).json(&body).send().await?.error_for_status()?;
        Ok(())
    }

    /// A customer's call with an agent of its own, and a supervisor for it. Returns the contact.
    pub(crate) async fn create_call(&self, supervisor: &str) -> Outcome<String> {
        self.post("users", json!({"userId": supervisor})).await?;
        let made = self
            .post("contacts", json!({"agentId": format!("agent-of-{supervisor}")}))
            .await?;
        Ok(made["contactId"].as_str().ok_or("no contact")?.to_owned())
    }

    async fn get(&self, url: String) -> Outcome<Value> {
        Ok(self.http.get(url).send().await?.error_for_status()?.json().await?)
    }

    /// The calls so far, and the number of events that are still to be sent.
    pub(crate) async fn calls(&self) -> Outcome<(Calls, u64)> {
        let connect = self.get(format!("{}/_fake/usage", self.connect)).await?;
        let salesforce = self.get(format!("{}/_fake/usage", self.salesforce)).await?;
        let of = |name: &str| connect["apiCalls"][name].as_f64().unwrap_or(0.0);
        let all: f64 = connect["apiCalls"]
            .as_object()
            .ok_or("no calls")?
            .values()
            .filter_map(Value::as_f64)
            .sum();
        let known = of("MonitorContact") + of("DescribeContact") + of("GetCurrentUserData");
        let calls = Calls {
            monitors: of("MonitorContact"),
            describes: of("DescribeContact"),
            polls: of("GetCurrentUserData"),
            others: all - known,
            salesforce: salesforce["apiCalls"].as_f64().unwrap_or(0.0),
        };
        Ok((calls, connect["pendingEvents"].as_u64().unwrap_or(0)))
    }

    pub(crate) async fn records(&self) -> Outcome<Vec<Value>> {
        let all = self
            .get(format!("{}/_fake/rows/VoiceCallParticipant__c", self.salesforce))
            .await?;
        Ok(all.as_array().cloned().unwrap_or_default())
    }

    /// The contact or leg as it really is.
    pub(crate) async fn contact(&self, id: &str) -> Outcome<Value> {
        self.get(format!("{}/_fake/contacts/{id}", self.connect)).await
    }

    /// Waits until no event is pending and no vendor was called for [`QUIET`]. Returns the calls so far.
    pub(crate) async fn until_quiet(&self) -> Outcome<Calls> {
        let (mut last, mut since) = (Calls::default(), Instant::now());
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(120) {
            let (calls, pending) = self.calls().await?;
            if calls != last || pending > 0 {
                (last, since) = (calls, Instant::now());
            } else if since.elapsed() > QUIET {
                return Ok(calls);
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        Err("the vendors were still called after two minutes".into())
    }
}
