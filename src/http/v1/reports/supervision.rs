//! `GET /v1/reports/supervision`: who listened to whom, when, for how long and why. A page as JSON, or everything that the filters
//! select as CSV (`Accept: text/csv`).

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use bytes::Bytes;
use futures::stream;
use sidedoor_domain::ports::store::Filter;

use crate::http::AppState;
use crate::http::extract::Authenticated;
use crate::http::page::Page;
use crate::http::problem::{Problem, json};
use crate::http::v1::reports::csv;
use crate::http::v1::reports::row::{COLUMNS, ReportRow};
use crate::http::v1::supervisions::list;
use crate::usecases::error::UseCaseError;
use crate::usecases::{RequestContext, UseCases};

/// The rows that are read together.
const CHUNK: u32 = 200;

pub(crate) async fn handle(
    State(app): State<AppState>,
    Authenticated(by): Authenticated,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let filter = list::read(query.as_deref())?;
    if csv::is_accepted(&headers) {
        app.usecases.reports.note_report_export(&by)?;
        return Ok(export(app.usecases, filter, by));
    }
    let to_read = filter.limit;
    let found = app.usecases.reports.report_page(filter, &by).await?;
    let page = Page::of(
        found,
        to_read,
        |last| last.supervision.id.to_string(),
        |stored| ReportRow::of(&stored),
    );
    Ok(json(StatusCode::OK, &page))
}

/// All rows, newest first, read in chunks as fast as the client takes them. An error aborts the body, so that the client cannot take a
/// part for the whole; it goes on with the supervisionId of its last row as `cursor`.
fn export(usecases: Arc<UseCases>, filter: Filter, by: RequestContext) -> Response {
    let begin = (Filter { limit: CHUNK, ..filter }, true);
    let chunks = stream::try_unfold(Some(begin), move |next| {
        let (usecases, by) = (usecases.clone(), by.clone());
        async move {
            let Some((filter, is_first)) = next else {
                return Ok(None);
            };
            let found = usecases.reports.report(filter.clone(), &by).await?;
            let more = found.len() == CHUNK as usize;
            let before = found.last().map(|last| last.supervision.id).filter(|_| more);
            let head = is_first.then(|| COLUMNS.map(str::to_owned).to_vec());
            let rows = found.iter().map(|stored| ReportRow::of(stored).cells());
            let text = csv::text(head.into_iter().chain(rows))?;
            let next = before.map(|id| {
                let before = Some(id);
                (Filter { before, ..filter }, false)
            });
            Ok::<_, UseCaseError>(Some((Bytes::from(text), next)))
        }
    });
    csv::answer(Body::from_stream(chunks))
}
