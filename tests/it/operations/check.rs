//! `sidedoor check` as an operator runs it: a separate process, its text, its JSON and its exit code.

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;
use sidedoor_fakes::connect::{ACCESS_KEY, ACCOUNT, INSTANCE, NewContact, REGION, SECRET_KEY};
use sidedoor_fakes::{Fakes, FakesConfig, Fault};

pub struct Scene {
    pub fakes: Fakes,
    folder: tempfile::TempDir,
}

impl Scene {
    pub async fn new() -> Self {
        Self {
            fakes: sidedoor_fakes::start(FakesConfig::default())
                .await
                .expect("fakes start"),
            folder: tempfile::tempdir().expect("a folder"),
        }
    }

    fn command(&self, arguments: &[&str], changes: &[(&str, &str)]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sidedoor"));
        let store = format!("sqlite://{}", self.folder.path().join("store.db").display());
        let settings = [
            ("STORE__URL", store.as_str()),
            ("CONNECT__INSTANCES__MAIN__INSTANCE_ID", INSTANCE),
            ("CONNECT__INSTANCES__MAIN__REGION", REGION),
            ("CONNECT__INSTANCES__MAIN__ACCOUNT_ID", ACCOUNT),
            ("CONNECT__INSTANCES__MAIN__ENDPOINT_URL", self.fakes.connect_url()),
            ("SALESFORCE__LOGIN_URL", self.fakes.salesforce_url()),
            ("SALESFORCE__CLIENT_ID", "fake-client-id"),
            ("SALESFORCE__CLIENT_SECRET", "fake-client-secret"),
            ("AUTH__API_KEYS__0__NAME", "test"),
            ("AUTH__API_KEYS__0__SECRET", "a-key-that-nobody-must-see"),
            ("AUTH__API_KEYS__0__SCOPES", "read"),
        ];
        for (name, value) in settings.iter().chain(changes) {
            command.env(format!("SIDEDOOR__{name}"), value);
        }
        command
            .env("AWS_ACCESS_KEY_ID", ACCESS_KEY)
            .env("AWS_SECRET_ACCESS_KEY", SECRET_KEY);
        command
            .current_dir(self.folder.path())
            .arg("check")
            .args(arguments)
            .stdin(Stdio::null());
        command
    }

    async fn run(&self, arguments: &[&str], changes: &[(&str, &str)]) -> Output {
        let mut command = self.command(arguments, changes);
        tokio::task::spawn_blocking(move || command.output().expect("it runs"))
            .await
            .expect("no panic")
    }

    /// The lines of `--output json`, and whether it succeeded.
    pub async fn lines(&self, arguments: &[&str], changes: &[(&str, &str)]) -> (Vec<Value>, bool) {
        let output = self.run(&[arguments, &["--output", "json"]].concat(), changes).await;
        let said = String::from_utf8_lossy(&output.stdout);
        let report: Value = serde_json::from_str(&said).unwrap_or_else(|e| {
            panic!("{e}: {said}{}", String::from_utf8_lossy(&output.stderr));
        });
        assert_eq!(report["success"], output.status.success());
        (
            report["lines"].as_array().expect("lines").clone(),
            output.status.success(),
        )
    }
}

pub fn result<'l>(lines: &'l [Value], id: &str) -> (&'l str, &'l str, &'l str) {
    let line = lines
        .iter()
        .find(|l| l["id"] == id)
        .unwrap_or_else(|| panic!("no line {id}: {lines:#?}"));
    let text = |name: &str| line[name].as_str().unwrap_or_default();
    (text("result"), text("detail"), text("remedy"))
}

