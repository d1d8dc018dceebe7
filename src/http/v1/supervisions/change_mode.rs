//! `POST /v1/supervisions/{supervisionId}/mode`: change between listening and speaking.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use sidedoor_domain::supervision::Mode;

use crate::http::body::{self, Reader};
use crate::http::extract::{Command, SupervisionInPath};
use crate::http::problem::Problem;
use crate::http::v1::supervisions::RequestedMode;
use crate::http::views::supervision::SupervisionView;
use crate::http::{AppState, idempotency};
use crate::usecases::monitoring::change_mode::ModeChangeOutcome;

pub(crate) async fn handle(
    State(app): State<AppState>,
    SupervisionInPath(id): SupervisionInPath,
    Command { by, body }: Command,
) -> Result<Response, Problem> {
    let to = read(&body)?;
    let usecases = &app.usecases;
    let (stored, status) = match usecases.monitoring.change_mode(id, to, &by).await {
        Ok(ModeChangeOutcome::Directed(stored)) => (stored, StatusCode::ACCEPTED),
        Ok(ModeChangeOutcome::Already(stored)) => (stored, StatusCode::OK),
        Ok(ModeChangeOutcome::Replay(replay)) => {
            return idempotency::replay(usecases, &by, replay, StatusCode::OK).await;
        }
        Err(e) => return Ok(idempotency::failed(usecases, &by, e)),
    };
    Ok(idempotency::answer(
        usecases,
        &by,
        status,
        &SupervisionView::of(usecases, &stored),
    ))
}

pub(crate) fn read(bytes: &[u8]) -> Result<Mode, Problem> {
    let value = body::parse(bytes)?;
    let mut body = Reader::new(&value, "")?;
    let asked = body.required("mode", RequestedMode::parse);
    body.finish()?;
    asked.ok_or_else(|| Problem::invalid(Vec::new()))?.available()
}
