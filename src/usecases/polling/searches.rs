//! Searches for the legs of joins whose outcome is unknown, a hundred supervisors at a time.
//!
//! GetCurrentUserData lists the contacts of the supervisors, and SearchContacts finds legs that it does not list. Each leg that no
//! supervision has is described, and given to the join that it belongs to.
//!
//! Guarantee: a search slows down and goes on for a day. Only an answer of the vendor counts as a look.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use sidedoor_domain::confirmation::Finding;
use sidedoor_domain::evidence::Source;
use sidedoor_domain::ids::{ContactId, UserId};
use sidedoor_domain::interlock::ContactSeen;
use sidedoor_domain::join_failure::{JoinFailure, OwnJoinFailure};
use sidedoor_domain::ports::store::StoredSupervision;
use sidedoor_domain::ports::telephony::LegsFound;
use sidedoor_domain::ports::{Endpoint, Operation, Priority, Transaction, VendorError, VendorErrorCode};
use sidedoor_domain::supervision::Supervision;

use crate::usecases::evidence::adopt_leg::LegGiven;
use crate::usecases::evidence::observation::Observation;
use crate::usecases::polling::dispatch::Work;
use crate::usecases::polling::{PollingError, PollingService};

/// SearchContacts is asked in every so many looks, because its quota is small.
const SEARCH_EVERY: u32 = 3;
/// How far the vendor's clock may be from ours when a time range is searched.
const CLOCK_TOLERANCE: SignedDuration = SignedDuration::from_mins(2);
/// How soon to look again when our own rate budget was full.
const BUDGET_WAIT: SignedDuration = SignedDuration::from_secs(2);

/// A leg that may belong to a search.
enum Examined {
    /// A supervision has it.
    Known,
    /// It was described.
    Described(Box<Candidate>),
    /// The vendor did not describe it.
    Unclear,
    /// Our own rate budget was full.
    NotAsked,
}

/// A leg that no supervision has, as it was described.
struct Candidate {
    seen: ContactSeen,
    /// Where it was found.
    found: Endpoint,
    asked_at: Timestamp,
    /// What GetCurrentUserData said of it.
    listed: Observation,
}

impl Candidate {
    /// How far from our call it began. The vendor's clock may not be calibrated, so this is used only to choose among several.
    fn distance(&self, searching: &[&Supervision]) -> SignedDuration {
        let theirs =
            |s: &&&Supervision| s.supervisor.connect_user_id.as_ref().map(UserId::as_str) == self.seen.agent.as_deref();
        let sent = searching
            .iter()
            .filter(theirs)
            .filter_map(|s| s.join.as_ref()?.first_sent_at);
        let begun = self.seen.initiated_at;
        let distances = sent.filter_map(|sent| Some(begun?.duration_since(sent).abs()));
        distances.min().unwrap_or(SignedDuration::MAX)
    }
}

