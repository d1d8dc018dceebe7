//! Looking at the vendor when no event comes.
//!
//! A supervision carries the moment at which it is to be looked at next, on disk: the loop sleeps until the earliest, and
//! a restart forgets none. Every look moves that moment, whatever comes of it.

use crate::usecases::polling::PollingError;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::Semaphore;

use crate::usecases::evidence::evaluate::Observation;
use crate::usecases::in_flight::InFlight;
use crate::usecases::polling::PollingService;
use crate::usecases::polling::batch_poll::{awaits_a_mode, is_idle, rolls};
use sidedoor_domain::ids::SupervisionId;
use sidedoor_domain::ports::store::{Retention, Stored};
use sidedoor_domain::ports::{MetricEvent, Priority, VendorError};
use sidedoor_domain::supervision::{AMAZON_CONNECT, State, Supervision};

/// Looks at a time.
const LOOKS_AT_A_TIME: usize = 8;
/// How many due ones are read at once.
const PAGE: u32 = 1024;
/// A loop wakes at least this often.
const LONGEST_SLEEP: Duration = Duration::from_secs(5);
/// A loop's pause while what is due is in hand.
const IN_HAND_PAUSE: Duration = Duration::from_millis(100);

impl PollingService {
    /// Looks at what is due, until the process stops.
    ///
    /// # Errors
    /// Never for the vendor's sake; when the store fails it waits and goes on.
    pub async fn reconcile_until_stopped(self) {
        let (checks, legs) = (InFlight::default(), InFlight::default());
        let room = Arc::new(Semaphore::new(LOOKS_AT_A_TIME));
        while !self.ctx.is_stopping() {
            let pause = match self.reconcile_round(&checks, &legs, &room).await {
                Ok(pause) => pause,
                Err(e) => {
                    tracing::error!(error = %e, "reconciling waits: {e}");
                    Duration::from_secs(1)
                }
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.ctx.signals.check.notified() => {}
                () = self.ctx.parts.stopping.cancelled() => {}
            }
        }
    }

