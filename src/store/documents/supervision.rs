//! The document of a supervision.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sidedoor_domain::directive::{AckOutcome, Acknowledgement, Directive, DirectiveKind};
use sidedoor_domain::ids::{ClientToken, ContactId, DirectiveId, InstanceName, RegionName, SupervisionId, UserId};
use sidedoor_domain::interlock::LegId;
use sidedoor_domain::rejoin::{Announcement, Compliance};
use sidedoor_domain::supervision::{
    AMAZON_CONNECT, Channel, Failure, Join, Joined, LeaveRequest, Mode, ModeChange, Origin, Requester, ServerEnd,
    State, Supervision, Supervisor,
};
use sidedoor_domain::trace_parent::TraceParent;

use super::departure::DepartureDocument;
use super::leg_watch::{LegSearchDocument, LegWatchDocument};
use super::names::NamesDocument;

fn amazon_connect() -> String {
    AMAZON_CONNECT.to_owned()
}

/// [`Supervision`], version 1. A field with a default was added after the first stores were written.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct SupervisionDocument {
    #[serde(default = "super::version_one")]
    v: u32,
    id: SupervisionId,
    origin: Origin,
    #[serde(default = "amazon_connect")]
    vendor: String,
    instance: InstanceName,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    region: Option<RegionName>,
    channel: Option<Channel>,
    contact: Option<ContactId>,
    leg: Option<LegId>,
    supervisor: SupervisorDocument,
    voice_call_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    messaging_session_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    request_reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    agent: Option<UserId>,
    #[serde(default, skip_serializing_if = "NamesDocument::is_old")]
    names: NamesDocument,
    #[serde(default)]
    allowed: Option<Mode>,
    mode: Mode,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mode_since: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mode_seen_at: Option<Timestamp>,
    #[serde(default)]
    has_barged: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mode_change: Option<ModeChangeDocument>,
    #[serde(default)]
    compliance: ComplianceDocument,
    state: State,
    overdue: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    was_overdue: bool,
    requested_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    trace_parent: Option<TraceParent>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    waits_for: Option<SupervisionId>,
    #[serde(default, skip_serializing_if = "super::is_false")]
    only_waits: bool,
    join: Option<JoinDocument>,
    joined: Option<JoinedDocument>,
    leave: Option<LeaveDocument>,
    #[serde(default)]
    directives: Vec<DirectiveDocument>,
    alive_at: Option<Timestamp>,
    /// Written by earlier versions, and not used any more.
    #[serde(default, skip_serializing_if = "super::is_false")]
    contact_ended: bool,
    #[serde(default, skip_serializing_if = "LegWatchDocument::is_empty")]
    watch: LegWatchDocument,
    departure: Option<DepartureDocument>,
    failure: Option<FailureDocument>,
    next_check_at: Option<Timestamp>,
    checks: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    record_unanswered_at: Option<Timestamp>,
}

