//! The after-check of every departure: did the customer's call continue, and is the agent still on it? The barge safety
//! check decides before a leave; this check verifies the result.
//!
//! The vendor is asked when its answer must be newer than the departure. The agent's state CONNECTED or CONNECTED_ONHOLD on that
//! contact proves that the call continued. Otherwise the contact is described, and only its DisconnectTimestamp without a successor
//! proves that it ended. Unknown answers are asked for again for hours.
//!
//! **The alarm** is raised for a call that ended right after a leg that we ended, if the supervisor had barged in, or if StopContact
//! ended the leg and the call's end carries the same second. A caller who hangs up by chance right after a silent listener has left is
//! recorded and not alarmed; [`super::silent_leaves`] raises it when that happens more often than chance explains.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use sidedoor_domain::audit::{AuditAction, AuditEntry};
use sidedoor_domain::confirmation::Confirmation;
use sidedoor_domain::departure::{AgentAfter, Continuity, Departure, Reason};
use sidedoor_domain::evidence::Source;
use sidedoor_domain::ids::{ContactId, SupervisionId, UserId};
use sidedoor_domain::interlock::ContactSeen;
use sidedoor_domain::ports::store::StoredSupervision;
use sidedoor_domain::ports::user_data::UserDataSeen;
use sidedoor_domain::ports::{CommitOutcome, MetricEvent, Priority, Transaction};
use sidedoor_domain::supervision::{AMAZON_CONNECT, Mode, ServerEnd, State, Supervision};

use crate::usecases::error::UseCaseError;
use crate::usecases::evidence::observation::Observation;
use crate::usecases::identity::names::NameService;
use crate::usecases::leaving::LeavingService;
use crate::usecases::polling::one_leg::log_failed_poll;

/// For how long after a departure an unknown result is asked for again, and the longest wait between two questions.
const ASK_FOR: SignedDuration = SignedDuration::from_hours(6);
const LONGEST_WAIT: SignedDuration = SignedDuration::from_mins(10);
/// Two stamps in whole seconds may differ by this much and still mean the same moment.
const STAMP_TOLERANCE: SignedDuration = SignedDuration::from_secs(1);
/// If the contact ends this soon after the leg of a barged-in supervisor, the leave is taken as the cause.
const BARGED_END_WINDOW: SignedDuration = SignedDuration::from_secs(5);

/// How soon a check that found no place in the rate budget is repeated.
const NO_PLACE: Duration = Duration::from_secs(1);

/// How many DescribeContact calls a batch of checks may still make, so that it takes only what others leave of the rate budget.
pub(crate) struct DescribePlaces(AtomicUsize);

impl DescribePlaces {
    pub(crate) fn new(places: usize) -> Self {
        Self(AtomicUsize::new(places))
    }

    fn take(&self) -> bool {
        let less = |left: usize| left.checked_sub(1);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok()
    }
}

/// The result of one look at the customer's contact.
#[derive(Clone)]
struct ContactCheck {
    continuity: Continuity,
    /// Whether the contact ended first and the leg with it.
    contact_ended_first: bool,
    agent: Option<UserId>,
    queue: Option<String>,
    agent_after: Option<AgentAfter>,
    /// How old the contact was when the supervisor left, on the vendor's clock.
    contact_age: Option<SignedDuration>,
    /// Whether our StopContact ended the leg, and the contact's end carries the same second.
    stopped_in_the_same_second: bool,
}

impl ContactCheck {
    fn of(continuity: Continuity) -> Self {
        Self {
            continuity,
            contact_ended_first: false,
            agent: None,
            queue: None,
            agent_after: None,
            contact_age: None,
            stopped_in_the_same_second: false,
        }
    }
}

