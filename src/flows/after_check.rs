//! The after-check, for every departure: did the customer's call go on, and how is the agent on it? Every guard is checked
//! after, not only before.
//!
//! **The alarm** is raised only for a call that ended right after a drop that was our disconnect's: a hang-up or a transfer ends
//! the leg too and is none.

use jiff::SignedDuration;

use super::conclude::Observation;
use super::reconcile::log_look;
use super::retry::Backoff;
use super::{FlowError, Flows};
use crate::domain::departure::{AgentAfter, Continuity, Reason};
use crate::domain::ids::UserId;
use crate::domain::interlock::ContactSeen;
use crate::domain::supervision::{AMAZON_CONNECT, Mode, Supervision};
use crate::ports::{Change, Happened, Priority};

/// After-checks that fail before `customerCallContinued` stays unknown.
const TRIES: u32 = 4;
/// Two stamps of whole seconds may differ by so much and still be of one moment.
const SAME_MOMENT: SignedDuration = SignedDuration::from_secs(1);

/// What a look at the contact says.
struct Found {
    continuity: Continuity,
    /// The contact ended, and the leg with it.
    contact_ended_first: bool,
    agent: Option<UserId>,
    agent_after: Option<AgentAfter>,
}

impl Found {
    fn unknown() -> Self {
        Self {
            continuity: Continuity::Unknown,
            contact_ended_first: false,
            agent: None,
            agent_after: None,
        }
    }
}

impl Flows {
    /// Looks at the customer's contact after a departure.
    pub(super) async fn look_at_contact(&self, s: &Supervision) -> Result<(), FlowError> {
        let Some(contact) = &s.contact else {
            return self.change(s.id, |_, s| s.next_check_at = None).await;
        };
        self.learn_what_they_did(s).await?;
        let seen = self
            .telephony()
            .describe(&s.instance, contact.as_str(), Priority::Poll)
            .await;
        let found = match seen {
            Ok(seen) => {
                let mut found = weigh_contact(s, &seen);
                found.agent = seen.agent.as_deref().and_then(|id| UserId::parse(id).ok());
                if let (None, Some(agent)) = (seen.disconnected_at, &found.agent) {
                    let state = self.agent_state(&s.instance, agent, contact, Priority::Poll).await;
                    found.agent_after = state.ok().map(|state| AgentAfter::of(state.as_deref()));
                }
                Some(found)
            }
            Err(e) if e.is_retryable() && s.checks < TRIES => {
                log_look(s, &e);
                None
            }
            Err(e) => {
                log_look(s, &e);
                Some(Found::unknown())
            }
        };
        self.change(s.id, |flows, s| match &found {
            Some(found) => {
                s.agent = s.agent.take().or_else(|| found.agent.clone());
                let _ = s.note_after(found.continuity, found.contact_ended_first, found.agent_after.clone());
            }
            None => {
                let wait = SignedDuration::try_from(Backoff::LOOK.wait(s.checks)).unwrap_or(SAME_MOMENT);
                s.checks = s.checks.saturating_add(1);
                s.next_check_at = Some(flows.now() + wait);
            }
        })
        .await?;
        match found {
            Some(found) => self.raise(s, &found).await,
            None => Ok(()),
        }
    }

    /// Whether they spoke: of one who may have barged in without any event telling of it, the leg's `StateTransitions` tell.
    async fn learn_what_they_did(&self, s: &Supervision) -> Result<(), FlowError> {
        let (Some(leg), true) = (&s.leg, s.vendor == AMAZON_CONNECT) else {
            return Ok(());
        };
        if s.allowed == Some(Mode::Silent) || s.checks > 0 {
            return Ok(());
        }
        let asked_at = self.now();
        if let Ok(seen) = self
            .telephony()
            .describe(&s.instance, leg.as_str(), Priority::Poll)
            .await
        {
            let observation = Observation::of_description(&seen, asked_at, self.now(), self.settings.poll_staleness);
            self.weigh(&s.instance, leg.as_str(), observation, None).await?;
        }
        Ok(())
    }

    /// Says aloud what must not be overlooked.
    async fn raise(&self, s: &Supervision, found: &Found) -> Result<(), FlowError> {
        let mut audit = Vec::new();
        let by_contact =
            found.contact_ended_first || s.departure.as_ref().is_some_and(|d| d.reason == Reason::ContactEnded);
        if found.continuity == Continuity::Ended && s.leave.is_some() && !by_contact {
            self.count(&Happened::CustomerCallEnded);
            tracing::error!(supervision_id = %s.id, "the customer's call ended right after the supervisor of {} left", s.id);
            audit.push(self.audit_own("customer_call.ended", s.id, "right after the leg that we had end"));
        }
        if let Some(agent) = found.agent_after.as_ref().filter(|a| a.looks_wrong) {
            self.count(&Happened::AgentLooksWrong);
            tracing::warn!(supervision_id = %s.id, state = agent.state, "after the departure of {} the agent is {} on the contact", s.id, agent.state);
            audit.push(self.audit_own("agent.looks_wrong", s.id, agent.state.clone()));
        }
        if !audit.is_empty() {
            let change = Change {
                audit,
                ..Change::default()
            };
            self.journal().commit(change).await?;
        }
        Ok(())
    }
}

/// Whether the call went on, and whether it ended before the leg did. Both stamps are the same vendor's clock, so they may be
/// compared without knowing its offset.
fn weigh_contact(s: &Supervision, seen: &ContactSeen) -> Found {
    let is = |continuity| Found {
        continuity,
        ..Found::unknown()
    };
    let Some(contact_end) = seen.disconnected_at else {
        return is(Continuity::Continued);
    };
    if seen.has_successor {
        return is(Continuity::Continued);
    }
    let Some(leg_end) = s.departure.as_ref().and_then(|d| d.vendor_timestamp) else {
        return is(Continuity::Unknown);
    };
    if contact_end > leg_end + SAME_MOMENT {
        return is(Continuity::Continued);
    }
    // The leg was first if its browser says that it ended it, or if a leave was asked for and the stamps say so.
    let leg_first = s.browser_ended_the_leg() || (s.leave.is_some() && leg_end < contact_end);
    Found {
        contact_ended_first: !leg_first,
        ..is(Continuity::Ended)
    }
}
