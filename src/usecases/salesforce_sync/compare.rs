//! Compares our departures with the org's own record of them (ConversationParticipant), if it keeps one: once an hour, as a
//! metric and for `sidedoor timing explain`.
//!
//! Guarantee: read only. Which of the two is right is for people to judge.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use sidedoor_domain::departure::Departure;
use sidedoor_domain::ports::crm::{CALLS_A_QUESTION, ParticipantSeen};
use sidedoor_domain::ports::store::{Comparison, StoredSupervision};
use sidedoor_domain::ports::{Crm, MetricEvent, Transaction};

use crate::usecases::error::UseCaseError;
use crate::usecases::salesforce_sync::SalesforceSyncService;

/// Salesforce writes its own record some time after the call.
const SETTLED: SignedDuration = SignedDuration::from_mins(10);
/// No such record is expected after this long.
const GIVE_UP: SignedDuration = SignedDuration::from_hours(24);
/// A record that was not found is looked for again after this.
const RETRY_AFTER: SignedDuration = SignedDuration::from_mins(55);
/// An org without such records is asked again after this.
const UNSUPPORTED_RETRY: Duration = Duration::from_secs(24 * 3600);
/// The errors of an org that does not have the object or a field, or does not show it to our user.
const UNSUPPORTED_CODES: [&str; 4] = ["INVALID_TYPE", "INVALID_FIELD", "NOT_FOUND", "INSUFFICIENT_ACCESS"];
/// The most pages of a round.
const MAX_PAGES: usize = 50;
/// A time without milliseconds may be truncated or rounded to a second.
const WHOLE_SECOND: SignedDuration = SignedDuration::from_secs(1);

/// The result of one page.
enum PageOutcome {
    /// There may be more.
    Done,
    /// Nothing is left, or API calls are scarce.
    Last,
    /// The org has no such records.
    Unsupported,
}

impl SalesforceSyncService {
    /// Compares due departures until the process stops. Returns immediately when comparing is switched off.
    pub async fn compare_until_stopped(self) {
        let every = self.ctx.settings.intervals.compare;
        let crm = self.ctx.deps.crm.clone().filter(|_| self.ctx.settings.compare);
        let Some(crm) = crm else { return };
        let mut pause = every;
        while !self.ctx.is_stopping() {
            tokio::select! {
                biased;
                () = tokio::time::sleep(pause) => {}
                () = self.ctx.deps.stopping.cancelled() => return,
            }
            pause = match self.compare_round(crm.as_ref()).await {
                Ok(true) => every,
                Ok(false) => UNSUPPORTED_RETRY,
                Err(e) => {
                    tracing::warn!(error = %e, "could not compare departures; retrying in an hour: {e}");
                    every
                }
            };
        }
    }

    /// Compares everything that is due, a page at a time. Returns whether the org has such records.
    async fn compare_round(&self, crm: &dyn Crm) -> Result<bool, UseCaseError> {
        for _ in 0..MAX_PAGES {
            match self.compare_page(crm).await? {
                PageOutcome::Done => {}
                PageOutcome::Last => return Ok(true),
                PageOutcome::Unsupported => return Ok(false),
            }
        }
        Ok(true)
    }

    async fn compare_page(&self, crm: &dyn Crm) -> Result<PageOutcome, UseCaseError> {
        let now = self.ctx.now();
        // Scarce API calls are reserved for records.
        let short = crm
            .usage()
            .is_some_and(|u| u.share() >= self.ctx.settings.delivery.slow_above);
        if short {
            return Ok(PageOutcome::Last);
        }
        let (settled, again) = self
            .ctx
            .settings
            .intervals
            .compare_after
            .unwrap_or((SETTLED, RETRY_AFTER));
        let limit = u32::try_from(CALLS_A_QUESTION).unwrap_or(u32::MAX);
        let due = self
            .ctx
            .store()
            .due_comparisons(now - GIVE_UP, now - settled, now - again, limit)
            .await?;
        let mut calls: Vec<String> = due
            .iter()
            .filter_map(|(s, _)| s.supervision.voice_call_id.clone())
            .collect();
        calls.sort();
        calls.dedup();
        if calls.is_empty() {
            return Ok(PageOutcome::Last);
        }
        let theirs = match crm.supervisors_of(&calls).await {
            Ok(theirs) => theirs,
            Err(e) if UNSUPPORTED_CODES.contains(&e.code.as_str()) => {
                tracing::info!(code = %e.code, "this org has no ConversationParticipant records that Sidedoor can read; comparing departures again in a day: {e}");
                return Ok(PageOutcome::Unsupported);
            }
            Err(e) => {
                tracing::info!(code = %e.code, "could not read ConversationParticipant; comparing departures in the next round: {e}");
                return Ok(PageOutcome::Last);
            }
        };
        let comparisons: Vec<Comparison> = due
            .iter()
            .filter_map(|(s, on_contact)| compare(s, *on_contact, &theirs, now))
            .collect();
        let found = Transaction {
            comparisons: comparisons.clone(),
            ..Transaction::default()
        };
        self.ctx.transact(found).await?;
        // After the commit, so that no comparison is counted that was not stored.
        for comparison in comparisons {
            if let (Some(at), Some(inside)) = (comparison.left_at, comparison.inside) {
                let difference = at.duration_since(comparison.ours_at).as_secs_f64();
                self.ctx.count(&MetricEvent::Compared(difference, inside));
            }
        }
        // A short page may consist of unreadable supervisions, so only the next page shows whether there is more.
        Ok(PageOutcome::Done)
    }
}