impl LeavingService {
    /// Checks the customer's contact after a departure, as soon as the vendor's answers must be newer than the departure. `agents` is
    /// what GetCurrentUserData answered about the agents of several departures, if it was asked. DescribeContact is called as far as there
    /// are `places`. Returns how long to wait for more of them.
    pub(crate) async fn check_departed_contact(
        &self,
        s: &Supervision,
        agents: Option<&UserDataSeen>,
        places: &DescribePlaces,
    ) -> Result<Option<Duration>, UseCaseError> {
        let mut s = s.clone();
        let mut waits_for_leg = false;
        if leg_is_to_be_described(&s) {
            waits_for_leg = !places.take();
            if !waits_for_leg {
                self.refresh_leg(&s).await?;
                // The description of the leg may have added a stamp to the departure, or shown the leg alive.
                let Some(StoredSupervision { supervision, .. }) = self.ctx.store().supervision(s.id).await? else {
                    return Ok(None);
                };
                s = supervision;
            }
        }
        let Some(departure) = s.departure.as_ref().filter(|_| s.state == State::Left) else {
            return Ok(None);
        };
        let waits = waits_for_leg.then_some(NO_PLACE);
        if s.watch.alive_again_at.is_some() && !departure.conflicting {
            // The vendor is asked once more before anything follows from this departure.
            return Ok(waits);
        }
        let earliest = self.first_check_at(departure);
        if s.contact.is_none() || departure.continuity != Continuity::Unknown {
            if waits_for_leg {
                return Ok(waits);
            }
            if self.is_to_be_confirmed(&s) {
                self.ask_again_later(&s, &ContactCheck::of(Continuity::Unknown)).await?;
            } else {
                self.ctx.update_and_deliver(s.id, |s| s.next_check_at = None).await?;
            }
            return Ok(None);
        }
        if self.ctx.now() < earliest {
            self.ctx
                .update_and_deliver(s.id, |s| s.next_check_at = Some(earliest))
                .await?;
            return Ok(None);
        }
        let Some(check) = self.check_contact(&s, agents, places).await else {
            return Ok(Some(NO_PLACE));
        };
        if check.continuity == Continuity::Unknown && self.ctx.now() < earliest + ASK_FOR {
            self.ask_again_later(&s, &check).await?;
            return Ok(None);
        }
        NameService::new(self.ctx.clone())
            .learn_before_record(
                &s.instance,
                check.agent.as_ref().or(s.agent.as_ref()),
                check.queue.as_deref(),
            )
            .await;
        let change = |s: &mut Supervision| {
            // An event may have named another agent, and is only a claim.
            s.set_agent(check.agent.clone());
            s.set_queue(check.queue.clone());
            s.note_after(check.continuity, check.contact_ended_first, check.agent_after.clone())
                .ok()?;
            if waits_for_leg {
                s.next_check_at = Some(self.ctx.now() + SignedDuration::from_secs(1));
            } else if self.is_to_be_confirmed(s) {
                s.next_check_at = Some(self.next_question(s));
            }
            Some(Transaction {
                audit: self.alarm_entries(s, &check),
                ..Transaction::default()
            })
        };
        if let Some(written) = self.update_departed(s.id, change).await? {
            self.raise_alarms(&written, &check);
            self.count_silent_leave(&written, check.contact_age);
        }
        Ok(None)
    }

    /// Whether the vendor's answers about the customer's contact are newer than the departure now.
    pub(crate) fn may_be_checked(&self, s: &Supervision) -> bool {
        let departure = s.departure.as_ref();
        departure.is_some_and(|d| d.continuity == Continuity::Unknown && self.ctx.now() >= self.first_check_at(d))
    }

    /// When an answer must be newer than the departure.
    fn first_check_at(&self, departure: &Departure) -> Timestamp {
        let gone_by = self
            .ctx
            .on_present_scale(departure.basis.gone_by.unwrap_or(departure.latest));
        let age = self.ctx.answer_age();
        gone_by + age.poll.max(age.describe) + age.clock_error + self.ctx.settings.after_check_grace
    }

