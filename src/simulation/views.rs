//! What the simulated vendor's reading operations answer: late, old or incomplete, as the plan says.

use std::collections::BTreeMap;

use jiff::Timestamp;
use sidedoor_domain::contact_event::InitiationMethod;
use sidedoor_domain::ids::UserId;
use sidedoor_domain::interlock::ContactSeen;
use sidedoor_domain::ports::VendorErrorCode;
use sidedoor_domain::ports::telephony::{EndedLeg, EndedLegs, LegsFound};
use sidedoor_domain::ports::user_data::{UserContact, UserDataSeen, UserState};
use sidedoor_domain::supervision::Mode;

use super::vendor::{SimLeg, Vendor};

impl Vendor {
    pub(super) fn describe(&self, id: &str) -> Result<ContactSeen, VendorErrorCode> {
        let at = self.truth.ms() - i64::try_from(self.conduct.describe_lag_ms).unwrap_or(0);
        let by_then = |t: &i64| *t <= at;
        let state = self.state();
        let conduct = &self.conduct;
        let blank = ContactSeen {
            id: id.to_owned(),
            initiation_method: InitiationMethod::parse("INBOUND"),
            channel: Some(conduct.channel),
            agent: None,
            related: Vec::new(),
            previous: None,
            initiated_at: None,
            connected_at: None,
            disconnected_at: None,
            disconnect_reason: None,
            modes: Vec::new(),
            mode: None,
            has_successor: false,
            queue: None,
        };
        if let Some(leg) = state.legs.get(id).filter(|l| by_then(&l.started)) {
            let connected = leg
                .connected
                .filter(|t| conduct.says_connected && by_then(t))
                .map(|t| self.stamp(t));
            let ended = leg.ended.map(|(t, _)| t).filter(by_then);
            return Ok(ContactSeen {
                initiation_method: InitiationMethod::Monitor,
                agent: Some(leg.user.clone()),
                related: if conduct.names_contact {
                    vec![leg.contact.clone()]
                } else {
                    Vec::new()
                },
                initiated_at: Some(self.stamp(leg.started)),
                connected_at: connected,
                disconnected_at: ended.map(|t| self.stamp(t)),
                disconnect_reason: ended.map(|_| "AGENT_DISCONNECT".into()),
                modes: connected.iter().map(|at| (Mode::Silent, Some(*at))).collect(),
                mode: connected.filter(|_| ended.is_none()).map(|at| (Mode::Silent, Some(at))),
                ..blank
            });
        }
        let contact = state.contacts.get(id).filter(|c| by_then(&c.started));
        let contact = contact.ok_or(VendorErrorCode::ResourceNotFound)?;
        let ended = contact.ended.map(|(t, _)| t).filter(by_then);
        Ok(ContactSeen {
            agent: Some(contact.agent.clone()),
            initiated_at: Some(self.stamp(contact.started)),
            connected_at: Some(self.stamp(contact.started)),
            disconnected_at: ended.map(|t| self.stamp(t)),
            has_successor: ended.is_some() && contact.successor.is_some(),
            ..blank
        })
    }

    /// The legs that these users began between two moments of the vendor's clock.
    pub(super) fn legs_begun(&self, users: &[UserId], from: Timestamp, until: Timestamp) -> LegsFound {
        let theirs = |leg: &&SimLeg| users.iter().any(|user| user.as_str() == leg.user);
        let begun = |leg: &&SimLeg| (from..=until).contains(&self.stamp(leg.started));
        let state = self.state();
        let legs = state.legs.values().filter(theirs).filter(begun);
        LegsFound {
            legs: legs.map(|leg| leg.id.clone()).collect(),
            is_complete: true,
        }
    }

    /// The legs that ended between two moments of the vendor's clock.
    pub(super) fn legs_ended(&self, from: Timestamp, until: Timestamp) -> EndedLegs {
        let state = self.state();
        let ended = state.legs.values().filter_map(|leg| {
            let at = self.stamp(leg.ended?.0);
            (from..=until).contains(&at).then(|| EndedLeg {
                leg: leg.id.clone(),
                disconnected_at: at,
            })
        });
        let mut legs: Vec<EndedLeg> = ended.collect();
        legs.sort_by_key(|leg| leg.disconnected_at);
        EndedLegs {
            legs,
            is_complete: true,
        }
    }

    pub(super) fn current_contacts(&self, users: &[UserId]) -> UserDataSeen {
        let age = self.random.with(|rng| rng.u64(0..=self.conduct.staleness_ms));
        let at = self.truth.ms() - i64::try_from(age).unwrap_or(0);
        let lingers = i64::try_from(self.conduct.ended_lingers_ms).unwrap_or(0);
        let state = self.state();
        let mut found = Vec::new();
        let mut listed = BTreeMap::new();
        for user in users.iter().map(UserId::as_str) {
            let method = self.method();
            for leg in state
                .legs
                .values()
                .filter(|l| l.user == user && self.conduct.lists_legs)
            {
                let ended = leg.ended.map(|(t, _)| t).filter(|t| *t <= at);
                if leg.started > at || ended.is_some_and(|t| t + lingers <= at) {
                    continue;
                }
                let connected = leg.connected.is_some_and(|t| t <= at);
                found.push(UserContact {
                    user: user.to_owned(),
                    contact: leg.id.clone(),
                    initiation_method: method.clone(),
                    state: match (ended.is_some(), connected) {
                        (true, _) => "ENDED",
                        (false, true) => "CONNECTED",
                        (false, false) => "CONNECTING",
                    }
                    .into(),
                    channel: String::new(),
                    state_since: None,
                    connected_at: None,
                    queue: None,
                });
            }
            for (id, contact) in state.contacts.iter().filter(|(_, c)| c.agent == user) {
                if contact.started <= at && contact.ended.is_none_or(|(t, _)| t > at) {
                    found.push(UserContact {
                        user: user.to_owned(),
                        contact: id.clone(),
                        initiation_method: InitiationMethod::parse("INBOUND"),
                        state: "CONNECTED".into(),
                        channel: String::new(),
                        state_since: None,
                        connected_at: None,
                        queue: None,
                    });
                }
            }
            if self.conduct.lists_idle_users || found.iter().any(|c: &UserContact| c.user == user) {
                listed.insert(user.to_owned(), UserState::default());
            }
        }
        UserDataSeen {
            contacts: found,
            users: listed,
            is_complete: true,
            answered_elsewhere: None,
        }
    }
}
