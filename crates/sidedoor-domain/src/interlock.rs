//! The interlock: types that prevent Sidedoor from **ending the customer's call**.
//!
//! StopContact "ends the specified contact", so with the customer's contact id it may end the customer's call. Therefore:
//!
//! - [`LegId`] and [`ContactId`] are different types. A `LegId` is made only from the answer to our own MonitorContact, from a
//!   DescribeContact that says MONITOR, or by the store from such an id. Every constructor refuses an id that equals the
//!   supervised contact. The id of a partner carrier's leg is never the id of a contact.
//! - No function in this crate takes a `ContactId` and ends it. The function that ends a leg takes a [`ClearedLeg`], which only
//!   [`clear_to_end`] makes, and only if the vendor has just said that this id is a MONITOR contact of this supervisor.
//! - The SDK's call is in one file of this repository. `tests/it/architecture.rs` checks that.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::contact_event::InitiationMethod;
use super::ids::{ContactId, UserId};
use super::supervision::{Channel, Mode};

/// The id of a leg: the supervisor's own MONITOR contact.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LegId(String);

impl LegId {
    /// The leg that MonitorContact has just returned for `supervised`.
    ///
    /// # Errors
    /// [`Refusal::IsTheContact`] if the vendor answered with the id of the supervised contact.
    pub fn from_monitor_answer(raw: &str, supervised: &ContactId) -> Result<Self, Refusal> {
        Self::apart_from(raw, Some(supervised))
    }

    /// The leg that DescribeContact shows.
    ///
    /// # Errors
    /// [`Refusal::NotMonitor`] unless the vendor says MONITOR; [`Refusal::IsTheContact`] for the id of the supervised contact.
    pub fn from_description(seen: &ContactSeen, supervised: Option<&ContactId>) -> Result<Self, Refusal> {
        if !seen.is_monitor() {
            return Err(Refusal::NotMonitor);
        }
        Self::apart_from(&seen.id, supervised)
    }

    /// The id of a partner carrier's own leg: a UUIDv5 of carrier, instance and leg, so that every process computes the same id.
    /// Amazon Connect has no contact with this id, so it cannot end one there.
    pub fn of_carrier(carrier: &str, instance: &str, leg: &str) -> Self {
        let name = format!("{carrier}\u{1f}{instance}\u{1f}{leg}");
        Self(uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_OID, name.as_bytes()).to_string())
    }

    fn apart_from(raw: &str, supervised: Option<&ContactId>) -> Result<Self, Refusal> {
        let id = ContactId::parse(raw).map_err(|_| Refusal::Unreadable)?;
        if supervised.is_some_and(|contact| contact.as_str().eq_ignore_ascii_case(raw)) {
            return Err(Refusal::IsTheContact);
        }
        Ok(Self(id.into()))
    }

    /// The id as the vendor spells it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for LegId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The parts of a DescribeContact answer that the rules need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContactSeen {
    /// `Contact.Id`.
    pub id: String,
    /// `Contact.InitiationMethod`.
    pub initiation_method: InitiationMethod,
    /// `Contact.Channel`, if it is a known one.
    pub channel: Option<Channel>,
    /// `Contact.AgentInfo.Id`, which is the supervisor for a MONITOR contact.
    pub agent: Option<String>,
    /// `Contact.QueueInfo.Id`: the queue through which the contact reached the agent.
    pub queue: Option<String>,
    /// Other contacts that the answer names (`RelatedContactId`, `InitialContactId`, `PreviousContactId`), without its own id. It
    /// is not documented which of them links a MONITOR leg to the customer's contact, so all are kept, the most likely first.
    pub related: Vec<String>,
    /// `Contact.PreviousContactId`: the contact that this one continues, such as after a transfer. It is among `related`, too.
    pub previous: Option<String>,
    /// `Contact.InitiationTimestamp`, on the vendor's clock.
    pub initiated_at: Option<jiff::Timestamp>,
    /// When the agent or supervisor was connected, on the vendor's clock: `AgentInfo.ConnectedToAgentTimestamp`, otherwise the
    /// first of `AgentInfo.StateTransitions`.
    pub connected_at: Option<jiff::Timestamp>,
    /// `Contact.DisconnectTimestamp`, on the vendor's clock.
    pub disconnected_at: Option<jiff::Timestamp>,
    /// `Contact.DisconnectReason`.
    pub disconnect_reason: Option<String>,
    /// The supervisor's modes in `AgentInfo.StateTransitions`, each with its start on the vendor's clock.
    pub modes: Vec<(Mode, Option<jiff::Timestamp>)>,
    /// The current one of these modes, which has not ended.
    pub mode: Option<(Mode, Option<jiff::Timestamp>)>,
    /// Whether `Contact.NextContacts` names a successor, as after a transfer.
    pub has_successor: bool,
}

