//! The life of the process: it is ready when all its parts are, stops softly when asked, and hard when that takes too long.
//!
//! Soft stop: no new work begins, what is under way may finish, what cannot is on disk and resumes at the next start. A
//! second signal, or the end of the patience, is the hard stop. A part that dies takes the process with it: a service
//! that has lost its delivery loop must not look healthy.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

use crate::http::{Check, Readiness};

/// How the process ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stopped {
    /// Everything under way was finished.
    pub clean: bool,
    /// The part that died, if one did.
    pub failed: Option<String>,
}

/// The life of one process (or, in tests, of one service in it).
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
    /// Cancelled when no new work is to begin.
    pub fn stopping(&self) -> CancellationToken {
        self.stopping.clone()
    }

    /// Where work is tracked that a stop waits for.
    pub fn tasks(&self) -> TaskTracker {
        self.tasks.clone()
    }

    /// Asks for the soft stop.
    pub fn stop(&self) {
        self.stopping.cancel();
    }

    /// Says how a named part is; the process is ready when all are well.
    pub fn set(&self, part: &'static str, is: Result<(), String>) {
        self.parts().checks.insert(part, is);
    }

    fn parts(&self) -> std::sync::MutexGuard<'_, Parts> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs a part of the service. One that ends before the stop, by a panic or otherwise, stops the process.
    pub fn run(&self, part: &'static str, work: impl Future<Output = ()> + Send + 'static) {
        self.set(part, Ok(()));
        let life = self.clone();
        let running = tokio::spawn(work.instrument(tracing::info_span!("part", part)));
        self.tasks.spawn(async move {
            let ended = running.await;
            if life.stopping.is_cancelled() && ended.is_ok() {
                return;
            }
            let how = if ended.is_err() { "panicked" } else { "ended by itself" };
            tracing::error!(part, "{part} {how}: the process stops");
            life.set(part, Err(how.to_owned()));
            life.parts().failed.get_or_insert_with(|| format!("{part} {how}"));
            life.stop();
        });
    }

    /// Waits for the soft stop, then for what is under way: at most `patience`, or until `hurry` ends (a second signal).
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

impl Readiness for Lifecycle {
    fn checks(&self) -> Vec<Check> {
        let mut checks: Vec<Check> = self
            .parts()
            .checks
            .iter()
            .map(|(name, is)| Check {
                name: (*name).to_owned(),
                ok: is.is_ok(),
                detail: is.clone().err(),
            })
            .collect();
        let going_on = !self.stopping.is_cancelled();
        checks.push(Check {
            name: "not stopping".into(),
            ok: going_on,
            detail: (!going_on).then(|| "the service is stopping".to_owned()),
        });
        checks
    }
}

/// Waits for SIGINT or SIGTERM.
///
/// # Errors
/// When the process cannot listen for signals.
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
    async fn a_stop_waits_for_what_is_under_way() {
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
    async fn a_part_that_dies_stops_the_process() {
        let life = Lifecycle::default();
        life.run("worker", async { panic!("as planned") });
        let stopped = life.stopped(Duration::from_secs(5), std::future::pending()).await;
        assert_eq!(stopped.failed.as_deref(), Some("worker panicked"));
        assert!(life.checks().iter().any(|c| c.name == "worker" && !c.ok));
    }

    #[tokio::test]
    async fn patience_and_hurry_end_the_wait() {
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