    /// Whether only two senders claim the end of a leg, and the vendor is still asked about it.
    fn is_to_be_confirmed(&self, s: &Supervision) -> bool {
        let claimed = s
            .departure
            .as_ref()
            .filter(|d| d.confirmation == Confirmation::TwoSenders);
        let asked_for = claimed.is_some_and(|d| self.ctx.now() < self.first_check_at(d) + ASK_FOR);
        asked_for && s.vendor == AMAZON_CONNECT
    }

    /// When to ask next for the answers that are still unknown.
    fn next_question(&self, s: &Supervision) -> Timestamp {
        self.ctx.now() + SignedDuration::from_secs(1_i64 << s.checks.min(12)).min(LONGEST_WAIT)
    }

    async fn ask_again_later(&self, s: &Supervision, check: &ContactCheck) -> Result<(), UseCaseError> {
        self.ctx
            .update_and_deliver(s.id, |s| {
                s.next_check_at = Some(self.next_question(s));
                s.set_agent(check.agent.clone());
                s.set_queue(check.queue.clone());
                s.checks = s.checks.saturating_add(1);
            })
            .await
    }

    /// Looks at the customer's contact; `None` if that needs a DescribeContact and there is no place for it.
    async fn check_contact(
        &self,
        s: &Supervision,
        agents: Option<&UserDataSeen>,
        places: &DescribePlaces,
    ) -> Option<ContactCheck> {
        let mut check = ContactCheck::of(Continuity::Unknown);
        let Some(contact) = &s.contact else { return Some(check) };
        if let (Some(_), Some(seen)) = (&s.agent, agents) {
            let listed = seen
                .contacts
                .iter()
                .find(|c| c.contact.eq_ignore_ascii_case(contact.as_str()));
            check.agent_after = listed.map(|c| AgentAfter::of(Some(&c.state)));
            check.queue = listed.and_then(|c| c.queue.clone());
            if check.agent_after.as_ref().is_some_and(AgentAfter::is_on_the_call) {
                check.continuity = Continuity::Continued;
                check.agent.clone_from(&s.agent);
                return Some(check);
            }
        }
        if !places.take() {
            return None;
        }
        let seen = self.ctx.describe_for(s, contact.as_str(), Priority::AfterCheck).await;
        let mut seen = match seen {
            Ok(seen) => seen,
            Err(e) => {
                log_failed_poll(s, &e);
                return Some(check);
            }
        };
        if seen.disconnected_at.is_some() && !seen.has_successor {
            seen.has_successor = self.is_continued(s, contact).await;
        }
        let mut found = self.evaluate_contact(s, &seen);
        found.agent = seen.agent.as_deref().and_then(|id| UserId::parse(id).ok());
        found.queue = seen.queue.clone().or(check.queue);
        found.agent_after = check.agent_after;
        if let (None, Some(agent)) = (seen.disconnected_at, &found.agent)
            && s.agent.as_ref() != Some(agent)
        {
            let state = self.agent_state(s, agent, contact, Priority::AfterCheck).await;
            found.agent_after = state.ok().map(|state| AgentAfter::of(state.as_deref()));
        } else if seen.disconnected_at.is_none() && found.agent_after.is_none() {
            found.agent_after = Some(AgentAfter::of(None));
        }
        Some(found)
    }

    /// Whether the vendor confirms that a claimed successor continues the contact.
    async fn is_continued(&self, s: &Supervision, contact: &ContactId) -> bool {
        for claimed in &s.watch.successors_claimed {
            let asked = self.ctx.describe_for(s, claimed.as_str(), Priority::AfterCheck);
            let seen = asked.await.inspect_err(|e| log_failed_poll(s, e));
            let names = |id: &String| id.eq_ignore_ascii_case(contact.as_str());
            if seen.is_ok_and(|seen| !seen.is_monitor() && seen.previous.as_ref().is_some_and(names)) {
                return true;
            }
        }
        false
    }

