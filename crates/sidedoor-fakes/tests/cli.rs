//! The `sidedoor-fakes` executable: its options, the JSON line that it prints, and its end.

use std::process::Stdio;
use std::time::Duration;

use axum::http::HeaderMap;
use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, ChildStdout, Command};
use tokio::sync::mpsc;

const TIMEOUT: Duration = Duration::from_secs(20);
const FREE_PORTS: [&str; 4] = ["--connect-listen", "127.0.0.1:0", "--salesforce-listen", "127.0.0.1:0"];

/// A running `sidedoor-fakes serve`. Dropping the value kills the process.
struct Served {
    child: Child,
    stdout: BufReader<ChildStdout>,
    urls: Value,
}

impl Served {
    async fn start(options: &[&str], events_key: Option<&str>) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sidedoor-fakes"));
        command
            .arg("serve")
            .args(options)
            .env_remove("SIDEDOOR_FAKES_EVENTS_KEY");
        if let Some(key) = events_key {
            command.env("SIDEDOOR_FAKES_EVENTS_KEY", key);
        }
        let mut child = command
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the fakes start");
        let mut stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut line = String::new();
        tokio::time::timeout(TIMEOUT, stdout.read_line(&mut line))
            .await
            .expect("a line in time")
            .expect("a line");
        let urls = serde_json::from_str(&line).unwrap_or_else(|e| panic!("{line:?} is not JSON: {e}"));
        Self { child, stdout, urls }
    }

    fn url(&self, member: &str) -> &str {
        self.urls[member]
            .as_str()
            .unwrap_or_else(|| panic!("no {member} in {}", self.urls))
    }
}

fn client() -> reqwest::Client {
    reqwest::Client::builder().timeout(TIMEOUT).build().expect("a client")
}

async fn get(url: &str) -> Value {
    let answer = client().get(url).send().await.expect("an answer");
    assert_eq!(answer.status(), 200, "{url}");
    answer.json().await.expect("JSON")
}

async fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    listener.local_addr().expect("an address").port()
}

#[tokio::test]
async fn serve_prints_one_json_line_and_stops_cleanly_on_sigterm() {
    let mut served = Served::start(&FREE_PORTS, None).await;
    let members: Vec<&String> = served.urls.as_object().expect("an object").keys().collect();
    assert_eq!(members, ["connectUrl", "salesforceUrl"]);
    let settings = get(&format!("{}/_fake/settings", served.url("connectUrl"))).await;
    assert!(settings["stopVoiceLeg"].is_string());
    let settings = get(&format!("{}/_fake/settings", served.url("salesforceUrl"))).await;
    assert!(settings["clientId"].is_string());

    let id = served.child.id().expect("a running process");
    let sent = Command::new("sh")
        .arg("-c")
        .arg(format!("kill -TERM {id}"))
        .status()
        .await;
    assert!(sent.expect("sh runs").success());
    let status = tokio::time::timeout(TIMEOUT, served.child.wait())
        .await
        .expect("an end in time");
    assert_eq!(status.expect("a status").code(), Some(0));
    let mut rest = String::new();
    served.stdout.read_to_string(&mut rest).await.expect("text");
    assert_eq!(rest, "", "the JSON line is the whole output");
}

#[tokio::test]
async fn listen_options_set_the_addresses() {
    let (connect, salesforce) = (free_port().await, free_port().await);
    let (connect, salesforce) = (format!("127.0.0.1:{connect}"), format!("127.0.0.1:{salesforce}"));
    let served = Served::start(
        &["--connect-listen", &connect, "--salesforce-listen", &salesforce],
        None,
    )
    .await;
    let expected = json!({"connectUrl": format!("http://{connect}"), "salesforceUrl": format!("http://{salesforce}")});
    assert_eq!(served.urls, expected);
}

#[tokio::test]
async fn an_address_in_use_is_named_and_fails() {
    let occupied = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = occupied.local_addr().expect("an address").to_string();
    let output = Command::new(env!("CARGO_BIN_EXE_sidedoor-fakes"))
        .args(["serve", "--connect-listen", &address])
        .output();
    let output = tokio::time::timeout(TIMEOUT, output)
        .await
        .expect("an end in time")
        .expect("output");
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(
        error.starts_with(&format!("sidedoor-fakes: cannot listen on {address}: ")),
        "{error}"
    );
    assert!(output.stdout.is_empty());
}

#[tokio::test]
async fn demo_keeps_the_log_of_a_service_that_does_not_start() {
    // `sh serve` fails at once, because there is no script of this name, and writes the reason to its log.
    let output = Command::new(env!("CARGO_BIN_EXE_sidedoor-fakes"))
        .args(["demo", "--sidedoor", "/bin/sh"])
        .output();
    let output = tokio::time::timeout(TIMEOUT, output)
        .await
        .expect("an end in time")
        .expect("output");
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(
        error.starts_with("sidedoor-fakes: sidedoor stopped with exit status: "),
        "{error}"
    );
    let (_, log) = error
        .trim_end()
        .rsplit_once("the log of sidedoor is kept in ")
        .unwrap_or_else(|| panic!("no log in {error}"));
    let text = std::fs::read_to_string(log).expect("a log");
    assert!(text.contains("serve") && error.contains(text.trim_end()), "{error}");
    let folder = std::path::Path::new(log).parent().expect("a folder");
    std::fs::remove_dir_all(folder).expect("the folder is removed");
}

#[tokio::test]
async fn events_go_to_the_target_with_the_key_from_option_or_environment() {
    for (option, environment, expected) in [
        (None, Some("key-from-the-environment"), "key-from-the-environment"),
        (Some("key-from-the-option"), None, "key-from-the-option"),
    ] {
        let (sender, mut received) = mpsc::unbounded_channel();
        let receive = move |headers: HeaderMap, Json(event): Json<Value>| async move {
            let key = headers
                .get("x-api-key")
                .map(|key| key.to_str().expect("text").to_owned());
            sender.send((key, event)).expect("the test is running");
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let target = format!("http://{}/events", listener.local_addr().expect("an address"));
        let receiver = axum::serve(listener, Router::new().route("/events", post(receive)));
        let receiver = tokio::spawn(receiver.into_future());

        let mut options = FREE_PORTS.to_vec();
        options.extend(["--events-to", &target]);
        options.extend(option.iter().flat_map(|key| ["--events-key", key]));
        let served = Served::start(&options, environment).await;
        let contacts = format!("{}/_fake/contacts", served.url("connectUrl"));
        let created = client()
            .post(contacts)
            .json(&json!({}))
            .send()
            .await
            .expect("an answer");
        assert_eq!(created.status(), 201);
        let (key, event) = tokio::time::timeout(TIMEOUT, received.recv())
            .await
            .expect("an event in time")
            .expect("an event");
        assert_eq!(key.as_deref(), Some(expected));
        assert_eq!(event["detail-type"], "Amazon Connect Contact Event");
        receiver.abort();
    }
}
