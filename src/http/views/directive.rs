//! A directive in answers: as `nextAction` of a supervision, and in its supervisor's stream.

use serde::Serialize;
use sidedoor_domain::directive::{Directive, DirectiveKind, DirectiveStatus};
use sidedoor_domain::interlock::LegId;
use sidedoor_domain::supervision::{Mode, Supervision};

use crate::http::views::Rfc3339;
use crate::usecases::UseCases;
use crate::usecases::directives::feed::DirectiveEvent;

/// What the browser, or otherwise a person, must do.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DirectiveView {
    directive_id: String,
    kind: &'static str,
    mode: Option<&'static str>,
    status: &'static str,
    supervision_id: String,
    leg_contact_id: String,
    contact_id: Option<String>,
    controller_attached: bool,
    customer_call_may_end: bool,
    instructions: &'static str,
    issued_at: Rfc3339,
    expires_at: Rfc3339,
    acknowledged: Option<&'static str>,
}

impl DirectiveView {
    pub(crate) fn of(usecases: &UseCases, s: &Supervision, d: &Directive) -> Self {
        let attached = usecases.directives.controller_attached(s);
        Self {
            directive_id: d.id.to_string(),
            kind: d.kind.as_str(),
            mode: d.kind.mode().map(Mode::as_str),
            status: d.status().as_str(),
            supervision_id: s.id.to_string(),
            // A directive always has a leg.
            leg_contact_id: s.leg.as_ref().map(LegId::to_string).unwrap_or_default(),
            contact_id: s.contact.as_ref().map(ToString::to_string),
            controller_attached: attached,
            customer_call_may_end: d.customer_call_may_end,
            instructions: instructions(d, attached),
            issued_at: Rfc3339::of(d.issued_at),
            expires_at: Rfc3339::of(d.expires_at),
            acknowledged: match d.status() {
                DirectiveStatus::Answered(outcome) => Some(outcome.as_str()),
                DirectiveStatus::Open | DirectiveStatus::Withdrawn => None,
            },
        }
    }
}

/// Instructions for people, depending on whether a browser is connected that will act.
fn instructions(d: &Directive, attached: bool) -> &'static str {
    match (d.kind, attached) {
        (DirectiveKind::EndLegInCcp, true) => {
            "The supervisor's browser gets a directive to end their own MONITOR contact (legContactId), and no other connection. If it \
             does not, the supervisor chooses End call in their Contact Control Panel."
        }
        (DirectiveKind::EndLegInCcp, false) => {
            "No browser of this supervisor is connected. End the supervisor's own MONITOR contact (legContactId), \
             and no other connection: the supervisor chooses End call in their Contact Control Panel, or opens a page that \
             connects and gets the directive then."
        }
        (DirectiveKind::ChangeModeInCcp(_), true) => {
            "The supervisor's browser gets a directive to change the mode of their own MONITOR contact (legContactId)."
        }
        (DirectiveKind::ChangeModeInCcp(_), false) => {
            "No browser of this supervisor is connected. The supervisor changes the mode of their own MONITOR contact in their \
             Contact Control Panel, or opens a page that connects and gets the directive then."
        }
    }
}

/// A directive in its supervisor's stream.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DirectiveEventView {
    event_id: String,
    act: bool,
    #[serde(flatten)]
    directive: DirectiveView,
}

impl DirectiveEventView {
    pub(crate) fn of(usecases: &UseCases, change: &DirectiveEvent) -> Self {
        Self {
            event_id: change.seq.to_string(),
            act: change.act,
            directive: DirectiveView::of(usecases, &change.supervision, &change.directive),
        }
    }
}
