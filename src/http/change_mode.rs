//! `POST /v1/supervisions/{supervisionId}/mode`: from listening to speaking and back.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use super::asking::Act;
use super::body::{self, Reader};
use super::get_supervision::InPath;
use super::problem::Problem;
use super::start_supervision::{mode, possible};
use super::views::SupervisionView;
use super::{AppState, idempotency};
use crate::usecases::monitoring::change_mode::ModeAnswer;
use sidedoor_domain::supervision::Mode;

pub(super) async fn handle(
    State(door): State<AppState>,
    InPath(id): InPath,
    Act { by, body }: Act,
) -> Result<Response, Problem> {
    let to = read(&body)?;
    let usecases = &door.usecases;
    let (stored, status) = match usecases.monitoring.change_mode(id, to, &by).await {
        Ok(ModeAnswer::Directed(stored)) => (stored, StatusCode::ACCEPTED),
        Ok(ModeAnswer::Already(stored)) => (stored, StatusCode::OK),
        Ok(ModeAnswer::Replay(replay)) => return idempotency::replay(usecases, &by, replay, StatusCode::OK).await,
        Err(e) => return Ok(idempotency::failed(usecases, &by, e)),
    };
    Ok(idempotency::answer(
        usecases,
        &by,
        status,
        &SupervisionView::of(usecases, &stored),
    ))
}

pub(super) fn read(bytes: &[u8]) -> Result<Mode, Problem> {
    let value = body::parse(bytes)?;
    let mut body = Reader::new(&value, "")?;
    let asked = body.required("mode", mode);
    body.finish()?;
    possible(asked.ok_or_else(|| Problem::invalid(Vec::new()))?)
}
