//! A store that an earlier version wrote: every later version must open it and read the same from it.
//!
//! `tests/fixtures/store-0008.db` was written by the version whose newest migration is 0008, and `store-0008.json` is what that
//! version read from it. Neither is generated again, because a newer version cannot write what an old one wrote. If the contract
//! renames a member, or a text is reworded that the service composes when it is asked, the JSON gets the same edit and no other. A stored
//! response is not edited, because it is replayed as it was given.
//!
//! Before a migration that changes stored data, keep a store of the present version: `SIDEDOOR_MAKE_STORE=1 cargo test --test it
//! old_store` writes `store-<newest migration>.db` and `.json` (it overwrites none). Then add its number to [`STORES`].

use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use sidedoor::store::sqlite::{SqliteStore, StoreView};
use sidedoor::usecases::UseCaseIntervals;
use sidedoor_domain::ids::{InstanceName, UserId};
use sidedoor_domain::moment::timestamp;
use sidedoor_domain::ports::Clock;
use sidedoor_domain::ports::store::{
    ClockStore, DirectiveStore, EvidenceStore, Filter, IdempotencyStore, JobStore, KeyRecord, SupervisionStore,
    UnknownLeg,
};
use sidedoor_fakes::Fault;

use crate::support::app::{AUDITOR, CARRIER, OPERATOR, READER, TestApp};
use crate::support::everything::{ANSWERED, Asked, OF_NONE, RUNNING, everything};
use crate::support::{sql, sql_with};

/// The migrations whose stores are kept.
const STORES: [&str; 1] = ["0008"];

fn file(number: &str, ending: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/store-{number}.{ending}"))
}

/// A clock that does not move, so that no job in the store becomes due while the test reads it.
struct Still(Timestamp);

impl Clock for Still {
    fn now(&self) -> Timestamp {
        self.0
    }

    fn elapsed(&self) -> std::time::Duration {
        std::time::Duration::ZERO
    }

    fn follow_step(&self, _: SignedDuration) -> Option<SignedDuration> {
        None
    }
}

#[tokio::test]
async fn old_stores_are_read_as_they_were_written() {
    for number in STORES {
        let kept = std::fs::read_to_string(file(number, "json")).expect("readable");
        let kept: Value = serde_json::from_str(&kept).expect("JSON");
        let read = read(&file(number, "db"), &kept).await;
        for (question, answer) in kept["read"].as_object().expect("an object") {
            assert_read(&read[question], answer, &format!("store-{number}: {question}"));
        }
        assert_eq!(
            read.as_object().map(|o| o.len()),
            kept["read"].as_object().map(|o| o.len())
        );
    }
}

/// Everything that was kept is read as it was. Members that later versions added to an answer are left out.
fn assert_read(read: &Value, kept: &Value, at: &str) {
    match (read, kept) {
        (Value::Object(read), Value::Object(kept)) => {
            for (name, value) in kept {
                assert_read(read.get(name).unwrap_or(&Value::Null), value, &format!("{at}.{name}"));
            }
        }
        (Value::Array(read), Value::Array(kept)) if read.len() == kept.len() => {
            for (i, (read, kept)) in read.iter().zip(kept).enumerate() {
                assert_read(read, kept, &format!("{at}[{i}]"));
            }
        }
        _ => assert_eq!(read, kept, "{at}"),
    }
}