    /// Starts what is due and not in hand; returns how long to sleep.
    async fn reconcile_round(
        &self,
        checks: &InFlight<SupervisionId>,
        legs: &InFlight<String>,
        room: &Arc<Semaphore>,
    ) -> Result<Duration, PollingError> {
        let now = self.ctx.now();
        // One question tells whether there is anything to ask for: every event and every answer wakes this loop.
        let next = self.ctx.store().next_due().await?;
        let is_due = |at: Option<Timestamp>| at.is_some_and(|at| at <= now);
        let mut idle = Vec::new();
        let mut alone = Vec::new();
        let busy = checks.held();
        let due = if is_due(next.check) {
            self.ctx.store().due_checks(now, PAGE).await?
        } else {
            Vec::new()
        };
        for stored in due {
            let id = stored.supervision.id;
            if let Some(held) = checks.take(id).filter(|_| !busy.contains(&id)) {
                let together = if is_idle(&stored.supervision) {
                    &mut idle
                } else {
                    &mut alone
                };
                together.push((stored, held));
            }
        }
        let mut rolls = rolls(idle);
        for instance in self.overdue_rounds(now) {
            if !rolls.iter().any(|(of, _)| *of == instance) {
                rolls.push((instance, Vec::new()));
            }
        }
        for (instance, roll) in rolls {
            let Ok(permit) = room.clone().acquire_owned().await else {
                break;
            };
            let this = self.clone();
            self.ctx.spawn(async move {
                let _in_hand = permit;
                if let Err(e) = this.call_the_roll(&instance, &roll).await {
                    tracing::error!(%instance, error = %e, "the roll call of {instance} could not be finished");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
                drop(roll);
                this.ctx.signals.check.notify_one();
            });
        }
        for (stored, held) in alone {
            let Ok(permit) = room.clone().acquire_owned().await else {
                break;
            };
            let this = self.clone();
            let about = stored.supervision.clone();
            self.ctx.spawn_for("poll", &about, async move {
                let _in_hand = (held, permit);
                let id = stored.supervision.id;
                if let Err(e) = this.look_at(stored).await {
                    tracing::error!(supervision_id = %id, error = %e, "looking at {id} failed");
                    // It is still due: do not try again at once what just failed.
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
                this.ctx.signals.check.notify_one();
            });
        }
        let busy = legs.held();
        let due = if is_due(next.unexplained) {
            self.ctx.store().due_unexplained(now, PAGE).await?
        } else {
            Vec::new()
        };
        for leg in due {
            let name = format!("{}/{}", leg.instance, leg.leg);
            let Some(held) = legs.take(name.clone()).filter(|_| !busy.contains(&name)) else {
                continue;
            };
            let Ok(permit) = room.clone().acquire_owned().await else {
                break;
            };
            let this = self.clone();
            self.ctx.spawn(async move {
                let _in_hand = (held, permit);
                this.evidence.explain(leg).await;
                this.ctx.signals.check.notify_one();
            });
        }
        let next = if is_due(next.check) || is_due(next.unexplained) {
            self.ctx.store().next_due().await?
        } else {
            next
        };
        let due = [next.check, next.unexplained].into_iter().flatten().min();
        Ok(pause_until(due, self.ctx.now()))
    }

    async fn look_at(&self, stored: Stored) -> Result<(), PollingError> {
        match stored.supervision.state {
            State::Monitoring | State::Leaving => self.look_at_leg(&stored.supervision).await,
            State::Left => Ok(self.leaving.look_at_contact(&stored.supervision).await?),
            State::Requested | State::Joining => self.take_up_join(&stored.supervision).await,
            State::Failed => Ok(self
                .ctx
                .change(stored.supervision.id, |s| s.next_check_at = None)
                .await?),
        }
    }

    /// A join that is long past its time is in nobody's hands any more: it is carried to its end.
    async fn take_up_join(&self, s: &Supervision) -> Result<(), PollingError> {
        let (id, maybe_sent) = (s.id, s.state == State::Joining);
        self.ctx
            .change(id, |s| {
                s.next_check_at = Some(self.ctx.now() + self.ctx.settings.join_ttl)
            })
            .await?;
        // It may take long, and must not take the place of looks.
        let this = self.clone();
        self.ctx.spawn_for(
            "join",
            s,
            async move { this.monitoring.join(id, None, maybe_sent).await },
        );
        Ok(())
    }

    pub(crate) async fn look_at_leg(&self, s: &Supervision) -> Result<(), PollingError> {
        let Some(leg) = &s.leg else { return Ok(()) };
        if s.vendor != AMAZON_CONNECT {
            // A carrier's leg: Connect does not know it, and the carrier tells us by itself.
            return Ok(self.ctx.change(s.id, |s| s.next_check_at = None).await?);
        }
        if crate::usecases::leaving::end_leg::is_to_be_carried_out(s) {
            // Whoever began it could not finish it. A disconnect never expires.
            self.leaving.carry_out_leave(s.id).await?;
        }
        if s.state == State::Leaving && s.end_directive().is_some_and(|d| d.expires_at <= self.ctx.now()) {
            self.leaving.renew_directive(s).await?;
        }
        let (asked_at, was_due) = (self.ctx.now(), s.next_check_at);
        let seen = self
            .ctx
            .telephony()
            .describe(&s.instance, leg.as_str(), Priority::Poll)
            .await;
        match seen {
            Ok(seen) => {
                let observation =
                    Observation::of_description(&seen, asked_at, self.ctx.now(), self.ctx.settings.poll_staleness);
                self.evidence
                    .weigh(&s.instance, leg.as_str(), observation, None)
                    .await?;
            }
            Err(e) => log_look(s, &e),
        }
        let newly_overdue = AtomicBool::new(false);
        self.ctx
            .change(s.id, |s| {
                if s.state.is_final() {
                    return;
                }
                let now = self.ctx.now();
                newly_overdue.store(s.note_overdue(now), Ordering::Relaxed);
                s.checks = s.checks.saturating_add(1);
                // Whoever wanted a look while this one was under way still wants it.
                let wanted = s.next_check_at.filter(|t| Some(*t) != was_due);
                let next = self.next_look(s, now);
                s.next_check_at = Some(wanted.map_or(next, |t| t.min(next)));
            })
            .await?;
        if newly_overdue.into_inner() {
            self.ctx.count(&MetricEvent::Overdue);
            tracing::warn!(supervision_id = %s.id, "the leave of {} is overdue: no evidence that the leg ended", s.id);
        }
        Ok(())
    }

    /// When to look again: a leave soon and then ever less often, never past the moment it becomes overdue; an idle one
    /// with the others.
    fn next_look(&self, s: &Supervision, now: Timestamp) -> Timestamp {
        if s.state != State::Leaving && !awaits_a_mode(s) {
            return self.next_roll_call(now);
        }
        let backoff = SignedDuration::from_secs(1_i64 << s.checks.min(5)).min(self.ctx.settings.idle_poll);
        let deadline = s.leave.as_ref().and_then(|l| l.deadline).map(|t| t.duration_since(now));
        now + match deadline.filter(|_| !s.overdue) {
            Some(left) if left.is_positive() => backoff.min(left),
            _ => backoff,
        }
    }

    /// Sweeps what is past its retention, until the process stops.
    pub async fn sweep_until_stopped(self) {
        loop {
            tokio::select! {
                () = tokio::time::sleep(self.ctx.settings.intervals.sweep) => {}
                () = self.ctx.parts.stopping.cancelled() => return,
            }
            let (now, keep) = (self.ctx.now(), self.ctx.settings.keep);
            let retention = Retention {
                keys_before: now - keep.keys,
                evidence_before: now - keep.evidence,
                supervisions_before: now - keep.supervisions,
                unsent_too: self.ctx.parts.crm.is_none(),
            };
            if let Err(e) = self.reports.sweep_audit().await {
                tracing::error!(error = %e, "sweeping the audit's unfinished acts failed");
            }
            match self.ctx.store().sweep(&retention).await {
                Ok(0) => {}
                Ok(rows) => tracing::info!(rows, "swept {rows} rows past their retention"),
                Err(e) => tracing::error!(error = %e, "sweeping failed"),
            }
        }
    }
}

pub(crate) fn log_look(s: &Supervision, e: &VendorError) {
    tracing::warn!(supervision_id = %s.id, code = %e.code, "looking at {} failed: {}", s.id, e.message);
}

/// How long a loop sleeps when something is due at `due`. What is due already is in hand, and wakes the loop when it is
/// done: the floor only keeps the loop from spinning until then.
pub(crate) fn pause_until(due: Option<Timestamp>, now: Timestamp) -> Duration {
    let left = due.map_or(LONGEST_SLEEP, |t| {
        Duration::try_from(t.duration_since(now)).unwrap_or_default()
    });
    if left.is_zero() {
        IN_HAND_PAUSE
    } else {
        left.min(LONGEST_SLEEP)
    }
}