    /// Whether the call continued, and whether it ended before the leg. Both stamps are from the same vendor clock, so they can
    /// be compared without knowing its offset.
    fn evaluate_contact(&self, s: &Supervision, seen: &ContactSeen) -> ContactCheck {
        let departure = s.departure.as_ref();
        let leg_end = departure.and_then(|d| d.vendor_timestamp);
        let age = leg_end
            .zip(seen.initiated_at)
            .map(|(end, begun)| end.duration_since(begun));
        let with = |continuity| ContactCheck {
            contact_age: age,
            ..ContactCheck::of(continuity)
        };
        let Some(contact_end) = seen.disconnected_at else {
            return with(Continuity::Continued);
        };
        if seen.has_successor {
            return with(Continuity::Continued);
        }
        // A transfer names its successor a moment after the end of the contact.
        let settled = departure
            .is_some_and(|d| self.ctx.now() >= self.first_check_at(d) + self.ctx.settings.intervals.after_again);
        if !settled {
            return with(Continuity::Unknown);
        }
        let Some(leg_end) = leg_end else {
            return with(Continuity::Ended);
        };
        // Only a barged-in supervisor is a participant whose leaving can end the call, and Connect may take a moment to end it.
        let right_after = if had_barged(s) {
            BARGED_END_WINDOW
        } else {
            STAMP_TOLERANCE
        };
        if contact_end > leg_end + right_after {
            return with(Continuity::Continued);
        }
        // The leg ended first if its browser reported that it ended it, or if a leave was requested and the stamps agree.
        let leg_first = s.browser_ended_the_leg() || (s.leave.is_some() && leg_end < contact_end);
        let stopped = stopped_in_the_same_second(s, contact_end);
        ContactCheck {
            contact_ended_first: !leg_first && !stopped,
            stopped_in_the_same_second: stopped,
            ..with(Continuity::Ended)
        }
    }

    /// Changes a supervision that is LEFT. Its Salesforce record is written again if the departure changed; otherwise the record
    /// is delivered now rather than after the check. Returns what was written.
    async fn update_departed(
        &self,
        id: SupervisionId,
        rule: impl Fn(&mut Supervision) -> Option<Transaction>,
    ) -> Result<Option<Supervision>, UseCaseError> {
        let committed = self.ctx.update(id, |s| {
            let before = s.departure.clone();
            let change = rule(s)?;
            let changed = s.departure != before;
            Some(Transaction {
                deliver_at: changed.then(|| self.ctx.now()),
                expedite: (!changed).then(|| (id, self.ctx.now())),
                rides_along: !changed,
                ..change
            })
        });
        let CommitOutcome::Done(written) = committed.await? else {
            return Ok(None);
        };
        self.ctx.signals.deliver.notify_one();
        Ok(written.map(|stored| stored.supervision))
    }

    async fn refresh_leg(&self, s: &Supervision) -> Result<(), UseCaseError> {
        let Some(leg) = &s.leg else { return Ok(()) };
        let asked_at = self.ctx.now();
        let seen = self.ctx.describe_for(s, leg.as_str(), Priority::AfterCheck).await;
        if let Ok(seen) = seen {
            let observation = Observation::of_description(&seen, asked_at, self.ctx.now());
            self.evidence
                .evaluate(&s.instance, leg.as_str(), observation, None)
                .await?;
        }
        Ok(())
    }

    /// The alarms as audit entries, written in the same transaction as the result.
    fn alarm_entries(&self, s: &Supervision, check: &ContactCheck) -> Vec<AuditEntry> {
        let mut audit = Vec::new();
        if ended_by_us(s, check) {
            audit.push(self.ctx.audit_own(
                AuditAction::CustomerCallEnded,
                s.id,
                "right after the leg that Sidedoor ended",
            ));
        }
        if let Some(agent) = agent_left_behind(s) {
            audit.push(
                self.ctx
                    .audit_own(AuditAction::AgentLooksWrong, s.id, agent.state.clone()),
            );
        }
        audit
    }

