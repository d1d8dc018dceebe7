//! The state machine. Each method is one transition: it changes the supervision, or refuses and leaves it unchanged, so that the
//! same fact may arrive twice, late or after a restart.

use jiff::{SignedDuration, Timestamp};

use super::{
    Channel, Failure, Join, Joined, LeaveRequest, LegSearch, Mode, Origin, Requester, ServerEnd, State, Supervision,
    Supervisor,
};
use crate::confirmation::{AnswerAge, LegAnswer, LegWatch};
use crate::departure::{AgentAfter, Continuity, Departure};
use crate::ids::{ClientToken, ContactId, InstanceName, SupervisionId};
use crate::interlock::LegId;
use crate::join_failure::{JoinFailure, OwnJoinFailure};
use crate::rejoin::Compliance;

/// The transition is not possible in this state; the supervision is unchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a supervision in state {state} does not accept: {what}")]
pub struct Refused {
    /// The transition.
    pub what: &'static str,
    /// The state that refuses it.
    pub state: &'static str,
}

/// The result of a requested disconnect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leave {
    /// The supervision had already ended.
    AlreadyOver,
    /// The vendor had not been called yet and will not be called.
    Withdrawn,
    /// The disconnect is stored and is carried out as soon as the leg is known.
    Kept,
    /// The disconnect begins now.
    Begun,
    /// The disconnect had begun before.
    Underway,
}

/// The time limits of a disconnect.
#[derive(Debug, Clone, Copy)]
pub struct LeaveTimes {
    /// How long evidence may take before the disconnect is overdue.
    pub deadline: SignedDuration,
    /// How long a directive is valid.
    pub directive_ttl: SignedDuration,
}

/// What follows when DescribeContact shows the leg of a LEFT supervision without an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AliveAgain {
    /// Nothing: the answer may be older than the departure, or it was known before.
    TooOld,
    /// The vendor must be asked again at this moment.
    AskAgainAt(Timestamp),
    /// The supervision listens again.
    Reopened,
    /// It was reopened before, so people must look.
    Conflicting,
}

impl Supervision {
    /// A requested supervision of `contact`, in which the supervisor may do at most `allowed`.
    pub fn request(
        id: SupervisionId,
        instance: InstanceName,
        contact: ContactId,
        supervisor: Supervisor,
        allowed: Mode,
        now: Timestamp,
        join_ttl: SignedDuration,
    ) -> Self {
        let join = Join {
            client_token: ClientToken::of(id),
            first_sent_at: None,
            expires_at: now + join_ttl,
            search: None,
        };
        Self {
            contact: Some(contact),
            requested_at: Some(now),
            // The task that joins has finished by then. If there is none, polling continues the join.
            next_check_at: Some(now + join_ttl + join_ttl),
            join: Some(join),
            allowed: Some(allowed),
            ..Self::blank(id, Origin::Api, instance, supervisor, State::Requested)
        }
    }

    /// A supervision for a MONITOR leg that was started outside Sidedoor.
    pub fn observed(
        id: SupervisionId,
        instance: InstanceName,
        leg: LegId,
        contact: Option<ContactId>,
        supervisor: Supervisor,
        channel: Option<Channel>,
        first_look: Timestamp,
    ) -> Self {
        Self {
            contact,
            leg: Some(leg),
            channel,
            next_check_at: Some(first_look),
            ..Self::blank(id, Origin::Observed, instance, supervisor, State::Monitoring)
        }
    }

    /// A supervision for a leg that a partner carrier reported. Amazon Connect does not know it.
    pub fn of_carrier(
        id: SupervisionId,
        vendor: &str,
        instance: InstanceName,
        leg: LegId,
        contact: Option<ContactId>,
        supervisor: Supervisor,
    ) -> Self {
        Self {
            vendor: vendor.to_owned(),
            contact,
            leg: Some(leg),
            channel: Some(Channel::Voice),
            ..Self::blank(id, Origin::Observed, instance, supervisor, State::Monitoring)
        }
    }

    fn blank(id: SupervisionId, origin: Origin, instance: InstanceName, supervisor: Supervisor, state: State) -> Self {
        Self {
            id,
            origin,
            vendor: super::AMAZON_CONNECT.to_owned(),
            instance,
            region: None,
            channel: None,
            contact: None,
            leg: None,
            supervisor,
            voice_call_id: None,
            messaging_session_id: None,
            request_reason: None,
            agent: None,
            names: super::Names::default(),
            allowed: None,
            mode: Mode::Silent,
            mode_since: None,
            mode_seen_at: None,
            has_barged: false,
            mode_change: None,
            compliance: Compliance::default(),
            state,
            overdue: false,
            was_overdue: false,
            requested_at: None,
            trace_parent: None,
            waits_for: None,
            only_waits: false,
            join: None,
            joined: None,
            leave: None,
            directives: Vec::new(),
            alive_at: None,
            watch: LegWatch::default(),
            departure: None,
            failure: None,
            next_check_at: None,
            checks: 0,
            record_unanswered_at: None,
        }
    }