/// The lines that are not OK, except whether this machine's clock is synchronised, which depends on the machine.
fn not_ok(lines: &[Value]) -> Vec<&Value> {
    lines
        .iter()
        .filter(|l| l["id"] != "clock-synchronised" && l["result"] != "ok")
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn check_passes_and_changes_nothing() {
    let scene = Scene::new().await;
    let (lines, success) = scene.lines(&[], &[]).await;
    assert!(success && not_ok(&lines).is_empty(), "{lines:#?}");
    let (_, detail, _) = result(&lines, "aws-identity");
    assert!(detail.contains("111122223333"), "{detail}");
    assert!(scene.fakes.connect().ledger().ended.is_empty());
    assert_eq!(scene.fakes.connect().calls("StopContact"), 0);
    assert!(scene.fakes.salesforce().written().is_empty());
    let left: Vec<_> = std::fs::read_dir(scene.folder.path()).expect("a folder").collect();
    assert!(left.is_empty(), "{left:?}");
    let output = scene.run(&[], &[]).await;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        text.contains("✓ the instance can be reached and is active [main]"),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn check_lines_match_runbook_headings() {
    let runbook =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/runbook.md")).expect("there");
    let headings: Vec<&str> = runbook
        .lines()
        .filter_map(|l| l.strip_prefix("## "))
        .filter(|h| !h.contains(' '))
        .collect();
    let ids: Vec<&str> = sidedoor::cli::check::report::KINDS.iter().map(|k| k.id).collect();
    assert_eq!(headings, ids);
}

#[tokio::test(flavor = "multi_thread")]
async fn check_names_each_problem_with_remedy() {
    let scene = Scene::new().await;
    scene.fakes.connect().change(|s| {
        s.denied_operations = vec!["MonitorContact".into(), "SearchUsers".into(), "SearchContacts".into()];
        s.attributes_off = vec!["ENHANCED_CONTACT_MONITORING".into()];
        s.clock.skew_ms = 200_000;
    });
    scene.fakes.salesforce().change(|s| s.daily_limit = 4);
    scene.fakes.salesforce().remove_object("VoiceCall");
    let mut object = sidedoor_fakes::salesforce::Object::participant("VoiceCallParticipant__c");
    object.deletable = true;
    scene.fakes.salesforce().put_object(object);
    let (lines, success) = scene.lines(&[], &[("SALESFORCE__SLOW_ABOVE_PERCENT", "20")]).await;
    assert!(!success);
    let rights = result(&lines, "connect-rights");
    assert_eq!(
        (rights.0, rights.2),
        ("failed", "Add connect:MonitorContact to the role's policy")
    );
    assert_eq!(result(&lines, "connect-excess").0, "warning");
    assert_eq!(result(&lines, "connect-users").0, "warning");
    let search = result(&lines, "connect-search");
    assert_eq!(search.0, "warning");
    assert!(search.2.contains("Allow connect:SearchContacts"), "{search:?}");
    assert!(
        result(&lines, "connect-monitoring")
            .1
            .contains("ENHANCED_CONTACT_MONITORING (voice) is off")
    );
    assert_eq!(result(&lines, "clock-aws").0, "failed");
    assert_eq!(result(&lines, "salesforce-limits").0, "warning");
    assert_eq!(result(&lines, "salesforce-excess").0, "warning");
    assert_eq!(result(&lines, "salesforce-voice-calls").0, "warning");
    for line in lines.iter().filter(|l| l["result"] != "ok") {
        assert!(line["remedy"].is_string() && line["runbook"].is_string(), "{line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn check_reports_one_line_per_wrong_field() {
    let scene = Scene::new().await;
    let mut object = sidedoor_fakes::salesforce::Object::participant("VoiceCallParticipant__c");
    object.fields.retain(|f| f.name != "Mode__c");
    for field in &mut object.fields {
        if field.name == "Rejoin__c" {
            field.updateable = false;
        }
    }
    scene.fakes.salesforce().put_object(object);
    let (lines, success) = scene.lines(&[], &[]).await;
    assert!(!success);
    let of_fields: Vec<_> = lines.iter().filter(|l| l["id"] == "salesforce-object").collect();
    assert_eq!(of_fields.len(), 2, "{of_fields:#?}");
    assert!(
        of_fields[0]["detail"]
            .as_str()
            .expect("text")
            .contains("Mode__c does not exist")
    );
    assert!(
        of_fields[1]["remedy"]
            .as_str()
            .expect("text")
            .contains("permission set"),
        "{:#?}",
        of_fields[1]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn check_distinguishes_bad_credentials_from_outage() {
    let scene = Scene::new().await;
    let mut command = scene.command(
        &["--output", "json"],
        &[("SALESFORCE__CLIENT_SECRET", "a-wrong-one-that-nobody-must-see")],
    );
    command.env("AWS_SECRET_ACCESS_KEY", "another-that-nobody-must-see");
    let output = tokio::task::spawn_blocking(move || command.output().expect("it runs"))
        .await
        .expect("no panic");
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(!said.contains("nobody-must-see"), "{said}");
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let lines = report["lines"].as_array().expect("lines");
    assert_eq!(result(lines, "aws-identity").0, "failed");
    assert!(result(lines, "aws-identity").2.contains("default chain"));
    assert_eq!(result(lines, "salesforce-login").0, "failed");

    let nowhere = [
        ("CONNECT__INSTANCES__MAIN__ENDPOINT_URL", "http://127.0.0.1:9"),
        ("SALESFORCE__LOGIN_URL", "http://127.0.0.1:9"),
    ];
    let (lines, success) = scene.lines(&[], &nowhere).await;
    assert!(!success);
    assert!(result(&lines, "clock-aws").2.contains("reach the endpoint"));
    assert_eq!(result(&lines, "connect-instance").0, "failed");
    assert_eq!(result(&lines, "salesforce-login").0, "failed");
}

#[tokio::test(flavor = "multi_thread")]
async fn check_stops_after_invalid_configuration() {
    let scene = Scene::new().await;
    let bad = [("HTTP__LISTEN", "nowhere"), ("SALESFORCE__API_VERSION", "68")];
    let (lines, success) = scene.lines(&[], &bad).await;
    assert!(!success && lines.len() == 2, "{lines:#?}");
    assert!(
        lines
            .iter()
            .all(|l| l["id"] == "configuration" && l["result"] == "failed")
    );
    let unwritable = [("STORE__URL", "sqlite:///proc/sidedoor/store.db")];
    let (lines, _) = scene.lines(&[], &unwritable).await;
    assert_eq!(result(&lines, "store-writable").0, "failed");
}

#[tokio::test(flavor = "multi_thread")]
async fn check_wait_repeats_until_success() {
    let scene = Scene::new().await;
    scene
        .fakes
        .connect()
        .change(|s| s.denied_operations.push("DescribeContact".into()));
    let connect = scene.fakes.connect().clone();
    let fix = async move {
        while connect.calls("DescribeContact") == 0 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        connect.change(|s| s.denied_operations.retain(|o| o != "DescribeContact"));
    };
    let ((), (lines, success)) = tokio::join!(fix, scene.lines(&["--wait", "60"], &[]));
    assert!(success, "{lines:#?}");
    assert_eq!(scene.fakes.connect().calls("DescribeContact"), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn check_live_joins_leaves_and_reports() {
    let scene = Scene::new().await;
    let connect = scene.fakes.connect().clone();
    let call = connect.create_call();
    let refused = scene.run(&["--live", &call, "supervisor-1"], &[]).await;
    assert!(
        !refused.status.success() && connect.legs(&call).is_empty(),
        "not confirmed"
    );
    // The other checks are still reported.
    let (lines, success) = scene.lines(&["--live", &call, "supervisor-1"], &[]).await;
    assert!(!success && result(&lines, "aws-identity").0 == "ok");
    assert!(result(&lines, "live-join").1.contains("nothing was done"), "{lines:#?}");
    let (lines, _) = scene
        .lines(&["--live", "no contact's id", "supervisor-1", "--yes"], &[])
        .await;
    assert!(result(&lines, "live-contact").1.contains("CONTACT_ID"), "{lines:#?}");

    // StopContact does not work for voice, so the person chooses End call.
    let person = {
        let (connect, call) = (connect.clone(), call.clone());
        async move {
            while connect.calls("StopContact") == 0 {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            let leg = connect.live_legs(&call).pop().expect("a leg");
            connect.end_leg_in_ccp("supervisor-1", &leg).expect("ends");
        }
    };
    let arguments = ["--live", &call, "supervisor-1", "--yes"];
    let ((), (lines, success)) = tokio::join!(person, scene.lines(&arguments, &[]));
    assert!(success, "{lines:#?}");
    assert!(result(&lines, "live-stop").1.contains("connect_request_invalid"));
    assert!(result(&lines, "live-link").1.contains("RelatedContactId"));
    assert!(result(&lines, "live-left").1.contains("DisconnectTimestamp"));
    assert_eq!(result(&lines, "live-token").0, "ok");
    assert_eq!(result(&lines, "live-customer").0, "ok");
    assert_eq!(connect.legs(&call).len(), 1);
    assert!(connect.customer_contacts_we_ended().is_empty());
    assert!(connect.contact(&call).is_some_and(|c| !c.ended));

    // For chat, StopContact ends the leg.
    let chat = connect.create_contact(NewContact {
        channel: "CHAT".into(),
        ..NewContact::default()
    });
    let (lines, success) = scene.lines(&["--live", &chat, "supervisor-1", "--yes"], &[]).await;
    assert!(
        success && result(&lines, "live-left").1.contains("by StopContact"),
        "{lines:#?}"
    );
    assert!(connect.contact(&chat).is_some_and(|c| !c.ended));

    // A supervisor's leg and an ended contact cannot be monitored.
    let leg = connect.legs(&call)[0].clone();
    let (lines, success) = scene.lines(&["--live", &leg, "supervisor-1", "--yes"], &[]).await;
    assert!(!success);
    assert_eq!(result(&lines, "live-contact").0, "failed");
}

/// After a lost answer it is unknown whether a leg exists. The check repeats the call with the same token; if that answer is
/// lost too, it says that a leg may exist.
#[tokio::test(flavor = "multi_thread")]
async fn check_live_lost_answer_makes_no_second_leg() {
    let scene = Scene::new().await;
    let connect = scene.fakes.connect().clone();
    let chat = connect.create_contact(NewContact {
        channel: "CHAT".into(),
        ..NewContact::default()
    });
    // The fault applies only to our contact, because the permission check uses another one.
    let lost = |times| Fault {
        matching: Some(chat.clone()),
        ..Fault::lost_answer("MonitorContact").times(times)
    };
    connect.fault(lost(1));
    let (lines, success) = scene.lines(&["--live", &chat, "supervisor-1", "--yes"], &[]).await;
    assert!(success, "{lines:#?}");
    assert_eq!(result(&lines, "live-join").0, "ok");
    assert_eq!(result(&lines, "live-token").0, "ok");
    assert_eq!((connect.calls("MonitorContact"), connect.legs(&chat).len()), (4, 1));

    connect.fault(lost(2));
    let (lines, success) = scene.lines(&["--live", &chat, "supervisor-1", "--yes"], &[]).await;
    assert!(!success, "{lines:#?}");
    let join = result(&lines, "live-join");
    assert!(join.0 == "failed" && join.2.contains("a leg may exist"), "{join:?}");
    assert_eq!(connect.live_legs(&chat).len(), 1, "a leg does exist");
    assert!(connect.contact(&chat).is_some_and(|c| !c.ended));
}

#[tokio::test(flavor = "multi_thread")]
async fn check_reports_unreadable_issuer_keys() {
    let scene = Scene::new().await;
    let file = scene.folder.path().join("issuer.pem");
    let file = file.to_str().expect("text");
    let issuer = |keys: &'static str, value: &str| {
        vec![
            ("AUTH__ISSUERS__0__ISSUER", "https://acme.my.salesforce.com".to_owned()),
            ("AUTH__ISSUERS__0__AUDIENCE", "sidedoor".to_owned()),
            (
                "AUTH__ISSUERS__0__SUPERVISOR_CLAIM_KIND",
                "salesforce_user_id".to_owned(),
            ),
            (keys, value.to_owned()),
        ]
    };
    let line = |settings: Vec<(&'static str, String)>| {
        let scene = &scene;
        async move {
            let settings: Vec<(&str, &str)> = settings.iter().map(|(k, v)| (*k, v.as_str())).collect();
            let (lines, _) = scene.lines(&[], &settings).await;
            let (result, detail, _) = result(&lines, "issuers");
            let users = super::check::result(&lines, "salesforce-users").0;
            (result.to_owned(), detail.to_owned(), users.to_owned())
        }
    };
    let by_file = || issuer("AUTH__ISSUERS__0__PUBLIC_KEY_FILE", file);
    assert_eq!(line(by_file()).await.0, "failed", "there is no file");
    let private = pem::encode(&pem::Pem::new(
        "PRIVATE KEY",
        uuid::Uuid::new_v4().as_bytes().as_slice(),
    ));
    std::fs::write(file, &private).expect("written");
    let within = private.lines().nth(1).expect("a body");
    let (result, detail, _) = line(by_file()).await;
    assert!(
        result == "failed" && detail.contains("private key") && !detail.contains(within),
        "{detail}"
    );
    std::fs::write(file, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").expect("written");
    assert_eq!(line(by_file()).await, ("ok".into(), "1 keys".into(), "ok".into()));
    let nowhere = issuer("AUTH__ISSUERS__0__JWKS_URL", "http://127.0.0.1:9/keys");
    assert_eq!(line(nowhere).await.0, "failed");
}

/// An org that rejects all calls must not be reported as an org without our object.
#[tokio::test(flavor = "multi_thread")]
async fn check_reports_used_up_api_calls() {
    let scene = Scene::new().await;
    scene.fakes.salesforce().change(|s| s.daily_limit = 0);
    let (lines, success) = scene.lines(&[], &[]).await;
    assert!(!success);
    let limits = result(&lines, "salesforce-limits");
    assert!(limits.0 == "failed" && limits.2.contains("API usage"), "{limits:?}");
    let object = result(&lines, "salesforce-object");
    assert!(object.0 == "failed" && !object.2.contains("deploy"), "{object:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn check_reports_event_without_field() {
    let scene = Scene::new().await;
    let event = ("SALESFORCE__DIRECTIVE_EVENT", "Supervisor_Directive__e");
    let (lines, _) = scene.lines(&[], &[event]).await;
    assert_eq!(result(&lines, "salesforce-events").0, "ok");
    let field = ("SALESFORCE__DIRECTIVE_EVENT_FIELD", "Nope__c");
    let (lines, success) = scene.lines(&[], &[event, field]).await;
    let events = result(&lines, "salesforce-events");
    assert!(
        !success && events.0 == "failed" && events.1.contains("Nope__c"),
        "{events:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn check_compares_event_account_with_credentials() {
    let scene = Scene::new().await;
    let setting = "CONNECT__INSTANCES__MAIN__ACCOUNT_ID";
    let (lines, success) = scene.lines(&[], &[(setting, "444455556666")]).await;
    let (mark, _, remedy) = result(&lines, "connect-account");
    assert!(!success && mark == "failed" && remedy.contains(ACCOUNT), "{lines:#?}");
    let mut command = scene.command(&["--output", "json"], &[]);
    command.env_remove(format!("SIDEDOOR__{setting}"));
    let output = tokio::task::spawn_blocking(move || command.output().expect("it runs"))
        .await
        .expect("no panic");
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let (mark, _, remedy) = result(report["lines"].as_array().expect("lines"), "connect-account");
    assert!(
        output.status.success() && mark == "warning" && remedy.contains(ACCOUNT),
        "{report:#}"
    );
}
