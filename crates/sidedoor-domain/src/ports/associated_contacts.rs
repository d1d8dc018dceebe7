//! An answer of ListAssociatedContacts: the contact tree, which may show the contact of a leg that no field links to it.

use crate::contact_event::InitiationMethod;
use crate::ids::ContactId;
use crate::interlock::ContactSeen;

/// A contact in an answer of ListAssociatedContacts. Timestamps are on the vendor's clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssociatedContact {
    /// The contact's id.
    pub id: String,
    /// The contact's InitiationMethod.
    pub initiation_method: InitiationMethod,
    /// When it began.
    pub initiated_at: Option<jiff::Timestamp>,
    /// When it ended.
    pub disconnected_at: Option<jiff::Timestamp>,
}

/// An answer of ListAssociatedContacts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AssociatedContacts {
    /// The contacts of the tree.
    pub contacts: Vec<AssociatedContact>,
    /// Whether every page was read.
    pub is_complete: bool,
}

impl AssociatedContacts {
    /// The most pages that are read.
    pub const MAX_PAGES: usize = 3;

    /// The customer's contact that a leg listens to: the only contact of the tree, apart from MONITOR contacts, that went on when the
    /// leg began. `None` if several did, or if not all contacts are known.
    pub fn supervised_by(&self, leg: &ContactSeen) -> Option<ContactId> {
        let began = leg.initiated_at.filter(|_| self.is_complete)?;
        let went_on = |c: &&AssociatedContact| {
            matches!(c.initiation_method, InitiationMethod::Other(_))
                && !c.id.eq_ignore_ascii_case(&leg.id)
                && c.initiated_at.is_none_or(|at| at <= began)
                && c.disconnected_at.is_none_or(|at| began <= at)
        };
        let mut found = self.contacts.iter().filter(went_on);
        match (found.next(), found.next()) {
            (Some(only), None) => ContactId::parse(only.id.as_str()).ok(),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leg(initiated_at: Option<jiff::Timestamp>) -> ContactSeen {
        ContactSeen {
            id: "leg-1".into(),
            initiation_method: InitiationMethod::Monitor,
            queue: None,
            channel: None,
            agent: None,
            related: Vec::new(),
            previous: None,
            initiated_at,
            connected_at: None,
            disconnected_at: None,
            disconnect_reason: None,
            modes: Vec::new(),
            mode: None,
            has_successor: false,
        }
    }

    #[test]
    fn leg_without_a_link_is_linked_only_if_one_contact_went_on() {
        let at = |second: i64| jiff::Timestamp::from_second(second).ok();
        let leg = leg(at(100));
        let contact = |id: &str, method: &str, begun, ended| AssociatedContact {
            id: id.into(),
            initiation_method: InitiationMethod::parse(method),
            initiated_at: begun,
            disconnected_at: ended,
        };
        let itself = contact("leg-1", "MONITOR", at(100), None);
        let other_leg = contact("leg-2", "MONITOR", at(50), None);
        let first = contact("contact-1", "INBOUND", at(10), at(60));
        let second = contact("contact-2", "TRANSFER", at(60), None);
        let later = contact("contact-3", "TRANSFER", at(120), None);
        let of = |contacts: &[&AssociatedContact], is_complete| {
            let contacts = contacts.iter().map(|c| (*c).clone()).collect();
            let answer = AssociatedContacts { contacts, is_complete };
            answer.supervised_by(&leg).map(String::from)
        };
        let all = [&itself, &other_leg, &first, &second, &later];
        assert_eq!(of(&all, true).as_deref(), Some("contact-2"));
        assert_eq!(of(&all, false), None, "another page may have one");
        let consulted = contact("contact-4", "OUTBOUND", at(90), None);
        assert_eq!(of(&[&second, &consulted], true), None, "ambiguous");
        let undated = contact("contact-5", "INBOUND", None, None);
        assert_eq!(of(&[&second, &undated], true), None, "it may have gone on");
        assert_eq!(of(&[&itself, &other_leg], true), None);
        let unnamed = contact("contact-6", "", at(10), None);
        assert_eq!(of(&[&unnamed], true), None, "it may be a leg");
        assert_eq!(AssociatedContacts::default().supervised_by(&leg), None);
    }
}
