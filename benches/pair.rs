//! The cost of a monitor+disconnect pair through Sidedoor, compared with a program that makes the same vendor calls with
//! aws-sdk-connect and reqwest and does nothing else. Prints CPU time and latency as ratios of one run, with fsync on.
//!
//! This process starts three others: the fakes, Sidedoor, and the bare caller (this executable again). Only the CPU time of
//! Sidedoor and of the bare caller (`/proc/<pid>/stat`) is compared, so that the cost of the fakes and of this driver does not
//! count. The bare caller makes as many DescribeContact and upsert calls for each pair as Sidedoor made on average.

#![allow(clippy::disallowed_methods, reason = "a benchmark measures with the real clock")]

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use aws_sdk_connect::config::{BehaviorVersion, Credentials, Region};
use hdrhistogram::Histogram;
use serde_json::{Value, json};

const KEY: &str = "key-of-the-benchmark-1";
const EVENTS_KEY: &str = "key-of-its-events-0001";
const INSTANCE: &str = "11111111-2222-4333-8444-555555555555";
const WARM_UP: usize = 50;
const PAIRS: usize = 500;
const AT_A_TIME: usize = 4;

type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

fn main() -> Outcome<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let mut args = std::env::args().skip(1).filter(|a| a != "--bench");
    match args.next().as_deref() {
        Some("--bare") => {
            let rest: Vec<String> = args.collect();
            runtime.block_on(bare(&rest[0], &rest[1], rest[2].parse()?, rest[3].parse()?))
        }
        _ => runtime.block_on(compare()),
    }
}

/// A child process. Dropping the value kills it.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Running {
    /// CPU time that the process has used so far.
    fn cpu(&self) -> Outcome<Duration> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.0.id()))?;
        let after_name: Vec<&str> = stat.rsplit(')').next().ok_or("no stat")?.split_whitespace().collect();
        let ticks: u64 = after_name[11].parse::<u64>()? + after_name[12].parse::<u64>()?;
        Ok(Duration::from_millis(ticks * 10))
    }
}

