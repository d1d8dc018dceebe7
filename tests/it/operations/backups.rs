//! `sidedoor backup` and `sidedoor restore`, as an operator runs them: a copy is whole, and a restored store is that copy.

use std::path::Path;
use std::process::Output;

use serde_json::Value;

use crate::support::app::TestApp;
use crate::support::sql;

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    let mut names: Vec<String> = entries
        .map(|entry| entry.expect("readable").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// Every supervision of the service, without what time changes.
async fn everything(app: &TestApp) -> Vec<Value> {
    let all = app.call("GET", "/v1/supervisions").send().await.body;
    all["items"].as_array().expect("items").clone()
}

async fn listen_and_leave(app: &TestApp, supervisor: &str) -> String {
    let id = app.listen(&app.connect().create_call(), supervisor).await.id();
    app.leave(&id, supervisor).await;
    app.until_confirmed(&id).await;
    id
}

#[tokio::test(flavor = "multi_thread")]
async fn backup_of_a_running_service_is_whole_and_can_be_restored() {
    let mut app = TestApp::start().await;
    let before = listen_and_leave(&app, "supervisor-1").await;
    let copies = tempfile::tempdir().expect("a folder");
    let copy = copies.path().join("copy.db");
    let file = copy.to_str().expect("a path");
    let arguments = ["backup", file];
    // Others start and leave meanwhile.
    let busy = async {
        for _ in 0..5 {
            listen_and_leave(&app, "supervisor-2").await;
        }
    };
    let (backup, ()) = tokio::join!(app.command(&arguments), busy);
    assert!(backup.status.success(), "{}", said(&backup));
    assert!(said(&backup).contains("are whole"), "{}", said(&backup));
    assert_eq!(names(copies.path()), ["copy.db"]);
    let again = app.command(&["backup", file]).await;
    assert!(
        !again.status.success() && said(&again).contains("exists"),
        "{}",
        said(&again)
    );
    let held: Vec<String> = sql(&copy, "SELECT id FROM supervisions ORDER BY id DESC")
        .await
        .expect("read")
        .concat();
    assert!(held.contains(&before));

    let refused = app.command(&["restore", file]).await;
    assert!(
        !refused.status.success() && said(&refused).contains("in use by another Sidedoor process"),
        "{}",
        said(&refused)
    );
    let of_the_copy: Vec<Value> = everything(&app).await;
    let of_the_copy: Vec<&Value> = of_the_copy
        .iter()
        .filter(|s| held.iter().any(|id| s["id"] == *id))
        .collect();
    // Without a clean stop the write-ahead log remains. It must not be applied to the copy.
    app.crash();
    let restored = until_restored(&app, file).await;
    assert!(said(&restored).contains("before-restore"), "{}", said(&restored));
    let folder = app.store_path().parent().expect("a folder").to_owned();
    let found = names(&folder);
    assert!(
        found.contains(&"store.db.before-restore".to_owned()) && !found.iter().any(|name| name.ends_with("-wal")),
        "{found:?}"
    );
    app.restart().await;
    let restored = everything(&app).await;
    assert_eq!(restored.len(), held.len());
    let state = |s: &Value| (s["id"].clone(), s["state"].clone(), s["legContactId"].clone());
    assert_eq!(
        restored.iter().find(|s| s["id"] == *before).map(state),
        of_the_copy.iter().copied().find(|s| s["id"] == *before).map(state)
    );
    // A second restore would overwrite the store that was kept.
    app.crash();
    let second = until_unlocked(&app, file).await;
    assert!(
        !second.status.success() && said(&second).contains("before-restore exists"),
        "{}",
        said(&second)
    );
}

/// The lock is free a moment after a crash.
async fn until_unlocked(app: &TestApp, file: &str) -> Output {
    for _ in 0..100 {
        let output = app.command(&["restore", file]).await;
        if !said(&output).contains("in use by another") {
            return output;
        }
    }
    panic!("the store stays locked");
}

async fn until_restored(app: &TestApp, file: &str) -> Output {
    let output = until_unlocked(app, file).await;
    assert!(output.status.success(), "{}", said(&output));
    output
}

#[tokio::test(flavor = "multi_thread")]
async fn restore_of_a_damaged_copy_changes_nothing() {
    let mut app = TestApp::start().await;
    let id = listen_and_leave(&app, "supervisor-1").await;
    let copies = tempfile::tempdir().expect("a folder");
    let (copy, damaged) = (copies.path().join("copy.db"), copies.path().join("damaged.db"));
    let backup = app.command(&["backup", copy.to_str().expect("a path")]).await;
    assert!(backup.status.success(), "{}", said(&backup));
    let mut bytes = std::fs::read(&copy).expect("read");
    let middle = bytes.len() / 2;
    bytes[middle..middle + 8192].fill(0xA5);
    std::fs::write(&damaged, bytes).expect("written");
    std::fs::write(copies.path().join("text.db"), "no store").expect("written");
    app.crash();
    for name in ["damaged.db", "text.db"] {
        let file = copies.path().join(name);
        let refused = until_unlocked(&app, file.to_str().expect("a path")).await;
        assert!(
            !refused.status.success() && said(&refused).contains(&format!("{name} is no usable copy")),
            "{name}: {}",
            said(&refused)
        );
    }
    let refused = until_unlocked(&app, copies.path().join("none.db").to_str().expect("a path")).await;
    assert!(
        !refused.status.success() && said(&refused).contains("there is no file"),
        "{}",
        said(&refused)
    );
    let folder = app.store_path().parent().expect("a folder").to_owned();
    let left = names(&folder);
    assert!(
        !left
            .iter()
            .any(|name| name.contains("restore") || name.contains("unfinished")),
        "{left:?}"
    );
    app.restart().await;
    assert_eq!(app.get(&id).await.state(), "LEFT");
    app.finish().await;
}