impl ContactSeen {
    /// Whether the vendor says that this contact is a supervisor's leg.
    pub fn is_monitor(&self) -> bool {
        self.initiation_method == InitiationMethod::Monitor
    }

    /// The customer's contact that this leg listens to, if the answer names one.
    pub fn supervised(&self) -> Option<ContactId> {
        self.related.iter().find_map(|id| ContactId::parse(id.as_str()).ok())
    }
}

/// A leg that may be ended from the server. Only [`clear_to_end`] makes one.
#[derive(Debug)]
pub struct ClearedLeg(LegId);

impl ClearedLeg {
    /// The leg that may be ended.
    pub fn id(&self) -> &LegId {
        &self.0
    }
}

/// Why the interlock refuses an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The id is that of the supervised contact.
    #[error("this is the supervised contact itself, not the supervisor's leg")]
    IsTheContact,
    /// The vendor does not say MONITOR.
    #[error("the vendor does not call this contact a MONITOR contact")]
    NotMonitor,
    /// The vendor names another user or none.
    #[error("the vendor does not say that this leg belongs to the supervisor")]
    OtherSupervisor,
    /// The vendor described a different contact.
    #[error("the vendor described a different contact")]
    OtherContact,
    /// The vendor's id is invalid.
    #[error("the vendor's id is invalid")]
    Unreadable,
}

