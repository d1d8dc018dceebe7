//! `GET /v1/deliveries`, `POST /v1/deliveries/{deliveryId}/replay` and `POST /v1/deliveries/replay`: rows on their way to Salesforce,
//! dead letters, and sending them again.

use crate::usecases::salesforce_sync::DeliveryError;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;

use super::asking::{Act, By};
use super::body::{self, Reader};
use super::path::Named;
use super::problem::{Problem, json};
use super::query::Query;
use super::views::{Rfc3339, SalesforceRecordView};
use super::{AppState, idempotency};
use crate::usecases::reports::supervisions::RecordState;
use crate::usecases::salesforce_sync::dead_letters::{DeliveryFilter, Replayed, Replaying, Row};
use crate::usecases::{self, UseCases};
use sidedoor_domain::ids::{DeliveryId, SupervisionId};
use sidedoor_domain::interlock::LegId;

const PAGE: u32 = 50;
const LARGEST_PAGE: u32 = 200;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DeliveryView {
    delivery_id: Option<String>,
    supervision_id: String,
    external_id: Option<String>,
    salesforce_record: Option<SalesforceRecordView>,
    last_answer: Option<String>,
}

impl DeliveryView {
    fn of(row: &Row) -> Self {
        let salesforce_record = row.stored.record_sync.as_ref();
        Self {
            delivery_id: salesforce_record.map(|r| r.id.to_string()),
            supervision_id: row.stored.supervision.id.to_string(),
            external_id: row.stored.supervision.leg.as_ref().map(LegId::to_string),
            salesforce_record: salesforce_record.map(SalesforceRecordView::of),
            last_answer: row.last_answer.clone(),
        }
    }
}

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

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ReplayView {
    dry_run: bool,
    rows: usize,
    more: bool,
    items: Vec<DeliveryView>,
}

impl ReplayView {
    fn of(replayed: &Replayed) -> Self {
        Self {
            dry_run: replayed.dry_run,
            rows: replayed.rows,
            more: replayed.more,
            items: replayed.first.iter().map(DeliveryView::of).collect(),
        }
    }
}

pub(super) async fn list(
    State(door): State<AppState>,
    By(by): By,
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

pub(super) async fn replay_one(
    State(door): State<AppState>,
    Named(id): Named,
    Act { by, body }: Act,
) -> Result<Response, Problem> {
    let mut dry_run = false;
    if !body.is_empty() {
        let value = body::parse(&body)?;
        let mut reader = Reader::new(&value, "")?;
        dry_run = reader.flag("dryRun").unwrap_or(false);
        reader.finish()?;
    }
    let id = id
        .as_deref()
        .and_then(DeliveryId::parse)
        .ok_or(DeliveryError::DeliveryNotFound)?;
    let done = door.usecases.deliveries.replay_row(id, dry_run, &by).await;
    answer(&door.usecases, &by, done).await
}

async fn answer(
    usecases: &UseCases,
    by: &usecases::Request,
    done: Result<Replaying, DeliveryError>,
) -> Result<Response, Problem> {
    match done {
        Ok(Replaying::Done(replayed)) => {
            let view = ReplayView::of(&replayed);
            Ok(idempotency::answer(usecases, by, StatusCode::OK, &view))
        }
        Ok(Replaying::Replay(replay)) => idempotency::replay(usecases, by, replay, StatusCode::OK).await,
        Err(e) => Ok(idempotency::failed(usecases, by, e)),
    }
}

pub(super) async fn replay_range(State(door): State<AppState>, Act { by, body }: Act) -> Result<Response, Problem> {
    let value = body::parse(&body)?;
    let mut reader = Reader::new(&value, "")?;
    let state = reader.optional("state", |raw| match RecordState::parse(raw) {
        Some(state @ (RecordState::Failed | RecordState::Written)) => Ok(state),
        _ => Err("must be FAILED or WRITTEN".into()),
    });
    let moment = |raw: &str| {
        raw.parse::<jiff::Timestamp>()
            .map_err(|_| "must be an RFC 3339 date-time".to_owned())
    };
    let since = reader.required("begunSince", moment);
    let until = reader.required("begunBefore", moment);
    // What sends many rows again is looked at first.
    let dry_run = reader.flag("dryRun").unwrap_or(true);
    reader.finish()?;
    let filter = DeliveryFilter {
        state: Some(state.unwrap_or(RecordState::Failed)),
        since,
        until,
        before: None,
        limit: 0,
    };
    let done = door.usecases.deliveries.replay_rows(&filter, dry_run, &by).await;
    answer(&door.usecases, &by, done).await
}
