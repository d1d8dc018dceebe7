//! The batch poll: idle supervisions are polled together, up to a hundred users in one GetCurrentUserData call.
//!
//! Idle supervisions are due at the same moments, multiples of `supervision.idle_poll_s`, so that each call is full. The absence of
//! a leg shows its end only if an earlier answer listed it; otherwise the leg is described by itself. An unknown MONITOR contact is
//! looked into, so that a leg whose events were lost is found here too.
//!
//! The free places of a call are given in turn to supervisors who listened recently and have no idle supervision. So an
//! unknown leg whose events were lost is found within some rounds, without further calls (or with one call a round for an
//! instance without idle supervisions).

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
use sidedoor_domain::confirmation::{Finding, LegAnswer};
use sidedoor_domain::evidence::Source;
use sidedoor_domain::ids::{InstanceName, SupervisionId, UserId};
use sidedoor_domain::interlock::LegId;
use sidedoor_domain::ports::store::{PollStaleness, StoredSupervision, UnknownLeg};
use sidedoor_domain::ports::telephony::{UserContact, UserDataSeen};
use sidedoor_domain::ports::{MetricEvent, Priority, Transaction, VendorError};
use sidedoor_domain::supervision::{AMAZON_CONNECT, State, Supervision};

use crate::usecases::evidence::observation::Observation;
use crate::usecases::in_flight::InFlightGuard;
use crate::usecases::polling::{PollingError, PollingService};

/// The most users that GetCurrentUserData accepts in one call.
pub(super) const USERS: usize = 100;

/// How often a leg is described to confirm a requested mode change.
const MODE_LOOKS: u32 = 8;

/// Whether no change is expected: the supervisor has a leg, nothing was requested of them, and there is no claim that it has ended.
pub(super) fn is_idle(s: &Supervision) -> bool {
    s.state == State::Monitoring
        && s.vendor == AMAZON_CONNECT
        && s.leg.is_some()
        && s.supervisor.connect_user_id.is_some()
        && s.checks > 0
        && s.watch.claim.is_none()
        && s.watch.contact_end_claimed_at.is_none()
        && s.watch.not_found.is_none()
        && !awaits_mode_change(s)
}

/// Whether a requested mode change may be confirmed soon; only a description of the leg shows modes.
pub(super) fn awaits_mode_change(s: &Supervision) -> bool {
    s.checks < MODE_LOOKS && s.mode_change.as_ref().is_some_and(|c| c.confirmed_at.is_none())
}

/// Supervisors who listened within this time fill the free places of a batch poll.
const RECENTLY: SignedDuration = SignedDuration::from_hours(24 * 7);

/// The progress through recent supervisors, by instance.
#[derive(Default)]
pub(crate) struct PollRounds(Mutex<BTreeMap<InstanceName, PollRound>>);

/// The progress in one instance.
#[derive(Default)]
struct PollRound {
    /// When the last call was made.
    at: Option<Timestamp>,
    /// The last supervisor that was included.
    after: Option<UserId>,
}

/// The supervisions of one call, in flight until it is done.
pub(super) type PollBatch = Vec<(Supervision, InFlightGuard<SupervisionId>)>;

/// Splits idle supervisions into calls, by instance.
pub(super) fn split_into_batches(
    idle: Vec<(StoredSupervision, InFlightGuard<SupervisionId>)>,
) -> Vec<(InstanceName, PollBatch)> {
    let mut by_instance: BTreeMap<InstanceName, PollBatch> = BTreeMap::new();
    for (stored, guard) in idle {
        let instance = stored.supervision.instance.clone();
        by_instance
            .entry(instance)
            .or_default()
            .push((stored.supervision, guard));
    }
    let mut batches = Vec::new();
    for (instance, mut batch) in by_instance {
        while batch.len() > USERS {
            let rest = batch.split_off(USERS);
            batches.push((instance.clone(), std::mem::replace(&mut batch, rest)));
        }
        batches.push((instance, batch));
    }
    batches
}

impl PollingService {
    /// When an idle supervision is polled next: the next multiple of the interval that is at least half an interval away.
    pub(super) fn next_batch_poll(&self, now: Timestamp) -> Timestamp {
        let every = i64::try_from(self.ctx.settings.idle_poll.as_millis())
            .unwrap_or(i64::MAX)
            .max(1);
        let earliest = now.as_millisecond().saturating_add(every / 2);
        let next = earliest.div_euclid(every).saturating_add(1).saturating_mul(every);
        Timestamp::from_millisecond(next).unwrap_or(now + self.ctx.settings.idle_poll)
    }