async fn compare() -> Outcome<()> {
    let mut fakes = Command::new(env!("CARGO_BIN_EXE_sidedoor"))
        .args([
            "fakes",
            "--connect-listen",
            "127.0.0.1:0",
            "--salesforce-listen",
            "127.0.0.1:0",
        ])
        .stdout(Stdio::piped())
        .spawn()?;
    let mut line = String::new();
    std::io::BufRead::read_line(
        &mut std::io::BufReader::new(fakes.stdout.take().ok_or("no output")?),
        &mut line,
    )?;
    let _fakes = Running(fakes);
    let urls: Value = serde_json::from_str(&line)?;
    let (connect, salesforce) = (text(&urls, "connectUrl"), text(&urls, "salesforceUrl"));
    let http = reqwest::Client::builder().timeout(Duration::from_secs(10)).build()?;
    let folder = tempfile::tempdir_in(".")?;
    let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let url = format!("http://127.0.0.1:{port}");
    let sidedoor = Running(serve(port, &folder.path().join("store.db"), &connect, &salesforce)?);
    while http.get(format!("{url}/readyz")).send().await.is_err() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let events =
        json!({"target": format!("{url}/v1/events/connect"), "apiKey": EVENTS_KEY, "delayMinMs": 5, "delayMaxMs": 10});
    http.patch(format!("{connect}/_fake/events"))
        .json(&events)
        .send()
        .await?;

    let driver = Driver {
        http: http.clone(),
        url,
        connect: connect.clone(),
    };
    driver.pairs("warm", WARM_UP).await?;
    driver.until_written(&salesforce, WARM_UP).await?;
    let before = calls(&http, &connect, &salesforce).await?;
    let cpu = sidedoor.cpu()?;
    let (listen, leave) = driver.pairs("load", PAIRS).await?;
    driver.until_written(&salesforce, WARM_UP + PAIRS).await?;
    let ours = sidedoor.cpu()? - cpu;
    let after = calls(&http, &connect, &salesforce).await?;
    let share = |i: usize| (after[i] - before[i]) as f64 / PAIRS as f64;
    let (monitors, describes, writes) = (share(0), share(1), share(2));

    let bare_calls = |rounds: usize| {
        let mut command = Command::new(std::env::current_exe()?);
        command.args([
            "--bare",
            &connect,
            &salesforce,
            &rounds.to_string(),
            &format!("{describes:.3},{writes:.3}"),
        ]);
        let out = command.stdout(Stdio::piped()).stderr(Stdio::inherit()).output()?;
        Outcome::Ok(serde_json::from_slice::<Value>(&out.stdout)?)
    };
    let theirs = bare_calls(PAIRS)?;
    let bare_cpu = theirs["cpuMs"].as_f64().ok_or("no CPU time")?;
    let bare_p50 = theirs["monitorP50Us"].as_f64().ok_or("no latency")?;
    let bare_p99 = theirs["monitorP99Us"].as_f64().ok_or("no latency")?;
    let at = |h: &Histogram<u64>, q: f64| h.value_at_quantile(q) as f64;
    let cpu_ms = ours.as_secs_f64() * 1000.0;
    println!("vendor calls a pair: MonitorContact {monitors:.2}, DescribeContact {describes:.2}, upsert {writes:.2}");
    println!(
        "CPU a pair: Sidedoor {:.2} ms, bare calls {:.2} ms, ratio {:.2}",
        cpu_ms / PAIRS as f64,
        bare_cpu / PAIRS as f64,
        cpu_ms / bare_cpu
    );
    println!(
        "start (HTTP in, fsync, MonitorContact, fsync): p50 {:.2} ms, p99 {:.2} ms",
        at(&listen, 0.5) / 1e3,
        at(&listen, 0.99) / 1e3
    );
    println!(
        "bare MonitorContact: p50 {:.2} ms, p99 {:.2} ms",
        bare_p50 / 1e3,
        bare_p99 / 1e3
    );
    println!(
        "added by Sidedoor: p50 {:.2} ms, p99 {:.2} ms; ratio p50 {:.2}",
        (at(&listen, 0.5) - bare_p50) / 1e3,
        (at(&listen, 0.99) - bare_p99) / 1e3,
        at(&listen, 0.5) / bare_p50
    );
    println!(
        "disconnect (HTTP in, fsync): p50 {:.2} ms, p99 {:.2} ms",
        at(&leave, 0.5) / 1e3,
        at(&leave, 0.99) / 1e3
    );
    Ok(())
}

fn serve(port: u16, store: &std::path::Path, connect: &str, salesforce: &str) -> Outcome<Child> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sidedoor"));
    for (name, value) in [
        ("HTTP__LISTEN", format!("127.0.0.1:{port}")),
        ("STORE__URL", format!("sqlite://{}", store.display())),
        ("CONNECT__INSTANCES__MAIN__INSTANCE_ID", INSTANCE.into()),
        ("CONNECT__INSTANCES__MAIN__REGION", "us-west-2".into()),
        ("CONNECT__INSTANCES__MAIN__ACCOUNT_ID", "111122223333".into()),
        ("CONNECT__INSTANCES__MAIN__ENDPOINT_URL", connect.into()),
        ("CONNECT__QUOTAS__DEFAULT__DEFAULT__PER_SECOND", "5000".into()),
        ("CONNECT__QUOTAS__DEFAULT__DEFAULT__BURST", "5000".into()),
        ("SALESFORCE__LOGIN_URL", salesforce.into()),
        ("SALESFORCE__CLIENT_ID", "fake-client-id".into()),
        ("SALESFORCE__CLIENT_SECRET", "fake-client-secret".into()),
        ("AUTH__API_KEYS__0__NAME", "bench".into()),
        ("AUTH__API_KEYS__0__SECRET", KEY.into()),
        ("AUTH__API_KEYS__0__SCOPES", "supervise:any".into()),
        ("AUTH__API_KEYS__1__NAME", "events".into()),
        ("AUTH__API_KEYS__1__SECRET", EVENTS_KEY.into()),
        ("AUTH__API_KEYS__1__SCOPES", "events".into()),
        ("AUTH__API_KEYS__1__VENDOR", "amazon-connect".into()),
        ("AUTH__API_KEYS__1__INSTANCES", "main".into()),
        // One key makes all requests, so the limit for each caller must not apply.
        ("HTTP__RATE_PER_CALLER_PER_SECOND", "100000".into()),
        ("HTTP__RATE_PER_SECOND", "100000".into()),
        ("TELEMETRY__LOG_FILTER", "warn".into()),
    ] {
        command.env(format!("SIDEDOOR__{name}"), value);
    }
    command
        .env("AWS_ACCESS_KEY_ID", "fake-access-key")
        .env("AWS_SECRET_ACCESS_KEY", "fake-secret-key");
    Ok(command.arg("serve").stdout(Stdio::null()).spawn()?)
}

