//! A supervision in answers. Every field is always present; unknown values are null. "Accepted" (`state`), "confirmed by the
//! vendor" (`departure`) and "written to Salesforce" (`salesforceRecord`) are separate fields.

use serde::Serialize;
use sidedoor_domain::authority::Caller;
use sidedoor_domain::departure::Reason;
use sidedoor_domain::ports::store::{RecordSync, StoredSupervision};
use sidedoor_domain::supervision::{Channel, Mode, State, Supervision};

use crate::http::views::Rfc3339;
use crate::http::views::directive::DirectiveView;
use crate::usecases::UseCases;

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SupervisionView {
    id: String,
    origin: &'static str,
    instance: String,
    vendor: String,
    channel: Option<&'static str>,
    contact_id: Option<String>,
    leg_contact_id: Option<String>,
    supervisor: SupervisorView,
    voice_call_id: Option<String>,
    request_reason: Option<String>,
    agent_user_id: Option<String>,
    agent_username: Option<String>,
    agent_salesforce_user_id: Option<String>,
    queue: Option<String>,
    allowed_modes: Option<&'static [&'static str]>,
    mode: &'static str,
    has_barged: bool,
    mode_change: Option<ModeChangeView>,
    compliance: ComplianceView,
    state: &'static str,
    overdue: bool,
    leave_outcome: Option<&'static str>,
    waits_for: Option<String>,
    requested_at: Option<Rfc3339>,
    joined_at: Option<Rfc3339>,
    joined_uncertainty_ms: Option<i64>,
    disconnect_requested_at: Option<Rfc3339>,
    failure: Option<FailureView>,
    confirmation: &'static str,
    claimed_at: Option<Rfc3339>,
    departure: Option<DepartureView>,
    salesforce_record: Option<SalesforceRecordView>,
    next_action: Option<DirectiveView>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct SupervisorView {
    connect_user_id: Option<String>,
    username: Option<String>,
    salesforce_user_id: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct FailureView {
    code: String,
    detail: String,
    at: Rfc3339,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct DepartureView {
    disconnected_at: Rfc3339,
    uncertainty_ms: Option<i64>,
    earliest: Option<Rfc3339>,
    latest: Rfc3339,
    vendor_timestamp: Option<Rfc3339>,
    source: &'static str,
    reason: &'static str,
    customer_call_continued: Option<bool>,
    agent_after: Option<AgentAfterView>,
    conflicting: bool,
    calibration: CalibrationView,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct CalibrationView {
    grade: &'static str,
    offset_ms: Option<i64>,
    version: u32,
    modelled_earliest: Option<Rfc3339>,
    modelled_latest: Option<Rfc3339>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SalesforceRecordView {
    state: &'static str,
    version: u32,
    written_version: u32,
    object_name: Option<String>,
    record_id: Option<String>,
    written_at: Option<Rfc3339>,
    attempts: u32,
    last_error: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ModeChangeView {
    mode: &'static str,
    requested_at: Rfc3339,
    confirmed_at: Option<Rfc3339>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ComplianceView {
    jurisdiction: Option<String>,
    rejoin: bool,
    prior_supervisions: Vec<String>,
    announcement: &'static str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct AgentAfterView {
    state: String,
    looks_wrong: bool,
}

impl SupervisionView {
    /// For the answer to a disconnect of a supervision that was already over.
    pub(crate) fn was_over(mut self) -> Self {
        if self.leave_outcome == Some("LEFT") {
            self.leave_outcome = Some("ALREADY_LEFT");
        }
        self
    }

    /// The view for the answer to a switch; its next action leaves the first contact.
    pub(crate) fn leaving_first(mut self, usecases: &UseCases, first: &StoredSupervision) -> Self {
        self.next_action = next_action(usecases, &first.supervision);
        self
    }

    /// The view in a list. A directive is only for those who may read the supervision by itself.
    pub(crate) fn for_caller(usecases: &UseCases, stored: &StoredSupervision, caller: &Caller) -> Self {
        let view = Self::of(usecases, stored);
        if caller.may_see(&stored.supervision) {
            return view;
        }
        Self {
            request_reason: None,
            failure: None,
            salesforce_record: None,
            next_action: None,
            ..view
        }
    }

    pub(crate) fn of(usecases: &UseCases, stored: &StoredSupervision) -> Self {
        let s = &stored.supervision;
        Self {
            id: s.id.to_string(),
            origin: s.origin.as_str(),
            instance: s.instance.to_string(),
            vendor: s.vendor.clone(),
            channel: s.channel.map(Channel::as_str),
            contact_id: s.contact.as_ref().map(ToString::to_string),
            leg_contact_id: s.leg.as_ref().map(ToString::to_string),
            supervisor: SupervisorView {
                connect_user_id: s.supervisor.connect_user_id.as_ref().map(ToString::to_string),
                username: s.supervisor.username.clone(),
                salesforce_user_id: s.supervisor.salesforce_user_id.clone(),
            },
            voice_call_id: s.voice_call_id.clone(),
            request_reason: s.request_reason.clone(),
            agent_user_id: s.agent.as_ref().map(ToString::to_string),
            agent_username: s.names.agent_username.clone(),
            agent_salesforce_user_id: s.names.agent_salesforce_user_id.clone(),
            queue: s.names.queue.as_ref().or(s.names.queue_id.as_ref()).cloned(),
            allowed_modes: s.allowed.map(allowed_modes),
            mode: s.mode.as_str(),
            has_barged: s.has_barged,
            mode_change: s.mode_change.as_ref().map(|c| ModeChangeView {
                mode: c.to.as_str(),
                requested_at: Rfc3339::of(c.at),
                confirmed_at: c.confirmed_at.map(Rfc3339::of),
            }),
            compliance: ComplianceView {
                jurisdiction: s.compliance.jurisdiction.clone(),
                rejoin: s.compliance.rejoin,
                prior_supervisions: s.compliance.prior.iter().map(ToString::to_string).collect(),
                announcement: s.compliance.announcement.as_str(),
            },
            state: s.state.as_str(),
            overdue: s.overdue,
            leave_outcome: leave_outcome(s),
            waits_for: s.waits_for.map(|id| id.to_string()),
            requested_at: s.requested_at.map(Rfc3339::of),
            joined_at: s.joined.map(|j| Rfc3339::of(j.at)),
            joined_uncertainty_ms: s.joined.and_then(|j| j.uncertainty_ms),
            disconnect_requested_at: s.leave.as_ref().map(|l| Rfc3339::of(l.at)),
            failure: s.failure.as_ref().map(|f| FailureView {
                code: f.code.clone(),
                detail: f.detail.clone(),
                at: Rfc3339::of(f.at),
            }),
            confirmation: s.confirmation().as_str(),
            claimed_at: s.watch.claim.map(|claim| Rfc3339::of(claim.learnt_at)),
            departure: departure(s),
            salesforce_record: stored.record_sync.as_ref().map(SalesforceRecordView::of),
            next_action: next_action(usecases, s),
        }
    }
}

fn allowed_modes(most: Mode) -> &'static [&'static str] {
    match most {
        Mode::Silent => &["SILENT"],
        Mode::Barge => &["SILENT", "BARGE"],
    }
}

/// The state of the leave in one word; none until a leave is requested or the supervisor has left.
fn leave_outcome(s: &Supervision) -> Option<&'static str> {
    match (s.state, &s.departure) {
        (State::Left, Some(d)) if d.reason == Reason::ContactEnded => Some("ENDED_WITH_CONTACT"),
        (State::Left, _) => Some("LEFT"),
        (State::Leaving, _) if s.overdue => Some("OVERDUE"),
        (State::Leaving, _) => Some("LEAVING"),
        (State::Failed, _) => Some("NEVER_JOINED"),
        (State::Requested | State::Joining, _) if s.leave.is_some() => Some("LEAVING"),
        _ => None,
    }
}

fn departure(s: &Supervision) -> Option<DepartureView> {
    let d = s.departure.as_ref()?;
    Some(DepartureView {
        disconnected_at: Rfc3339::of(d.disconnected_at),
        uncertainty_ms: d.uncertainty_ms,
        earliest: d.earliest.map(Rfc3339::of),
        latest: Rfc3339::of(d.latest),
        vendor_timestamp: d.vendor_timestamp.map(Rfc3339::of),
        source: d.source.as_str(),
        reason: d.reason.as_str(),
        customer_call_continued: d.continuity.as_bool(),
        agent_after: d.agent_after.as_ref().map(|a| AgentAfterView {
            state: a.state.clone(),
            looks_wrong: a.looks_wrong,
        }),
        conflicting: d.conflicting,
        calibration: CalibrationView {
            grade: d.grade.as_str(),
            offset_ms: d.offset_ms,
            version: d.calibration_version,
            modelled_earliest: d.basis.modelled.map(|(from, _)| Rfc3339::of(from)),
            modelled_latest: d.basis.modelled.map(|(_, to)| Rfc3339::of(to)),
        },
    })
}

impl SalesforceRecordView {
    pub(crate) fn of(r: &RecordSync) -> Self {
        Self {
            state: r.state.as_str(),
            version: r.version,
            written_version: r.written_version,
            object_name: r.object_name.clone(),
            record_id: r.record_id.clone(),
            written_at: r.written_at.map(Rfc3339::of),
            attempts: r.attempts,
            last_error: r.last_error.clone(),
        }
    }
}

/// What the browser, or otherwise a person, must do next.
fn next_action(usecases: &UseCases, s: &Supervision) -> Option<DirectiveView> {
    s.current_directive().map(|d| DirectiveView::of(usecases, s, d))
}