impl PollingService {
    /// Looks for the legs of all joins of a batch.
    pub(super) async fn search_legs(&self, endpoint: &Endpoint, batch: Vec<Work>) -> Result<(), PollingError> {
        let mut searching = Vec::new();
        for (StoredSupervision { supervision: s, .. }, _) in &batch {
            if s.search().is_some_and(|search| search.is_over(self.ctx.now())) {
                self.end_search(s).await?;
            } else if !self.repeat_join(s).await? {
                searching.push(s);
            }
        }
        let mut users: Vec<UserId> = searching
            .iter()
            .filter_map(|s| s.supervisor.connect_user_id.clone())
            .collect();
        users.sort();
        users.dedup();
        if users.is_empty() {
            return Ok(());
        }
        let sent_at = self.ctx.now();
        let seen = match self.user_data_of(endpoint, &users, users.len(), Priority::Claim).await {
            Ok(seen) => seen,
            Err(e) => return self.look_failed(&searching, &e).await,
        };
        let received_at = self.ctx.now();
        let mut candidates: BTreeSet<String> = seen
            .contacts
            .iter()
            .filter(|c| c.may_be_live_leg())
            .map(|c| c.contact.clone())
            .collect();
        let searched = self.search_contacts(endpoint, &searching, &users).await;
        // SearchContacts finds legs that have ended, too, and needs no listed user.
        let complete = searched.as_ref().is_some_and(|found| found.is_complete) && seen.is_complete;
        candidates.extend(searched.into_iter().flat_map(|found| found.legs));
        let (mut unclear, mut short_of_budget) = (false, false);
        let mut described = Vec::new();
        for candidate in candidates {
            let listed = seen.contacts.iter().any(|c| c.contact.eq_ignore_ascii_case(&candidate));
            let listed = Observation::of_finding(
                Source::UserData,
                if listed { Finding::Alive } else { Finding::Unknown },
                sent_at,
                received_at,
            );
            match self.examine(endpoint, &candidate, listed).await? {
                Examined::Known => {}
                Examined::Described(candidate) => described.push(candidate),
                Examined::Unclear => unclear = true,
                Examined::NotAsked => (unclear, short_of_budget) = (true, true),
            }
        }
        // The supervisor may have started another leg on the same contact by hand.
        described.sort_by_key(|candidate| candidate.distance(&searching));
        for candidate in &described {
            self.give(candidate).await?;
        }
        for s in searching {
            self.ctx
                .update(s.id, |s| {
                    let now = self.ctx.now();
                    if complete && !unclear {
                        s.note_nothing_found(sent_at);
                    }
                    let search = s.join.as_mut()?.search.as_mut()?;
                    let next = if short_of_budget {
                        now + BUDGET_WAIT
                    } else {
                        search.next_look(now)
                    };
                    if !short_of_budget {
                        search.looks = search.looks.saturating_add(1);
                    }
                    s.next_check_at = Some(next);
                    Some(Transaction::default())
                })
                .await?;
        }
        Ok(())
    }

    /// Learns the kind of contact, which decides whether the join may be repeated and whether it takes the supervisor's voice slot,
    /// and repeats the join if that is allowed. Returns whether it gave the leg.
    async fn repeat_join(&self, s: &Supervision) -> Result<bool, PollingError> {
        let mut s = s.clone();
        // Only with calls that are free, because at a restart hundreds of searches may begin. The next look tries again.
        let free = self
            .ctx
            .telephony()
            .free_calls(&s.endpoint(), Operation::DescribeContact, Priority::AfterCheck);
        if let (None, Some(contact), true) = (s.channel, &s.contact, free > 0) {
            let asked = self.ctx.describe_for(&s, contact.as_str(), Priority::Claim);
            let channel = asked.await.ok().and_then(|seen| seen.channel);
            if channel.is_some() {
                self.ctx
                    .update_and_deliver(s.id, |s| s.channel = s.channel.or(channel))
                    .await?;
                s.channel = channel;
            }
        }
        if !s.may_repeat_join(self.ctx.now()) {
            return Ok(false);
        }
        self.monitoring.repeat_join(&s).await.or_else(|e| {
            tracing::error!(supervision_id = %s.id, error = %e, "could not store the leg that a repeated join of {} gave; searching for it: {e}", s.id);
            Ok(false)
        })
    }

    /// What SearchContacts finds; `None` if it was not asked or gave no answer.
    async fn search_contacts(
        &self,
        endpoint: &Endpoint,
        searching: &[&Supervision],
        users: &[UserId],
    ) -> Option<LegsFound> {
        let wanted = searching.iter().any(|s| {
            s.search()
                .is_some_and(|search| search.looks % SEARCH_EVERY == SEARCH_EVERY - 1)
        });
        let first_sent = searching.iter().filter_map(|s| s.join.as_ref()?.first_sent_at).min()?;
        if !wanted {
            return None;
        }
        let range = (first_sent - CLOCK_TOLERANCE, self.ctx.now() + CLOCK_TOLERANCE);
        match self
            .ctx
            .legs_begun_anywhere(endpoint, users, range, Priority::Claim)
            .await
        {
            Ok(found) => Some(found),
            Err(e) => {
                tracing::warn!(instance = %endpoint.instance, code = %e.code, "could not search for legs whose join had no answer: {}", e.for_operators());
                None
            }
        }
    }