/// Number of MonitorContact, DescribeContact and Salesforce API calls so far.
async fn calls(http: &reqwest::Client, connect: &str, salesforce: &str) -> Outcome<[usize; 3]> {
    let ledger: Value = http.get(format!("{connect}/_fake/ledger")).send().await?.json().await?;
    let of = |name: &str| {
        ledger["calls"]
            .as_array()
            .map_or(0, |c| c.iter().filter(|c| c["operation"] == name).count())
    };
    let usage: Value = http
        .get(format!("{salesforce}/_fake/usage"))
        .send()
        .await?
        .json()
        .await?;
    let writes = usage["apiCalls"]
        .as_u64()
        .and_then(|n| usize::try_from(n).ok())
        .unwrap_or(0);
    Ok([of("MonitorContact"), of("DescribeContact"), writes])
}

#[derive(Clone)]
struct Driver {
    http: reqwest::Client,
    url: String,
    connect: String,
}

impl Driver {
    async fn post(&self, url: String, body: Value) -> Outcome<Value> {
        let answer = self.http.post(&url).bearer_auth(KEY).json(&body).send().await?;
        if !answer.status().is_success() {
            return Err(format!("{url}: {} {}", answer.status(), answer.text().await?).into());
        }
        let text = answer.text().await?;
        Ok(if text.is_empty() {
            Value::Null
        } else {
            serde_json::from_str(&text)?
        })
    }

    /// Runs `many` pairs, [`AT_A_TIME`] at once. Returns the latencies of start and of disconnect in µs.
    async fn pairs(&self, name: &str, many: usize) -> Outcome<(Histogram<u64>, Histogram<u64>)> {
        let workers = (0..AT_A_TIME).map(|w| {
            let (driver, name) = (self.clone(), name.to_owned());
            tokio::spawn(async move {
                let mut times = Vec::new();
                for n in (w..many).step_by(AT_A_TIME) {
                    times.push(driver.pair(&format!("{name}-{n}")).await?);
                }
                Outcome::Ok(times)
            })
        });
        let (mut listen, mut leave) = (Histogram::new(3)?, Histogram::new(3)?);
        for worker in workers.collect::<Vec<_>>() {
            for (a, b) in worker.await?? {
                listen.record(u64::try_from(a.as_micros())?)?;
                leave.record(u64::try_from(b.as_micros())?)?;
            }
        }
        Ok((listen, leave))
    }

    async fn pair(&self, user: &str) -> Outcome<(Duration, Duration)> {
        let made = self
            .post(format!("{}/_fake/contacts", self.connect), json!({"agentId": user}))
            .await?;
        let body = json!({"contactId": made["contactId"], "supervisor": {"connectUserId": user}});
        let begun = Instant::now();
        let started = self.post(format!("{}/v1/supervisions", self.url), body).await?;
        let listening = begun.elapsed();
        // In practice a supervisor listens longer, so the first event of the leg has arrived before they disconnect.
        tokio::time::sleep(Duration::from_millis(80)).await;
        let path = format!("{}/v1/supervisions/{}/disconnect", self.url, text(&started, "id"));
        let begun = Instant::now();
        let left = self.post(path, json!({})).await?;
        let leaving = begun.elapsed();
        let leg = json!({"legContactId": started["legContactId"]});
        self.post(format!("{}/_fake/ccp/{user}/end-leg", self.connect), leg)
            .await?;
        let ack = json!({"directiveId": left["nextAction"]["directiveId"], "outcome": "DONE"});
        self.post(
            format!("{}/v1/supervisions/{}/acknowledgements", self.url, text(&started, "id")),
            ack,
        )
        .await?;
        Ok((listening, leaving))
    }

