//! Rejoining, and what the law of a place asks of it: may a supervisor come back to a contact, and must that be announced?
//!
//! Sidedoor does not know the law. A policy per jurisdiction says what its owner has decided; where nobody has, the answer is
//! REVIEW: ask a person. Every start is answered so, and the audit keeps what was answered.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::ids::SupervisionId;

/// How many earlier supervisions are named.
pub const MOST_PRIOR: usize = 20;

/// Whether a supervision must be announced to those on the call.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Announcement {
    /// No.
    NotRequired,
    /// Yes.
    Required,
    /// Nobody has decided: ask a person.
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

/// Whether a supervisor may come back to a contact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rejoining {
    /// Yes.
    Allowed,
    /// No: such a start is refused.
    Refused,
    /// Yes, and a person is to look at it: the announcement becomes REVIEW.
    Ask,
}

/// What one jurisdiction asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// Coming back.
    pub rejoining: Rejoining,
    /// Announcing a first join.
    pub announcement: Announcement,
    /// Announcing a rejoin.
    pub rejoin_announcement: Announcement,
}

impl Default for Rules {
    /// Where nobody has decided: allowed, and a person is asked.
    fn default() -> Self {
        Self {
            rejoining: Rejoining::Allowed,
            announcement: Announcement::Review,
            rejoin_announcement: Announcement::Review,
        }
    }
}

/// The rules of every jurisdiction there is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policy {
    /// By name.
    pub jurisdictions: BTreeMap<String, Rules>,
}

/// What was answered for one supervision.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Compliance {
    /// Whose rules; none when none was named.
    pub jurisdiction: Option<String>,
    /// This supervisor had listened to this contact before.
    pub rejoin: bool,
    /// When, newest first; at most [`MOST_PRIOR`].
    pub prior: Vec<SupervisionId>,
    /// Whether it must be announced.
    pub announcement: Announcement,
}

/// A jurisdiction that lets nobody come back.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the rules of this jurisdiction let no supervisor rejoin a contact they have left")]
pub struct RejoinRefused(pub Compliance);

impl Policy {
    /// The rules of a jurisdiction; `None` if it is named and not configured.
    pub fn rules(&self, jurisdiction: Option<&str>) -> Option<Rules> {
        match jurisdiction {
            None => Some(Rules::default()),
            Some(name) => self.jurisdictions.get(name).copied(),
        }
    }
}

impl Rules {
    /// What they say of a supervision that follows these `prior` ones of the same supervisor on the same contact.
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

    /// The same for somebody who asks to listen.
    ///
    /// # Errors
    /// [`RejoinRefused`] for a rejoin where none is allowed.
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
    };

    #[test]
    fn where_nobody_has_decided_a_person_is_asked() {
        let nowhere = Policy::default();
        let rules = nowhere.rules(None).expect("rules");
        let first = rules.admit(None, Vec::new()).expect("admitted");
        assert_eq!((first.rejoin, first.announcement), (false, Announcement::Review));
        assert_eq!(nowhere.rules(Some("atlantis")), None);
    }

    #[test]
    fn a_rejoin_is_linked_judged_and_perhaps_refused() {
        let before = vec![SupervisionId::generate()];
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
        let many = (0..50).map(|_| SupervisionId::generate()).collect();
        assert_eq!(lenient.of(None, many).prior.len(), MOST_PRIOR);
    }
}
