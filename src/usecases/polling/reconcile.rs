//! Polls the vendor when no event arrives.
//!
//! Guarantee: each supervision has the time of its next poll in the store, so a restart forgets none; the loop sleeps until
//! the earliest. Every poll moves that time, whether it succeeds or fails.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use sidedoor_domain::confirmation::Finding;
use sidedoor_domain::evidence::Source;
use sidedoor_domain::ids::SupervisionId;
use sidedoor_domain::ports::store::{Retention, StoredSupervision};
use sidedoor_domain::ports::{MetricEvent, Priority, VendorError, VendorErrorCode};
use sidedoor_domain::supervision::{AMAZON_CONNECT, State, Supervision};
use tokio::sync::Semaphore;

use crate::usecases::evidence::observation::Observation;
use crate::usecases::in_flight::InFlight;
use crate::usecases::polling::batch_poll::{awaits_mode_change, is_idle, split_into_batches};
use crate::usecases::polling::searches::is_search;
use crate::usecases::polling::{PollingError, PollingService};

/// The most polls in flight.
const LOOKS_AT_A_TIME: usize = 8;
/// The most unknown legs that are looked up at a time.
const UNKNOWN_LEGS_AT_A_TIME: usize = 4;
/// The most due supervisions that are read at once.
const PAGE: u32 = 1024;
/// The longest sleep of a loop.
const LONGEST_SLEEP: Duration = Duration::from_secs(5);
/// A question about claims carries those that are due within this time.
const CLAIMS_AHEAD: SignedDuration = SignedDuration::from_secs(5);
/// The pause of a loop while everything that is due is in flight.
const IN_FLIGHT_PAUSE: Duration = Duration::from_millis(100);

impl PollingService {
    /// Polls due supervisions until the process stops. When the store fails, the error is logged and the loop continues.
    pub async fn reconcile_until_stopped(self) {
        let (checks, legs) = (InFlight::default(), InFlight::default());
        let room = Arc::new(Semaphore::new(LOOKS_AT_A_TIME));
        let room_for_legs = Arc::new(Semaphore::new(UNKNOWN_LEGS_AT_A_TIME));
        while !self.ctx.is_stopping() {
            let pause = match self.reconcile_round(&checks, &legs, (&room, &room_for_legs)).await {
                Ok(pause) => pause,
                Err(e) => {
                    tracing::error!(error = %e, "could not read the due polls; retrying in 1 s: {e}");
                    Duration::from_secs(1)
                }
            };
            tokio::select! {
                biased;
                () = tokio::time::sleep(pause) => {}
                () = self.ctx.signals.check.notified() => {}
                () = self.ctx.deps.stopping.cancelled() => {}
            }
        }
    }