    /// Describes a leg that may belong to a search.
    async fn examine(
        &self,
        endpoint: &Endpoint,
        candidate: &str,
        listed: Observation,
    ) -> Result<Examined, PollingError> {
        let Ok(leg) = ContactId::parse(candidate) else {
            return Ok(Examined::Known);
        };
        if self
            .ctx
            .store()
            .by_leg(&endpoint.instance, leg.as_str())
            .await?
            .is_some()
        {
            return Ok(Examined::Known);
        }
        let asked_at = self.ctx.now();
        match self
            .ctx
            .describe_anywhere(endpoint, leg.as_str(), Priority::Claim)
            .await
        {
            Ok((seen, found)) => Ok(Examined::Described(Box::new(Candidate {
                seen,
                found,
                asked_at,
                listed,
            }))),
            Err(e) => {
                tracing::warn!(leg_contact_id = %leg, code = %e.code, "could not describe {leg}, which may be the leg of a join without an answer: {}", e.for_operators());
                Ok(match e.code {
                    VendorErrorCode::BudgetLimitReached => Examined::NotAsked,
                    _ => Examined::Unclear,
                })
            }
        }
    }

    /// Gives a leg to the search that it belongs to, if there is one.
    async fn give(&self, candidate: &Candidate) -> Result<(), PollingError> {
        let Candidate {
            seen,
            found,
            asked_at,
            listed,
        } = candidate;
        let instance = &found.instance;
        let Some(user) = seen.agent.as_deref().and_then(|id| UserId::parse(id).ok()) else {
            return Ok(());
        };
        let given = self.evidence.give_to_search(instance, &user, seen, *asked_at).await?;
        if let Some((id, _)) = given {
            self.ctx.note_region(id, found.region.as_ref()).await;
            // From now on a poll that does not list the leg shows that it has ended.
            self.evidence.evaluate(instance, &seen.id, listed.clone(), None).await?;
        }
        if let Some((id, LegGiven::Leaving)) = given {
            self.leaving.carry_out_leave(id).await?;
        }
        Ok(())
    }

    async fn look_failed(&self, searching: &[&Supervision], error: &VendorError) -> Result<(), PollingError> {
        tracing::warn!(code = %error.code, joins = searching.len(), "could not look for the legs of {} joins; looking again later: {}", searching.len(), error.for_operators());
        let own = error.code == VendorErrorCode::BudgetLimitReached;
        for s in searching {
            self.ctx
                .update(s.id, |s| {
                    let now = self.ctx.now();
                    let search = s.join.as_mut()?.search.as_mut()?;
                    let next = if own { now + BUDGET_WAIT } else { search.next_look(now) };
                    if !own {
                        search.looks = search.looks.saturating_add(1);
                    }
                    s.next_check_at = Some(next);
                    Some(Transaction::default())
                })
                .await?;
        }
        Ok(())
    }

    /// A day is over without a leg: the join has failed.
    async fn end_search(&self, s: &Supervision) -> Result<(), PollingError> {
        let Some(search) = s.search() else { return Ok(()) };
        let code = JoinFailure::parse(&search.code).unwrap_or(OwnJoinFailure::TimedOut.into());
        let failed = self.monitoring.join_failed(s.id, code, &search.detail).await;
        failed.map_err(|e| {
            tracing::error!(supervision_id = %s.id, error = %e, "could not end the search for the leg of {}: {e}", s.id);
            crate::usecases::error::UseCaseError::Conflict.into()
        })
    }
}
