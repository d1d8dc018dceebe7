//! How contacts and legs end, and what the end of one means for the other.

use jiff::Timestamp;

use super::ledger::EndEntry;
use super::state::{InstanceState, unknown_contact};
use crate::clock::{iso, real_now};

impl InstanceState {
    /// Whether the customer's call would end if this leg ended: its supervisor has barged in, the agent has left, and no other
    /// supervisor has barged in.
    pub(super) fn is_last_party(&self, leg: &str) -> bool {
        let Some(found) = self.contacts.get(leg) else {
            return false;
        };
        let supervised = found.supervised.clone().unwrap_or_default();
        let others = self.live_legs(&supervised);
        let others = others
            .iter()
            .filter(|id| *id != leg)
            .filter_map(|id| self.contacts.get(id));
        found.mode() == Some("BARGE")
            && self.contacts.get(&supervised).is_some_and(|c| c.agent_gone.is_some())
            && !others.into_iter().any(|leg| leg.mode() == Some("BARGE"))
    }

    /// Returns the customer's contact if only the customer is left on it now.
    pub(super) fn end_leg_in_ccp(&mut self, user: &str, leg: &str) -> Result<Option<String>, String> {
        let found = self.contacts.get(leg).ok_or_else(|| unknown_contact(leg))?;
        if found.initiation_method != "MONITOR" {
            return Err("not a MONITOR contact".into());
        }
        if found.user != user {
            return Err("the leg belongs to another supervisor".into());
        }
        if found.ended.is_some() {
            return Err("the leg has already ended".into());
        }
        let supervised = found.supervised.clone().unwrap_or_default();
        let was_last = self.is_last_party(leg);
        self.leave(leg, "CCP", "AGENT_DISCONNECT");
        // The accident that Sidedoor must prevent: the customer is alone, so the call will end.
        Ok(was_last.then_some(supervised))
    }

    /// Ends a leg because its supervisor leaves. Afterwards happens what the settings say about the customer's call.
    pub(super) fn leave(&mut self, leg: &str, by: &str, reason: &str) {
        let Some(found) = self.contacts.get(leg) else { return };
        let (silent, supervised) = (found.mode() == Some("SILENT_MONITOR"), found.supervised.clone());
        let now = real_now();
        self.end_at(leg, by, reason, now);
        let Some(call) = supervised.filter(|id| self.contacts.get(id).is_some_and(|c| c.ended.is_none())) else {
            return;
        };
        if silent && self.happens(self.settings.silent_leave_ends_call) {
            self.end_at(&call, "SILENT_LEAVE", "AGENT_DISCONNECT", now);
        } else if self.happens(self.settings.hang_up_after_leave) {
            let delay_ms = self.rng.u64(0..1000);
            self.planned_hang_ups.push((call, delay_ms));
        }
    }

    pub(super) fn hang_up(&mut self, contact: &str, by: &str) -> Result<(), String> {
        let found = self.contacts.get(contact).ok_or_else(|| unknown_contact(contact))?;
        if found.initiation_method == "MONITOR" || found.ended.is_some() {
            return Err("not a live customer contact".into());
        }
        let reason = if by == "AGENT" {
            "AGENT_DISCONNECT"
        } else {
            "CUSTOMER_DISCONNECT"
        };
        self.end(contact, by, reason);
        Ok(())
    }

    /// Ends a contact now. A customer's contact ends every leg on it.
    pub(super) fn end(&mut self, id: &str, by: &str, reason: &str) {
        self.end_at(id, by, reason, real_now());
    }

    pub(super) fn end_at(&mut self, id: &str, by: &str, reason: &str, now: Timestamp) {
        let legs = self.live_legs(id);
        let Some(contact) = self.contacts.get_mut(id) else {
            return;
        };
        if contact.ended.is_some() {
            return;
        }
        contact.ended = Some((now, reason.to_owned()));
        let (is_leg, user) = (contact.initiation_method == "MONITOR", contact.user.clone());
        let kind = if contact.initiation_method == "MONITOR" {
            "LEG"
        } else {
            "CUSTOMER"
        };
        self.ledger.end(EndEntry {
            contact_id: id.into(),
            kind: kind.into(),
            by: by.into(),
            at: iso(now),
        });
        self.emit_contact_event(id, "DISCONNECTED");
        if self.settings.completed_events {
            self.emit_contact_event(id, "COMPLETED");
        }
        if is_leg {
            self.emit_agent_event(&user, Some(id));
        }
        for leg in legs {
            self.end_at(&leg, "CONTACT_ENDED", reason, now);
        }
    }
}
