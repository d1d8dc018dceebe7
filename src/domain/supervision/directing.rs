//! What the browser is told, what it answers, and the mode that evidence shows: transitions of [`Supervision`] beside those of its
//! life in [`super::machine`].

use jiff::Timestamp;

use super::{Asker, LeaveTimes, Mode, ModeChange, Refused, State, Supervision};
use crate::domain::directive::{AckOutcome, Acknowledgement, Directive, DirectiveKind, DirectiveStatus};
use crate::domain::ids::DirectiveId;

/// How many directives of one supervision are kept.
pub const DIRECTIVES: usize = 8;

impl Supervision {
    /// Withdraws the order to end the leg, if one was given, and gives out another.
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

    /// Whether a browser has answered the order to end the leg that it did not do it.
    pub fn end_was_not_done(&self) -> bool {
        let undone = DirectiveStatus::Answered;
        self.state == State::Leaving
            && self
                .end_directive()
                .is_some_and(|d| [undone(AckOutcome::Failed), undone(AckOutcome::Refused)].contains(&d.status()))
    }

    /// Gives out the order to end the leg in the browser; the one already given stands until it expires. Returns whether
    /// a new one was given.
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
        self.give(DirectiveKind::EndLegInCcp, now, times).customer_call_may_end = may_end;
        Ok(true)
    }

    /// Gives out the order to change the mode.
    ///
    /// # Errors
    /// [`Refused`] unless MONITORING.
    pub fn direct_mode(&mut self, to: Mode, by: Asker, now: Timestamp, times: LeaveTimes) -> Result<(), Refused> {
        if self.state != State::Monitoring {
            return Err(self.refuse("change of mode"));
        }
        self.checks = 0;
        self.withdraw_directives();
        let directive = self.give(DirectiveKind::ChangeModeInCcp(to), now, times).id;
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

    /// What is open is not to be carried out any more.
    pub(super) fn withdraw_directives(&mut self) {
        self.directives
            .iter_mut()
            .filter(|d| d.answer.is_none())
            .for_each(|d| d.withdrawn = true);
    }

    fn give(&mut self, kind: DirectiveKind, now: Timestamp, times: LeaveTimes) -> &mut Directive {
        if self.directives.len() >= DIRECTIVES {
            // One that proves that the leg was alive is kept longest.
            let least = self.directives.iter().position(|d| !d.ended_the_leg()).unwrap_or(0);
            self.directives.remove(least);
        }
        self.directives.push(Directive {
            id: DirectiveId::generate(),
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

    /// Evidence says in which mode the supervisor is, and since when on the vendor's clock; what is older than what is known
    /// says nothing. `seen_at` is the moment of our clock at which the vendor surely said so, if there is one: a change that
    /// was asked for is confirmed by a state that began after it, by the change itself, or by what was seen after it.
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
        // It is so: nothing is left to do about it, whoever did it.
        let ordered = self.directives.iter_mut().find(|d| d.id == change.directive);
        ordered.into_iter().for_each(|d| d.withdrawn = true);
    }

    /// The browser answered the directive. The answer is kept even when the supervision is over, since a DONE that
    /// comes late still proves that the leg was alive when the directive was given. Returns whether anything is new.
    ///
    /// # Errors
    /// [`Refused`] if this supervision never gave out that directive.
    pub fn acknowledge(&mut self, directive: DirectiveId, answer: Acknowledgement) -> Result<bool, Refused> {
        let refused = self.refuse("acknowledgement of that directive");
        let known = self.directives.iter_mut().find(|d| d.id == directive).ok_or(refused)?;
        // Several tabs may answer: what one of them did stands, whatever another found after it.
        if known.answer.as_ref().is_some_and(|a| a.outcome >= answer.outcome) {
            return Ok(false);
        }
        known.answer = Some(answer);
        Ok(true)
    }
}
