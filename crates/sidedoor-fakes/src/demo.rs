//! `sidedoor demo`: the main job end to end, on free ports with a temporary store: two supervisors listen to one call,
//! each leaves independently, the customer stays. Tells what happens step by step, and fails if the customer's call
//! ended or a row is missing. A real service, real sockets; only the vendors are stand-ins.

mod service;

use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use self::service::Service;
use crate::{Browser, ConnectFake, Fakes, FakesConfig, Tab};

type Done<T = ()> = Result<T, Box<dyn std::error::Error>>;

/// The demo's own key; it exists on loopback for as long as the demo runs.
const KEY: &str = "demo-key-for-loopback-only";
const EVENTS_KEY: &str = "events-key-for-loopback-only";
const OPERATORS_KEY: &str = "operators-key-for-loopback-only";
/// How far the stand-in vendor's clock is off, ms.
const SKEW_MS: i64 = 1370;
/// How long any step may take.
const PATIENCE: Duration = Duration::from_secs(15);

/// Runs the demo; `sidedoor` is the service's executable, by default the one beside this one. With `keep`, everything runs
/// on until SIGINT or SIGTERM.
///
/// # Errors
/// When a step did not go as expected.
pub async fn run(keep: bool, sidedoor: Option<PathBuf>) -> Done {
    let folder = std::env::temp_dir().join(format!("sidedoor-demo-{}", uuid::Uuid::new_v4().simple()));
    std::fs::create_dir(&folder)?;
    let done = play(&folder, keep, sidedoor).await;
    // The folder is in the temporary directory, so leaving it behind does no harm.
    let _ = std::fs::remove_dir_all(&folder);
    done
}

async fn play(folder: &Path, keep: bool, sidedoor: Option<PathBuf>) -> Done {
    let mut fakes_config = FakesConfig::default();
    fakes_config.connect.clock.skew_ms = SKEW_MS;
    let fakes = crate::start(fakes_config).await?;
    let service = Service::start(sidedoor, &fakes, folder).await?;
    let url = service.url.clone();
    fakes.connect().change_events(|e| {
        e.target = Some(format!("{url}/v1/events/connect"));
        e.api_key = Some(EVENTS_KEY.into());
    });
    let stage = Stage {
        http: reqwest::Client::builder().timeout(PATIENCE).build()?,
        url,
        fakes: &fakes,
    };

    say(&format!(
        "Sidedoor listens on {}; Amazon Connect and Salesforce are stand-ins on loopback.",
        stage.url
    ));
    say(&format!(
        "The stand-in vendor's clock is {SKEW_MS} ms ahead and its stamps are cut to whole seconds.\n"
    ));
    let call = fakes.connect().create_call();
    step(&format!("A customer talks with agent-1: contact {call}"));
    let first = stage.listen(&call, "supervisor-1", "SILENT").await?;
    let second = stage.listen(&call, "supervisor-2", "BARGE").await?;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    stage.leave("supervisor-1", &first, &call, None).await?;
    let tab = stage.barge_in("supervisor-2", &second).await?;
    stage.leave("supervisor-2", &second, &call, Some(tab)).await?;
    let ended = fakes.connect().customer_contacts_we_ended();
    let call_lives = fakes.connect().contact(&call).is_some_and(|c| !c.ended);
    if !ended.is_empty() || !call_lives {
        return Err("the customer's call ended".into());
    }
    step("Both supervisors are gone; the customer's call goes on, and Connect's ledger shows that nobody ended it.");
    if keep {
        kept(&stage, &call).await?;
    }
    Ok(())
}

struct Stage<'f> {
    http: reqwest::Client,
    url: String,
    fakes: &'f Fakes,
}

