//! `sidedoor-fakes demo`: the main job end to end, on free ports and with a temporary store. Two supervisors listen to one call
//! and leave it one after the other. The demo prints each step, and fails if the customer's call ended, a Salesforce record is
//! missing, or a recorded time is wrong by more than its uncertainty. The `sidedoor` process and the sockets are real; only
//! the vendors are fakes.

mod service;

use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use self::service::Service;
use crate::{Browser, ConnectFake, Fakes, FakesConfig, Tab};

type Done<T = ()> = Result<T, Box<dyn std::error::Error>>;

/// The API key of the supervisors. It is valid only on loopback and only while the demo runs.
const SUPERVISORS_KEY: &str = "demo-key-for-loopback-only";
/// The API key with which the fake Connect sends events.
const EVENTS_KEY: &str = "events-key-for-loopback-only";
/// The API key of an operator, who may disconnect other people.
const OPERATORS_KEY: &str = "operators-key-for-loopback-only";
/// Offset of the fake vendor's clock, ms.
const SKEW_MS: i64 = 1370;
const STEP_TIMEOUT: Duration = Duration::from_secs(15);

/// Runs the demo with `sidedoor` as the service's executable, by default the one in the folder of this executable. With `keep`,
/// the processes run until SIGINT or SIGTERM.
///
/// # Errors
/// When a step fails or its result is wrong. The error then names the log of `sidedoor`, which is kept.
pub async fn run(keep: bool, sidedoor: Option<PathBuf>) -> Done {
    let folder = std::env::temp_dir().join(format!("sidedoor-demo-{}", uuid::Uuid::new_v4().simple()));
    std::fs::create_dir(&folder)?;
    let outcome = run_steps(&folder, keep, sidedoor).await;
    let log = folder.join(service::LOG);
    if let Err(e) = &outcome
        && std::fs::metadata(&log).is_ok_and(|log| log.len() > 0)
    {
        return Err(format!("{e}\nthe log of sidedoor is kept in {}", log.display()).into());
    }
    // An error is ignored, because a folder that is left in the temporary directory does no harm.
    let _ = std::fs::remove_dir_all(&folder);
    outcome
}

async fn run_steps(folder: &Path, keep: bool, sidedoor: Option<PathBuf>) -> Done {
    let mut fakes_config = FakesConfig::default();
    fakes_config.connect.clock.skew_ms = SKEW_MS;
    let fakes = crate::start(fakes_config).await?;
    let service = Service::start(sidedoor, &fakes, folder).await?;
    let url = service.url.clone();
    fakes.connect().change_events(|e| {
        e.target = Some(format!("{url}/v1/events/connect"));
        e.api_key = Some(EVENTS_KEY.into());
    });
    let demo = Demo {
        http: reqwest::Client::builder().timeout(STEP_TIMEOUT).build()?,
        url,
        fakes: &fakes,
    };

    say(&format!(
        "Sidedoor runs at {}; Amazon Connect and Salesforce are fakes on loopback.",
        demo.url
    ));
    say(&format!(
        "The fake vendor's clock is {SKEW_MS} ms fast and its timestamps are cut to whole seconds.\n"
    ));
    let call = fakes.connect().create_call();
    step(&format!("A customer talks to agent-1: contact {call}"));
    let first = demo.listen(&call, "supervisor-1", "SILENT").await?;
    let second = demo.listen(&call, "supervisor-2", "BARGE").await?;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    demo.leave("supervisor-1", &first, &call, None).await?;
    let tab = demo.barge_in("supervisor-2", &second).await?;
    demo.leave("supervisor-2", &second, &call, Some(tab)).await?;
    let ended = fakes.connect().customer_contacts_we_ended();
    let call_lives = fakes.connect().contact(&call).is_some_and(|c| !c.ended);
    if !ended.is_empty() || !call_lives {
        return Err("the customer's call ended".into());
    }
    step(
        "Both supervisors have left. The customer's call continues, and the fake Amazon Connect has recorded no customer contact that Sidedoor ended.",
    );
    if keep {
        keep_running(&demo, &call, folder).await?;
    }
    Ok(())
}

struct Demo<'f> {
    http: reqwest::Client,
    url: String,
    fakes: &'f Fakes,
}

