//! The roll call: idle supervisions are looked at together, up to a hundred users in one GetCurrentUserData.
//!
//! Idle ones are due at the same moments, a grid as wide as `supervision.idle_poll_s`, so that a call is full. A leg that is
//! there was alive when the call was sent. One that is not there is described by itself: it has most likely ended. And a
//! MONITOR contact that nobody explains is looked into, so that a leg whose events were lost is found here too. What room is left
//! in a call is given to supervisors who listened not long ago and do not now, in turn: so an orphan, a leg without any live
//! request and whose events were lost, is found within some rounds, at the price of no call (or of one a round, where nobody is
//! idle).

use crate::usecases::polling::PollingError;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};

use crate::usecases::in_flight::Held;
use crate::usecases::monitoring::join::is_live_leg;
use crate::usecases::polling::PollingService;
use sidedoor_domain::ids::{InstanceName, SupervisionId, UserId};
use sidedoor_domain::interlock::LegId;
use sidedoor_domain::ports::store::{Stored, UnexplainedLeg};
use sidedoor_domain::ports::telephony::UserContact;
use sidedoor_domain::ports::{Priority, Transaction, VendorError};
use sidedoor_domain::supervision::{AMAZON_CONNECT, State, Supervision};

/// The most users GetCurrentUserData takes in one call.
const USERS: usize = 100;

/// How often a leg is looked at by itself for a change of mode that was asked for.
const MODE_LOOKS: u32 = 8;

/// Whether nothing is expected of it: the supervisor is known to listen, and nobody asked them to leave.
pub(crate) fn is_idle(s: &Supervision) -> bool {
    s.state == State::Monitoring
        && s.vendor == AMAZON_CONNECT
        && s.joined.is_some()
        && s.leg.is_some()
        && s.supervisor.connect_user_id.is_some()
        && !s.contact_ended
        && !awaits_a_mode(s)
}

/// Whether a change of mode was asked for and may be confirmed soon: only a description of the leg shows modes.
pub(crate) fn awaits_a_mode(s: &Supervision) -> bool {
    s.checks < MODE_LOOKS && s.mode_change.as_ref().is_some_and(|c| c.confirmed_at.is_none())
}

/// Supervisors who listened within so long are looked at.
const LATELY: SignedDuration = SignedDuration::from_hours(24 * 7);

/// Where the looking at those who listened lately has come to, by instance.
#[derive(Default)]
pub(crate) struct Rounds(Mutex<HashMap<InstanceName, Round>>);

#[derive(Default)]
struct Round {
    /// When the last call was made.
    at: Option<Timestamp>,
    /// The last one looked at.
    after: Option<UserId>,
}

/// What is looked at in one call, and in hand until that is done.
pub(crate) type Roll = Vec<(Supervision, Held<SupervisionId>)>;

/// Sorts idle supervisions into calls.
pub(crate) fn rolls(idle: Vec<(Stored, Held<SupervisionId>)>) -> Vec<(InstanceName, Roll)> {
    let mut by_instance: BTreeMap<InstanceName, Roll> = BTreeMap::new();
    for (stored, held) in idle {
        let instance = stored.supervision.instance.clone();
        by_instance
            .entry(instance)
            .or_default()
            .push((stored.supervision, held));
    }
    let mut rolls = Vec::new();
    for (instance, mut roll) in by_instance {
        while roll.len() > USERS {
            let rest = roll.split_off(USERS);
            rolls.push((instance.clone(), std::mem::replace(&mut roll, rest)));
        }
        rolls.push((instance, roll));
    }
    rolls
}

impl PollingService {
    /// When an idle supervision is looked at next: the next moment of the grid that is at least half a round away.
    pub(crate) fn next_roll_call(&self, now: Timestamp) -> Timestamp {
        let every = i64::try_from(self.ctx.settings.idle_poll.as_millis())
            .unwrap_or(i64::MAX)
            .max(1);
        let earliest = now.as_millisecond().saturating_add(every / 2);
        let next = earliest.div_euclid(every).saturating_add(1).saturating_mul(every);
        Timestamp::from_millisecond(next).unwrap_or(now + self.ctx.settings.idle_poll)
    }

    /// Looks at all of a roll in one call.
    pub(crate) async fn call_the_roll(&self, instance: &InstanceName, roll: &Roll) -> Result<(), PollingError> {
        let mut users: Vec<UserId> = roll
            .iter()
            .filter_map(|(s, _)| s.supervisor.connect_user_id.clone())
            .collect();
        users.sort();
        users.dedup();
        let mut filler = self.lately_there(instance, USERS - users.len().min(USERS)).await?;
        filler.retain(|user| users.binary_search(user).is_err());
        let lately = filler.len();
        users.extend(filler);
        if users.is_empty() {
            return Ok(());
        }
        let asked_at = self.ctx.now();
        let idle = users.len() - lately;
        let contacts = match self.contacts_of(instance, &users, idle).await {
            Ok(contacts) => contacts,
            Err(e) => {
                tracing::warn!(%instance, code = %e.code, "the roll call of {instance} failed: {}", e.message);
                for (s, _) in roll {
                    self.idle_on(s, None).await?;
                }
                return Ok(());
            }
        };
        for (s, _) in roll {
            if contacts.iter().any(|c| is_leg_of(c, s)) {
                self.idle_on(s, Some(asked_at - self.ctx.settings.poll_staleness))
                    .await?;
            } else {
                self.look_at_leg(s).await?;
            }
        }
        let strangers = contacts
            .iter()
            .filter(|c| is_live_leg(c) && !roll.iter().any(|(s, _)| is_leg_of(c, s)));
        for stranger in strangers {
            self.note_stranger(instance, stranger).await?;
        }
        Ok(())
    }

