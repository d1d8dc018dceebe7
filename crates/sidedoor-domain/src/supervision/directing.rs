//! Directives, acknowledgements and modes: the transitions of [`Supervision`] that do not change its state, beside those in
//! [`super::machine`].

use jiff::Timestamp;

use super::{LeaveTimes, Mode, ModeChange, Refused, Requester, State, Supervision};
use crate::directive::{AckOutcome, Acknowledgement, Directive, DirectiveKind, DirectiveStatus};
use crate::ids::DirectiveId;

/// The most directives of one supervision that are kept.
pub(super) const DIRECTIVES: usize = 8;

impl Supervision {
    /// Replaces the directive to end the leg by a new one. Without such a directive it does nothing.
    ///
    /// # Errors
    /// [`Refused`] unless LEAVING.
    pub fn direct_anew(&mut self, now: Timestamp, times: LeaveTimes) -> Result<(), Refused> {
        if self.end_directive().is_some() {
            self.directives
                .iter_mut()
                .filter(|d| d.kind == DirectiveKind::EndLegInCcp)
                .for_each(|d| d.expires_at = d.expires_at.min(now));
            self.direct_browser(now, times)?;
        }
        Ok(())
    }

    /// Whether a repeated disconnect request should issue a new directive: because the last one failed or was refused, has expired,
    /// or was acknowledged as done while no evidence of that arrived before the deadline. An open directive is kept.
    pub fn is_to_be_directed_anew(&self, now: Timestamp) -> bool {
        let (State::Leaving, Some(leave), Some(last)) = (self.state, &self.leave, self.end_directive()) else {
            return false;
        };
        match last.status() {
            DirectiveStatus::Answered(AckOutcome::Failed | AckOutcome::Refused) => true,
            DirectiveStatus::Answered(AckOutcome::Done | AckOutcome::AlreadyGone) => {
                leave.deadline.is_some_and(|deadline| deadline <= now)
            }
            DirectiveStatus::Open => last.expires_at <= now,
            DirectiveStatus::Withdrawn => false,
        }
    }

    /// Issues the directive to end the leg. An earlier one is kept until it expires. Returns whether a new one was issued.
    ///
    /// # Errors
    /// [`Refused`] unless LEAVING.
    pub fn direct_browser(&mut self, now: Timestamp, times: LeaveTimes) -> Result<bool, Refused> {
        let (State::Leaving, Some(leave)) = (self.state, &self.leave) else {
            return Err(self.refuse("directive"));
        };
        if self.end_directive().is_some_and(|d| now < d.expires_at) {
            return Ok(false);
        }
        let may_end = leave.customer_call_may_end;
        self.withdraw_directives();
        self.issue(DirectiveKind::EndLegInCcp, now, times).customer_call_may_end = may_end;
        Ok(true)
    }

    /// Issues the directive to change the mode.
    ///
    /// # Errors
    /// [`Refused`] unless MONITORING.
    pub fn direct_mode(&mut self, to: Mode, by: Requester, now: Timestamp, times: LeaveTimes) -> Result<(), Refused> {
        if self.state != State::Monitoring {
            return Err(self.refuse("change of mode"));
        }
        self.checks = 0;
        self.withdraw_directives();
        let directive = self.issue(DirectiveKind::ChangeModeInCcp(to), now, times).id;
        self.mode_change = Some(ModeChange {
            to,
            at: now,
            by,
            directive,
            since_before: self.mode_since,
            confirmed_at: None,
        });
        Ok(())
    }

    /// Withdraws every directive that has not been acknowledged.
    pub(super) fn withdraw_directives(&mut self) {
        self.directives
            .iter_mut()
            .filter(|d| d.answer.is_none())
            .for_each(|d| d.withdrawn = true);
    }

    fn issue(&mut self, kind: DirectiveKind, now: Timestamp, times: LeaveTimes) -> &mut Directive {
        if self.directives.len() >= DIRECTIVES {
            // A directive that proves that the leg was alive is kept longest, because the departure needs it.
            let least = self.directives.iter().position(|d| !d.ended_the_leg()).unwrap_or(0);
            self.directives.remove(least);
        }
        let before = self.directives.last().map(|d| d.id);
        self.directives.push(Directive {
            id: DirectiveId::next(self.id, before, now),
            kind,
            issued_at: now,
            expires_at: now + times.directive_ttl,
            customer_call_may_end: false,
            answer: None,
            withdrawn: false,
        });
        let last = self.directives.len() - 1;
        &mut self.directives[last]
    }

    /// Evidence shows the supervisor's mode and when it began, on the vendor's clock. Evidence older than the known mode is ignored.
    /// `seen_at` is the moment, on our clock, for which a vendor's answer showed that mode, if there is one. A requested change is
    /// confirmed if the mode changed, if the mode began after the one before the request, or if it was seen after the request.
    pub fn note_mode(&mut self, (mode, since): (Mode, Option<Timestamp>), seen_at: Option<Timestamp>, now: Timestamp) {
        if self.state == State::Failed || since < self.mode_since {
            return;
        }
        let changed = self.mode != mode;
        self.mode = mode;
        self.mode_since = since;
        self.mode_seen_at = self.mode_seen_at.max(seen_at);
        self.has_barged |= mode == Mode::Barge;
        let asked = self
            .mode_change
            .as_mut()
            .filter(|c| c.to == mode && c.confirmed_at.is_none());
        let Some(change) = asked.filter(|c| changed || since > c.since_before || seen_at >= Some(c.at)) else {
            return;
        };
        change.confirmed_at = Some(now);
        // The supervisor is in the requested mode, so the browser need not change it any more.
        let ordered = self.directives.iter_mut().find(|d| d.id == change.directive);
        ordered.into_iter().for_each(|d| d.withdrawn = true);
    }

    /// The browser acknowledged the directive. The acknowledgement is kept even if the supervision has ended, because a late DONE
    /// still proves that the leg was alive when the directive was issued. Returns whether anything changed.
    ///
    /// # Errors
    /// [`Refused`] if this supervision has no such directive.
    pub fn acknowledge(&mut self, directive: DirectiveId, answer: Acknowledgement) -> Result<bool, Refused> {
        let refused = self.refuse("acknowledgement of that directive");
        let known = self.directives.iter_mut().find(|d| d.id == directive).ok_or(refused)?;
        // Several tabs may acknowledge it. The result of the tab that did most counts, because the others found the leg gone.
        if known.answer.as_ref().is_some_and(|a| a.outcome >= answer.outcome) {
            return Ok(false);
        }
        known.answer = Some(answer);
        Ok(true)
    }
}

#[cfg(test)]
mod tests;