/// Clears `leg` to be ended from the server, if the description that the vendor has just given allows it.
///
/// # Errors
/// [`Refusal`] unless the description is of this leg, says MONITOR and names the supervisor, and the leg is not the supervised
/// contact.
pub fn clear_to_end(
    leg: &LegId,
    seen: &ContactSeen,
    supervisor: &UserId,
    supervised: Option<&ContactId>,
) -> Result<ClearedLeg, Refusal> {
    if !seen.is_monitor() {
        return Err(Refusal::NotMonitor);
    }
    if !seen.id.eq_ignore_ascii_case(leg.as_str()) {
        return Err(Refusal::OtherContact);
    }
    let is_theirs = |agent: &String| agent.eq_ignore_ascii_case(supervisor.as_str());
    if !seen.agent.as_ref().is_some_and(is_theirs) {
        return Err(Refusal::OtherSupervisor);
    }
    if supervised.is_some_and(|contact| contact.as_str().eq_ignore_ascii_case(leg.as_str())) {
        return Err(Refusal::IsTheContact);
    }
    Ok(ClearedLeg(leg.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen() -> ContactSeen {
        ContactSeen {
            id: "leg-1".into(),
            initiation_method: InitiationMethod::Monitor,
            channel: Some(Channel::Chat),
            agent: Some("sup-1".into()),
            related: vec!["contact-1".into()],
            previous: None,
            initiated_at: None,
            connected_at: None,
            disconnected_at: None,
            disconnect_reason: None,
            modes: Vec::new(),
            mode: None,
            has_successor: false,
            queue: None,
        }
    }

    fn contact() -> ContactId {
        ContactId::parse("contact-1").expect("a contact id")
    }

    fn supervisor() -> UserId {
        UserId::parse("sup-1").expect("a user id")
    }

    #[test]
    fn leg_is_never_the_supervised_contact() {
        assert_eq!(
            LegId::from_monitor_answer("contact-1", &contact()),
            Err(Refusal::IsTheContact)
        );
        assert_eq!(
            LegId::from_monitor_answer("CONTACT-1", &contact()),
            Err(Refusal::IsTheContact)
        );
        let same = ContactSeen {
            id: "contact-1".into(),
            ..seen()
        };
        assert_eq!(
            LegId::from_description(&same, Some(&contact())),
            Err(Refusal::IsTheContact)
        );
    }

    #[test]
    fn leg_needs_initiation_method_monitor() {
        let inbound = ContactSeen {
            initiation_method: InitiationMethod::parse("INBOUND"),
            ..seen()
        };
        assert_eq!(LegId::from_description(&inbound, None), Err(Refusal::NotMonitor));
        assert!(LegId::from_description(&seen(), Some(&contact())).is_ok());
    }

    #[test]
    fn clearing_needs_leg_method_and_supervisor() {
        let leg = LegId::from_monitor_answer("leg-1", &contact()).expect("a leg");
        let ask = |seen: &ContactSeen| clear_to_end(&leg, seen, &supervisor(), Some(&contact())).map(|_| ());
        assert_eq!(ask(&seen()), Ok(()));
        let spelled_otherwise = ContactSeen {
            agent: Some("SUP-1".into()),
            ..seen()
        };
        assert_eq!(
            ask(&spelled_otherwise),
            Ok(()),
            "ids are UUIDs, whose case does not matter"
        );
        assert_eq!(
            ask(&ContactSeen {
                initiation_method: InitiationMethod::parse("INBOUND"),
                ..seen()
            }),
            Err(Refusal::NotMonitor)
        );
        assert_eq!(
            ask(&ContactSeen {
                id: "contact-1".into(),
                ..seen()
            }),
            Err(Refusal::OtherContact)
        );
        assert_eq!(
            ask(&ContactSeen {
                agent: Some("agent-1".into()),
                ..seen()
            }),
            Err(Refusal::OtherSupervisor)
        );
        assert_eq!(
            ask(&ContactSeen { agent: None, ..seen() }),
            Err(Refusal::OtherSupervisor)
        );
    }

    #[test]
    fn leg_id_keeps_the_vendors_spelling_and_must_be_valid() {
        let leg = LegId::from_monitor_answer("Leg-1", &contact()).expect("a leg");
        assert_eq!((leg.as_str(), leg.to_string().as_str()), ("Leg-1", "Leg-1"));
        for invalid in ["", "..", "leg/1"] {
            let refused = LegId::from_monitor_answer(invalid, &contact());
            assert_eq!(refused, Err(Refusal::Unreadable), "{invalid:?}");
        }
    }

    #[test]
    fn leg_id_of_a_carrier_is_the_same_in_every_process() {
        let leg = LegId::of_carrier("acme", "main", "leg-1");
        assert_eq!(leg.as_str(), "1d9a66ba-6e5a-5b08-a7d8-ff417141fbb7");
        for other in [
            LegId::of_carrier("other", "main", "leg-1"),
            LegId::of_carrier("acme", "east", "leg-1"),
            LegId::of_carrier("acme", "main", "leg-2"),
            LegId::of_carrier("acmemain", "", "leg-1"),
        ] {
            assert_ne!(other, leg);
        }
    }

    #[test]
    fn contact_supervised_is_the_first_valid_related_one() {
        let related = |ids: &[&str]| ContactSeen {
            related: ids.iter().map(|id| (*id).to_owned()).collect(),
            ..seen()
        };
        assert_eq!(related(&["", "contact-1", "contact-2"]).supervised(), Some(contact()));
        assert_eq!(related(&[""]).supervised(), None);
    }

    #[test]
    fn clearing_ignores_case_and_keeps_the_stored_leg() {
        let leg = LegId::from_monitor_answer("Leg-1", &contact()).expect("a leg");
        let lower_case = ContactSeen {
            initiation_method: InitiationMethod::parse("monitor"),
            ..seen()
        };
        let cleared = clear_to_end(&leg, &lower_case, &supervisor(), None).expect("cleared");
        assert_eq!(cleared.id(), &leg);
    }

    #[test]
    fn clearing_refuses_the_supervised_contact_as_leg() {
        // The leg was adopted before the vendor named its contact.
        let same = ContactSeen {
            id: "Contact-1".into(),
            related: Vec::new(),
            ..seen()
        };
        let leg = LegId::from_description(&same, None).expect("a leg");
        let cleared = clear_to_end(&leg, &same, &supervisor(), Some(&contact())).map(|_| ());
        assert_eq!(cleared, Err(Refusal::IsTheContact));
    }
}
