//! `POST /v1/deliveries/{deliveryId}/replay` and `POST /v1/deliveries/replay`: send records to Salesforce again.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use sidedoor_domain::ids::DeliveryId;
use sidedoor_domain::ports::store::{DeliveryFilter, RecordState};

use crate::http::body::{self, Reader};
use crate::http::extract::{Command, NameInPath};
use crate::http::problem::Problem;
use crate::http::v1::deliveries::DeliveryView;
use crate::http::{AppState, idempotency};
use crate::usecases::salesforce_sync::DeliveryError;
use crate::usecases::salesforce_sync::dead_letters::{ReplayOutcome, ReplaySummary};
use crate::usecases::{self, UseCases};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ReplayView {
    dry_run: bool,
    records: usize,
    more: bool,
    items: Vec<DeliveryView>,
}

impl ReplayView {
    fn of(replayed: &ReplaySummary) -> Self {
        Self {
            dry_run: replayed.dry_run,
            records: replayed.records,
            more: replayed.more,
            items: replayed.first.iter().map(DeliveryView::of).collect(),
        }
    }
}

pub(crate) async fn one(
    State(app): State<AppState>,
    NameInPath(id): NameInPath,
    Command { by, body }: Command,
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
    let done = app.usecases.deliveries.replay_row(id, dry_run, &by).await;
    answer(&app.usecases, &by, done).await
}

async fn answer(
    usecases: &UseCases,
    by: &usecases::RequestContext,
    done: Result<ReplayOutcome, DeliveryError>,
) -> Result<Response, Problem> {
    match done {
        Ok(ReplayOutcome::Done(replayed)) => {
            let view = ReplayView::of(&replayed);
            Ok(idempotency::answer(usecases, by, StatusCode::OK, &view))
        }
        Ok(ReplayOutcome::Replay(replay)) => idempotency::replay(usecases, by, replay, StatusCode::OK).await,
        Err(e) => Ok(idempotency::failed(usecases, by, e)),
    }
}

pub(crate) async fn range(State(app): State<AppState>, Command { by, body }: Command) -> Result<Response, Problem> {
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
    // A dry run by default, because the request may concern many records.
    let dry_run = reader.flag("dryRun").unwrap_or(true);
    reader.finish()?;
    let filter = DeliveryFilter {
        state: Some(state.unwrap_or(RecordState::Failed)),
        since,
        until,
        before: None,
        limit: 0,
    };
    let done = app.usecases.deliveries.replay_rows(&filter, dry_run, &by).await;
    answer(&app.usecases, &by, done).await
}