impl Demo<'_> {
    fn connect(&self) -> &ConnectFake {
        self.fakes.connect()
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Done<(u16, Value)> {
        self.send_as(SUPERVISORS_KEY, request).await
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
            return Err(format!("{supervisor} cannot listen: {answer}").into());
        }
        let id = text(&answer, "id");
        step(&format!(
            "{supervisor} starts to listen ({mode}) → {status} {}",
            text(&answer, "state")
        ));
        let joined = self.until(&id, |s| !s["joinedAt"].is_null()).await?;
        detail(&format!(
            "leg {} belongs to this supervisor only; connected at {}",
            text(&joined, "legContactId"),
            text(&joined, "joinedAt")
        ));
        Ok(id)
    }

    /// Opens a browser tab of the supervisor and changes their mode to BARGE. Returns the tab.
    async fn barge_in(&self, supervisor: &str, id: &str) -> Done<Tab> {
        let browser = Browser::new(
            self.connect().clone(),
            supervisor,
            &self.url,
            Some(SUPERVISORS_KEY.into()),
        );
        let tab = browser.open_tab();
        step(&format!(
            "{supervisor} opens a browser tab that receives directives, and barges in"
        ));
        let ask = self.http.post(format!("{}/v1/supervisions/{id}/mode", self.url));
        let (status, answer) = self.send(ask.json(&json!({"mode": "BARGE"}))).await?;
        if status != 202 {
            return Err(format!("{supervisor} cannot barge in: {answer}").into());
        }
        let barged = self.until(id, |s| s["mode"] == "BARGE").await?;
        detail(&format!(
            "the tab changed the mode, and Connect's evidence confirmed it at {}",
            text(&barged["modeChange"], "confirmedAt")
        ));
        Ok(tab)
    }

    /// Disconnects a supervisor: without a tab by their own request, whose answer their browser executes; with a tab by an
    /// operator's request, whose directive the tab receives.
    async fn leave(&self, supervisor: &str, id: &str, call: &str, tab: Option<Tab>) -> Done {
        let ask = self.http.post(format!("{}/v1/supervisions/{id}/disconnect", self.url));
        let ask = ask.header("Idempotency-Key", format!("leave-{id}"));
        let key = if tab.is_some() { OPERATORS_KEY } else { SUPERVISORS_KEY };
        let (status, answer) = self.send_as(key, ask).await?;
        let request = match &tab {
            None => format!("{supervisor} presses Disconnect"),
            Some(_) => {
                format!(
                    "An operator disconnects {supervisor}, after the barge safety check has found the agent on the call"
                )
            }
        };
        step(&format!(
            "{request} → {status} {}: accepted, not yet confirmed",
            text(&answer, "state")
        ));
        let directive = &answer["nextAction"];
        if directive.is_null() {
            return Err("the answer has no directive".into());
        }
        detail(&format!(
            "directive {} for the browser: end leg {}",
            text(directive, "kind"),
            text(directive, "legContactId")
        ));
        match &tab {
            None => {
                let browser = Browser::new(
                    self.connect().clone(),
                    supervisor,
                    &self.url,
                    Some(SUPERVISORS_KEY.into()),
                );
                detail(&format!("the browser acknowledges {}", browser.obey(directive).await));
            }
            Some(_) => detail("the tab receives it on its stream and executes it"),
        }
        // An event and a browser may confirm the end together, but only what Connect answers admits the timestamp of the event.
        let left = self
            .until(id, |s| {
                s["state"] == "LEFT" && !s["departure"]["vendorTimestamp"].is_null()
            })
            .await?;
        let d = &left["departure"];
        detail(&format!(
            "evidence {}: the vendor's clock showed {}",
            text(d, "source"),
            text(d, "vendorTimestamp")
        ));
        let leg = text(&left, "legContactId");
        let truth = self.connect().contact(&leg).and_then(|c| c.true_disconnect_at);
        self.compare_times(d, truth)?;
        let recorded = self
            .until(id, |s| {
                s["salesforceRecord"]["state"] == "WRITTEN" && !s["departure"]["customerCallContinued"].is_null()
            })
            .await?;
        detail(&format!(
            "the customer's call continues: {}",
            recorded["departure"]["customerCallContinued"]
        ));
        let records = self.fakes.salesforce().rows("VoiceCallParticipant__c");
        let record = records.iter().find(|r| r.get("Leg_Key__c") == Some(&json!(leg)));
        let record = record
            .filter(|r| r.get("Contact_Id__c") == Some(&json!(call)))
            .ok_or("the record is missing in Salesforce")?;
        let field = |name: &str| record.get(name).map_or_else(|| "—".into(), ToString::to_string);
        detail(&format!(
            "Salesforce {} {}: Disconnected_Epoch_Ms__c {} ± {} ms, {}, reason {}",
            text(&recorded["salesforceRecord"], "objectName"),
            field("Id"),
            field("Disconnected_Epoch_Ms__c"),
            field("Disconnect_Uncertainty_Ms__c"),
            field("Calibration_Grade__c"),
            field("Disconnect_Reason__c")
        ));
        Ok(())
    }

    fn compare_times(&self, d: &Value, truth: Option<Timestamp>) -> Done {
        let recorded: Timestamp = text(d, "disconnectedAt").parse()?;
        let uncertainty = d["uncertaintyMs"].as_i64().ok_or("the departure is unbounded")?;
        let truth = truth.ok_or("the leg did not end")?;
        let error = recorded.as_millisecond() - truth.as_millisecond();
        detail(&format!(
            "recorded {} ± {uncertainty} ms ({}); its real error is {error} ms, that of the vendor's timestamp {} ms",
            text(d, "disconnectedAt"),
            text(&d["calibration"], "grade"),
            text(d, "vendorTimestamp").parse::<Timestamp>()?.as_millisecond() - truth.as_millisecond()
        ));
        if error.abs() > uncertainty {
            return Err(format!(
                "the error of the recorded time is {error} ms, more than its uncertainty of {uncertainty} ms"
            )
            .into());
        }
        Ok(())
    }

    /// Polls the supervision until `done` is true, at most for [`STEP_TIMEOUT`].
    async fn until(&self, id: &str, done: impl Fn(&Value) -> bool) -> Done<Value> {
        let url = format!("{}/v1/supervisions/{id}", self.url);
        let poll = async {
            loop {
                let (_, answer) = self.send(self.http.get(&url)).await?;
                if done(&answer) {
                    return Ok(answer);
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(STEP_TIMEOUT, poll).await.map_err(|_| {
            format!(
                "timeout: supervision {id} did not reach its next state in {} s",
                STEP_TIMEOUT.as_secs()
            )
        })?
    }
}

async fn keep_running(demo: &Demo<'_>, call: &str, folder: &Path) -> Done {
    let (url, connect) = (&demo.url, demo.fakes.connect_url());
    println!("\nThe processes keep running until you press Ctrl-C.");
    println!("The log of sidedoor is {}. Try:\n", folder.join(service::LOG).display());
    println!("  # listen, and leave again (the directive is `nextAction` of the answer)");
    println!(
        "  curl -s {url}/v1/supervisions -H 'Authorization: Bearer {SUPERVISORS_KEY}' -H 'Content-Type: application/json' \\"
    );
    println!("    -d '{{\"contactId\":\"{call}\",\"supervisor\":{{\"connectUserId\":\"supervisor-3\"}}}}'");
    println!("  curl -s -X POST {url}/v1/supervisions/<id>/disconnect -H 'Authorization: Bearer {SUPERVISORS_KEY}'");
    println!("  # do what the supervisor's browser does: end the leg in the fake CCP");
    println!(
        "  curl -s {connect}/_fake/ccp/supervisor-3/end-leg -H 'Content-Type: application/json' -d '{{\"legContactId\":\"<legContactId>\"}}'"
    );
    println!("  # or open a simulated browser tab for the supervisor; it receives directives and carries them out");
    println!("  curl -s -X POST {connect}/_fake/browser/supervisor-3/tabs -H 'Content-Type: application/json' \\");
    println!("    -d '{{\"sidedoorUrl\":\"{url}\",\"bearer\":\"{SUPERVISORS_KEY}\"}}'");
    println!("  # the events that this tab receives; and the timeline of a supervision");
    println!(
        "  curl -N {url}/v1/supervisors/supervisor-3/directives -H 'Authorization: Bearer {SUPERVISORS_KEY}' -H 'Accept: text/event-stream'"
    );
    println!("  curl -s {url}/v1/supervisions/<id>/timeline -H 'Authorization: Bearer {SUPERVISORS_KEY}'");
    println!("  curl -s '{url}/v1/supervisions?state=LEFT' -H 'Authorization: Bearer {SUPERVISORS_KEY}'");
    println!("  # which contacts ended, each with its cause; the records in Salesforce");
    println!("  curl -s {connect}/_fake/ledger");
    println!(
        "  curl -s {}/_fake/rows/VoiceCallParticipant__c",
        demo.fakes.salesforce_url()
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