    /// MonitorContact is about to be sent. For a repeat the time of the first request is kept.
    ///
    /// # Errors
    /// [`Refused`] unless REQUESTED or JOINING.
    pub fn start_joining(&mut self, now: Timestamp) -> Result<(), Refused> {
        let (State::Requested | State::Joining, Some(join)) = (self.state, self.join.as_mut()) else {
            return Err(self.refuse("join"));
        };
        join.first_sent_at.get_or_insert(now);
        self.state = State::Joining;
        Ok(())
    }

    /// MonitorContact may have made a leg and is not sent again: the leg is searched for.
    ///
    /// # Errors
    /// [`Refused`] unless JOINING.
    pub fn search_leg(&mut self, code: JoinFailure, detail: &str, now: Timestamp) -> Result<(), Refused> {
        let refused = self.refuse("search for the leg");
        let join = self
            .join
            .as_mut()
            .filter(|_| self.state == State::Joining)
            .ok_or(refused)?;
        join.search.get_or_insert_with(|| LegSearch {
            since: now,
            looks: 0,
            code: code.as_str().to_owned(),
            detail: detail.to_owned(),
            nothing_found: false,
        });
        self.next_check_at = Some(now);
        Ok(())
    }

    /// Connect returned the leg. If a disconnect was requested meanwhile, it begins now.
    ///
    /// # Errors
    /// [`Refused`] unless JOINING.
    pub fn leg_given(
        &mut self,
        leg: LegId,
        now: Timestamp,
        first_look: Timestamp,
        times: LeaveTimes,
    ) -> Result<(), Refused> {
        if self.state != State::Joining {
            return Err(self.refuse("leg"));
        }
        self.leg = Some(leg);
        self.state = State::Monitoring;
        self.next_check_at = Some(first_look);
        if self.leave.is_some() {
            self.begin_leaving(now, times);
        }
        Ok(())
    }

    /// The join failed.
    ///
    /// # Errors
    /// [`Refused`] unless REQUESTED or JOINING.
    pub fn fail(&mut self, code: JoinFailure, detail: &str, now: Timestamp) -> Result<(), Refused> {
        if !matches!(self.state, State::Requested | State::Joining) {
            return Err(self.refuse("failure"));
        }
        self.failure = Some(Failure {
            code: code.as_str().into(),
            detail: detail.into(),
            at: now,
        });
        self.state = State::Failed;
        self.next_check_at = None;
        Ok(())
    }

    /// A caller requests a disconnect. It is never refused; the supervision may have ended already.
    pub fn ask_to_leave(&mut self, by: Requester, now: Timestamp, times: LeaveTimes) -> Leave {
        if self.state.is_final() {
            return Leave::AlreadyOver;
        }
        if self.leave.is_some() {
            return if self.state == State::Leaving {
                Leave::Underway
            } else {
                Leave::Kept
            };
        }
        self.leave = Some(LeaveRequest {
            at: now,
            by,
            deadline: None,
            server_end: ServerEnd::None,
            customer_call_may_end: false,
        });
        match self.state {
            State::Requested => {
                self.failure = Some(Failure {
                    code: OwnJoinFailure::Cancelled.as_str().into(),
                    detail: "The supervisor left before Connect was asked to monitor.".into(),
                    at: now,
                });
                self.state = State::Failed;
                self.next_check_at = None;
                Leave::Withdrawn
            }
            State::Joining => Leave::Kept,
            _ => {
                self.begin_leaving(now, times);
                Leave::Begun
            }
        }
    }

    /// An operator accepts that the customer's call may end by this disconnect.
    pub fn accept_the_call_may_end(&mut self) {
        if let Some(leave) = self.leave.as_mut().filter(|_| !self.state.is_final()) {
            leave.customer_call_may_end = true;
        }
    }

    fn begin_leaving(&mut self, now: Timestamp, times: LeaveTimes) {
        self.state = State::Leaving;
        self.checks = 0;
        self.withdraw_directives();
        if let Some(leave) = self.leave.as_mut() {
            leave.deadline = Some(now + times.deadline);
        }
    }

    /// Records how far Sidedoor's StopContact for the leg has come.
    ///
    /// # Errors
    /// [`Refused`] unless LEAVING.
    pub fn server_end(&mut self, progress: ServerEnd) -> Result<(), Refused> {
        match (self.state, self.leave.as_mut()) {
            (State::Leaving, Some(leave)) => {
                leave.server_end = progress;
                Ok(())
            }
            _ => Err(self.refuse("server-side end")),
        }
    }

    /// Evidence shows when the supervisor was connected. Only the first such evidence is used. Returns whether it was used.
    pub fn note_joined(&mut self, joined: Joined) -> bool {
        if self.joined.is_some() || self.state == State::Failed {
            return false;
        }
        self.joined = Some(joined);
        true
    }

    /// A poll showed the leg alive at `at`, from which the poll's staleness has been subtracted.
    pub fn note_alive(&mut self, at: Timestamp) {
        if !self.state.is_final() {
            self.alive_at = self.alive_at.max(Some(at));
        }
    }