/// A kept store tests only the kinds of rows that it contains, so it must contain every kind.
#[tokio::test]
async fn old_stores_hold_something_of_everything() {
    for number in STORES {
        let path = tempfile::tempdir().expect("a folder");
        let copy = path.path().join("store.db");
        std::fs::copy(file(number, "db"), &copy).expect("copied");
        let missing = "WITH wanted (what, found) AS (VALUES
              ('REQUESTED', (SELECT COUNT(*) FROM supervisions WHERE state = 'REQUESTED')),
              ('JOINING', (SELECT COUNT(*) FROM supervisions WHERE state = 'JOINING')),
              ('MONITORING', (SELECT COUNT(*) FROM supervisions WHERE state = 'MONITORING')),
              ('LEAVING', (SELECT COUNT(*) FROM supervisions WHERE state = 'LEAVING' AND overdue = 0)),
              ('overdue', (SELECT COUNT(*) FROM supervisions WHERE overdue = 1)),
              ('LEFT', (SELECT COUNT(*) FROM supervisions WHERE state = 'LEFT')),
              ('FAILED', (SELECT COUNT(*) FROM supervisions WHERE state = 'FAILED')),
              ('observed', (SELECT COUNT(*) FROM supervisions WHERE origin = 'OBSERVED' AND state = 'MONITORING')),
              ('PENDING', (SELECT COUNT(*) FROM deliveries WHERE state = 'PENDING' AND attempts > 0)),
              ('RECORDED', (SELECT COUNT(*) FROM deliveries WHERE state = 'RECORDED')),
              ('DEAD', (SELECT COUNT(*) FROM deliveries WHERE state = 'DEAD' AND last_answer LIKE '%REQUIRED%')),
              ('open directives', (SELECT COUNT(*) FROM directives WHERE status = 'OPEN')),
              ('answered directives', (SELECT COUNT(*) FROM directives WHERE status = 'DONE')),
              ('unexplained legs', (SELECT COUNT(*) FROM unexplained_legs WHERE looks > 0)),
              ('answered keys', (SELECT COUNT(*) FROM idempotency_keys WHERE status IS NOT NULL)),
              ('running keys', (SELECT COUNT(*) FROM idempotency_keys WHERE status IS NULL)),
              ('keys of none', (SELECT COUNT(*) FROM idempotency_keys WHERE supervision_id IS NULL)),
              ('evidence', (SELECT COUNT(*) FROM evidence)),
              ('audit', (SELECT COUNT(*) FROM audit WHERE phase = 'BEGUN' AND operation IS NOT NULL)),
              ('clock samples', (SELECT COUNT(*) FROM clock_samples)),
              ('epochs', (SELECT COUNT(*) FROM clock_epochs)),
              ('comparisons', (SELECT COUNT(*) FROM comparisons WHERE left_at IS NOT NULL)),
              ('seen events', (SELECT COUNT(*) FROM seen_events)),
              ('cursors', (SELECT COUNT(*) FROM cursors)))
            SELECT what FROM wanted WHERE found = 0";
        assert_eq!(
            sql(&copy, missing).await.expect("read"),
            Vec::<Vec<String>>::new(),
            "store-{number} lacks these"
        );
    }
}

/// With SIDEDOOR_MAKE_STORE set, keeps a store of the present version; otherwise does nothing.
#[tokio::test]
async fn old_store_of_this_version_is_kept_when_asked() {
    if std::env::var_os("SIDEDOOR_MAKE_STORE").is_none() {
        return;
    }
    everything(|app, asked| keep(app.store_path(), asked)).await;
}

async fn keep(store: PathBuf, asked: Asked) {
    let newest = "SELECT printf('%04d', MAX(version)) FROM migrations";
    let number = sql(&store, newest).await.expect("read")[0][0].clone();
    let (db, text) = (file(&number, "db"), file(&number, "json"));
    assert!(
        !db.exists(),
        "{} is there, and an old store is never made again",
        db.display()
    );
    std::fs::create_dir_all(db.parent().expect("a folder")).expect("made");
    // VACUUM INTO writes one consistent file without a write-ahead log.
    sql_with(&store, "VACUUM INTO ?", &db.display().to_string())
        .await
        .expect("copied");
    let at = Timestamp::from_millisecond(Timestamp::now().as_millisecond()).expect("in range");
    let mut kept = json!({"at": at.to_string(), "answeredStart": asked.answered, "seenEvent": asked.seen});
    kept["read"] = read(&db, &kept).await;
    let kept = serde_json::to_string_pretty(&kept).expect("JSON") + "\n";
    std::fs::write(text, kept).expect("written");
}

/// The answers to every question that the test asks.
async fn read(store: &Path, kept: &Value) -> Value {
    let at: Timestamp = kept["at"].as_str().expect("a text").parse().expect("a time");
    let mut answers = by_the_api(store, at, kept).await;
    answers.append(&mut by_the_port(store).await);
    Value::Object(answers)
}

