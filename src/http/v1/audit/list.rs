//! `GET /v1/audit`: who did what, when, why, and with which result. A page at a time, newest first; with
//! `Accept: application/x-ndjson` an export of all entries, oldest first, one a line.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::stream;
use serde::Serialize;
use sidedoor_domain::audit::{AuditAction, Phase};
use sidedoor_domain::ids::SupervisionId;
use sidedoor_domain::ports::store::{AuditFilter, AuditLine};

use crate::http::AppState;
use crate::http::extract::Authenticated;
use crate::http::page::{self, Page};
use crate::http::problem::{Problem, json};
use crate::http::query::Query;
use crate::http::views::Rfc3339;
use crate::usecases::error::UseCaseError;
use crate::usecases::{RequestContext, UseCases};

/// Entries that an export reads at a time.
const CHUNK: u32 = 500;
const NDJSON: &str = "application/x-ndjson";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LineView {
    entry_id: String,
    at: Rfc3339,
    actor: String,
    action: &'static str,
    phase: &'static str,
    operation: Option<String>,
    supervision_id: Option<String>,
    outcome: String,
    why: Option<String>,
    request_id: Option<String>,
    client_request_id: Option<String>,
    credential: Option<String>,
    peer: Option<String>,
    route: Option<String>,
    times: Option<u32>,
}

impl From<AuditLine> for LineView {
    fn from(AuditLine { seq, entry }: AuditLine) -> Self {
        Self {
            entry_id: seq.to_string(),
            at: Rfc3339::of(entry.at),
            actor: entry.actor,
            action: entry.action.as_str(),
            phase: entry.phase.as_str(),
            operation: entry.operation,
            supervision_id: entry.supervision.map(|id| id.to_string()),
            outcome: entry.outcome,
            why: entry.why,
            request_id: entry.request_id,
            client_request_id: entry.client_request_id,
            credential: entry.credential,
            peer: entry.peer,
            route: entry.route,
            times: entry.times,
        }
    }
}

pub(crate) async fn handle(
    State(app): State<AppState>,
    Authenticated(by): Authenticated,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let exports = headers
        .get(ACCEPT)
        .and_then(|v| v.to_str().ok())
        .is_some_and(|accepts| accepts.contains(NDJSON));
    let filter = read(query.as_deref())?;
    if exports {
        return export(app.usecases, filter, by).await;
    }
    let found = app.usecases.reports.audit_lines(&filter, &by).await?;
    let page = Page::of(found, filter.limit, |last| last.seq.to_string(), LineView::from);
    Ok(json(StatusCode::OK, &page))
}

fn read(raw: Option<&str>) -> Result<AuditFilter, Problem> {
    let mut query = Query::new(raw);
    // Long enough for a token's caller, who is named by issuer and claim.
    let word = |raw: &str| (1..=400).contains(&raw.len()).then(|| raw.to_owned());
    let filter = AuditFilter {
        actor: query.take("actor", "must be a caller's name", word),
        action: query.take("action", "must be an action, such as disconnect.requested", word),
        supervision: query.take("supervisionId", "must be a supervision's id", SupervisionId::parse),
        request_id: query.take("requestId", "must be a request's id", word),
        phase: query.take("phase", "must be BEGUN, DONE, FAILED or ABANDONED", Phase::parse),
        since: query.moment("since"),
        until: query.moment("before"),
        before: page::cursor(&mut query, |raw| raw.parse().ok().filter(|n| *n > 0)),
        after: None,
        oldest_first: false,
        limit: page::items_to_read(&mut query),
    };
    query.finish()?;
    Ok(filter)
}

/// All entries up to now, read in chunks as fast as the client takes them. An error aborts the body, so that the client cannot take
/// a part for the whole.
async fn export(usecases: Arc<UseCases>, filter: AuditFilter, by: RequestContext) -> Result<Response, Problem> {
    let newest = AuditFilter {
        limit: 1,
        ..AuditFilter::default()
    };
    let end = usecases
        .reports
        .audit_lines(&newest, &by)
        .await?
        .first()
        .map_or(0, |l| l.seq);
    let what = format!("up to line {end}");
    usecases.auditing.note_export(&by, AuditAction::AuditExported, &what);
    let begin = AuditFilter {
        before: Some(filter.before.unwrap_or(i64::MAX).min(end.saturating_add(1))),
        after: Some(0),
        oldest_first: true,
        limit: CHUNK,
        ..filter
    };
    let chunks = stream::try_unfold(Some(begin), move |next| {
        let (usecases, by) = (usecases.clone(), by.clone());
        async move {
            let Some(filter) = next else { return Ok(None) };
            let lines = usecases.reports.audit_lines(&filter, &by).await?;
            let more = lines.len() == CHUNK as usize;
            let after = lines.last().map(|l| l.seq).filter(|_| more);
            let mut text = Vec::new();
            for line in lines {
                // Writing to a Vec does not fail.
                let _ = serde_json::to_writer(&mut text, &LineView::from(line));
                text.push(b'\n');
            }
            let next = after.map(|seq| AuditFilter {
                after: Some(seq),
                ..filter
            });
            Ok::<_, UseCaseError>(Some((Bytes::from(text), next)))
        }
    });
    let mut response = Body::from_stream(chunks).into_response();
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(NDJSON));
    Ok(response)
}
