//! The next step of a supervision, and when. The store keeps it beside the supervision, in the same transaction.

use jiff::{SignedDuration, Timestamp};

use super::{AMAZON_CONNECT, State, Supervision};
use crate::confirmation::{AnswerAge, LegAnswer};
use crate::ports::Priority;

/// How often a leg is described to confirm a requested mode change.
const MODE_LOOKS: u32 = 8;

/// The next step of a supervision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NextStep {
    /// The class of the work: a higher one comes first.
    pub class: Priority,
    /// When it is due.
    pub due_at: Timestamp,
}

impl Supervision {
    /// The next step; `None` if nothing is to be done, or if the supervision is only asked about in the polling round of idle ones.
    pub fn next_step(&self) -> Option<NextStep> {
        let due_at = self.next_check_at.into_iter().chain(self.overdue_at()).min()?;
        let wants_to_leave = self.state == State::Leaving || self.leave.is_some() || self.watch.claim.is_some();
        let class = match self.state {
            State::Left | State::Failed => Priority::AfterCheck,
            _ if wants_to_leave => Priority::Claim,
            State::Requested | State::Joining => Priority::Join,
            State::Monitoring | State::Leaving => Priority::IdlePoll,
        };
        Some(NextStep { class, due_at })
    }

    /// When its leave becomes overdue, if it is not overdue yet.
    pub fn overdue_at(&self) -> Option<Timestamp> {
        let leave = self
            .leave
            .as_ref()
            .filter(|_| self.state == State::Leaving && !self.overdue)?;
        leave.deadline
    }

    /// Whether no change is expected: the supervisor has a leg, nothing was requested of them, and there is no claim that it has
    /// ended. Amazon Connect is asked about all such legs together, in one polling round.
    pub fn is_idle(&self) -> bool {
        self.state == State::Monitoring
            && self.vendor == AMAZON_CONNECT
            && self.leg.is_some()
            && self.supervisor.connect_user_id.is_some()
            && self.watch.claim.is_none()
            && self.watch.contact_end_claimed_at.is_none()
            && self.watch.not_found.is_none()
            && !self.awaits_mode_change()
    }

    /// Whether a requested mode change may be confirmed soon; only a description of the leg shows modes.
    pub fn awaits_mode_change(&self) -> bool {
        self.checks < MODE_LOOKS && self.mode_change.as_ref().is_some_and(|c| c.confirmed_at.is_none())
    }

    /// The newest answer of the polling round, which listed the leg. Such answers are kept in memory until the next write.
    pub fn note_polled(&mut self, answer: &LegAnswer, age: AnswerAge) {
        if self.state.is_final() {
            return;
        }
        self.note_alive(answer.sent_at - age.of(answer.source));
        self.watch.alive_sent_at = self.watch.alive_sent_at.max(Some(answer.sent_at));
        self.watch.listed_at.get_or_insert(answer.received_at);
    }

    /// At `stepped_at` our own clock was set to another time, and is later by `step` since then: limits of time that were set before
    /// keep their distance from now, and the next step is due now at the latest.
    pub fn clock_stepped(&mut self, step: SignedDuration, stepped_at: Timestamp) {
        let is_old = |set_at: Timestamp| {
            if step.is_positive() {
                set_at < stepped_at
            } else {
                set_at > stepped_at
            }
        };
        let shift = |limit: &mut Timestamp| *limit = limit.saturating_add(step).unwrap_or(*limit);
        self.next_check_at = self.next_check_at.map(|at| at.min(stepped_at));
        let joins = matches!(self.state, State::Requested | State::Joining);
        if let Some(join) = self.join.as_mut().filter(|_| joins) {
            if self.requested_at.is_some_and(is_old) {
                shift(&mut join.expires_at);
            }
            let search = join.search.iter_mut().filter(|search| is_old(search.since));
            search.for_each(|search| shift(&mut search.since));
        }
        if let Some(leave) = self.leave.as_mut().filter(|leave| is_old(leave.at)) {
            leave.deadline.iter_mut().for_each(shift);
        }
        for directive in self
            .directives
            .iter_mut()
            .filter(|d| d.answer.is_none() && is_old(d.issued_at))
        {
            shift(&mut directive.expires_at);
        }
        if let Some(claim) = self.watch.claim.as_mut().filter(|claim| is_old(claim.unanswered_since)) {
            shift(&mut claim.unanswered_since);
        }
    }
}
