//! One supervision as a row of the report.

use serde::Serialize;
use sidedoor_domain::ports::store::StoredSupervision;
use sidedoor_domain::supervision::{Channel, Mode};

use crate::http::v1::reports::csv;
use crate::http::views::Rfc3339;

/// A row. The members are the columns of the CSV, in this order.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ReportRow {
    supervision_id: String,
    instance: String,
    state: &'static str,
    origin: &'static str,
    channel: Option<&'static str>,
    contact_id: Option<String>,
    queue: Option<String>,
    agent_user_id: Option<String>,
    agent_username: Option<String>,
    connect_user_id: Option<String>,
    username: Option<String>,
    /// The most that the supervisor did.
    mode: &'static str,
    request_reason: Option<String>,
    jurisdiction: Option<String>,
    rejoin: bool,
    requested_at: Option<Rfc3339>,
    joined_at: Option<Rfc3339>,
    disconnected_at: Option<Rfc3339>,
    uncertainty_ms: Option<i64>,
    listened_ms: Option<i64>,
    disconnect_reason: Option<&'static str>,
    confirmation: &'static str,
    calibration_grade: Option<&'static str>,
    left_overdue: bool,
    customer_call_continued: Option<bool>,
}

/// The names of the columns, in order.
pub(super) const COLUMNS: [&str; 25] = [
    "supervisionId",
    "instance",
    "state",
    "origin",
    "channel",
    "contactId",
    "queue",
    "agentUserId",
    "agentUsername",
    "connectUserId",
    "username",
    "mode",
    "requestReason",
    "jurisdiction",
    "rejoin",
    "requestedAt",
    "joinedAt",
    "disconnectedAt",
    "uncertaintyMs",
    "listenedMs",
    "disconnectReason",
    "confirmation",
    "calibrationGrade",
    "leftOverdue",
    "customerCallContinued",
];

impl ReportRow {
    pub(super) fn of(stored: &StoredSupervision) -> Self {
        let s = &stored.supervision;
        let departure = s.departure.as_ref();
        let joined = s.joined.map(|joined| joined.at);
        let left = departure.map(|d| d.disconnected_at);
        let listened = joined
            .zip(left)
            .map(|(joined, left)| left.as_millisecond() - joined.as_millisecond());
        let text = |id: Option<&dyn ToString>| id.map(ToString::to_string);
        Self {
            supervision_id: s.id.to_string(),
            instance: s.instance.to_string(),
            state: s.state.as_str(),
            origin: s.origin.as_str(),
            channel: s.channel.map(Channel::as_str),
            contact_id: text(s.contact.as_ref().map(|id| id as _)),
            queue: s.names.queue.as_ref().or(s.names.queue_id.as_ref()).cloned(),
            agent_user_id: text(s.agent.as_ref().map(|id| id as _)),
            agent_username: s.names.agent_username.clone(),
            connect_user_id: text(s.supervisor.connect_user_id.as_ref().map(|id| id as _)),
            username: s.supervisor.username.clone(),
            mode: if s.has_barged { Mode::Barge } else { Mode::Silent }.as_str(),
            request_reason: s.request_reason.clone(),
            jurisdiction: s.compliance.jurisdiction.clone(),
            rejoin: s.compliance.rejoin,
            requested_at: s.requested_at.map(Rfc3339::of),
            joined_at: joined.map(Rfc3339::of),
            disconnected_at: left.map(Rfc3339::of),
            uncertainty_ms: departure.and_then(|d| d.uncertainty_ms),
            // The estimate of a very short leg may end before its join.
            listened_ms: listened.map(|ms| ms.max(0)),
            disconnect_reason: departure.map(|d| d.reason.as_str()),
            confirmation: s.confirmation().as_str(),
            calibration_grade: departure.map(|d| d.grade.as_str()),
            left_overdue: s.was_overdue || s.overdue,
            customer_call_continued: departure.and_then(|d| d.continuity.as_bool()),
        }
    }

    /// The row as cells of a CSV; an unknown value is empty.
    pub(super) fn cells(&self) -> Vec<String> {
        csv::cells(self, &COLUMNS)
    }
}

#[cfg(test)]
mod tests {
    use jiff::{SignedDuration, Timestamp};
    use sidedoor_domain::ids::{ContactId, InstanceName, SupervisionId};
    use sidedoor_domain::supervision::{Supervision, Supervisor};

    use super::*;

    #[test]
    fn columns_are_the_members_of_a_row() {
        let unknown = Supervisor {
            connect_user_id: None,
            username: None,
            salesforce_user_id: None,
        };
        let supervision = Supervision::request(
            SupervisionId::new(Timestamp::UNIX_EPOCH, 1, 0),
            InstanceName::parse("main").expect("a name"),
            ContactId::parse("contact-1").expect("an id"),
            unknown,
            Mode::Silent,
            Timestamp::UNIX_EPOCH,
            SignedDuration::from_secs(30),
        );
        let row = ReportRow::of(&StoredSupervision {
            supervision,
            revision: 1,
            record_sync: None,
        });
        let members = serde_json::to_value(&row).expect("JSON");
        let mut names: Vec<&str> = members
            .as_object()
            .expect("an object")
            .keys()
            .map(String::as_str)
            .collect();
        let mut columns = COLUMNS.to_vec();
        names.sort_unstable();
        columns.sort_unstable();
        assert_eq!(names, columns);
        assert_eq!(row.cells().len(), COLUMNS.len());
    }
}
