//! The interlock: **the customer's call is never ended by us**, by construction.
//!
//! A `StopContact` with the customer's contact id may end the customer's call (`StopContact` "ends the specified
//! contact"). So:
//!
//! - [`LegId`] and [`ContactId`] are different types. A `LegId` is made only from the answer to our own MonitorContact,
//!   from a DescribeContact that says MONITOR, or by the store of one so made; every constructor refuses an id equal
//!   to the supervised contact. A partner carrier's leg has a name that is no contact's at all.
//! - No function in this crate takes a `ContactId` and ends it. The one that ends a leg takes a [`ClearedLeg`], and
//!   [`clear_to_end`] is the only thing that makes one: after the vendor has just said that this id is a MONITOR
//!   contact of this supervisor.
//! - The SDK's call stands in one file of this repository, and nowhere else even in words: the architecture test says so.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::ids::{ContactId, UserId};
use super::supervision::{Channel, Mode};

/// The supervisor's own MONITOR contact.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LegId(String);

impl LegId {
    /// The leg that MonitorContact just gave us for `supervised`.
    ///
    /// # Errors
    /// [`Refusal::IsTheContact`] if the vendor answered with the supervised contact's own id.
    pub fn from_monitor_answer(raw: &str, supervised: &ContactId) -> Result<Self, Refusal> {
        Self::apart_from(raw, Some(supervised))
    }

    /// The leg that a DescribeContact shows.
    ///
    /// # Errors
    /// [`Refusal::NotMonitor`] unless the vendor says MONITOR; [`Refusal::IsTheContact`] for the supervised id.
    pub fn from_description(seen: &ContactSeen, supervised: Option<&ContactId>) -> Result<Self, Refusal> {
        if !seen.is_monitor() {
            return Err(Refusal::NotMonitor);
        }
        Self::apart_from(&seen.id, supervised)
    }

    /// A partner carrier's own leg: a name of ours (UUIDv5 of carrier, instance and leg) that two writers agree on, and
    /// that is no contact id of Amazon Connect's, so that nothing there could be ended by it.
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

/// What a DescribeContact said of one contact, as far as the rules need it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContactSeen {
    /// `Contact.Id`.
    pub id: String,
    /// `Contact.InitiationMethod`, upper case.
    pub initiation_method: String,
    /// `Contact.Channel`, if it is one we know.
    pub channel: Option<Channel>,
    /// `Contact.AgentInfo.Id`: for a MONITOR contact, the supervisor.
    pub agent: Option<String>,
    /// Other contacts it names (`RelatedContactId`, `InitialContactId`, `PreviousContactId`), itself left out. Which of
    /// them links a MONITOR leg to the customer's contact is not documented, so all are kept, likeliest first.
    pub related: Vec<String>,
    /// `Contact.InitiationTimestamp`, on the vendor's clock.
    pub initiated_at: Option<jiff::Timestamp>,
    /// When the agent or supervisor was connected, on the vendor's clock: `AgentInfo.ConnectedToAgentTimestamp`, else
    /// the first of `AgentInfo.StateTransitions`.
    pub connected_at: Option<jiff::Timestamp>,
    /// `Contact.DisconnectTimestamp`, on the vendor's clock.
    pub disconnected_at: Option<jiff::Timestamp>,
    /// `Contact.DisconnectReason`.
    pub disconnect_reason: Option<String>,
    /// What `AgentInfo.StateTransitions` say of the supervisor's modes, each with its start on the vendor's clock.
    pub modes: Vec<(Mode, Option<jiff::Timestamp>)>,
    /// The one of these that they are in: that which has not ended.
    pub mode: Option<(Mode, Option<jiff::Timestamp>)>,
    /// Whether `Contact.NextContacts` names a successor, as after a transfer.
    pub has_successor: bool,
}

impl ContactSeen {
    /// Whether the vendor says this is a supervisor's leg.
    pub fn is_monitor(&self) -> bool {
        self.initiation_method.eq_ignore_ascii_case("MONITOR")
    }

    /// The customer's contact this leg listens to, if it names one.
    pub fn supervised(&self) -> Option<ContactId> {
        self.related.iter().find_map(|id| ContactId::parse(id.as_str()).ok())
    }
}

/// A leg that may be ended from the server: proof that [`clear_to_end`] agreed.
#[derive(Debug)]
pub struct ClearedLeg(LegId);

impl ClearedLeg {
    /// The leg that may be ended.
    pub fn id(&self) -> &LegId {
        &self.0
    }
}

/// Why the interlock refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The id is the supervised contact's.
    #[error("this is the supervised contact itself, not the supervisor's leg")]
    IsTheContact,
    /// The vendor does not say MONITOR.
    #[error("the vendor does not call this contact a MONITOR contact")]
    NotMonitor,
    /// The vendor names another user, or none.
    #[error("the vendor does not say that this leg belongs to the supervisor")]
    OtherSupervisor,
    /// The vendor described another contact than the one asked about.
    #[error("the vendor described another contact than the leg")]
    OtherContact,
    /// The vendor's id is not one.
    #[error("the vendor's id cannot be read")]
    Unreadable,
}

/// Agrees that `leg` may be ended from the server, given what the vendor has just said about it.
///
/// # Errors
/// A [`Refusal`] unless the description is of this very leg, says MONITOR, names the supervisor, and the leg is not
/// the supervised contact.
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
    if seen.agent.as_deref() != Some(supervisor.as_str()) {
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
            initiation_method: "MONITOR".into(),
            channel: Some(Channel::Chat),
            agent: Some("sup-1".into()),
            related: vec!["contact-1".into()],
            initiated_at: None,
            connected_at: None,
            disconnected_at: None,
            disconnect_reason: None,
            modes: Vec::new(),
            mode: None,
            has_successor: false,
        }
    }

    fn contact() -> ContactId {
        ContactId::parse("contact-1").expect("a contact id")
    }

    fn supervisor() -> UserId {
        UserId::parse("sup-1").expect("a user id")
    }

    #[test]
    fn a_leg_is_never_the_supervised_contact() {
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
    fn only_what_the_vendor_calls_monitor_is_a_leg() {
        let inbound = ContactSeen {
            initiation_method: "INBOUND".into(),
            ..seen()
        };
        assert_eq!(LegId::from_description(&inbound, None), Err(Refusal::NotMonitor));
        assert!(LegId::from_description(&seen(), Some(&contact())).is_ok());
    }

    #[test]
    fn ending_needs_the_vendors_word_on_every_point() {
        let leg = LegId::from_monitor_answer("leg-1", &contact()).expect("a leg");
        let ask = |seen: &ContactSeen| clear_to_end(&leg, seen, &supervisor(), Some(&contact())).map(|_| ());
        assert_eq!(ask(&seen()), Ok(()));
        assert_eq!(
            ask(&ContactSeen {
                initiation_method: "INBOUND".into(),
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
}
