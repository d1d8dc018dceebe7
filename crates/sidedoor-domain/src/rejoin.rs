//! The rules of jurisdictions: may a supervisor return to a contact, and must supervision be announced?
//!
//! Sidedoor does not know the law. The owner of the system configures rules for each jurisdiction. Without rules the answer is
//! REVIEW, because a person must decide. Every start gets an answer, and the audit records it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::ids::SupervisionId;

/// The most earlier supervisions that an answer names.
pub const MOST_PRIOR: usize = 20;

/// Whether a supervision must be announced to those on the call.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Announcement {
    /// It need not be announced.
    NotRequired,
    /// It must be announced.
    Required,
    /// No rule exists, so a person must decide.
    #[default]
    Review,
}

impl Announcement {
    /// The word in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotRequired => "NOT_REQUIRED",
            Self::Required => "REQUIRED",
            Self::Review => "REVIEW",
        }
    }
}

/// Whether a supervisor may return to a contact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rejoining {
    /// They may.
    Allowed,
    /// They may not: the start is refused.
    Refused,
    /// They may, but a person must decide about the announcement, which becomes REVIEW.
    Ask,
}

/// Whether an agent gets a notice in Salesforce that a supervisor listens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum NotifyAgent {
    /// No notice.
    #[default]
    No,
    /// A notice without the supervisor's name.
    Unnamed,
    /// A notice with the supervisor's user name.
    Named,
}

/// The rules of one jurisdiction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// Whether a supervisor may return to a contact.
    pub rejoining: Rejoining,
    /// Whether a first join must be announced.
    pub announcement: Announcement,
    /// Whether a rejoin must be announced.
    pub rejoin_announcement: Announcement,
    /// Whether the agent gets a notice.
    pub notify_agent: NotifyAgent,
}

impl Default for Rules {
    /// Without configured rules everything is allowed, and a person must decide about announcements.
    fn default() -> Self {
        Self {
            rejoining: Rejoining::Allowed,
            announcement: Announcement::Review,
            rejoin_announcement: Announcement::Review,
            notify_agent: NotifyAgent::No,
        }
    }
}

/// The rules of every configured jurisdiction.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policy {
    /// The rules by the jurisdiction's name.
    pub jurisdictions: BTreeMap<String, Rules>,
}

/// The answer of the rules for one supervision.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Compliance {
    /// The jurisdiction; `None` if none was named.
    pub jurisdiction: Option<String>,
    /// Whether this supervisor had listened to this contact before.
    pub rejoin: bool,
    /// The earlier supervisions, newest first; at most [`MOST_PRIOR`].
    pub prior: Vec<SupervisionId>,
    /// Whether the supervision must be announced.
    pub announcement: Announcement,
}

/// The start is refused, because the jurisdiction does not allow rejoining.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the rules of this jurisdiction do not allow a supervisor to rejoin a contact")]
pub struct RejoinRefused(pub Compliance);

impl Policy {
    /// The rules of a jurisdiction; `None` if it is not configured. Without a name the default rules hold.
    pub fn rules(&self, jurisdiction: Option<&str>) -> Option<Rules> {
        match jurisdiction {
            None => Some(Rules::default()),
            Some(name) => self.jurisdictions.get(name).copied(),
        }
    }
}

impl Rules {
    /// The answer for a supervision that follows `prior` ones of the same supervisor on the same contact.
    pub fn of(self, jurisdiction: Option<&str>, mut prior: Vec<SupervisionId>) -> Compliance {
        let rejoin = !prior.is_empty();
        prior.truncate(MOST_PRIOR);
        let announcement = match (rejoin, self.rejoining) {
            (false, _) => self.announcement,
            (true, Rejoining::Ask) => Announcement::Review,
            (true, _) => self.rejoin_announcement,
        };
        Compliance {
            jurisdiction: jurisdiction.map(ToOwned::to_owned),
            rejoin,
            prior,
            announcement,
        }
    }

    /// The answer for a request to start.
    ///
    /// # Errors
    /// [`RejoinRefused`] for a rejoin that the rules do not allow.
    pub fn admit(self, jurisdiction: Option<&str>, prior: Vec<SupervisionId>) -> Result<Compliance, RejoinRefused> {
        let compliance = self.of(jurisdiction, prior);
        if compliance.rejoin && self.rejoining == Rejoining::Refused {
            Err(RejoinRefused(compliance))
        } else {
            Ok(compliance)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STRICT: Rules = Rules {
        rejoining: Rejoining::Refused,
        announcement: Announcement::NotRequired,
        rejoin_announcement: Announcement::Required,
        notify_agent: NotifyAgent::No,
    };

    fn id(serial: u16) -> SupervisionId {
        SupervisionId::new(jiff::Timestamp::UNIX_EPOCH, serial, 0)
    }

    #[test]
    fn rejoin_without_rules_needs_review() {
        let nowhere = Policy::default();
        let rules = nowhere.rules(None).expect("rules");
        let first = rules.admit(None, Vec::new()).expect("admitted");
        assert_eq!((first.rejoin, first.announcement), (false, Announcement::Review));
        assert_eq!(nowhere.rules(Some("atlantis")), None);
    }

    #[test]
    fn rejoin_names_prior_supervisions_and_follows_rules() {
        let before = vec![id(0)];
        assert_eq!(
            STRICT.admit(Some("x"), Vec::new()).expect("first").announcement,
            Announcement::NotRequired
        );
        let refused = STRICT.admit(Some("x"), before.clone()).expect_err("refused");
        assert_eq!((refused.0.rejoin, &refused.0.prior), (true, &before));
        let lenient = Rules {
            rejoining: Rejoining::Allowed,
            ..STRICT
        };
        assert_eq!(lenient.of(None, before.clone()).announcement, Announcement::Required);
        let asking = Rules {
            rejoining: Rejoining::Ask,
            ..STRICT
        };
        assert_eq!(asking.of(None, before).announcement, Announcement::Review);
        let many = (0..50).map(id).collect();
        assert_eq!(lenient.of(None, many).prior.len(), MOST_PRIOR);
    }

    #[test]
    fn rejoin_announcement_words_are_those_of_the_store() {
        for announcement in [Announcement::NotRequired, Announcement::Required, Announcement::Review] {
            let word = serde_json::to_value(announcement).expect("a word");
            assert_eq!(word, announcement.as_str());
        }
    }

    #[test]
    fn rejoin_rules_are_those_of_the_named_jurisdiction() {
        let policy = Policy {
            jurisdictions: BTreeMap::from([("x".to_owned(), STRICT)]),
        };
        assert_eq!(policy.rules(Some("x")), Some(STRICT));
        assert_eq!(policy.rules(None), Some(Rules::default()));
        let compliance = STRICT.of(Some("x"), Vec::new());
        assert_eq!(
            (compliance.jurisdiction.as_deref(), compliance.prior),
            (Some("x"), Vec::new())
        );
    }
}
