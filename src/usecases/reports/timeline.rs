//! The history of one supervision in order of time: requests and their callers, the vendor's evidence and when it arrived,
//! directives and the browser's acknowledgements, and the write to Salesforce.

use jiff::Timestamp;
use sidedoor_domain::audit::AuditAction;
use sidedoor_domain::evidence::{Evidence, Sighting};
use sidedoor_domain::ids::SupervisionId;
use sidedoor_domain::interlock::LegId;
use sidedoor_domain::ports::store::RecordSync;
use sidedoor_domain::supervision::Supervision;

use crate::usecases::RequestContext;
use crate::usecases::error::UseCaseError;
use crate::usecases::reports::ReportService;

/// The most audit entries of a timeline.
const MAX_AUDIT_LINES: u32 = 500;
/// The entry of the record's last version that was written.
const RECORDED: &str = "row.recorded";

/// One entry of a timeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimelineEntry {
    /// When it happened here, or when we learned of it, on our clock.
    pub at: Timestamp,
    /// A stable event name, such as `evidence.dropped`.
    pub what: String,
    /// The actor: a caller, `sidedoor`, `browser`, `salesforce`, or the source of the evidence.
    pub by: String,
    /// A short explanation for people.
    pub detail: Option<String>,
    /// The vendor's stamp on the vendor's clock; only for evidence.
    pub vendor_timestamp: Option<Timestamp>,
}

impl ReportService {
    /// The timeline of one supervision, oldest entry first.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub async fn timeline(
        &self,
        id: SupervisionId,
        request: &RequestContext,
    ) -> Result<Vec<TimelineEntry>, UseCaseError> {
        let stored = self.ctx.get(id, request).await?;
        self.note_read(&stored, request, "the timeline");
        let s = &stored.supervision;
        let mut all = Vec::new();
        // Directives come from the supervision below, because it also has their acknowledgements.
        let audit = self.ctx.store().audit_of(id, MAX_AUDIT_LINES).await?;
        for line in audit.into_iter().filter(|line| !line.action.is_about_a_directive()) {
            all.push(TimelineEntry {
                at: line.at,
                what: line.action.as_str().into(),
                by: line.actor,
                detail: match line.why {
                    Some(why) => Some(format!("{}; reason given: {why}", line.outcome)),
                    None => Some(line.outcome).filter(|o| !o.is_empty()),
                },
                vendor_timestamp: None,
            });
        }
        if let Some(leg) = s.leg.as_ref().map(LegId::as_str) {
            let evidence = self.ctx.store().evidence(&s.instance, leg).await?;
            all.extend(evidence.iter().map(evidence_entry));
        }
        all.extend(directive_entries(s));
        all.extend(stored.record_sync.as_ref().and_then(record_entry));
        sort(&mut all);
        Ok(all)
    }
}

/// Oldest first. In one millisecond, the evidence of an end precedes the end, and this precedes its record.
fn sort(entries: &mut [TimelineEntry]) {
    let place_in_millisecond = |entry: &TimelineEntry| match entry.what.as_str() {
        RECORDED => 2,
        what if what == AuditAction::SupervisionLeft.as_str() => 1,
        _ => 0,
    };
    entries.sort_by_key(|entry| (entry.at, place_in_millisecond(entry)));
}

fn evidence_entry(e: &Evidence) -> TimelineEntry {
    let what = match e.sighting {
        Sighting::Exists => "evidence.exists",
        Sighting::Joined => "evidence.joined",
        Sighting::Silent => "evidence.silent",
        Sighting::Barged => "evidence.barged",
        Sighting::Dropped => "evidence.dropped",
    };
    TimelineEntry {
        at: e.learnt_at,
        what: what.into(),
        by: e.carrier.clone().unwrap_or_else(|| e.source.as_str().to_owned()),
        detail: e.disconnect_reason.clone(),
        vendor_timestamp: e.vendor_stamp,
    }
}

fn directive_entries(s: &Supervision) -> impl Iterator<Item = TimelineEntry> + '_ {
    s.directives.iter().flat_map(|d| {
        let mode = d.kind.mode().map_or(String::new(), |m| format!(" {}", m.as_str()));
        let given = TimelineEntry {
            at: d.issued_at,
            what: "directive.given".into(),
            by: sidedoor_domain::audit::SELF.into(),
            detail: Some(format!("{}{mode}", d.kind.as_str())),
            vendor_timestamp: None,
        };
        let answer = d.answer.as_ref().map(|a| TimelineEntry {
            at: a.received_at,
            what: "directive.answered".into(),
            by: "browser".into(),
            detail: Some(a.detail.as_ref().map_or_else(
                || a.outcome.as_str().to_owned(),
                |why| format!("{}: {why}", a.outcome.as_str()),
            )),
            vendor_timestamp: None,
        });
        [Some(given), answer].into_iter().flatten()
    })
}

fn record_entry(r: &RecordSync) -> Option<TimelineEntry> {
    Some(TimelineEntry {
        at: r.written_at?,
        what: RECORDED.into(),
        by: "salesforce".into(),
        detail: Some(format!("version {} of {}", r.written_version, r.version)),
        vendor_timestamp: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evidence_of_an_end_precedes_the_end_of_the_same_millisecond() {
        let entry = |ms: i64, what: &str| TimelineEntry {
            at: Timestamp::from_millisecond(ms).expect("a time"),
            what: what.into(),
            by: String::new(),
            detail: None,
            vendor_timestamp: None,
        };
        let mut entries = [
            entry(5, "supervision.left"),
            entry(5, "evidence.dropped"),
            entry(5, RECORDED),
            entry(4, "disconnect.requested"),
            entry(4, "directive.given"),
        ];
        sort(&mut entries);
        let order = entries.map(|e| e.what);
        assert_eq!(
            order,
            [
                "disconnect.requested",
                "directive.given",
                "evidence.dropped",
                "supervision.left",
                RECORDED
            ]
        );
    }
}