    /// Logs and counts the alarms.
    fn raise_alarms(&self, s: &Supervision, check: &ContactCheck) {
        if ended_by_us(s, check) {
            self.ctx.count(&MetricEvent::CustomerCallEnded);
            tracing::error!(supervision_id = %s.id, contact_id = s.contact.as_ref().map(tracing::field::display), "the customer's call ended right after the supervisor of {} left", s.id);
        }
        if let Some(agent) = agent_left_behind(s) {
            self.ctx.count(&MetricEvent::AgentLooksWrong);
            tracing::warn!(supervision_id = %s.id, state = agent.state, "the agent is {} on the contact after the departure of {}", agent.state, s.id);
        }
    }

    /// A silent listener was asked to leave: counts whether the call ended right after, by chance or because of it.
    fn count_silent_leave(&self, s: &Supervision, contact_age: Option<SignedDuration>) {
        let Some(departure) = s.departure.as_ref().filter(|_| s.leave.is_some() && !had_barged(s)) else {
            return;
        };
        if departure.continuity == Continuity::Unknown || departure.reason == Reason::ContactEnded {
            return;
        }
        let ended = departure.continuity == Continuity::Ended;
        let now = self.ctx.now();
        let mut leaves = self.ctx.signals.silent_leaves();
        leaves.add(now, contact_age, ended);
        self.ctx.count(&MetricEvent::SilentLeave {
            call_ended: ended,
            expected: leaves.expected_ends(),
        });
        if ended && leaves.is_more_than_chance() {
            let (ends, expected) = (leaves.ends(), leaves.expected_ends());
            self.ctx.count(&MetricEvent::CustomerCallEnded);
            tracing::error!(
                ends,
                expected,
                "{ends} customers' calls ended right after a silent listener had left, within 24 hours; chance explains {expected:.1}"
            );
        }
    }
}

/// Whether the leg is to be described: its end was not confirmed by DescribeContact, which gives the vendor's time and is the final word;
/// or the supervisor may have barged in, and no event may have reported it.
fn leg_is_to_be_described(s: &Supervision) -> bool {
    let mode_unclear = s.allowed != Some(Mode::Silent) && s.checks == 0;
    let is_known = was_described(s) || is_known_to_be_missing(s);
    s.leg.is_some() && s.vendor == AMAZON_CONNECT && (mode_unclear || !is_known)
}

fn had_barged(s: &Supervision) -> bool {
    s.has_barged || s.may_have_barged_in()
}

/// Whether DescribeContact has shown the end of the leg.
pub(super) fn was_described(s: &Supervision) -> bool {
    let stamps = s.departure.iter().flat_map(|d| &d.basis.stamps);
    let described = Source::DescribeContact.as_str();
    stamps.into_iter().any(|stamp| stamp.clock_id.source == described)
}

/// Whether the vendor's answers have shown the end of a leg that DescribeContact does not know.
fn is_known_to_be_missing(s: &Supervision) -> bool {
    let asked = |d: &Departure| d.confirmation == Confirmation::VendorAsked;
    s.watch.not_found.is_some() && s.departure.as_ref().is_some_and(asked)
}

/// Whether our StopContact ended the leg, and the contact's end carries the same second.
fn stopped_in_the_same_second(s: &Supervision, contact_end: Timestamp) -> bool {
    let stopped = s
        .leave
        .as_ref()
        .is_some_and(|leave| leave.server_end == ServerEnd::Accepted);
    let leg_end = s.departure.as_ref().and_then(|d| d.vendor_timestamp);
    stopped && leg_end.is_some_and(|leg_end| leg_end.as_second() == contact_end.as_second())
}

/// Whether the customer's call ended because we made the supervisor leave.
fn ended_by_us(s: &Supervision, check: &ContactCheck) -> bool {
    let departure = s.departure.as_ref().filter(|_| s.leave.is_some());
    let is_cause = had_barged(s) || check.stopped_in_the_same_second;
    departure.is_some_and(|d| d.continuity == Continuity::Ended && d.reason != Reason::ContactEnded && is_cause)
}

fn agent_left_behind(s: &Supervision) -> Option<&AgentAfter> {
    let after = s.departure.as_ref()?.agent_after.as_ref();
    after.filter(|agent| agent.looks_wrong)
}