type Answers = serde_json::Map<String, Value>;

/// The answers of a service on the store. Its clock does not move, Connect never answers and Salesforce is switched off, so that the
/// unfinished supervisions which it resumes do not change.
async fn by_the_api(store: &Path, at: Timestamp, kept: &Value) -> Answers {
    let app = TestApp::build()
        .on_a_copy_of(store.to_owned())
        .clock(Arc::new(Still(at)))
        .intervals(UseCaseIntervals::default())
        .set("SALESFORCE__ENABLED", "false")
        .set("TIMING__VENDORS__ACME__WINDOW_H", "6")
        .set("SUPERVISION__LEAVE_DEADLINE_S", "4")
        .start_with(|fakes| fakes.connect().fault(Fault::late("*", 60_000).times(10_000)))
        .await;
    let mut answers = Answers::new();
    let supervisions = pages(&app, "/v1/supervisions?").await;
    for supervision in &supervisions {
        let path = format!("/v1/supervisions/{}", supervision["id"].as_str().expect("an id"));
        assert_eq!(get(&app, &path).await, *supervision, "{path}");
        let path = format!("{path}/timeline");
        answers.insert(path.clone(), get(&app, &path).await);
    }
    answers.insert("GET /v1/supervisions".into(), json!(supervisions));
    for path in ["/v1/deliveries?state=FAILED", "/v1/deliveries?"] {
        answers.insert(format!("GET {path}"), json!(pages(&app, path).await));
    }
    // The reads of this test are audited too, with the time of its clock.
    let before = pages(&app, &format!("/v1/audit?before={at}")).await;
    answers.insert("GET /v1/audit?".into(), json!(before));
    for i in 1..=16 {
        let path = format!("/v1/supervisors/supervisor-{i}/directives");
        answers.insert(format!("GET {path}"), get(&app, &path).await);
    }
    for vendor in ["amazon-connect", "acme"] {
        let path = format!("/v1/vendors/{vendor}/calibration");
        let told = get(&app, &path).await;
        answers.insert(format!("GET {path}"), stable(&told));
    }
    let start = app.call("POST", "/v1/supervisions").idempotency(ANSWERED);
    let start = start.json(&kept["answeredStart"]).replay_of_an_earlier_version();
    let again = start.send().await;
    assert_eq!(again.headers["idempotent-replayed"], "true");
    answers.insert(
        "the answered start, repeated".into(),
        json!({"status": again.status, "body": again.body}),
    );
    let event = app.call("POST", "/v1/events/partners/acme").key(CARRIER);
    let again = event.json(&kept["seenEvent"]).send().await;
    answers.insert("the seen event, repeated".into(), again.body);
    answers
}

/// The counts of a vendor's clocks. The offsets are left out, because a better calibrator may compute better ones.
fn stable(calibration: &Value) -> Value {
    let clocks = calibration["clocks"].as_array().expect("clocks").iter();
    clocks
        .map(|c| {
            json!({"source": c["source"], "field": c["field"], "version": c["version"], "samples": c["samples"],
            "epochs": c["epochs"]})
        })
        .collect()
}

async fn get(app: &TestApp, path: &str) -> Value {
    let answer = app.call("GET", path).key(key_for(path)).send().await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.text);
    answer.body
}

fn key_for(path: &str) -> &'static str {
    if path.starts_with("/v1/audit") {
        return AUDITOR;
    }
    let reads = ["/v1/supervisions", "/v1/vendors"];
    if reads.iter().any(|read| path.starts_with(read)) {
        READER
    } else {
        OPERATOR
    }
}

async fn pages(app: &TestApp, path: &str) -> Vec<Value> {
    let (mut all, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = get(app, &format!("{path}&pageSize=200{cursor}").replace("?&", "?")).await;
        all.extend(page["items"].as_array().expect("items").iter().cloned());
        match page["nextCursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return all,
        }
    }
}

