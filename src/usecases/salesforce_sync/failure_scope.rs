//! What becomes of a row that the CRM refused in a call that was answered: again later, or a dead letter.
//!
//! A row is given up only for what is its own. Where the answer leaves that open, others decide it: a row that is refused while
//! others are taken is at fault itself; if none is taken, it may be the org, and then nothing is given up however long it lasts.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::usecases::retry::Backoff;
use crate::usecases::salesforce_sync::rate::DeliveryRate;
use sidedoor_domain::ports::store::{Delivered, FailureScope, RecordSync};
use sidedoor_domain::ports::{CrmError, CrmVerdict};

/// A row that is refused so often with what is usually the org's fault, while others are taken, is at fault itself.
const MAX_REFUSALS: u32 = 3;
/// A row that is refused so often with what usually passes, while others are taken, needs a person: half an hour of trying.
const MAX_TRANSIENT_REFUSALS: u32 = 40;

/// The refusals of one call.
pub(crate) struct FailureJudge<'p> {
    rate: &'p mut DeliveryRate,
    some_taken: bool,
    now: Timestamp,
    /// Until when nothing is sent, once this call has shown that to be wise.
    rest: Option<Timestamp>,
}

impl<'p> FailureJudge<'p> {
    pub(crate) fn of_call(rate: &'p mut DeliveryRate, some_taken: bool, now: Timestamp) -> Self {
        Self {
            rate,
            some_taken,
            now,
            rest: None,
        }
    }

    /// Judges one row.
    pub(crate) fn judge(&mut self, key: &str, record_sync: Option<&RecordSync>, error: &CrmError) -> Delivered {
        let (attempts, refusals) = record_sync.map_or((0, 0), |r| (r.attempts, r.refusals));
        let scope = self.scope(record_sync);
        let own = scope == FailureScope::Row;
        let dead = || Delivered::Dead {
            error: error.to_string(),
            answer: error.answer.clone(),
        };
        let again = |due_at, scope| Delivered::Again {
            due_at,
            error: error.to_string(),
            blame: scope,
        };
        match error.verdict {
            CrmVerdict::DeadLetter => dead(),
            // A race happens once: whoever loses it four times runs against itself.
            CrmVerdict::RetryNow if refusals >= MAX_REFUSALS => dead(),
            CrmVerdict::RetryNow => again(self.after(Backoff::DELIVERY, attempts), FailureScope::Row),
            // Once others were taken where it was not, what it is refused for alone is its own too.
            CrmVerdict::OwnFault if refusals >= MAX_REFUSALS => dead(),
            CrmVerdict::OwnFault if refusals > 0 => again(self.after(Backoff::DELIVERY, attempts), FailureScope::Row),
            CrmVerdict::OrgFault(_) if own && refusals >= MAX_REFUSALS => dead(),
            CrmVerdict::Retry if own && refusals >= MAX_TRANSIENT_REFUSALS => dead(),
            CrmVerdict::OrgFault(wait) if !self.some_taken => again(self.pause(wait, error, true), FailureScope::Open),
            CrmVerdict::Park(wait) if !self.some_taken => again(self.pause(wait, error, false), FailureScope::Crm),
            CrmVerdict::Park(_) => again(self.after(Backoff::DELIVERY, attempts), FailureScope::Crm),
            CrmVerdict::OwnFault if !self.some_taken && self.rate.refused_like_others(key) => {
                again(self.rest(error), FailureScope::Open)
            }
            // Alone, it must not hold up what comes after it, nor cost a call every few seconds.
            CrmVerdict::OwnFault if !own => again(self.after(Backoff::OPEN, attempts), FailureScope::Open),
            _ => again(self.after(Backoff::DELIVERY, attempts), scope),
        }
    }

    /// Whether others were taken in the same call, or since this row was refused last.
    fn scope(&self, record_sync: Option<&RecordSync>) -> FailureScope {
        let refused_at = record_sync.and_then(|r| r.refused_at);
        if self.some_taken || refused_at.is_some_and(|at| self.rate.took_rows_since(at)) {
            FailureScope::Row
        } else {
            FailureScope::Open
        }
    }

    fn after(&self, backoff: Backoff, attempts: u32) -> Timestamp {
        let wait = SignedDuration::try_from(backoff.wait(attempts)).unwrap_or(SignedDuration::from_secs(60));
        self.now + wait
    }

    fn pause(&mut self, wait: Duration, error: &CrmError, records_only: bool) -> Timestamp {
        self.rate.pause_for(wait, &error.to_string(), records_only, self.now)
    }

    /// Rows of a call that are refused alike are one failure of the org's, not many.
    fn rest(&mut self, error: &CrmError) -> Timestamp {
        let (rate, now) = (&mut *self.rate, self.now);
        *self.rest.get_or_insert_with(|| rate.failed(&error.to_string(), now))
    }
}

/// What a call in vain with a single row says of it: one that fails like a fault that passes, while others are taken, may be at
/// fault itself.
pub(crate) fn judge_single(
    record_sync: Option<&RecordSync>,
    error: &CrmError,
    due_at: Timestamp,
    rate: &DeliveryRate,
) -> Delivered {
    let theirs = error.verdict == CrmVerdict::Retry && error.answer.is_some();
    let taken_since = record_sync
        .and_then(|r| r.refused_at)
        .is_some_and(|at| rate.took_rows_since(at));
    let scope = match (theirs, taken_since) {
        (false, _) => FailureScope::Crm,
        (true, false) => FailureScope::Open,
        (true, true) => FailureScope::Row,
    };
    if scope == FailureScope::Row && record_sync.is_some_and(|r| r.refusals >= MAX_TRANSIENT_REFUSALS) {
        return Delivered::Dead {
            error: error.to_string(),
            answer: error.answer.clone(),
        };
    }
    Delivered::Again {
        due_at,
        error: error.to_string(),
        blame: scope,
    }
}