    /// Polls all supervisions of a batch in one call.
    pub(super) async fn run_batch_poll(&self, instance: &InstanceName, batch: &PollBatch) -> Result<(), PollingError> {
        let mut users: Vec<UserId> = batch
            .iter()
            .filter_map(|(s, _)| s.supervisor.connect_user_id.clone())
            .collect();
        users.sort();
        users.dedup();
        let mut filler = self
            .recent_supervisors(instance, USERS - users.len().min(USERS))
            .await?;
        filler.retain(|user| users.binary_search(user).is_err());
        let recent = filler.len();
        users.extend(filler);
        if users.is_empty() {
            return Ok(());
        }
        let asked_at = self.ctx.now();
        let idle = users.len() - recent;
        let seen = match self.user_data_of(instance, &users, idle, Priority::IdlePoll).await {
            Ok(seen) => seen,
            Err(e) => {
                tracing::warn!(%instance, code = %e.code, users = users.len(), "the batch poll of {instance} failed; polling again at the next interval: {}", e.message);
                for (s, _) in batch {
                    self.reschedule_idle(s, None).await?;
                }
                return Ok(());
            }
        };
        let received_at = self.ctx.now();
        for (s, _) in batch {
            match self.finding_of(s, &seen) {
                Finding::Alive => {
                    let answer = LegAnswer {
                        source: Source::UserData,
                        sent_at: asked_at,
                        received_at,
                        finding: Finding::Alive,
                    };
                    self.reschedule_idle(s, Some(answer)).await?;
                }
                finding => {
                    self.evaluate_finding(s, finding, asked_at, received_at).await?;
                    if !self.has_left(s.id).await? {
                        self.poll_leg(s, Priority::IdlePoll).await?;
                    }
                }
            }
        }
        let known = |c: &UserContact| batch.iter().any(|(s, _)| is_leg_of(c, s));
        for unknown in seen.contacts.iter().filter(|c| c.may_be_live_leg() && !known(c)) {
            self.note_unknown_leg(instance, unknown, asked_at).await?;
        }
        Ok(())
    }

    /// What an answer of GetCurrentUserData shows of a supervision's leg.
    pub(super) fn finding_of(&self, s: &Supervision, seen: &UserDataSeen) -> Finding {
        match (&s.supervisor.connect_user_id, &s.leg) {
            (Some(user), Some(leg)) => seen.finding(user, leg.as_str()),
            _ => Finding::Unknown,
        }
    }

    /// Evaluates what an answer of GetCurrentUserData shows of a supervision's leg.
    pub(super) async fn evaluate_finding(
        &self,
        s: &Supervision,
        finding: Finding,
        sent_at: Timestamp,
        received_at: Timestamp,
    ) -> Result<(), PollingError> {
        let Some(leg) = &s.leg else { return Ok(()) };
        let observation = Observation::of_finding(Source::UserData, finding, sent_at, received_at);
        self.evidence
            .evaluate(&s.instance, leg.as_str(), observation, None)
            .await?;
        Ok(())
    }

    pub(super) async fn has_left(&self, id: SupervisionId) -> Result<bool, PollingError> {
        let stored = self.ctx.store().supervision(id).await?;
        Ok(stored.is_none_or(|s| s.supervision.state.is_final()))
    }

    /// The current contacts of these users; the first `wanted` of them are needed. What GetCurrentUserData answers for a deleted user
    /// is not documented. If it refuses the call, the call is repeated without the others and then in halves, so that one bad user
    /// does not hide the contacts of the others.
    pub(super) async fn user_data_of(
        &self,
        instance: &InstanceName,
        users: &[UserId],
        wanted: usize,
        priority: Priority,
    ) -> Result<UserDataSeen, VendorError> {
        let refused = match self.ctx.telephony().current_contacts(instance, users, priority).await {
            Err(e) if !e.is_retryable() && users.len() > 1 => e,
            other => return other,
        };
        tracing::warn!(%instance, code = %refused.code, users = users.len(), "GetCurrentUserData refused a call for {} users; retrying with fewer: {}", users.len(), refused.message);
        let parts: Vec<&[UserId]> = if wanted < users.len() {
            vec![&users[..wanted]]
        } else {
            users.chunks(users.len().div_ceil(2)).collect()
        };
        let mut found = UserDataSeen {
            is_complete: true,
            ..UserDataSeen::default()
        };
        for part in parts.into_iter().filter(|part| !part.is_empty()) {
            // A single user that Connect refuses is not in the answer, which then shows nothing of their legs.
            match Box::pin(self.user_data_of(instance, part, part.len(), priority)).await {
                Err(e) if !e.is_retryable() => {}
                other => {
                    let more = other?;
                    found.contacts.extend(more.contacts);
                    found.users.extend(more.users);
                    found.is_complete &= more.is_complete;
                }
            }
        }
        Ok(found)
    }

