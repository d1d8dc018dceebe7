//! What GetCurrentUserData and SearchUsers say about users.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::telephony::Endpoint;
use crate::confirmation::Finding;
use crate::contact_event::InitiationMethod;
use crate::ids::UserId;

/// An answer of GetCurrentUserData.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UserDataSeen {
    /// The current contacts of the users.
    pub contacts: Vec<UserContact>,
    /// The users that the answer is about, by id. It is not documented whether users without contacts are listed.
    pub users: BTreeMap<String, UserState>,
    /// Whether the answer shows everything: every page was read, in the Region where the users' legs are expected.
    pub is_complete: bool,
    /// Where the answer comes from, if not from the endpoint that was asked first.
    pub answered_elsewhere: Option<Endpoint>,
}

/// One current contact of a user, as GetCurrentUserData lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserContact {
    /// The user's id.
    pub user: String,
    /// The contact's id.
    pub contact: String,
    /// The contact's InitiationMethod; Amazon Connect names none for some MONITOR contacts.
    pub initiation_method: InitiationMethod,
    /// The contact's AgentContactState in upper case, such as `CONNECTED` or `ENDED`.
    pub state: String,
    /// The contact's channel in upper case, such as `VOICE` or `CHAT`.
    pub channel: String,
    /// When the state began, by the vendor's clock. Connect keeps the start of CONNECTED for CONNECTED_ONHOLD.
    pub state_since: Option<Timestamp>,
    /// When the contact was connected to the user, by the vendor's clock.
    pub connected_at: Option<Timestamp>,
    /// The id of the contact's queue.
    pub queue: Option<String>,
}

/// What GetCurrentUserData says about a user beside the contacts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UserState {
    /// The name of the status that the user chose, such as `Available`.
    pub status: Option<String>,
    /// When the status began, by the vendor's clock.
    pub status_since: Option<Timestamp>,
    /// The id of the routing profile.
    pub routing_profile: Option<String>,
    /// The ids of the hierarchy groups that the user is in, level one first.
    pub hierarchy_groups: Vec<String>,
}

/// The users of an instance, as SearchUsers lists them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Directory {
    /// The user names, by user id.
    pub usernames: BTreeMap<UserId, String>,
    /// The ids of the routing profiles that users have.
    pub routing_profiles: BTreeSet<String>,
    /// Whether every page was read.
    pub is_complete: bool,
}

impl Directory {
    /// The most pages that are read: 10,000 users.
    pub const MAX_PAGES: usize = 20;
}

impl UserContact {
    /// Whether the user no longer has the contact.
    pub fn is_over(&self) -> bool {
        matches!(self.state.as_str(), "ENDED" | "MISSED" | "ERROR" | "REJECTED")
    }

    /// Whether it is, or may be, a supervisor's leg that has not ended.
    pub fn may_be_live_leg(&self) -> bool {
        !matches!(self.initiation_method, InitiationMethod::Other(_)) && !self.is_over()
    }
}

impl UserDataSeen {
    /// The most pages that are read: 2,000 users.
    pub const MAX_PAGES: usize = 20;

    /// What the answer shows of a user's leg.
    pub fn finding(&self, user: &UserId, leg: &str) -> Finding {
        // An id that is a leg is that leg, whatever its InitiationMethod says.
        let listed = self.contacts.iter().find(|c| c.contact.eq_ignore_ascii_case(leg));
        match listed {
            Some(contact) if contact.is_over() => Finding::Gone,
            Some(_) => Finding::Alive,
            None if self.is_complete && self.users.contains_key(user.as_str()) => Finding::Absent,
            None if self.is_complete => Finding::Unlisted,
            None => Finding::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::user;

    fn listed(initiation_method: &str, state: &str) -> UserContact {
        UserContact {
            user: "supervisor-1".into(),
            contact: "Leg-1".into(),
            initiation_method: InitiationMethod::parse(initiation_method),
            state: state.into(),
            channel: "VOICE".into(),
            state_since: None,
            connected_at: None,
            queue: None,
        }
    }

    #[test]
    fn user_contact_is_over_in_each_final_state() {
        for state in ["ENDED", "MISSED", "ERROR", "REJECTED"] {
            assert!(listed("MONITOR", state).is_over(), "{state}");
        }
        for state in ["CONNECTED", "CONNECTED_ONHOLD", ""] {
            assert!(!listed("MONITOR", state).is_over(), "{state:?}");
        }
    }

    #[test]
    fn user_contact_without_a_method_may_be_a_leg() {
        for (method, state, may_be) in [
            ("MONITOR", "CONNECTED", true),
            ("", "CONNECTED", true),
            ("INBOUND", "CONNECTED", false),
            ("MONITOR", "ENDED", false),
            ("INBOUND", "ENDED", false),
        ] {
            assert_eq!(listed(method, state).may_be_live_leg(), may_be, "{method} {state}");
        }
    }

    #[test]
    fn user_data_shows_absence_only_if_complete_and_about_the_user() {
        let answer = |contacts: Vec<UserContact>, is_complete, about: &str| UserDataSeen {
            contacts,
            users: BTreeMap::from([(about.to_owned(), UserState::default())]),
            is_complete,
            answered_elsewhere: None,
        };
        let finding = |answer: UserDataSeen| answer.finding(&user("supervisor-1"), "leg-1");
        let of = |state| answer(vec![listed("INBOUND", state)], false, "other");
        assert_eq!(finding(of("CONNECTED")), Finding::Alive);
        assert_eq!(finding(of("ENDED")), Finding::Gone);
        assert_eq!(finding(answer(Vec::new(), true, "supervisor-1")), Finding::Absent);
        assert_eq!(finding(answer(Vec::new(), false, "supervisor-1")), Finding::Unknown);
        assert_eq!(finding(answer(Vec::new(), true, "other")), Finding::Unlisted);
        let mut another = listed("MONITOR", "CONNECTED");
        another.contact = "leg-2".into();
        assert_eq!(finding(answer(vec![another], true, "supervisor-1")), Finding::Absent);
    }
}
