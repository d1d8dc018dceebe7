//! Sends monitor+disconnect pairs to a service, at the same pace whatever the service is.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::Outcome;
use crate::fakes::Fakes;
use crate::services::{KEY, Service};

/// Time from the start until the disconnect. The first events of the leg have arrived by then, as in practice.
pub(crate) const LISTENING: Duration = Duration::from_millis(80);

/// How many pairs run at a time, and how often.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    pub(crate) name: &'static str,
    pub(crate) at_a_time: usize,
    pub(crate) rounds: usize,
    /// The pairs of a round begin together, this long after those of the round before, or as soon as those have ended.
    pub(crate) period: Duration,
}

impl Pace {
    pub(crate) fn pairs(self) -> usize {
        self.at_a_time * self.rounds
    }

    /// Waits for the beginning of round `round`.
    pub(crate) async fn wait(self, begun: Instant, round: usize) {
        tokio::time::sleep_until(begun + self.period * u32::try_from(round).unwrap_or(u32::MAX)).await;
    }
}

/// Latencies in µs.
#[derive(Clone)]
pub(crate) struct Latencies {
    pub(crate) start: Histogram<u64>,
    pub(crate) disconnect: Histogram<u64>,
}

impl Latencies {
    fn new() -> Outcome<Self> {
        Ok(Self {
            start: Histogram::new(3)?,
            disconnect: Histogram::new(3)?,
        })
    }
}

/// One supervision that the service has accepted.
#[derive(Clone, Debug)]
pub(crate) struct Accepted {
    pub(crate) id: String,
    pub(crate) user: String,
    pub(crate) leg: String,
}

/// A client of one service.
#[derive(Clone)]
pub(crate) struct Driver {
    pub(crate) http: reqwest::Client,
    pub(crate) url: String,
}

impl Driver {
    pub(crate) fn of(service: &Service) -> Outcome<Self> {
        let http = reqwest::Client::builder().timeout(Duration::from_secs(20)).build()?;
        Ok(Self {
            http,
            url: service.url.clone(),
        })
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Outcome<Value> {
        let url = format!("{}{path}", self.url);
        let answer = self.http.post(&url).bearer_auth(KEY).json(&body).send().await?;
        let status = answer.status();
        let text = answer.text().await?;
        if !status.is_success() {
            return Err(format!("{path}: {status} {text}").into());
        }
        Ok(if text.is_empty() {
            Value::Null
        } else {
            serde_json::from_str(&text)?
        })
    }

    pub(crate) async fn get(&self, path: &str) -> Outcome<Value> {
        let answer = self
            .http
            .get(format!("{}{path}", self.url))
            .bearer_auth(KEY)
            .send()
            .await?;
        Ok(answer.error_for_status()?.json().await?)
    }

    /// Starts to listen, and waits for the leg if the service has only accepted the start.
    pub(crate) async fn start(&self, contact: &str, user: &str) -> Outcome<Accepted> {
        let body = json!({"contactId": contact, "supervisor": {"connectUserId": user}});
        let mut started = self.post("/v1/supervisions", body).await?;
        let id = text(&started, "id");
        let waiting = Instant::now();
        while started["legContactId"].is_null() {
            if waiting.elapsed() > Duration::from_secs(10) {
                return Err(format!("supervision {id} got no leg within 10 s").into());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
            started = self.get(&format!("/v1/supervisions/{id}")).await?;
        }
        Ok(Accepted {
            id,
            user: user.to_owned(),
            leg: text(&started, "legContactId"),
        })
    }

    /// Asks for the disconnect. Returns the directive for the supervisor's browser.
    pub(crate) async fn disconnect(&self, accepted: &Accepted) -> Outcome<String> {
        let path = format!("/v1/supervisions/{}/disconnect", accepted.id);
        Ok(text(&self.post(&path, json!({})).await?["nextAction"], "directiveId"))
    }

    /// Ends the leg as the supervisor's browser does, and acknowledges it.
    pub(crate) async fn obey(&self, fakes: &Fakes, accepted: &Accepted, directive: &str) -> Outcome<()> {
        let leg = json!({"legContactId": accepted.leg});
        fakes.post(&format!("ccp/{}/end-leg", accepted.user), leg).await?;
        let done = json!({"directiveId": directive, "outcome": "DONE"});
        let path = format!("/v1/supervisions/{}/acknowledgements", accepted.id);
        self.post(&path, done).await.map(|_| ())
    }

    async fn pair(&self, fakes: &Fakes, contact: &str, user: &str) -> Outcome<(Duration, Duration)> {
        let begun = Instant::now();
        let accepted = self.start(contact, user).await?;
        let started = begun.elapsed();
        tokio::time::sleep(LISTENING).await;
        let begun = Instant::now();
        let directive = self.disconnect(&accepted).await?;
        let disconnected = begun.elapsed();
        self.obey(fakes, &accepted, &directive).await?;
        Ok((started, disconnected))
    }

    /// Runs the pairs of `pace`. `name` tells their supervisors from those of other runs.
    pub(crate) async fn pairs(&self, fakes: &Fakes, pace: Pace, name: &str) -> Outcome<Latencies> {
        let mut calls = Vec::new();
        for n in 0..pace.pairs() {
            let user = format!("{name}-{n}");
            calls.push((fakes.create_call(&user).await?, user));
        }
        let begun = Instant::now();
        let workers = (0..pace.at_a_time).map(|worker| {
            let calls: Vec<(String, String)> = calls.iter().skip(worker).step_by(pace.at_a_time).cloned().collect();
            async move {
                let mut times = Vec::new();
                for (round, (contact, user)) in calls.iter().enumerate() {
                    pace.wait(begun, round).await;
                    times.push(self.pair(fakes, contact, user).await?);
                }
                Outcome::Ok(times)
            }
        });
        let mut latencies = Latencies::new()?;
        for (start, disconnect) in futures::future::try_join_all(workers).await?.into_iter().flatten() {
            latencies.start.record(u64::try_from(start.as_micros())?)?;
            latencies.disconnect.record(u64::try_from(disconnect.as_micros())?)?;
        }
        Ok(latencies)
    }
}

/// Waits until Salesforce has `expected` departures and, of Sidedoor, the answer whether each customer's call goes on.
pub(crate) async fn until_recorded(fakes: &Fakes, service: &Service, expected: usize) -> Outcome<()> {
    let field = match service.program {
        crate::services::Program::Sidedoor => "Customer_Call_Continued__c",
        _ => "Disconnected_At__c",
    };
    let begun = Instant::now();
    loop {
        let records = fakes.records().await?;
        let done = records
            .iter()
            .filter(|r| !r[field].is_null() && r[field] != "UNKNOWN")
            .count();
        if done >= expected {
            return Ok(());
        }
        if begun.elapsed() > Duration::from_secs(120) {
            return Err(format!("Salesforce has {done} of {expected} departures after two minutes").into());
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

pub(crate) fn text(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_default().to_owned()
}