    /// Instances whose interval is over without a call, because they have no idle supervisions.
    pub(super) fn overdue_rounds(&self, now: Timestamp) -> Vec<InstanceName> {
        let rounds = self
            .ctx
            .signals
            .poll_rounds
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let every = self.ctx.settings.idle_poll;
        let over = |name: &&InstanceName| rounds.get(*name).and_then(|r| r.at).is_none_or(|at| at + every <= now);
        self.ctx.settings.instances.keys().filter(over).cloned().collect()
    }

    /// The next supervisors who listened recently, at most `free_places`: the users that the request can still name.
    async fn recent_supervisors(
        &self,
        instance: &InstanceName,
        free_places: usize,
    ) -> Result<Vec<UserId>, PollingError> {
        let now = self.ctx.now();
        let after = {
            let mut rounds = self
                .ctx
                .signals
                .poll_rounds
                .0
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            let round = rounds.entry(instance.clone()).or_default();
            round.at = Some(now);
            round.after.clone()
        };
        if free_places == 0 {
            // The calls of this instance are full, and recent supervisors must not cause another one.
            return Ok(Vec::new());
        }
        let most = u32::try_from(free_places).unwrap_or(u32::MAX);
        let since = now - RECENTLY;
        let found = self
            .ctx
            .store()
            .supervisors_since(instance, since, after.as_ref(), most)
            .await?;
        let mut rounds = self
            .ctx
            .signals
            .poll_rounds
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        // At the end of the list, the next call starts from the beginning.
        rounds.entry(instance.clone()).or_default().after =
            found.last().filter(|_| found.len() == free_places).cloned();
        drop(rounds);
        Ok(found)
    }

    /// Schedules the next poll of an idle supervision, after an answer that shows its leg alive, or none.
    async fn reschedule_idle(&self, seen: &Supervision, alive: Option<LegAnswer>) -> Result<(), PollingError> {
        let next = self.next_batch_poll(self.ctx.now());
        self.ctx
            .update(seen.id, |s| {
                if s.state != State::Monitoring {
                    return None;
                }
                if let Some(answer) = &alive {
                    // Claims that came meanwhile have a time of their own to be asked about.
                    s.note_answer(answer, &[], self.ctx.answer_age());
                }
                s.checks = s.checks.saturating_add(1);
                // Keep an earlier poll that was requested while this one was in flight.
                let wanted = s.next_check_at.filter(|t| Some(*t) != seen.next_check_at);
                s.next_check_at = Some(wanted.map_or(next, |t| t.min(next)));
                Some(Transaction::default())
            })
            .await?;
        Ok(())
    }

    async fn note_unknown_leg(
        &self,
        instance: &InstanceName,
        unknown: &UserContact,
        asked_at: Timestamp,
    ) -> Result<(), PollingError> {
        if let Some(known) = self.ctx.store().by_leg(instance, &unknown.contact).await? {
            self.measure_staleness(&known.supervision, asked_at);
            return Ok(());
        }
        let leg = UnknownLeg {
            instance: instance.clone(),
            leg: unknown.contact.clone(),
            due_at: self.ctx.now() + self.ctx.settings.intervals.unknown_leg,
            looks: 0,
        };
        self.ctx
            .store()
            .transact(Transaction {
                unknown_legs: vec![leg],
                ..Transaction::default()
            })
            .await?;
        self.ctx.signals.check.notify_one();
        Ok(())
    }

    /// A poll that was sent at `asked_at` lists a leg. If its end is confirmed, the answer is that old.
    pub(super) fn measure_staleness(&self, s: &Supervision, asked_at: Timestamp) {
        let ended = s
            .departure
            .as_ref()
            .filter(|_| s.state == State::Left)
            .map(|d| d.latest);
        if let Some(stale) = ended
            .map(|ended| asked_at.duration_since(ended))
            .filter(|stale| stale.is_positive())
        {
            self.ctx.count(&MetricEvent::PollStaleness(stale.as_secs_f64()));
            if stale > self.ctx.settings.poll_staleness {
                let measured = PollStaleness {
                    instance: s.instance.clone(),
                    measured_at: self.ctx.now(),
                    age: stale,
                };
                self.ctx.store().transact_later(Transaction {
                    poll_staleness: Some(measured),
                    ..Transaction::default()
                });
            }
        }
    }
}

fn is_leg_of(contact: &UserContact, s: &Supervision) -> bool {
    let leg = s.leg.as_ref().map(LegId::as_str);
    leg.is_some_and(|leg| leg.eq_ignore_ascii_case(&contact.contact))
}
