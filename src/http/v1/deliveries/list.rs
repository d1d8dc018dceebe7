//! `GET /v1/deliveries`: records that are pending, written or failed, and whether deliveries are paused.

use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;

use crate::http::AppState;
use crate::http::extract::Authenticated;
use crate::http::problem::{Problem, json};
use crate::http::query::Query;
use crate::http::v1::deliveries::DeliveryView;
use crate::http::views::Rfc3339;
use crate::usecases::reports::supervisions::RecordState;
use crate::usecases::salesforce_sync::dead_letters::DeliveryFilter;
use sidedoor_domain::ids::SupervisionId;

const PAGE: u32 = 50;
const LARGEST_PAGE: u32 = 200;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PausedView {
    until: Rfc3339,
    reason: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    items: Vec<DeliveryView>,
    next_cursor: Option<String>,
    paused: Option<PausedView>,
    api_calls_used: Option<u64>,
    api_calls_limit: Option<u64>,
}

pub(crate) async fn handle(
    State(door): State<AppState>,
    Authenticated(by): Authenticated,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let mut query = Query::new(query.as_deref());
    let mut filter = DeliveryFilter {
        state: query.take("state", "must be PENDING, WRITTEN or FAILED", RecordState::parse),
        since: query.moment("begunSince"),
        until: query.moment("begunBefore"),
        before: query.take(
            "cursor",
            "must be the nextCursor of an earlier page",
            SupervisionId::parse,
        ),
        limit: query
            .take("pageSize", "must be a number from 1 to 200", |raw| {
                raw.parse().ok().filter(|size| (1..=LARGEST_PAGE).contains(size))
            })
            .unwrap_or(PAGE),
    };
    query.finish()?;
    let page = filter.limit as usize;
    // One more than asked for tells whether there is a next page.
    filter.limit += 1;
    let mut rows = door.usecases.deliveries.rows(&filter, &by).await?;
    let more = rows.len() > page;
    rows.truncate(page);
    let last = rows.last().filter(|_| more);
    let usage = door.usecases.deliveries.crm_usage();
    let page = Page {
        next_cursor: last.map(|row| row.stored.supervision.id.to_string()),
        items: rows.iter().map(DeliveryView::of).collect(),
        paused: door.usecases.deliveries.delivery_held().map(|held| PausedView {
            until: Rfc3339::of(held.until),
            reason: held.why,
        }),
        api_calls_used: usage.map(|u| u.used),
        api_calls_limit: usage.map(|u| u.limit),
    };
    Ok(json(StatusCode::OK, &page))
}