/// What no answer of the API shows.
async fn by_the_port(store: &Path) -> Answers {
    let folder = tempfile::tempdir().expect("a folder");
    let copy = folder.path().join("store.db");
    std::fs::copy(store, &copy).expect("copied");
    let url = format!("sqlite://{}", copy.display());
    let store = SqliteStore::open(&url, 1).await.expect("opens");
    let main = InstanceName::parse("main").expect("a name");
    let mut answers = Answers::new();
    let mut told = |question: &str, answer: Value| answers.insert(question.into(), answer);

    for (caller, key) in [("back-end", ANSWERED), ("back-end", RUNNING), ("operator", OF_NONE)] {
        let record = store.key(caller, key).await.expect("read").expect("there");
        told(&format!("the key {key}"), key_record(&record));
    }
    let legs = store.due_unknown_legs(Timestamp::MAX, 10).await.expect("read");
    let leg = |l: &UnknownLeg| json!({"instance": l.instance.as_str(), "leg": l.leg, "dueAt": l.due_at.to_string(), "looks": l.looks});
    told("legs that nothing explains", legs.iter().map(leg).collect());
    for name in ["directives announced", "audit swept"] {
        told(
            &format!("the cursor: {name}"),
            json!(store.cursor(name).await.expect("read")),
        );
    }
    told(
        "the newest change of a directive",
        json!(store.last_directive_change().await.expect("read")),
    );
    told(
        "before the open directives",
        json!(store.before_open_directives().await.expect("read")),
    );
    let of = UserId::parse("supervisor-14").expect("an id");
    let directives = store.directives_of(&main, &of, Some(0), 100).await.expect("read");
    let directives = directives
        .iter()
        .map(|d| json!([d.seq, d.directive.to_string()]))
        .collect();
    told("the directives of supervisor-14", directives);
    let next = store.next_due().await.expect("read");
    let jobs = store.jobs(None, 1000).await.expect("read");
    let next_job = jobs.iter().map(|job| job.step.due_at).min();
    let times = [next_job, next.unknown_leg, next.delivery, next.contact_record];
    told("due next", json!(times.map(|t| t.map(|t| t.to_string()))));
    let counts = store.counts().await.expect("read");
    let active: Vec<_> = counts.active.iter().map(|(s, n)| (s.as_str(), n)).collect();
    let rows: Vec<_> = counts.rows.iter().map(|(s, n)| (s.as_str(), n)).collect();
    told(
        "counts",
        json!({"active": active, "rows": rows, "overdue": counts.overdue}),
    );
    let samples = store.clock_samples(Timestamp::UNIX_EPOCH, 5).await.expect("read");
    let samples = samples.iter().map(|(key, s)| {
        json!([
            key.to_string(),
            timestamp(s.stamp).to_string(),
            s.not_before.map(|t| timestamp(t).to_string()),
            timestamp(s.not_after).to_string(),
            s.cause.as_str()
        ])
    });
    told("the latest clock samples", samples.collect());
    let epochs = store.clock_epochs().await.expect("read");
    let epochs = epochs.iter().map(|e| {
        json!([
            e.stream.to_string(),
            e.version,
            e.since.to_string(),
            e.corroborated.to_string(),
            e.cause.as_str()
        ])
    });
    told("clock epochs", epochs.collect());
    let view = StoreView::open(&url).await.expect("opens");
    let all = Filter {
        limit: 1000,
        ..Filter::default()
    };
    let mut compared = Vec::new();
    for stored in store.list(&all).await.expect("read") {
        if let Some(c) = view.comparison(stored.supervision.id).await.expect("read") {
            compared.push(json!([
                c.supervision.to_string(),
                c.looked_at.to_string(),
                c.participant_id,
                c.left_at.map(|t| t.to_string()),
                c.ours_at.to_string(),
                c.inside
            ]));
        }
    }
    told("comparisons", json!(compared));
    store.close().await;
    answers
}

fn key_record(record: &KeyRecord) -> Value {
    json!({"fingerprint": record.fingerprint, "supervision": record.supervision.map(|id| id.to_string()),
        "takenBy": record.taken_by, "answer": record.answer})
}
