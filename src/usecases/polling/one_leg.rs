//! Looks at one supervision by itself: a leg whose first look is due, whose mode change is to be confirmed, or that other sources do not
//! know, and a join whose task has ended.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use sidedoor_domain::confirmation::Finding;
use sidedoor_domain::evidence::Source;
use sidedoor_domain::ids::SupervisionId;
use sidedoor_domain::ports::{MetricEvent, Priority, StoreError, VendorError, VendorErrorCode};
use sidedoor_domain::supervision::{AMAZON_CONNECT, State, Supervision};

use crate::usecases::evidence::observation::Observation;
use crate::usecases::polling::{PollingError, PollingService};

/// How soon an unreadable supervision is read again, and how soon after a failure of the store.
const UNREADABLE: Duration = Duration::from_secs(3600);
const AFTER_FAILURE: Duration = Duration::from_secs(1);

impl PollingService {
    /// Looks at one supervision.
    pub(super) async fn poll_supervision(&self, s: &Supervision) -> Result<(), PollingError> {
        match s.state {
            State::Monitoring | State::Leaving => {
                self.act_before_poll(s).await?;
                self.poll_leg(s, Priority::IdlePoll).await
            }
            State::Requested | State::Joining => self.resume_join(s).await,
            State::Left | State::Failed => Ok(()),
        }
    }

    /// A supervision that failed needs nothing more.
    pub(super) async fn forget_step(&self, id: SupervisionId) -> Result<(), PollingError> {
        Ok(self.ctx.update_and_deliver(id, |s| s.next_check_at = None).await?)
    }

    /// A supervision could not be read. Returns when to try again. A damaged one is logged once, and the others go on.
    pub(super) fn after_failed_read(&self, id: SupervisionId, error: &StoreError) -> Duration {
        if !matches!(error, StoreError::Unreadable(_)) {
            tracing::error!(supervision_id = %id, error = %error, "could not read {id}; retrying in 1 s: {error}");
            return AFTER_FAILURE;
        }
        if self.ctx.signals.jobs.note_unreadable(id) {
            tracing::error!(supervision_id = %id, error = %error, "could not read {id}, which stays as it is; `sidedoor check` lists it: {error}");
        }
        UNREADABLE
    }

    /// Resumes a join that is long past its time, because no task works on it any more.
    pub(super) async fn resume_join(&self, s: &Supervision) -> Result<(), PollingError> {
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

    /// The deadline of a leave has passed.
    pub(super) async fn note_overdue(&self, id: SupervisionId) -> Result<(), PollingError> {
        let newly_overdue = AtomicBool::new(false);
        self.ctx
            .update_and_deliver(id, |s| {
                newly_overdue.store(s.note_overdue(self.ctx.now()), Ordering::Relaxed);
            })
            .await?;
        if newly_overdue.into_inner() {
            self.ctx.count(&MetricEvent::Overdue);
            tracing::warn!(supervision_id = %id, "the leave of {id} is overdue because no evidence shows that the leg ended; polling continues");
        }
        Ok(())
    }

    /// Does the work of a leave that needs no answer of the vendor: an earlier attempt may not have finished, or its directive may have
    /// expired.
    pub(super) async fn act_before_poll(&self, s: &Supervision) -> Result<(), PollingError> {
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
        let seen = self.ctx.describe_for(s, leg.as_str(), priority).await;
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
                if !s.state.is_final() && s.watch.claim.is_none() {
                    self.schedule_next_look(s, was_due);
                }
            })
            .await?;
        Ok(())
    }

    /// Sets the time of the next look at a leg without a claim, after a look that was due at `was_due`.
    pub(super) fn schedule_next_look(&self, s: &mut Supervision, was_due: Option<Timestamp>) {
        s.checks = s.checks.saturating_add(1);
        // Keep an earlier look that was requested while this one was in flight.
        let wanted = s.next_check_at.filter(|t| Some(*t) != was_due);
        let next = self.next_look(s, self.ctx.now());
        s.next_check_at = match (wanted, next) {
            (Some(wanted), Some(next)) => Some(wanted.min(next)),
            (wanted, next) => wanted.or(next),
        };
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
                    State::Leaving => self.next_look(s, self.ctx.now()),
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
        match self.ctx.current_contacts_anywhere(&s.endpoint(), users, priority).await {
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

    /// When to look again: at a leave soon and then less and less often; at an idle one never, because the polling round asks about it.
    fn next_look(&self, s: &Supervision, now: Timestamp) -> Option<Timestamp> {
        let is_urgent = s.state == State::Leaving || s.awaits_mode_change() || s.watch.not_found.is_some();
        if !is_urgent {
            return (!s.is_idle()).then(|| now + self.ctx.settings.idle_poll);
        }
        Some(now + SignedDuration::from_secs(1_i64 << s.checks.min(5)).min(self.ctx.settings.idle_poll))
    }
}

pub(crate) fn log_failed_poll(s: &Supervision, e: &VendorError) {
    tracing::warn!(supervision_id = %s.id, code = %e.code, "could not poll {}; polling again later: {}", s.id, e.for_operators());
}
