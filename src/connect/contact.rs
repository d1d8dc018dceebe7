//! The wire shape of DescribeContact, translated to a [`ContactSeen`].

use aws_sdk_connect::types::{AgentInfo, AssociatedContactSummary, Contact, QueueInfo, StateTransition};
use aws_smithy_types::DateTime;
use jiff::Timestamp;
use sidedoor_domain::contact_event::InitiationMethod;
use sidedoor_domain::interlock::ContactSeen;
use sidedoor_domain::ports::associated_contacts::AssociatedContact;
use sidedoor_domain::supervision::{Channel, Mode};

/// Takes only what the domain's rules need, so that customer data does not leave this module.
pub(super) fn seen(contact: &Contact) -> ContactSeen {
    let id = contact.id().unwrap_or_default().to_owned();
    let mut related: Vec<String> = Vec::new();
    // It is not documented which of these fields links a leg to its contact; the most likely comes first.
    for other in [
        contact.related_contact_id(),
        contact.initial_contact_id(),
        contact.previous_contact_id(),
    ] {
        if let Some(other) = other.filter(|o| !o.is_empty() && *o != id)
            && !related.iter().any(|r| r == other)
        {
            related.push(other.to_owned());
        }
    }
    let agent = contact.agent_info();
    let (modes, mode) = agent.map(modes).unwrap_or_default();
    ContactSeen {
        previous: contact.previous_contact_id().map(ToOwned::to_owned),
        related,
        initiation_method: InitiationMethod::parse(contact.initiation_method().map_or("", |m| m.as_str())),
        channel: contact.channel().and_then(|c| Channel::parse(c.as_str())),
        queue: contact.queue_info().and_then(QueueInfo::id).map(ToOwned::to_owned),
        agent: agent.and_then(AgentInfo::id).map(ToOwned::to_owned),
        initiated_at: contact.initiation_timestamp().and_then(moment),
        connected_at: agent.and_then(connected_at),
        disconnected_at: contact.disconnect_timestamp().and_then(moment),
        modes,
        mode,
        disconnect_reason: contact.disconnect_reason().map(|r| r.chars().take(64).collect()),
        has_successor: !contact.next_contacts().is_empty(),
        id,
    }
}

/// An entry of ListAssociatedContacts.
pub(super) fn associated(contact: &AssociatedContactSummary) -> AssociatedContact {
    AssociatedContact {
        id: contact.contact_id().unwrap_or_default().to_owned(),
        initiation_method: InitiationMethod::parse(contact.initiation_method().map_or("", |m| m.as_str())),
        initiated_at: contact.initiation_timestamp().and_then(moment),
        disconnected_at: contact.disconnect_timestamp().and_then(moment),
    }
}

/// A mode and its start.
type Since = (Mode, Option<Timestamp>);

/// All modes in `StateTransitions`, and the current one: the mode that has not ended, otherwise the latest. States other
/// than SILENT_MONITOR and BARGE say nothing about the mode. Because timestamps have whole seconds, several modes may have
/// the same start; the last of them counts.
fn modes(agent: &AgentInfo) -> (Vec<Since>, Option<Since>) {
    let mode = |t: &StateTransition| match t.state()?.as_str().to_ascii_uppercase().as_str() {
        "SILENT_MONITOR" => Some((Mode::Silent, t.state_start_timestamp().and_then(moment))),
        "BARGE" => Some((Mode::Barge, t.state_start_timestamp().and_then(moment))),
        _ => None,
    };
    let all = agent.state_transitions();
    let open = all
        .iter()
        .filter(|t| t.state_end_timestamp().is_none())
        .filter_map(mode);
    let now = open.max_by_key(|(_, since)| *since);
    let any: Vec<Since> = all.iter().filter_map(mode).collect();
    let last = any.iter().copied().max_by_key(|(_, since)| *since);
    (any, now.or(last))
}

/// When the supervisor was connected. The documentation of `StateTransitions` ("for a supervisor") names the state
/// CONNECTED in one place and SILENT_MONITOR or BARGE in another, so the first state other than INITIAL counts.
fn connected_at(agent: &AgentInfo) -> Option<Timestamp> {
    let by_stamp = agent.connected_to_agent_timestamp().and_then(moment);
    by_stamp.or_else(|| {
        let live = agent
            .state_transitions()
            .iter()
            .filter(|t| t.state().is_some_and(|s| s.as_str() != "INITIAL"));
        live.filter_map(|t| t.state_start_timestamp().and_then(moment)).min()
    })
}

/// Converts the vendor's epoch seconds, which may have a fraction, to whole milliseconds. It rounds, because a JSON number holds a
/// millisecond only nearly: .073 may be read as .072999.
pub(super) fn moment(at: &DateTime) -> Option<Timestamp> {
    let fraction = i64::from(at.subsec_nanos().saturating_add(500_000) / 1_000_000);
    let ms = at.secs().checked_mul(1000)?.checked_add(fraction)?;
    Timestamp::from_millisecond(ms).ok()
}