    /// Starts the polls that are due and not in flight. Returns how long to sleep.
    async fn reconcile_round(
        &self,
        checks: &InFlight<SupervisionId>,
        legs: &InFlight<String>,
        (room, room_for_legs): (&Arc<Semaphore>, &Arc<Semaphore>),
    ) -> Result<Duration, PollingError> {
        let now = self.ctx.now();
        // One cheap query first, because every event and every answer wakes this loop.
        let next = self.ctx.store().next_due().await?;
        let is_due = |at: Option<Timestamp>| at.is_some_and(|at| at <= now);
        let (mut idle, mut claimed, mut searching, mut alone) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let busy = checks.keys();
        let due = if is_due(next.check) {
            self.ctx.store().due_checks(now + CLAIMS_AHEAD, PAGE).await?
        } else {
            Vec::new()
        };
        for stored in due {
            let id = stored.supervision.id;
            let is_claimed = stored.supervision.watch.claim.is_some();
            // A question about one claim carries the others that are due soon.
            if !is_claimed && !is_due(stored.supervision.next_check_at) {
                continue;
            }
            if let Some(guard) = checks.try_start(id).filter(|_| !busy.contains(&id)) {
                if is_search(&stored, now) {
                    searching.push((stored, guard));
                    continue;
                }
                let together = match (is_claimed, is_idle(&stored.supervision)) {
                    (true, _) => &mut claimed,
                    (false, true) => &mut idle,
                    (false, false) => &mut alone,
                };
                together.push((stored, guard));
            }
        }
        if !claimed
            .iter()
            .any(|(stored, _)| is_due(stored.supervision.next_check_at))
        {
            claimed.clear();
        }
        for (instance, batch) in split_into_batches(claimed) {
            // Claims wait for no permit, because they come before everything else.
            let this = self.clone();
            self.ctx.spawn(async move {
                if let Err(e) = this.ask_about_claims(&instance, &batch).await {
                    tracing::error!(%instance, error = %e, "could not finish asking about claims of {instance}; retrying in 1 s: {e}");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
                drop(batch);
                this.ctx.signals.check.notify_one();
            });
        }
        for (instance, batch) in split_into_batches(searching) {
            let this = self.clone();
            self.ctx.spawn(async move {
                if let Err(e) = this.search_legs(&instance, &batch).await {
                    tracing::error!(%instance, error = %e, "could not finish the search for legs of {instance}; retrying in 1 s: {e}");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
                drop(batch);
                this.ctx.signals.check.notify_one();
            });
        }
        let mut batches = split_into_batches(idle);
        for instance in self.overdue_rounds(now) {
            if !batches.iter().any(|(of, _)| *of == instance) {
                batches.push((instance, Vec::new()));
            }
        }
        for (instance, batch) in batches {
            let Ok(permit) = room.clone().acquire_owned().await else {
                break;
            };
            let this = self.clone();
            self.ctx.spawn(async move {
                let _in_flight = permit;
                if let Err(e) = this.run_batch_poll(&instance, &batch).await {
                    tracing::error!(%instance, error = %e, "could not finish the batch poll of {instance}; retrying in 1 s: {e}");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
                drop(batch);
                this.ctx.signals.check.notify_one();
            });
        }
        for (stored, guard) in alone {
            let (this, room) = (self.clone(), room.clone());
            let about = stored.supervision.clone();
            self.ctx.spawn_for("poll", &about, async move {
                let _in_flight = guard;
                let id = stored.supervision.id;
                if let Err(e) = this.poll_supervision(stored, &room).await {
                    tracing::error!(supervision_id = %id, error = %e, "could not store the result of the poll of {id}; retrying in 1 s: {e}");
                    // The supervision is still due, so wait before the loop starts it again.
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
                this.ctx.signals.check.notify_one();
            });
        }
        let busy = legs.keys();
        let due = if is_due(next.unknown_leg) && room_for_legs.available_permits() > 0 {
            self.ctx.store().due_unknown_legs(now, PAGE).await?
        } else {
            Vec::new()
        };
        for leg in due {
            // The lowest class never delays the others: without a free place the leg stays due.
            let Ok(permit) = room_for_legs.clone().try_acquire_owned() else {
                break;
            };
            let name = format!("{}/{}", leg.instance, leg.leg);
            let Some(guard) = legs.try_start(name.clone()).filter(|_| !busy.contains(&name)) else {
                continue;
            };
            let this = self.clone();
            self.ctx.spawn(async move {
                let in_flight = (guard, permit);
                this.evidence.adopt_leg(leg).await;
                drop(in_flight);
                this.ctx.signals.check.notify_one();
            });
        }
        let next = if is_due(next.check) || is_due(next.unknown_leg) {
            self.ctx.store().next_due().await?
        } else {
            next
        };
        let due = [next.check, next.unknown_leg].into_iter().flatten().min();
        Ok(pause_until(due, self.ctx.now()))
    }

    /// Polls one supervision. Work without an answer of the vendor does not wait for `room`.
    async fn poll_supervision(&self, stored: StoredSupervision, room: &Arc<Semaphore>) -> Result<(), PollingError> {
        if matches!(stored.supervision.state, State::Monitoring | State::Leaving) {
            self.act_before_poll(&stored.supervision).await?;
        }
        let Ok(_permit) = room.acquire().await else {
            return Ok(());
        };
        match stored.supervision.state {
            State::Monitoring | State::Leaving => {
                let leaving = stored.supervision.state == State::Leaving;
                let priority = if leaving { Priority::Claim } else { Priority::IdlePoll };
                self.poll_leg(&stored.supervision, priority).await
            }
            State::Left => Ok(self.leaving.check_departed_contact(&stored.supervision).await?),
            State::Requested | State::Joining => self.resume_join(&stored.supervision).await,
            State::Failed => Ok(self
                .ctx
                .update_and_deliver(stored.supervision.id, |s| s.next_check_at = None)
                .await?),
        }
    }

    /// Resumes a join that is long past its time, because no task works on it any more.
    async fn resume_join(&self, s: &Supervision) -> Result<(), PollingError> {
        let (id, maybe_sent) = (s.id, s.state == State::Joining);
        self.ctx
            .update_and_deliver(id, |s| {
                s.next_check_at = Some(self.ctx.now() + self.ctx.settings.join_ttl)
            })
            .await?;
        // A join may take long, so it runs in a task of its own and keeps no permit of the polls.
        let this = self.clone();
        self.ctx.spawn_for(
            "join",
            s,
            async move { this.monitoring.join(id, None, maybe_sent).await },
        );
        Ok(())
    }

    /// Does the work of a leave that needs no answer of the vendor: it may have become overdue, an earlier attempt may not have finished,
    /// or its directive may have expired.
    pub(super) async fn act_before_poll(&self, s: &Supervision) -> Result<(), PollingError> {
        let newly_overdue = AtomicBool::new(false);
        if s.clone().note_overdue(self.ctx.now()) {
            self.ctx
                .update_and_deliver(s.id, |s| {
                    newly_overdue.store(s.note_overdue(self.ctx.now()), Ordering::Relaxed);
                })
                .await?;
        }
        if newly_overdue.into_inner() {
            self.ctx.count(&MetricEvent::Overdue);
            tracing::warn!(supervision_id = %s.id, "the leave of {} is overdue because no evidence shows that the leg ended; polling continues", s.id);
        }
        if crate::usecases::leaving::end_leg::is_to_be_carried_out(s) {
            // A disconnect never expires, so try again.
            self.leaving.carry_out_leave(s.id).await?;
        }
        if s.state == State::Leaving && s.end_directive().is_some_and(|d| d.expires_at <= self.ctx.now()) {
            self.leaving.renew_directive(s).await?;
        }
        Ok(())
    }

    /// Asks DescribeContact about one leg and schedules the next question.
    pub(super) async fn poll_leg(&self, s: &Supervision, priority: Priority) -> Result<(), PollingError> {
        let Some(leg) = &s.leg else { return Ok(()) };
        if s.vendor != AMAZON_CONNECT {
            return self.look_at_carrier_leg(s).await;
        }
        let (sent_at, was_due) = (self.ctx.now(), s.next_check_at);
        let seen = self.ctx.telephony().describe(&s.instance, leg.as_str(), priority).await;
        let observation = match seen {
            Ok(seen) => Some(Observation::of_description(&seen, sent_at, self.ctx.now())),
            Err(e) => {
                log_failed_poll(s, &e);
                let unknown = e.code == VendorErrorCode::ResourceNotFound;
                unknown.then(|| {
                    Observation::of_finding(Source::DescribeContact, Finding::NotFound, sent_at, self.ctx.now())
                })
            }
        };
        if let Some(observation) = observation {
            let is_unknown = observation.answer.is_some_and(|a| a.finding == Finding::NotFound);
            self.evidence
                .evaluate(&s.instance, leg.as_str(), observation, None)
                .await?;
            if is_unknown {
                self.ask_second_source(s, priority).await?;
            }
        }
        if s.watch.claim.is_some() {
            return self.schedule_next_ask(s).await;
        }
        self.ctx
            .update_and_deliver(s.id, |s| {
                if s.state.is_final() || s.watch.claim.is_some() {
                    return;
                }
                let now = self.ctx.now();
                s.checks = s.checks.saturating_add(1);
                // Keep an earlier poll that was requested while this one was in flight.
                let wanted = s.next_check_at.filter(|t| Some(*t) != was_due);
                let next = self.next_poll(s, now);
                s.next_check_at = Some(wanted.map_or(next, |t| t.min(next)));
            })
            .await?;
        Ok(())
    }

    /// Connect does not know a carrier's leg; the carrier sends its events by itself.
    async fn look_at_carrier_leg(&self, s: &Supervision) -> Result<(), PollingError> {
        let expires_at = self.evidence.expire_carrier_leg(s).await?;
        self.ctx
            .update_and_deliver(s.id, |s| {
                if s.state.is_final() {
                    return;
                }
                s.checks = s.checks.saturating_add(1);
                s.next_check_at = match s.state {
                    // The leave becomes overdue, and its directive is renewed.
                    State::Leaving => Some(self.next_poll(s, self.ctx.now())),
                    _ => expires_at,
                };
            })
            .await?;
        Ok(())
    }

    /// DescribeContact does not know the leg: asks GetCurrentUserData too, because only two sources show that a leg is gone.
    async fn ask_second_source(&self, s: &Supervision, priority: Priority) -> Result<(), PollingError> {
        let Some(user) = &s.supervisor.connect_user_id else {
            return Ok(());
        };
        let sent_at = self.ctx.now();
        let users = std::slice::from_ref(user);
        match self
            .ctx
            .telephony()
            .current_contacts(&s.instance, users, priority)
            .await
        {
            Ok(seen) => {
                let finding = self.finding_of(s, &seen);
                self.evaluate_finding(s, finding, sent_at, self.ctx.now()).await
            }
            Err(e) => {
                log_failed_poll(s, &e);
                Ok(())
            }
        }
    }

    /// When to poll again: a leave soon and then less and less often, but at the latest when it becomes overdue; an idle
    /// supervision with the next batch.
    fn next_poll(&self, s: &Supervision, now: Timestamp) -> Timestamp {
        if s.state != State::Leaving && !awaits_mode_change(s) && s.watch.not_found.is_none() {
            return self.next_batch_poll(now);
        }
        let backoff = SignedDuration::from_secs(1_i64 << s.checks.min(5)).min(self.ctx.settings.idle_poll);
        let deadline = s.leave.as_ref().and_then(|l| l.deadline).map(|t| t.duration_since(now));
        now + match deadline.filter(|_| !s.overdue) {
            Some(left) if left.is_positive() => backoff.min(left),
            _ => backoff,
        }
    }

    /// Deletes expired data until the process stops.
    pub async fn sweep_until_stopped(self) {
        loop {
            tokio::select! {
                biased;
                () = tokio::time::sleep(self.ctx.settings.intervals.sweep) => {}
                () = self.ctx.deps.stopping.cancelled() => return,
            }
            let (now, keep) = (self.ctx.now(), self.ctx.settings.retention);
            let retention = Retention {
                keys_before: now - keep.keys,
                evidence_before: now - keep.evidence,
                supervisions_before: now - keep.supervisions,
                unsent_too: self.ctx.deps.crm.is_none(),
            };
            if let Err(e) = self.reports.sweep_audit().await {
                tracing::error!(error = %e, "could not close unfinished audit entries; retrying at the next sweep: {e}");
            }
            match self.ctx.store().sweep(&retention).await {
                Ok(0) => {}
                Ok(rows) => tracing::info!(rows, "deleted {rows} expired rows"),
                Err(e) => tracing::error!(error = %e, "could not delete expired data; retrying at the next sweep: {e}"),
            }
        }
    }
}

pub(crate) fn log_failed_poll(s: &Supervision, e: &VendorError) {
    tracing::warn!(supervision_id = %s.id, code = %e.code, "could not poll {}; polling again later: {}", s.id, e.message);
}

/// How long a loop sleeps when the next work is due at `due`. Work that is already due is in flight and wakes the loop when
/// it finishes; the minimum pause only keeps the loop from spinning until then.
pub(crate) fn pause_until(due: Option<Timestamp>, now: Timestamp) -> Duration {
    let left = due.map_or(LONGEST_SLEEP, |t| {
        Duration::try_from(t.duration_since(now)).unwrap_or_default()
    });
    if left.is_zero() {
        IN_FLIGHT_PAUSE
    } else {
        left.min(LONGEST_SLEEP)
    }
}
