//! `sidedoor fakes` and `sidedoor demo`, which run the `sidedoor-fakes` executable from the folder of `sidedoor`.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

const SIDEDOOR: &str = env!("CARGO_BIN_EXE_sidedoor");

/// Fails with the remedy if `sidedoor-fakes` has not been built. Cargo builds the executables of this package only, so that
/// `cargo test -p sidedoor` alone does not build it.
fn require_fakes() {
    let fakes = Path::new(SIDEDOOR).with_file_name("sidedoor-fakes");
    assert!(
        fakes.exists(),
        "{} does not exist: run `cargo test --workspace`, or `cargo build -p sidedoor-fakes` before this test",
        fakes.display()
    );
}

/// A running `sidedoor fakes`. Dropping the value kills the process.
struct Running {
    child: Child,
    stdout: BufReader<std::process::ChildStdout>,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn start_fakes(options: &[&str]) -> (Running, Value) {
    require_fakes();
    let mut child = Command::new(SIDEDOOR)
        .args([
            "fakes",
            "--connect-listen",
            "127.0.0.1:0",
            "--salesforce-listen",
            "127.0.0.1:0",
        ])
        .args(options)
        .env_remove("SIDEDOOR_FAKES_EVENTS_KEY")
        .stdout(Stdio::piped())
        .spawn()
        .expect("sidedoor starts");
    let stdout = BufReader::new(child.stdout.take().expect("a pipe"));
    let mut running = Running { child, stdout };
    let mut line = String::new();
    running.stdout.read_line(&mut line).expect("a line");
    let urls = serde_json::from_str(&line).unwrap_or_else(|e| panic!("{line:?} is not JSON: {e}"));
    (running, urls)
}

#[tokio::test]
async fn sidedoor_fakes_prints_the_urls_and_stops_cleanly_on_sigterm() {
    let (mut running, urls) = start_fakes(&[]);
    let members: Vec<&String> = urls.as_object().expect("an object").keys().collect();
    assert_eq!(members, ["connectUrl", "salesforceUrl"]);
    for member in members {
        let url = format!("{}/_fake/settings", urls[member].as_str().expect("a URL"));
        let http = reqwest::Client::builder().build().expect("a client");
        assert_eq!(http.get(url).send().await.expect("an answer").status(), 200, "{member}");
    }
    let id = running.child.id();
    let sent = Command::new("sh").arg("-c").arg(format!("kill -TERM {id}")).status();
    assert!(sent.expect("sh runs").success());
    assert_eq!(running.child.wait().expect("a status").code(), Some(0));
    let mut rest = String::new();
    running.stdout.read_to_string(&mut rest).expect("text");
    assert_eq!(rest, "", "the JSON line is the whole output");
}

#[test]
fn sidedoor_fakes_passes_its_options_and_hides_the_key() {
    let key = "key-that-no-other-user-may-read";
    let (running, _) = start_fakes(&["--events-to", "http://127.0.0.1:9/events", "--events-key", key]);
    let id = running.child.id();
    let read = |name: &str| {
        let bytes = std::fs::read(format!("/proc/{id}/{name}")).expect("the process runs");
        String::from_utf8_lossy(&bytes).replace('\0', " ")
    };
    let arguments = read("cmdline");
    assert!(
        arguments.contains("serve --connect-listen 127.0.0.1:0 --salesforce-listen 127.0.0.1:0"),
        "{arguments}"
    );
    assert!(
        arguments.contains("--events-to http://127.0.0.1:9/events"),
        "{arguments}"
    );
    // Every local user can read the arguments of a process, but only its owner can read its environment.
    assert!(!arguments.contains(key), "{arguments}");
    assert!(read("environ").contains(&format!("SIDEDOOR_FAKES_EVENTS_KEY={key}")));
}

#[test]
fn sidedoor_demo_succeeds_and_prints_each_step() {
    require_fakes();
    let output = Command::new(SIDEDOOR).arg("demo").output().expect("sidedoor runs");
    let (text, errors) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{text}\n{errors}");
    let mut rest = text.as_ref();
    for step in [
        "Sidedoor runs at http://127.0.0.1:",
        "● A customer talks to agent-1: contact ",
        "● supervisor-1 starts to listen (SILENT) → 20",
        "● supervisor-2 starts to listen (BARGE) → 20",
        "● supervisor-1 presses Disconnect → 202 LEAVING: accepted, not yet confirmed",
        "directive END_LEG_IN_CCP for the browser: end leg ",
        "the browser acknowledges DONE",
        "the customer's call continues: true",
        "Salesforce VoiceCallParticipant__c ",
        "● supervisor-2 opens a browser tab that receives directives, and barges in",
        "● An operator disconnects supervisor-2, ",
        "the customer's call continues: true",
        "Salesforce VoiceCallParticipant__c ",
        "● Both supervisors have left. ",
    ] {
        let at = rest
            .find(step)
            .unwrap_or_else(|| panic!("{step:?} is missing or out of order in:\n{text}"));
        rest = &rest[at + step.len()..];
    }
}

/// `sidedoor` in a folder without `sidedoor-fakes`.
fn run_alone(command: &str) -> (PathBuf, Output) {
    let beside = Path::new(SIDEDOOR).parent().expect("a folder");
    let folder = tempfile::tempdir_in(beside).expect("a folder");
    let alone = folder.path().join("sidedoor");
    // A link and not a copy: the start of a file that was just written can fail with "text file busy" because a process that
    // another test forks at this moment still has the file open.
    std::fs::hard_link(SIDEDOOR, &alone).expect("a link");
    let output = Command::new(&alone).arg(command).output().expect("sidedoor runs");
    (alone.with_file_name("sidedoor-fakes"), output)
}

#[test]
fn missing_sidedoor_fakes_is_named_with_its_remedy() {
    for command in ["fakes", "demo"] {
        let (missing, output) = run_alone(command);
        assert_eq!(output.status.code(), Some(1), "{command}");
        assert!(output.stdout.is_empty(), "{command}");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(
            error.contains(&format!("{} does not exist", missing.display())),
            "{error}"
        );
        assert!(error.contains("cargo build -p sidedoor-fakes"), "{error}");
        assert!(error.contains("`sidedoor-fakes` of the same release"), "{error}");
    }
}
