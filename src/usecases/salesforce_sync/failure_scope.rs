//! Decides what happens to a record that Salesforce rejected in an answered call: retry later, or give up (a dead letter).
//!
//! Guarantee: a record is given up only for a fault of its own. If the error leaves this open, other records decide: a record
//! that is rejected while others are accepted has a fault of its own; if none is accepted, the org may be the cause, and no
//! record is given up however long that lasts.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use sidedoor_domain::ports::store::{DeliveryOutcome, FailureScope, RecordSync};
use sidedoor_domain::ports::{CrmError, CrmVerdict};

use crate::usecases::retry::Backoff;
use crate::usecases::salesforce_sync::rate::DeliveryRate;

/// After this many rejections with an error that is usually the org's, while others are accepted, the record is the cause.
const MAX_REFUSALS: u32 = 3;
/// After this many rejections with a transient error, while others are accepted, the record needs a person: half an hour of
/// retries.
const MAX_TRANSIENT_REFUSALS: u32 = 40;

/// Judges the rejected records of one call.
pub(super) struct FailureJudge<'p> {
    rate: &'p mut DeliveryRate,
    some_taken: bool,
    now: Timestamp,
    /// The end of the pause that this call has caused, if it did.
    rest: Option<Timestamp>,
}

impl<'p> FailureJudge<'p> {
    pub(super) fn of_call(rate: &'p mut DeliveryRate, some_taken: bool, now: Timestamp) -> Self {
        Self {
            rate,
            some_taken,
            now,
            rest: None,
        }
    }

    /// Decides about one record.
    pub(super) fn judge(&mut self, key: &str, record_sync: Option<&RecordSync>, error: &CrmError) -> DeliveryOutcome {
        let (attempts, refusals) = record_sync.map_or((0, 0), |r| (r.attempts, r.refusals));
        let scope = self.scope(record_sync);
        let own = scope == FailureScope::Row;
        let dead = || DeliveryOutcome::Dead {
            error: error.to_string(),
            answer: error.answer.clone(),
        };
        let again = |due_at, scope| DeliveryOutcome::Again {
            due_at,
            error: error.to_string(),
            blame: scope,
        };
        match error.verdict {
            CrmVerdict::DeadLetter => dead(),
            // A race happens once; a record that loses it four times conflicts with itself.
            CrmVerdict::RetryNow if refusals >= MAX_REFUSALS => dead(),
            CrmVerdict::RetryNow => again(self.after(Backoff::DELIVERY, attempts), FailureScope::Row),
            // Others were accepted while this record was rejected, so the fault is its own.
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
            // A single bad record must not delay those after it, nor cost a call every few seconds.
            CrmVerdict::OwnFault if !own => again(self.after(Backoff::OPEN, attempts), FailureScope::Open),
            _ => again(self.after(Backoff::DELIVERY, attempts), scope),
        }
    }

    /// The cause of a rejection: the record, if others were accepted in the same call or since its last rejection.
    fn scope(&self, record_sync: Option<&RecordSync>) -> FailureScope {
        let refused_at = record_sync.and_then(|r| r.refused_at);
        if self.some_taken || refused_at.is_some_and(|at| self.rate.took_rows_since(at)) {
            FailureScope::Row
        } else {
            FailureScope::Open
        }
    }

    fn after(&self, backoff: Backoff, attempts: u32) -> Timestamp {
        let wait = SignedDuration::try_from(backoff.wait(attempts, self.rate.random()))
            .unwrap_or(SignedDuration::from_secs(60));
        self.now + wait
    }

    fn pause(&mut self, wait: Duration, error: &CrmError, records_only: bool) -> Timestamp {
        self.rate.pause_for(wait, &error.to_string(), records_only, self.now)
    }

    /// Several records of a call that are rejected alike are one failure of the org.
    fn rest(&mut self, error: &CrmError) -> Timestamp {
        let (rate, now) = (&mut *self.rate, self.now);
        *self.rest.get_or_insert_with(|| rate.failed(&error.to_string(), now))
    }
}

/// Decides about the only record of a call that failed as a whole. A transient error that repeats while other calls succeed
/// may be caused by the record.
pub(super) fn judge_single(
    record_sync: Option<&RecordSync>,
    error: &CrmError,
    due_at: Timestamp,
    rate: &DeliveryRate,
) -> DeliveryOutcome {
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
        return DeliveryOutcome::Dead {
            error: error.to_string(),
            answer: error.answer.clone(),
        };
    }
    DeliveryOutcome::Again {
        due_at,
        error: error.to_string(),
        blame: scope,
    }
}
