//! The lifecycle of the process: readiness, graceful stop and forced stop.
//!
//! In a graceful stop no new work starts and running work may finish. Unfinished work is in the store and resumes at the
//! next start. A second signal, or the end of the drain time, forces the stop. If a background task ends unexpectedly, the
//! process stops, because a service without its delivery loop must not look healthy.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

use crate::http::{Check, Readiness};

/// How the service stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stopped {
    /// Whether all running work finished.
    pub clean: bool,
    /// The background task that ended unexpectedly, and how.
    pub failed: Option<String>,
}

/// The lifecycle of one process (in tests, of one service in it).
#[derive(Clone, Default)]
pub struct Lifecycle {
    stopping: CancellationToken,
    tasks: TaskTracker,
    parts: Arc<Mutex<Parts>>,
}

#[derive(Default)]
struct Parts {
    checks: BTreeMap<&'static str, Result<(), String>>,
    failed: Option<String>,
}

impl Lifecycle {
    /// A token that is cancelled when the stop begins. No new work may start after that.
    pub fn stopping(&self) -> CancellationToken {
        self.stopping.clone()
    }

    /// Tracks the work that a graceful stop waits for.
    pub fn tasks(&self) -> TaskTracker {
        self.tasks.clone()
    }

    /// Begins the graceful stop.
    pub fn stop(&self) {
        self.stopping.cancel();
    }

    /// Sets the health of a part. The process is ready if all parts are healthy.
    pub fn set(&self, part: &'static str, health: Result<(), String>) {
        self.parts().checks.insert(part, health);
    }

    fn parts(&self) -> std::sync::MutexGuard<'_, Parts> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs a background task. If it ends or panics before the stop, the process stops.
    pub fn run(&self, part: &'static str, work: impl Future<Output = ()> + Send + 'static) {
        self.set(part, Ok(()));
        let life = self.clone();
        let running = tokio::spawn(work.instrument(tracing::info_span!("part", part)));
        self.tasks.spawn(async move {
            let ended = running.await;
            if life.stopping.is_cancelled() && ended.is_ok() {
                return;
            }
            let how = if ended.is_err() {
                "panicked"
            } else {
                "ended unexpectedly"
            };
            tracing::error!(part, "background task {part} {how}; stopping the process");
            life.set(part, Err(how.to_owned()));
            life.parts().failed.get_or_insert_with(|| format!("{part} {how}"));
            life.stop();
        });
    }

    /// Waits for the graceful stop to begin and for running work to finish, at most `patience` or until `hurry` completes
    /// (a second signal).
    pub async fn stopped(&self, patience: Duration, hurry: impl Future<Output = ()>) -> Stopped {
        self.stopping.cancelled().await;
        self.tasks.close();
        let clean = tokio::select! {
            () = self.tasks.wait() => true,
            () = tokio::time::sleep(patience) => false,
            () = hurry => false,
        };
        Stopped {
            clean,
            failed: self.parts().failed.clone(),
        }
    }
}

/// The names of the checks that say nothing about what is inside.
const STORE: &str = "store";
const NOT_STOPPING: &str = "not stopping";

impl Readiness for Lifecycle {
    fn checks(&self) -> Vec<Check> {
        let mut checks: Vec<Check> = self
            .parts()
            .checks
            .iter()
            .map(|(name, health)| Check {
                name: (*name).to_owned(),
                ok: health.is_ok(),
                detail: health.clone().err(),
            })
            .collect();
        let running = !self.stopping.is_cancelled();
        checks.push(Check {
            name: NOT_STOPPING.into(),
            ok: running,
            detail: (!running).then(|| "the service is stopping".to_owned()),
        });
        checks
    }

    fn generic_checks(&self) -> Vec<Check> {
        let (mut store, mut tasks) = (true, true);
        for (name, health) in &self.parts().checks {
            let generic = if *name == STORE { &mut store } else { &mut tasks };
            *generic &= health.is_ok();
        }
        let running = !self.stopping.is_cancelled();
        [(STORE, store), ("tasks", tasks), (NOT_STOPPING, running)]
            .map(|(name, ok)| Check {
                name: name.to_owned(),
                ok,
                detail: None,
            })
            .into()
    }
}

/// Waits for SIGINT or SIGTERM.
///
/// # Errors
/// If the process cannot register the signal handlers.
pub async fn signal() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut int, mut term) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::select! {
        _ = int.recv() => {}
        _ = term.recv() => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn stop_waits_for_running_work() {
        let life = Lifecycle::default();
        let (done, stop) = (Arc::new(Mutex::new(false)), life.stopping());
        let seen = done.clone();
        life.run("worker", async move {
            stop.cancelled().await;
            tokio::time::sleep(Duration::from_millis(30)).await;
            *done.lock().expect("not poisoned") = true;
        });
        life.stop();
        let stopped = life.stopped(Duration::from_secs(5), std::future::pending()).await;
        assert_eq!(
            stopped,
            Stopped {
                clean: true,
                failed: None
            }
        );
        assert!(*seen.lock().expect("not poisoned"));
        assert!(life.checks().iter().any(|c| !c.ok), "a stopping service is not ready");
    }

    #[tokio::test]
    async fn task_that_panics_stops_process() {
        let life = Lifecycle::default();
        life.run("worker", async { panic!("as planned") });
        let stopped = life.stopped(Duration::from_secs(5), std::future::pending()).await;
        assert_eq!(stopped.failed.as_deref(), Some("worker panicked"));
        assert!(life.checks().iter().any(|c| c.name == "worker" && !c.ok));
        let generic = life.generic_checks();
        let failing: Vec<&str> = generic.iter().filter(|c| !c.ok).map(|c| c.name.as_str()).collect();
        assert_eq!(failing, ["tasks", "not stopping"]);
        assert!(generic.iter().all(|c| c.detail.is_none()));
    }

    #[tokio::test]
    async fn stop_is_forced_by_timeout_or_second_signal() {
        let life = Lifecycle::default();
        life.run("stubborn", std::future::pending());
        life.stop();
        assert!(
            !life
                .stopped(Duration::from_millis(20), std::future::pending())
                .await
                .clean
        );
        assert!(
            !life
                .stopped(Duration::from_secs(60), std::future::ready(()))
                .await
                .clean
        );
    }
}
