//! The vendor calls, with aws-sdk-connect and reqwest and nothing around them.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use aws_sdk_connect::Client;
use aws_sdk_connect::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_connect::types::UserDataFilters;
use serde_json::{Value, json};

use crate::Outcome;
use crate::fakes::INSTANCE;

/// Time from the departure until the check whether the customer's call goes on, as in Sidedoor's default settings.
const UNTIL_AFTER_CHECK: Duration = Duration::from_millis(2400);

/// Number of calls for each pair beside MonitorContact.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Shares {
    pub(crate) describes: f64,
    pub(crate) polls: f64,
    pub(crate) upserts: f64,
}

impl Shares {
    pub(crate) fn argument(&self) -> String {
        format!("{:.3},{:.3},{:.3}", self.describes, self.polls, self.upserts)
    }

    pub(crate) fn parse(text: &str) -> Outcome<Self> {
        let parts: Vec<f64> = text.split(',').map(str::parse).collect::<Result<_, _>>()?;
        let [describes, polls, upserts] = parts[..] else {
            return Err(format!("expected three shares, not `{text}`").into());
        };
        Ok(Self {
            describes,
            polls,
            upserts,
        })
    }
}

#[derive(Clone, Copy)]
enum Call {
    Describe,
    Poll,
    Upsert,
}

/// Both vendors.
pub(crate) struct Vendors {
    connect: Client,
    http: reqwest::Client,
    salesforce: String,
    token: String,
    shares: Shares,
    pairs: AtomicUsize,
}

impl Vendors {
    pub(crate) async fn log_in(connect: &str, salesforce: &str, shares: Shares) -> Outcome<Self> {
        let config = aws_sdk_connect::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-west-2"))
            .endpoint_url(connect)
            .credentials_provider(Credentials::new(
                "fake-access-key",
                "fake-secret-key",
                None,
                None,
                "bench",
            ))
            .build();
        let http = reqwest::Client::builder().timeout(Duration::from_secs(10)).build()?;
        let form = [
            ("grant_type", "client_credentials"),
            ("client_id", "fake-client-id"),
            ("client_secret", "fake-client-secret"),
        ];
        let login = http.post(format!("{salesforce}/services/oauth2/token")).form(&form);
        let login: Value = login.send().await?.json().await?;
        Ok(Self {
            connect: Client::from_conf(config),
            http,
            salesforce: salesforce.to_owned(),
            token: login["access_token"].as_str().ok_or("no token")?.to_owned(),
            shares,
            pairs: AtomicUsize::new(0),
        })
    }

    /// MonitorContact. Returns the id of the leg.
    pub(crate) async fn monitor(&self, contact: &str, user: &str, token: &str) -> Outcome<String> {
        let call = self.connect.monitor_contact().instance_id(INSTANCE).contact_id(contact);
        let answer = call.user_id(user).client_token(token).send().await?;
        Ok(answer.contact_id().ok_or("no leg")?.to_owned())
    }

    /// All other calls of one pair. The first half is made at once, the others when Sidedoor checks whether the customer's call goes
    /// on. `confirmed` runs between the halves.
    pub(crate) async fn follow_up<F: Future<Output = Outcome<()>>>(
        &self,
        leg: &str,
        user: &str,
        confirmed: impl FnOnce() -> F,
    ) -> Outcome<()> {
        let pair = self.pairs.fetch_add(1, Ordering::Relaxed);
        let kinds = [
            (Call::Poll, self.shares.polls),
            (Call::Describe, self.shares.describes),
            (Call::Upsert, self.shares.upserts),
        ];
        let due: Vec<(Call, usize)> = kinds.iter().map(|(call, share)| (*call, due(pair, *share))).collect();
        for (call, times) in &due {
            for _ in 0..times.div_ceil(2) {
                self.call(*call, leg, user).await?;
            }
        }
        confirmed().await?;
        tokio::time::sleep(UNTIL_AFTER_CHECK).await;
        for (call, times) in &due {
            for _ in 0..times / 2 {
                self.call(*call, leg, user).await?;
            }
        }
        Ok(())
    }

    async fn call(&self, call: Call, leg: &str, user: &str) -> Outcome<()> {
        match call {
            Call::Describe => {
                let call = self.connect.describe_contact().instance_id(INSTANCE).contact_id(leg);
                call.send().await?;
            }
            Call::Poll => {
                let filters = UserDataFilters::builder().agents(user).build();
                let call = self.connect.get_current_user_data().instance_id(INSTANCE);
                call.filters(filters).max_results(100).send().await?;
            }
            Call::Upsert => {
                let url = format!(
                    "{}/services/data/v68.0/sobjects/VoiceCallParticipant__c/Leg_Key__c/{leg}",
                    self.salesforce
                );
                let record = json!({"Mode__c": "SILENT", "Origin__c": "API", "Joined_At__c": "2026-08-04T17:43:47Z",
                    "Disconnected_At__c": "2026-08-04T17:43:48Z", "Disconnected_Epoch_Ms__c": 1});
                let call = self.http.patch(url).bearer_auth(&self.token).json(&record);
                call.send().await?.error_for_status()?.bytes().await?;
            }
        }
        Ok(())
    }
}

/// Number of calls in round `n`, so that the average over all rounds is `share`.
fn due(n: usize, share: f64) -> usize {
    let upto = |n: usize| (n as f64 * share).round() as usize;
    upto(n + 1) - upto(n)
}