#[derive(Debug, Serialize, Deserialize)]
struct SupervisorDocument {
    connect_user_id: Option<UserId>,
    username: Option<String>,
    salesforce_user_id: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct JoinDocument {
    client_token: ClientToken,
    first_sent_at: Option<Timestamp>,
    expires_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    search: Option<LegSearchDocument>,
}

#[derive(Debug, Serialize, Deserialize)]
struct JoinedDocument {
    at: Timestamp,
    uncertainty_ms: Option<i64>,
    vendor_stamp: Option<Timestamp>,
}

#[derive(Debug, Serialize, Deserialize)]
struct LeaveDocument {
    at: Timestamp,
    by: Requester,
    deadline: Option<Timestamp>,
    server_end: ServerEnd,
    #[serde(default, skip_serializing_if = "super::is_false")]
    customer_call_may_end: bool,
}

#[derive(Debug, Serialize, Deserialize)]
struct ModeChangeDocument {
    to: Mode,
    at: Timestamp,
    by: Requester,
    directive: DirectiveId,
    #[serde(default)]
    since_before: Option<Timestamp>,
    confirmed_at: Option<Timestamp>,
}

#[derive(Debug, Serialize, Deserialize)]
struct FailureDocument {
    code: String,
    detail: String,
    at: Timestamp,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct ComplianceDocument {
    jurisdiction: Option<String>,
    rejoin: bool,
    prior: Vec<SupervisionId>,
    announcement: Announcement,
}

#[derive(Debug, Serialize, Deserialize)]
struct DirectiveDocument {
    id: DirectiveId,
    kind: DirectiveKind,
    issued_at: Timestamp,
    expires_at: Timestamp,
    #[serde(default, skip_serializing_if = "super::is_false")]
    customer_call_may_end: bool,
    answer: Option<AcknowledgementDocument>,
    #[serde(default, skip_serializing_if = "super::is_false")]
    withdrawn: bool,
}

#[derive(Debug, Serialize, Deserialize)]
struct AcknowledgementDocument {
    outcome: AckOutcome,
    at: Option<Timestamp>,
    received_at: Timestamp,
    detail: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    credential: Option<String>,
}

impl SupervisionDocument {
    pub(super) fn version(&self) -> u32 {
        self.v
    }
}

impl From<Supervision> for SupervisionDocument {
    fn from(from: Supervision) -> Self {
        Self {
            v: super::VERSION,
            id: from.id,
            origin: from.origin,
            vendor: from.vendor,
            instance: from.instance,
            region: from.region,
            channel: from.channel,
            contact: from.contact,
            leg: from.leg,
            supervisor: from.supervisor.into(),
            voice_call_id: from.voice_call_id,
            messaging_session_id: from.messaging_session_id,
            request_reason: from.request_reason,
            agent: from.agent,
            names: from.names.into(),
            allowed: from.allowed,
            mode: from.mode,
            mode_since: from.mode_since,
            mode_seen_at: from.mode_seen_at,
            has_barged: from.has_barged,
            mode_change: from.mode_change.map(Into::into),
            compliance: from.compliance.into(),
            state: from.state,
            overdue: from.overdue,
            was_overdue: from.was_overdue,
            requested_at: from.requested_at,
            trace_parent: from.trace_parent,
            waits_for: from.waits_for,
            only_waits: from.only_waits,
            join: from.join.map(Into::into),
            joined: from.joined.map(Into::into),
            leave: from.leave.map(Into::into),
            directives: from.directives.into_iter().map(Into::into).collect(),
            alive_at: from.alive_at,
            contact_ended: false,
            watch: from.watch.into(),
            departure: from.departure.map(Into::into),
            failure: from.failure.map(Into::into),
            next_check_at: from.next_check_at,
            checks: from.checks,
            record_unanswered_at: from.record_unanswered_at,
        }
    }
}

impl From<SupervisionDocument> for Supervision {
    fn from(from: SupervisionDocument) -> Self {
        Self {
            id: from.id,
            origin: from.origin,
            vendor: from.vendor,
            instance: from.instance,
            region: from.region,
            channel: from.channel,
            contact: from.contact,
            leg: from.leg,
            supervisor: from.supervisor.into(),
            voice_call_id: from.voice_call_id,
            messaging_session_id: from.messaging_session_id,
            request_reason: from.request_reason,
            agent: from.agent,
            names: from.names.into(),
            allowed: from.allowed,
            mode: from.mode,
            mode_since: from.mode_since,
            mode_seen_at: from.mode_seen_at,
            has_barged: from.has_barged,
            mode_change: from.mode_change.map(Into::into),
            compliance: from.compliance.into(),
            state: from.state,
            overdue: from.overdue,
            was_overdue: from.was_overdue,
            requested_at: from.requested_at,
            trace_parent: from.trace_parent,
            waits_for: from.waits_for,
            only_waits: from.only_waits,
            join: from.join.map(Into::into),
            joined: from.joined.map(Into::into),
            leave: from.leave.map(Into::into),
            directives: from.directives.into_iter().map(Into::into).collect(),
            alive_at: from.alive_at,
            watch: from.watch.into(),
            departure: from.departure.map(Into::into),
            failure: from.failure.map(Into::into),
            next_check_at: from.next_check_at,
            checks: from.checks,
            record_unanswered_at: from.record_unanswered_at,
        }
    }
}

impl From<Supervisor> for SupervisorDocument {
    fn from(from: Supervisor) -> Self {
        Self {
            connect_user_id: from.connect_user_id,
            username: from.username,
            salesforce_user_id: from.salesforce_user_id,
        }
    }
}

impl From<SupervisorDocument> for Supervisor {
    fn from(from: SupervisorDocument) -> Self {
        Self {
            connect_user_id: from.connect_user_id,
            username: from.username,
            salesforce_user_id: from.salesforce_user_id,
        }
    }
}

impl From<Join> for JoinDocument {
    fn from(from: Join) -> Self {
        Self {
            client_token: from.client_token,
            first_sent_at: from.first_sent_at,
            expires_at: from.expires_at,
            search: from.search.map(Into::into),
        }
    }
}

impl From<JoinDocument> for Join {
    fn from(from: JoinDocument) -> Self {
        Self {
            client_token: from.client_token,
            first_sent_at: from.first_sent_at,
            expires_at: from.expires_at,
            search: from.search.map(Into::into),
        }
    }
}

impl From<Joined> for JoinedDocument {
    fn from(from: Joined) -> Self {
        Self {
            at: from.at,
            uncertainty_ms: from.uncertainty_ms,
            vendor_stamp: from.vendor_stamp,
        }
    }
}

impl From<JoinedDocument> for Joined {
    fn from(from: JoinedDocument) -> Self {
        Self {
            at: from.at,
            uncertainty_ms: from.uncertainty_ms,
            vendor_stamp: from.vendor_stamp,
        }
    }
}

impl From<LeaveRequest> for LeaveDocument {
    fn from(from: LeaveRequest) -> Self {
        Self {
            at: from.at,
            by: from.by,
            deadline: from.deadline,
            server_end: from.server_end,
            customer_call_may_end: from.customer_call_may_end,
        }
    }
}

impl From<LeaveDocument> for LeaveRequest {
    fn from(from: LeaveDocument) -> Self {
        Self {
            at: from.at,
            by: from.by,
            deadline: from.deadline,
            server_end: from.server_end,
            customer_call_may_end: from.customer_call_may_end,
        }
    }
}

impl From<ModeChange> for ModeChangeDocument {
    fn from(from: ModeChange) -> Self {
        Self {
            to: from.to,
            at: from.at,
            by: from.by,
            directive: from.directive,
            since_before: from.since_before,
            confirmed_at: from.confirmed_at,
        }
    }
}

impl From<ModeChangeDocument> for ModeChange {
    fn from(from: ModeChangeDocument) -> Self {
        Self {
            to: from.to,
            at: from.at,
            by: from.by,
            directive: from.directive,
            since_before: from.since_before,
            confirmed_at: from.confirmed_at,
        }
    }
}

impl From<Failure> for FailureDocument {
    fn from(from: Failure) -> Self {
        Self {
            code: from.code,
            detail: from.detail,
            at: from.at,
        }
    }
}

impl From<FailureDocument> for Failure {
    fn from(from: FailureDocument) -> Self {
        Self {
            code: from.code,
            detail: from.detail,
            at: from.at,
        }
    }
}

impl From<Compliance> for ComplianceDocument {
    fn from(from: Compliance) -> Self {
        Self {
            jurisdiction: from.jurisdiction,
            rejoin: from.rejoin,
            prior: from.prior,
            announcement: from.announcement,
        }
    }
}

impl From<ComplianceDocument> for Compliance {
    fn from(from: ComplianceDocument) -> Self {
        Self {
            jurisdiction: from.jurisdiction,
            rejoin: from.rejoin,
            prior: from.prior,
            announcement: from.announcement,
        }
    }
}

impl From<Directive> for DirectiveDocument {
    fn from(from: Directive) -> Self {
        Self {
            id: from.id,
            kind: from.kind,
            issued_at: from.issued_at,
            expires_at: from.expires_at,
            customer_call_may_end: from.customer_call_may_end,
            answer: from.answer.map(Into::into),
            withdrawn: from.withdrawn,
        }
    }
}

impl From<DirectiveDocument> for Directive {
    fn from(from: DirectiveDocument) -> Self {
        Self {
            id: from.id,
            kind: from.kind,
            issued_at: from.issued_at,
            expires_at: from.expires_at,
            customer_call_may_end: from.customer_call_may_end,
            answer: from.answer.map(Into::into),
            withdrawn: from.withdrawn,
        }
    }
}

impl From<Acknowledgement> for AcknowledgementDocument {
    fn from(from: Acknowledgement) -> Self {
        Self {
            outcome: from.outcome,
            at: from.at,
            received_at: from.received_at,
            detail: from.detail,
            credential: from.credential,
        }
    }
}

impl From<AcknowledgementDocument> for Acknowledgement {
    fn from(from: AcknowledgementDocument) -> Self {
        Self {
            outcome: from.outcome,
            at: from.at,
            received_at: from.received_at,
            detail: from.detail,
            credential: from.credential,
        }
    }
}