    /// What these users have now; the first `idle` of them matter most. What GetCurrentUserData answers for a user who is gone is
    /// not documented: if it refuses the call, it is made without the others, and then in halves, so that one of them blinds
    /// nobody to the rest.
    async fn contacts_of(
        &self,
        instance: &InstanceName,
        users: &[UserId],
        idle: usize,
    ) -> Result<Vec<UserContact>, VendorError> {
        let refused = match self
            .ctx
            .telephony()
            .current_contacts(instance, users, Priority::Poll)
            .await
        {
            Err(e) if !e.is_retryable() && users.len() > 1 => e,
            other => return other,
        };
        tracing::warn!(%instance, code = %refused.code, "GetCurrentUserData refused {} users: {}", users.len(), refused.message);
        let parts: Vec<&[UserId]> = if idle < users.len() {
            vec![&users[..idle]]
        } else {
            users.chunks(users.len().div_ceil(2)).collect()
        };
        let mut found = Vec::new();
        for part in parts.into_iter().filter(|part| !part.is_empty()) {
            // One user who cannot be asked about has nothing, as far as can be seen.
            match Box::pin(self.contacts_of(instance, part, part.len())).await {
                Err(e) if !e.is_retryable() => {}
                other => found.extend(other?),
            }
        }
        Ok(found)
    }

    /// Instances whose round is over without a call: nobody is idle there.
    pub(crate) fn overdue_rounds(&self, now: Timestamp) -> Vec<InstanceName> {
        let rounds = self.ctx.signals.rounds.0.lock().unwrap_or_else(PoisonError::into_inner);
        let every = self.ctx.settings.idle_poll;
        let over = |name: &&InstanceName| rounds.get(*name).and_then(|r| r.at).is_none_or(|at| at + every <= now);
        self.ctx.settings.instances.keys().filter(over).cloned().collect()
    }

    /// The next supervisors who listened lately, at most `room`.
    async fn lately_there(&self, instance: &InstanceName, room: usize) -> Result<Vec<UserId>, PollingError> {
        let now = self.ctx.now();
        let after = {
            let mut rounds = self.ctx.signals.rounds.0.lock().unwrap_or_else(PoisonError::into_inner);
            let round = rounds.entry(instance.clone()).or_default();
            round.at = Some(now);
            round.after.clone()
        };
        if room == 0 {
            // A round of full calls costs no further one.
            return Ok(Vec::new());
        }
        let most = u32::try_from(room).unwrap_or(u32::MAX);
        let since = now - LATELY;
        let found = self
            .ctx
            .store()
            .supervisors_since(instance, since, after.as_ref(), most)
            .await?;
        let mut rounds = self.ctx.signals.rounds.0.lock().unwrap_or_else(PoisonError::into_inner);
        // At the end it begins anew next time.
        rounds.entry(instance.clone()).or_default().after = found.last().filter(|_| found.len() == room).cloned();
        drop(rounds);
        Ok(found)
    }

    /// Nothing is new but that it may have been seen alive.
    async fn idle_on(&self, seen: &Supervision, alive_at: Option<Timestamp>) -> Result<(), PollingError> {
        let next = self.next_roll_call(self.ctx.now());
        self.ctx
            .amend(seen.id, |s| {
                if s.state != State::Monitoring {
                    return None;
                }
                alive_at.into_iter().for_each(|at| s.note_alive(at));
                s.checks = s.checks.saturating_add(1);
                // Whoever wanted a look while this one was under way still wants it.
                let wanted = s.next_check_at.filter(|t| Some(*t) != seen.next_check_at);
                s.next_check_at = Some(wanted.map_or(next, |t| t.min(next)));
                Some(Transaction::default())
            })
            .await?;
        Ok(())
    }

    async fn note_stranger(&self, instance: &InstanceName, stranger: &UserContact) -> Result<(), PollingError> {
        if self.ctx.store().by_leg(instance, &stranger.contact).await?.is_some() {
            return Ok(());
        }
        let leg = UnexplainedLeg {
            instance: instance.clone(),
            leg: stranger.contact.clone(),
            due_at: self.ctx.now() + self.ctx.settings.intervals.unexplained,
            looks: 0,
        };
        self.ctx
            .store()
            .transact(Transaction {
                unexplained: vec![leg],
                ..Transaction::default()
            })
            .await?;
        self.ctx.signals.check.notify_one();
        Ok(())
    }
}

fn is_leg_of(contact: &UserContact, s: &Supervision) -> bool {
    let named = s
        .leg
        .as_ref()
        .map(LegId::as_str)
        .is_some_and(|leg| leg.eq_ignore_ascii_case(&contact.contact));
    named && is_live_leg(contact)
}
