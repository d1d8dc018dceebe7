//! Decides what happens to a record that Salesforce rejected in an answered call: retry later, or give up (a dead letter).
//!
//! Guarantee: a record is given up only for a fault of its own. If the error leaves this open, other records and time decide: a
//! record that is rejected again and again for half an hour, while others are accepted, has a fault of its own. Many attempts in a
//! short time prove nothing, because a lock, a deployment or a maintenance takes minutes. If no record is accepted, the org may be
//! the cause, and no record is given up however long that lasts.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use sidedoor_domain::ports::store::{DeliveryOutcome, FailureScope, RecordSync};
use sidedoor_domain::ports::{CrmError, CrmVerdict};

use crate::usecases::retry::Backoff;
use crate::usecases::salesforce_sync::rate::{ClockReading, DeliveryRate};

/// After this many counted rejections with an error that does not show whose fault it is, the next one shows that the record is the
/// cause.
const MAX_REFUSALS: u32 = 3;
/// A rejection counts only if the counted one before it is at least this long ago.
const COUNTED_APART: SignedDuration = SignedDuration::from_mins(10);
/// After this many rejections with a transient error, while others are accepted, the record needs a person: half an hour of
/// retries.
const MAX_TRANSIENT_REFUSALS: u32 = 40;

/// Judges the rejected records of one call.
pub(super) struct FailureJudge<'p> {
    rate: &'p mut DeliveryRate,
    some_taken: bool,
    now: ClockReading,
    /// The end of the pause that this call has caused, if it did.
    rest: Option<Timestamp>,
}

impl<'p> FailureJudge<'p> {
    pub(super) fn of_call(rate: &'p mut DeliveryRate, some_taken: bool, now: ClockReading) -> Self {
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
        let others_taken = self.others_taken(record_sync);
        let counts = self.is_apart(record_sync);
        let proven = others_taken && counts && refusals >= MAX_REFUSALS;
        // Rejections that come too early count neither for nor against the record.
        let slow_scope = match (others_taken, counts) {
            (false, _) => FailureScope::Open,
            (true, true) => FailureScope::Row,
            (true, false) => FailureScope::Crm,
        };
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
            // Another record cannot cause a race, so this one is about the record even if no other was accepted.
            CrmVerdict::RetryNow if counts && refusals >= MAX_REFUSALS => dead(),
            CrmVerdict::RetryNow if counts => again(self.after(Backoff::DELIVERY, attempts), FailureScope::Row),
            CrmVerdict::RetryNow => again(self.after(Backoff::DELIVERY, attempts), FailureScope::Crm),
            CrmVerdict::Unproven | CrmVerdict::OrgFault(_) | CrmVerdict::RetryThenWithout(_) if proven => dead(),
            CrmVerdict::Retry if others_taken && refusals >= MAX_TRANSIENT_REFUSALS => dead(),
            CrmVerdict::OrgFault(wait) if !self.some_taken => again(self.pause(wait, error, true), FailureScope::Open),
            CrmVerdict::Park(wait) if !self.some_taken => again(self.pause(wait, error, false), FailureScope::Crm),
            CrmVerdict::Park(_) => again(self.after(Backoff::DELIVERY, attempts), FailureScope::Crm),
            CrmVerdict::Unproven if !self.some_taken && self.rate.refused_like_others(key) => {
                again(self.rest(error), FailureScope::Open)
            }
            // A single bad record must not delay those after it, nor cost a call every few seconds.
            CrmVerdict::Unproven if !others_taken => again(self.after(Backoff::OPEN, attempts), FailureScope::Open),
            CrmVerdict::Retry if others_taken => again(self.after(Backoff::DELIVERY, attempts), FailureScope::Row),
            _ => again(self.after(Backoff::DELIVERY, attempts), slow_scope),
        }
    }

    /// Whether others were accepted in the same call or since the record's last counted rejection.
    fn others_taken(&self, record_sync: Option<&RecordSync>) -> bool {
        let refused_at = record_sync.and_then(|r| r.refused_at);
        self.some_taken || refused_at.is_some_and(|at| self.rate.took_rows_since(at))
    }

    /// Whether the record's last counted rejection is long enough ago, so that this one counts too.
    fn is_apart(&self, record_sync: Option<&RecordSync>) -> bool {
        let refused_at = record_sync.and_then(|r| r.refused_at);
        refused_at.is_none_or(|at| self.now.at >= at + COUNTED_APART)
    }

    fn after(&self, backoff: Backoff, attempts: u32) -> Timestamp {
        let wait = SignedDuration::try_from(backoff.wait(attempts, self.rate.random()))
            .unwrap_or(SignedDuration::from_secs(60));
        self.now.at + wait
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