impl Stage<'_> {
    fn connect(&self) -> &ConnectFake {
        self.fakes.connect()
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Done<(u16, Value)> {
        self.send_as(KEY, request).await
    }

    async fn send_as(&self, key: &str, request: reqwest::RequestBuilder) -> Done<(u16, Value)> {
        let answer = request.bearer_auth(key).send().await?;
        let status = answer.status().as_u16();
        Ok((status, answer.json().await?))
    }

    async fn listen(&self, call: &str, supervisor: &str, mode: &str) -> Done<String> {
        let body = json!({"contactId": call, "supervisor": {"connectUserId": supervisor}, "mode": mode});
        let ask = self.http.post(format!("{}/v1/supervisions", self.url));
        let (status, answer) = self
            .send(
                ask.header("Idempotency-Key", format!("listen-{supervisor}"))
                    .json(&body),
            )
            .await?;
        if !matches!(status, 201 | 202) {
            return Err(format!("{supervisor} could not listen: {answer}").into());
        }
        let id = text(&answer, "id");
        step(&format!(
            "{supervisor} asks to listen ({mode}) → {status} {}",
            text(&answer, "state")
        ));
        let joined = self.until(&id, |s| !s["joinedAt"].is_null()).await?;
        detail(&format!(
            "leg {} is theirs alone; connected at {}",
            text(&joined, "legContactId"),
            text(&joined, "joinedAt")
        ));
        Ok(id)
    }

    /// Opens the supervisor's page, which listens for directives, and speaks.
    async fn barge_in(&self, supervisor: &str, id: &str) -> Done<Tab> {
        let browser = Browser::new(self.connect().clone(), supervisor, &self.url, Some(KEY.into()));
        let tab = browser.open_tab();
        step(&format!(
            "{supervisor} opens a page that listens for directives, and barges in"
        ));
        let ask = self.http.post(format!("{}/v1/supervisions/{id}/mode", self.url));
        let (status, answer) = self.send(ask.json(&json!({"mode": "BARGE"}))).await?;
        if status != 202 {
            return Err(format!("{supervisor} could not barge in: {answer}").into());
        }
        let barged = self.until(id, |s| s["mode"] == "BARGE").await?;
        detail(&format!(
            "the page did it, and Connect's evidence confirmed it at {}",
            text(&barged["modeChange"], "confirmedAt")
        ));
        Ok(tab)
    }

    /// Has a supervisor leave: by their own wish, acting on the answer; or, with a page open, by an operator's.
    async fn leave(&self, supervisor: &str, id: &str, call: &str, tab: Option<Tab>) -> Done {
        let ask = self.http.post(format!("{}/v1/supervisions/{id}/disconnect", self.url));
        let ask = ask.header("Idempotency-Key", format!("leave-{id}"));
        let key = if tab.is_some() { OPERATORS_KEY } else { KEY };
        let (status, answer) = self.send_as(key, ask).await?;
        let who = match &tab {
            None => format!("{supervisor} presses Disconnect"),
            Some(_) => {
                format!("An operator disconnects {supervisor}, after the guard has seen that the agent is there")
            }
        };
        step(&format!(
            "{who} → {status} {}: accepted, not yet confirmed",
            text(&answer, "state")
        ));
        let directive = &answer["nextAction"];
        if directive.is_null() {
            return Err("the answer has no directive".into());
        }
        detail(&format!(
            "directive {} to the browser: end leg {}",
            text(directive, "kind"),
            text(directive, "legContactId")
        ));
        match &tab {
            None => {
                let browser = Browser::new(self.connect().clone(), supervisor, &self.url, Some(KEY.into()));
                detail(&format!("the browser answers {}", browser.obey(directive).await));
            }
            Some(_) => detail("the page hears it by its stream, and acts by itself"),
        }
        let left = self.until(id, |s| s["state"] == "LEFT").await?;
        let d = &left["departure"];
        detail(&format!(
            "evidence {}: the vendor's clock said {}",
            text(d, "source"),
            text(d, "vendorTimestamp")
        ));
        let leg = text(&left, "legContactId");
        let truth = self.connect().contact(&leg).and_then(|c| c.true_disconnect_at);
        self.tell_times(d, truth)?;
        let recorded = self
            .until(id, |s| {
                s["salesforceRecord"]["state"] == "WRITTEN" && !s["departure"]["customerCallContinued"].is_null()
            })
            .await?;
        detail(&format!(
            "the customer's call goes on: {}",
            recorded["departure"]["customerCallContinued"]
        ));
        let rows = self.fakes.salesforce().rows("VoiceCallParticipant__c");
        let row = rows.iter().find(|r| r.get("Leg_Key__c") == Some(&json!(leg)));
        let row = row
            .filter(|r| r.get("Contact_Id__c") == Some(&json!(call)))
            .ok_or("the row is missing in Salesforce")?;
        let cell = |name: &str| row.get(name).map_or_else(|| "—".into(), ToString::to_string);
        detail(&format!(
            "Salesforce {} {}: Disconnected_Epoch_Ms__c {} ± {} ms, {}, reason {}",
            text(&recorded["salesforceRecord"], "objectName"),
            cell("Id"),
            cell("Disconnected_Epoch_Ms__c"),
            cell("Disconnect_Uncertainty_Ms__c"),
            cell("Calibration_Grade__c"),
            cell("Disconnect_Reason__c")
        ));
        Ok(())
    }

    fn tell_times(&self, d: &Value, truth: Option<Timestamp>) -> Done {
        let said: Timestamp = text(d, "disconnectedAt").parse()?;
        let uncertainty = d["uncertaintyMs"].as_i64().ok_or("the departure is unbounded")?;
        let truth = truth.ok_or("the leg did not end")?;
        let off = said.as_millisecond() - truth.as_millisecond();
        detail(&format!(
            "recorded {} ± {uncertainty} ms ({}); really off by {off} ms, the vendor's stamp by {} ms",
            text(d, "disconnectedAt"),
            text(&d["calibration"], "grade"),
            text(d, "vendorTimestamp").parse::<Timestamp>()?.as_millisecond() - truth.as_millisecond()
        ));
        if off.abs() > uncertainty {
            return Err(format!("the recorded time is off by {off} ms, more than its ± {uncertainty} ms").into());
        }
        Ok(())
    }

    /// Asks until `good`, at most [`PATIENCE`].
    async fn until(&self, id: &str, good: impl Fn(&Value) -> bool) -> Done<Value> {
        let url = format!("{}/v1/supervisions/{id}", self.url);
        let asking = async {
            loop {
                let (_, answer) = self.send(self.http.get(&url)).await?;
                if good(&answer) {
                    return Ok(answer);
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(PATIENCE, asking)
            .await
            .map_err(|_| format!("supervision {id} did not get on in time"))?
    }
}

async fn kept(stage: &Stage<'_>, call: &str) -> Done {
    let (url, connect) = (&stage.url, stage.fakes.connect_url());
    println!("\nEverything keeps running; Ctrl-C ends it. To try:\n");
    println!("  # listen, and leave again (the answer's nextAction is the directive)");
    println!("  curl -s {url}/v1/supervisions -H 'Authorization: Bearer {KEY}' -H 'Content-Type: application/json' \\");
    println!("    -d '{{\"contactId\":\"{call}\",\"supervisor\":{{\"connectUserId\":\"supervisor-3\"}}}}'");
    println!("  curl -s -X POST {url}/v1/supervisions/<id>/disconnect -H 'Authorization: Bearer {KEY}'");
    println!("  # play the supervisor's browser: end the leg in the stand-in CCP");
    println!(
        "  curl -s {connect}/_fake/ccp/supervisor-3/end-leg -H 'Content-Type: application/json' -d '{{\"legContactId\":\"<legContactId>\"}}'"
    );
    println!("  # or open a page of theirs, which listens for directives and acts by itself");
    println!("  curl -s -X POST {connect}/_fake/browser/supervisor-3/tabs -H 'Content-Type: application/json' \\");
    println!("    -d '{{\"sidedoorUrl\":\"{url}\",\"bearer\":\"{KEY}\"}}'");
    println!("  # what that page hears; and one supervision's life in order");
    println!(
        "  curl -N {url}/v1/supervisors/supervisor-3/directives -H 'Authorization: Bearer {KEY}' -H 'Accept: text/event-stream'"
    );
    println!("  curl -s {url}/v1/supervisions/<id>/timeline -H 'Authorization: Bearer {KEY}'");
    println!("  curl -s '{url}/v1/supervisions?state=LEFT' -H 'Authorization: Bearer {KEY}'");
    println!("  # which contacts ended, and by whom; the rows in Salesforce");
    println!("  curl -s {connect}/_fake/ledger");
    println!(
        "  curl -s {}/_fake/rows/VoiceCallParticipant__c",
        stage.fakes.salesforce_url()
    );
    Ok(crate::shutdown_signal().await?)
}

fn say(line: &str) {
    println!("{line}");
}

fn step(line: &str) {
    println!("● {line}");
}

fn detail(line: &str) {
    println!("    {line}");
}

fn text(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or("—").to_owned()
}
