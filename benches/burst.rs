//! The cost of a burst in Salesforce API calls: 1,000 supervisors listen to 500 calls, and all calls end at once. Fails if the
//! 1,000 departures cost more than 10 API calls; one API call for each departure would be 1,000.

#![allow(clippy::disallowed_methods, reason = "a benchmark measures with the real clock")]

use std::time::{Duration, Instant};

use futures::stream::{self, StreamExt};
use secrecy::SecretString;
use serde_json::{Value, json};
use sidedoor::app::{self, Overrides};
use sidedoor::config::Config;
use sidedoor_fakes::connect::{ACCESS_KEY, ACCOUNT, INSTANCE, REGION, SECRET_KEY};
use sidedoor_fakes::{Fakes, FakesConfig};

const KEY: &str = "key-of-the-benchmark-1";
const EVENTS_KEY: &str = "key-of-its-events-bus-1";
const SUPERVISORS: usize = 1000;
const MAX_API_CALLS: u64 = 10;

type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

#[tokio::main]
async fn main() -> Outcome<()> {
    let mut config = FakesConfig::default();
    config.connect.connect_delay_ms = 10;
    let fakes = sidedoor_fakes::start(config).await?;
    let folder = tempfile::tempdir_in(".")?;
    let config = Config::load(None, settings(&fakes, folder.path()))?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let overrides = Overrides {
        credentials: Some((ACCESS_KEY.into(), SecretString::from(SECRET_KEY))),
        ..Overrides::default()
    };
    let app = app::start(config, listener, overrides).await?;
    let url = format!("http://{}", app.address);
    fakes.connect().change_events(|e| {
        e.target = Some(format!("{url}/v1/events/connect"));
        e.api_key = Some(EVENTS_KEY.into());
    });
    let http = reqwest::Client::builder().timeout(Duration::from_secs(30)).build()?;
    let calls: Vec<String> = (0..SUPERVISORS / 2).map(|_| fakes.connect().create_call()).collect();
    let joins = stream::iter(0..SUPERVISORS).map(|i| {
        let (http, url, call) = (&http, &url, &calls[i / 2]);
        fakes.connect().set_ccp_open(&format!("crowd-{i}"), true);
        async move {
            let body = json!({"contactId": call, "supervisor": {"connectUserId": format!("crowd-{i}")}});
            let ask = http.post(format!("{url}/v1/supervisions")).bearer_auth(KEY).json(&body);
            ask.send().await?.error_for_status().map(|_| ())
        }
    });
    joins
        .buffer_unordered(16)
        .collect::<Vec<_>>()
        .await
        .into_iter()
        .collect::<Result<Vec<()>, _>>()?;
    until("the records of the joins", || async {
        count_records(&fakes, "Joined_At__c") == SUPERVISORS
    })
    .await?;

    let before = fakes.salesforce().api_calls();
    let begun = Instant::now();
    for call in &calls {
        fakes.connect().hang_up(call, "CUSTOMER")?;
    }
    until("the records of the departures", || async {
        count_records(&fakes, "Disconnected_At__c") == SUPERVISORS
    })
    .await?;
    let took = begun.elapsed();
    until("the end of all deliveries", || async {
        nothing_pending(&http, &url).await
    })
    .await?;
    let cost = fakes.salesforce().api_calls() - before;
    println!(
        "{SUPERVISORS} departures in a burst: {cost} Salesforce API calls (limit {MAX_API_CALLS}); the last record was written after {took:.1?}"
    );
    app.lifecycle.stop();
    app.stopped(std::future::pending()).await;
    if cost > MAX_API_CALLS {
        return Err(format!("{cost} Salesforce API calls exceed the limit of {MAX_API_CALLS}").into());
    }
    Ok(())
}

/// Number of records in Salesforce in which the field `with` is set.
fn count_records(fakes: &Fakes, with: &str) -> usize {
    let records = fakes.salesforce().rows("VoiceCallParticipant__c");
    records
        .iter()
        .filter(|r| r.get(with).is_some_and(|v| !v.is_null()))
        .count()
}

/// Whether no delivery is pending.
async fn nothing_pending(http: &reqwest::Client, url: &str) -> bool {
    let ask = http.get(format!("{url}/v1/deliveries?state=PENDING")).bearer_auth(KEY);
    let Ok(answer) = ask.send().await else { return false };
    let pending: Value = answer.json().await.unwrap_or_default();
    pending["items"].as_array().is_some_and(Vec::is_empty)
}

async fn until<F: Future<Output = bool>>(what: &str, done: impl Fn() -> F) -> Outcome<()> {
    for _ in 0..2400 {
        if done().await {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Err(format!("timeout while waiting for {what}").into())
}

fn settings(fakes: &Fakes, folder: &std::path::Path) -> Vec<(String, String)> {
    let store = format!("sqlite://{}", folder.join("store.db").display());
    let all = [
        ("STORE__URL", store.as_str()),
        ("CONNECT__INSTANCES__MAIN__INSTANCE_ID", INSTANCE),
        ("CONNECT__INSTANCES__MAIN__REGION", REGION),
        ("CONNECT__INSTANCES__MAIN__ACCOUNT_ID", ACCOUNT),
        ("CONNECT__INSTANCES__MAIN__ENDPOINT_URL", fakes.connect_url()),
        ("CONNECT__QUOTAS__DEFAULT__DEFAULT__PER_SECOND", "5000"),
        ("CONNECT__QUOTAS__DEFAULT__DEFAULT__BURST", "1000"),
        ("SALESFORCE__LOGIN_URL", fakes.salesforce_url()),
        ("SALESFORCE__CLIENT_ID", "fake-client-id"),
        ("SALESFORCE__CLIENT_SECRET", "fake-client-secret"),
        ("AUTH__API_KEYS__0__NAME", "benchmark"),
        ("AUTH__API_KEYS__0__SECRET", KEY),
        ("AUTH__API_KEYS__0__SCOPES", "supervise:any,read"),
        ("AUTH__API_KEYS__1__NAME", "events"),
        ("AUTH__API_KEYS__1__SECRET", EVENTS_KEY),
        ("AUTH__API_KEYS__1__SCOPES", "events"),
        ("AUTH__API_KEYS__1__VENDOR", "amazon-connect"),
        ("AUTH__API_KEYS__1__INSTANCES", "main"),
        ("HTTP__RATE_PER_CALLER_PER_SECOND", "10000"),
        ("HTTP__RATE_PER_SECOND", "10000"),
    ];
    all.iter()
        .map(|(k, v)| (format!("SIDEDOOR__{k}"), (*v).to_owned()))
        .collect()
}
