//! SQLite on a thread of its own, with group commit: all steps that wait when a transaction begins go into it, and each is answered
//! after its fsync. A step is one UPDATE of a document and one line of a log.

use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};

use rusqlite::{Connection, params};
use tokio::sync::oneshot;

use crate::Outcome;

/// Most steps in one transaction.
const MAX_GROUP: usize = 256;

struct Step {
    id: String,
    name: &'static str,
    doc: String,
    /// `None` for a step without a waiting caller: it rides with the next step that a caller waits for.
    done: Option<oneshot::Sender<()>>,
}

/// The handle of the writer thread.
#[derive(Clone)]
pub(super) struct Steps(Sender<Step>);

impl Steps {
    pub(super) fn open(path: &Path) -> Outcome<Self> {
        let db = Connection::open(path)?;
        db.pragma_update(None, "journal_mode", "WAL")?;
        db.pragma_update(None, "synchronous", "FULL")?;
        db.execute_batch(
            "CREATE TABLE supervisions (id TEXT PRIMARY KEY, doc TEXT NOT NULL) STRICT;
             CREATE TABLE log (seq INTEGER PRIMARY KEY, id TEXT NOT NULL, step TEXT NOT NULL) STRICT;",
        )?;
        let (steps, received) = channel();
        std::thread::spawn(move || write(&db, &received));
        Ok(Self(steps))
    }

    /// Returns when the step is on disk.
    pub(super) async fn commit(&self, id: &str, name: &'static str, doc: String) -> Outcome<()> {
        let (done, on_disk) = oneshot::channel();
        self.send(id, name, doc, Some(done))?;
        Ok(on_disk.await?)
    }

    /// Has the step written with the next step that a caller waits for.
    pub(super) fn write_later(&self, id: &str, name: &'static str, doc: String) -> Outcome<()> {
        self.send(id, name, doc, None)
    }

    fn send(&self, id: &str, name: &'static str, doc: String, done: Option<oneshot::Sender<()>>) -> Outcome<()> {
        let step = Step {
            id: id.to_owned(),
            name,
            doc,
            done,
        };
        self.0.send(step).map_err(|_| "the writer has ended".into())
    }
}

fn write(db: &Connection, received: &Receiver<Step>) {
    let mut group: Vec<Step> = Vec::new();
    while let Ok(step) = received.recv() {
        let mut waited_for = step.done.is_some();
        group.push(step);
        while group.len() < MAX_GROUP
            && let Ok(step) = received.try_recv()
        {
            waited_for |= step.done.is_some();
            group.push(step);
        }
        if !waited_for && group.len() < MAX_GROUP {
            continue;
        }
        if let Err(e) = commit(db, &group) {
            eprintln!("the floor could not write: {e}");
            return;
        }
        for step in group.drain(..) {
            if let Some(done) = step.done {
                let _ = done.send(());
            }
        }
    }
}

fn commit(db: &Connection, group: &[Step]) -> rusqlite::Result<()> {
    db.execute_batch("BEGIN IMMEDIATE")?;
    let mut put = db.prepare_cached(
        "INSERT INTO supervisions (id, doc) VALUES (?1, ?2) ON CONFLICT (id) DO UPDATE SET doc = excluded.doc",
    )?;
    let mut log = db.prepare_cached("INSERT INTO log (id, step) VALUES (?1, ?2)")?;
    for step in group {
        put.execute(params![step.id, step.doc])?;
        log.execute(params![step.id, step.name])?;
    }
    db.execute_batch("COMMIT")
}
