//! `GET /v1/deliveries`: records that are pending, written or failed, and whether deliveries are paused.

use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use sidedoor_domain::ids::SupervisionId;
use sidedoor_domain::ports::store::{DeliveryFilter, RecordState};

use crate::http::AppState;
use crate::http::extract::Authenticated;
use crate::http::page::{self, Page};
use crate::http::problem::{Problem, json};
use crate::http::query::Query;
use crate::http::v1::deliveries::DeliveryView;
use crate::http::views::Rfc3339;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PausedView {
    until: Rfc3339,
    reason: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DeliveryPage {
    #[serde(flatten)]
    page: Page<DeliveryView>,
    paused: Option<PausedView>,
    api_calls_used: Option<u64>,
    api_calls_limit: Option<u64>,
}

pub(crate) async fn handle(
    State(app): State<AppState>,
    Authenticated(by): Authenticated,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let mut query = Query::new(query.as_deref());
    let filter = DeliveryFilter {
        state: query.take("state", "must be PENDING, WRITTEN or FAILED", |word| {
            RecordState::parse(word).filter(|state| *state != RecordState::Discarded)
        }),
        since: query.moment("begunSince"),
        until: query.moment("begunBefore"),
        before: page::cursor(&mut query, SupervisionId::parse),
        limit: page::items_to_read(&mut query),
    };
    query.finish()?;
    let deliveries = app.usecases.deliveries.deliveries(&filter, &by).await?;
    let usage = app.usecases.deliveries.crm_usage();
    let page = DeliveryPage {
        page: Page::of(
            deliveries,
            filter.limit,
            |last| last.stored.supervision.id.to_string(),
            |delivery| DeliveryView::of(&delivery),
        ),
        paused: app.usecases.deliveries.delivery_pause().map(|held| PausedView {
            until: Rfc3339::of(held.until),
            reason: held.why,
        }),
        api_calls_used: usage.map(|u| u.used),
        api_calls_limit: usage.map(|u| u.limit),
    };
    Ok(json(StatusCode::OK, &page))
}