/// A departure beside what the org itself has of it; `None` for one without a departure or a VoiceCall.
fn compare(
    stored: &StoredSupervision,
    on_contact: u32,
    theirs: &BTreeMap<String, Vec<ParticipantSeen>>,
    now: Timestamp,
) -> Option<Comparison> {
    let s = &stored.supervision;
    let departure = s.departure.as_ref()?;
    let on_call = theirs
        .get(s.voice_call_id.as_ref()?)
        .map(Vec::as_slice)
        .unwrap_or_default();
    let seen = matching_participant(
        s.supervisor.salesforce_user_id.as_deref(),
        on_contact,
        on_call,
        departure.disconnected_at,
    );
    let left_at = seen.and_then(|p| p.left_at);
    let inside = left_at.map(|at| is_inside(at, departure));
    Some(Comparison {
        supervision: s.id,
        looked_at: now,
        participant_id: seen.map(|p| p.id.clone()),
        left_at,
        ours_at: departure.disconnected_at,
        inside,
    })
}

/// The org's record of this departure: the user's nearest in time. If the user is unknown, the only record on the call, if
/// we also have only one departure.
fn matching_participant<'p>(
    user: Option<&str>,
    ours_on_call: u32,
    on_call: &'p [ParticipantSeen],
    ours: Timestamp,
) -> Option<&'p ParticipantSeen> {
    // An id has two forms, of 15 and of 18 characters.
    let same = |p: &ParticipantSeen| match (user, p.user_id.as_deref()) {
        (Some(a), Some(b)) => a.get(..15).is_some() && a.get(..15) == b.get(..15),
        _ => false,
    };
    let apart = |p: &&ParticipantSeen| p.left_at.map(|at| at.duration_since(ours).unsigned_abs());
    match (user, on_call) {
        (None, [only]) if ours_on_call == 1 => Some(only),
        (None, _) => None,
        (Some(_), _) => on_call
            .iter()
            .filter(|p| same(p) && p.left_at.is_some())
            .min_by_key(apart),
    }
}

fn is_inside(theirs: Timestamp, d: &Departure) -> bool {
    let slack = if theirs.as_millisecond() % 1000 == 0 {
        WHOLE_SECOND
    } else {
        SignedDuration::ZERO
    };
    theirs + slack >= d.earliest.unwrap_or(Timestamp::MIN) && theirs - slack <= d.latest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(id: &str, user: Option<&str>, left: Option<i64>) -> ParticipantSeen {
        ParticipantSeen {
            id: id.into(),
            user_id: user.map(ToOwned::to_owned),
            left_at: left.map(|ms| Timestamp::from_millisecond(ms).expect("a time")),
        }
    }

    #[test]
    fn ids_of_both_lengths_are_one_and_the_nearest_of_several_visits_is_meant() {
        let at = Timestamp::from_millisecond(100_000).expect("a time");
        let (short, long) = ("005000000000001", "005000000000001AAA");
        let several = [
            seen("first", Some(long), Some(20_000)),
            seen("second", Some(long), Some(99_000)),
            seen("other", Some("005000000000002AAA"), Some(100_000)),
        ];
        let found = |user, ours, on: &[ParticipantSeen]| matching_participant(user, ours, on, at).map(|p| p.id.clone());
        assert_eq!(found(Some(short), 1, &several).as_deref(), Some("second"));
        assert_eq!(found(None, 1, &several), None, "the user is unknown");
        let only = [seen("only", None, Some(99_000))];
        assert_eq!(found(None, 1, &only).as_deref(), Some("only"));
        assert_eq!(found(None, 2, &only), None, "two of ours, one of theirs");
    }
}