    /// Waits until every departure is written to Salesforce.
    async fn until_written(&self, salesforce: &str, records: usize) -> Outcome<()> {
        for _ in 0..600 {
            let all: Value = self
                .http
                .get(format!("{salesforce}/_fake/rows/VoiceCallParticipant__c"))
                .send()
                .await?
                .json()
                .await?;
            let done = all.as_array().map_or(0, |records| {
                records
                    .iter()
                    .filter(|r| r["Customer_Call_Continued__c"] == "YES")
                    .count()
            });
            if done >= records {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Err("timeout while waiting for the records in Salesforce".into())
    }
}

/// The bare caller: makes the same vendor calls and nothing else. Prints its CPU time and the latency of MonitorContact as JSON.
async fn bare(connect: &str, salesforce: &str, rounds: usize, shares: String) -> Outcome<()> {
    let http = reqwest::Client::builder().timeout(Duration::from_secs(10)).build()?;
    let (describes, writes) = shares.split_once(',').ok_or("shares")?;
    let (describes, writes): (f64, f64) = (describes.parse()?, writes.parse()?);
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
    let client = aws_sdk_connect::Client::from_conf(config);
    let mut contacts = Vec::new();
    for n in 0..rounds {
        let body = json!({"agentId": format!("bare-{n}")});
        let made: Value = http
            .post(format!("{connect}/_fake/contacts"))
            .json(&body)
            .send()
            .await?
            .json()
            .await?;
        contacts.push(text(&made, "contactId"));
    }
    let form = [
        ("grant_type", "client_credentials"),
        ("client_id", "fake-client-id"),
        ("client_secret", "fake-client-secret"),
    ];
    let login: Value = http
        .post(format!("{salesforce}/services/oauth2/token"))
        .form(&form)
        .send()
        .await?
        .json()
        .await?;
    let token = text(&login, "access_token");
    let before = own_cpu()?;
    let work = (0..AT_A_TIME).map(|w| {
        let (client, http, token, contacts, salesforce) = (
            client.clone(),
            http.clone(),
            token.clone(),
            contacts.clone(),
            salesforce.to_owned(),
        );
        tokio::spawn(async move {
            let mut times = Vec::new();
            for n in (w..rounds).step_by(AT_A_TIME) {
                let begun = Instant::now();
                let leg = client
                    .monitor_contact()
                    .instance_id(INSTANCE)
                    .contact_id(&contacts[n])
                    .user_id(format!("bare-{n}"))
                    .send()
                    .await?;
                times.push(begun.elapsed());
                for _ in 0..due(n, describes) {
                    client
                        .describe_contact()
                        .instance_id(INSTANCE)
                        .contact_id(&contacts[n])
                        .send()
                        .await?;
                }
                let key = leg.contact_id().ok_or("no leg")?;
                let url = format!("{salesforce}/services/data/v68.0/sobjects/VoiceCallParticipant__c/Leg_Key__c/{key}");
                for _ in 0..due(n, writes) {
                    let row = json!({"Mode__c": "SILENT", "Origin__c": "API", "Disconnected_Epoch_Ms__c": 1});
                    http.patch(&url)
                        .bearer_auth(&token)
                        .json(&row)
                        .send()
                        .await?
                        .error_for_status()?
                        .bytes()
                        .await?;
                }
            }
            Outcome::Ok(times)
        })
    });
    let mut latency = Histogram::<u64>::new(3)?;
    for worker in work.collect::<Vec<_>>() {
        for time in worker.await?? {
            latency.record(u64::try_from(time.as_micros())?)?;
        }
    }
    let spent = own_cpu()? - before;
    let report = json!({"cpuMs": spent.as_millis() as u64, "monitorP50Us": latency.value_at_quantile(0.5),
        "monitorP99Us": latency.value_at_quantile(0.99)});
    println!("{report}");
    Ok(())
}

/// Number of calls in round `n`, so that the average over all rounds is `share`.
fn due(n: usize, share: f64) -> usize {
    let upto = |n: usize| (n as f64 * share).round() as usize;
    upto(n + 1) - upto(n)
}

fn own_cpu() -> Outcome<Duration> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let after_name: Vec<&str> = stat.rsplit(')').next().ok_or("no stat")?.split_whitespace().collect();
    Ok(Duration::from_millis(
        (after_name[11].parse::<u64>()? + after_name[12].parse::<u64>()?) * 10,
    ))
}

fn text(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_default().to_owned()
}