    /// Evidence shows that the leg has ended: sets the departure, or replaces it after more evidence. Returns whether anything
    /// changed.
    ///
    /// # Errors
    /// [`Refused`] unless there was a leg.
    pub fn conclude(&mut self, mut departure: Departure) -> Result<bool, Refused> {
        match self.state {
            State::Monitoring | State::Leaving => {
                self.state = State::Left;
                self.was_overdue |= std::mem::take(&mut self.overdue);
                self.checks = 0;
                self.watch.claim = None;
                self.withdraw_directives();
                self.departure = Some(departure);
                Ok(true)
            }
            State::Left => {
                // The result of the after-check is kept, because new evidence of the leg says nothing about the customer's call.
                if let Some(old) = &self.departure {
                    departure.continuity = old.continuity;
                    departure.agent_after.clone_from(&old.agent_after);
                    departure.reason = departure.reason.or_known(old.reason);
                    // A better estimate does not refute the answers that show the leg alive.
                    let alive_again = self.watch.reopened && self.watch.alive_again_at.is_some();
                    departure.conflicting |= alive_again && old.conflicting;
                }
                let changed = self.departure.as_ref() != Some(&departure);
                self.departure = Some(departure);
                Ok(changed)
            }
            _ => Err(self.refuse("departure")),
        }
    }

    /// DescribeContact shows the leg without an end after the supervision was LEFT. Two such answers, at least their staleness apart
    /// and newer than the departure, reopen it once. After that the departure is marked as conflicting.
    ///
    /// # Errors
    /// [`Refused`] unless LEFT.
    pub fn note_alive_again(
        &mut self,
        answer: &LegAnswer,
        age: AnswerAge,
        times: LeaveTimes,
    ) -> Result<AliveAgain, Refused> {
        let refused = self.refuse("answer that shows the leg alive");
        let departure = self
            .departure
            .as_mut()
            .filter(|_| self.state == State::Left)
            .ok_or(refused)?;
        let proves = answer.sent_at - age.describe - age.clock_error;
        if proves <= departure.basis.gone_by.unwrap_or(departure.latest) {
            return Ok(AliveAgain::TooOld);
        }
        let first = *self.watch.alive_again_at.get_or_insert(answer.sent_at);
        if answer.sent_at < first + age.describe.max(SignedDuration::from_millis(1)) {
            return Ok(AliveAgain::AskAgainAt(
                first + age.describe + SignedDuration::from_millis(10),
            ));
        }
        if self.watch.reopened {
            let newly = !departure.conflicting;
            departure.conflicting = true;
            return Ok(if newly {
                AliveAgain::Conflicting
            } else {
                AliveAgain::TooOld
            });
        }
        let watch = std::mem::take(&mut self.watch);
        self.watch = LegWatch {
            refuted_before: Some(proves),
            listed_at: watch.listed_at,
            reopened: true,
            ..LegWatch::default()
        };
        self.departure = None;
        self.state = State::Monitoring;
        self.note_alive(answer.sent_at - age.describe);
        if self.leave.is_some() {
            self.begin_leaving(answer.received_at, times);
            // Neither can fail, because the supervision is LEAVING.
            let _ = match self.leave.as_ref().map(|leave| leave.server_end) {
                Some(ServerEnd::Accepted) => self.server_end(ServerEnd::Due),
                _ => self.direct_anew(answer.received_at, times),
            };
        }
        Ok(AliveAgain::Reopened)
    }

    /// Records the result of the after-check of the customer's contact.
    ///
    /// # Errors
    /// [`Refused`] unless LEFT.
    pub fn note_after(
        &mut self,
        found: Continuity,
        contact_ended_first: bool,
        agent: Option<AgentAfter>,
    ) -> Result<(), Refused> {
        let refused = self.refuse("after-check");
        let departure = self
            .departure
            .as_mut()
            .filter(|_| self.state == State::Left)
            .ok_or(refused)?;
        departure.continuity = found;
        // A good state right after the departure is kept, because a later state has other causes. A bad one may have improved.
        if departure.agent_after.as_ref().is_none_or(|known| known.looks_wrong) {
            departure.agent_after = agent.or(departure.agent_after.take());
        }
        if contact_ended_first {
            departure.contact_ended();
        }
        self.next_check_at = None;
        Ok(())
    }

    /// Sets `overdue` if the deadline has passed without evidence. Returns whether it was newly set.
    pub fn note_overdue(&mut self, now: Timestamp) -> bool {
        let late = self.state == State::Leaving
            && self
                .leave
                .as_ref()
                .and_then(|l| l.deadline)
                .is_some_and(|deadline| deadline <= now);
        let newly = late && !self.overdue;
        self.overdue |= late;
        newly
    }

    pub(super) fn refuse(&self, what: &'static str) -> Refused {
        Refused {
            what,
            state: self.state.as_str(),
        }
    }
}

#[cfg(test)]
mod reopening_tests;
#[cfg(test)]
mod tests;
