//! `POST /v1/supervisions/{supervisionId}/disconnect`: request that the supervisor leave.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use crate::http::body::{self, Reader, text};
use crate::http::extract::{Command, SupervisionInPath};
use crate::http::problem::Problem;
use crate::http::views::supervision::SupervisionView;
use crate::http::{AppState, idempotency};
use crate::usecases::leaving::LeavingError;
use crate::usecases::leaving::disconnect::{DisconnectOutcome, DisconnectRequest};
use crate::usecases::{self, UseCases};

/// The longest reason.
const REASON: usize = 200;

pub(crate) async fn handle(
    State(app): State<AppState>,
    SupervisionInPath(id): SupervisionInPath,
    Command { by, body }: Command,
) -> Result<Response, Problem> {
    let why = read(&body)?;
    let done = app.usecases.leaving.disconnect(id, &why, &by).await;
    answer(&app.usecases, &by, done).await
}

/// The answer to a disconnect, by supervision or by supervisor.
pub(crate) async fn answer(
    usecases: &UseCases,
    by: &usecases::RequestContext,
    done: Result<DisconnectOutcome, LeavingError>,
) -> Result<Response, Problem> {
    let (stored, was_over) = match done {
        Ok(DisconnectOutcome::Current(stored)) => (stored, false),
        Ok(DisconnectOutcome::AlreadyOver(stored)) => (stored, true),
        Ok(DisconnectOutcome::Replay(replay)) => {
            return idempotency::replay(usecases, by, replay, StatusCode::OK).await;
        }
        Err(e) => return Ok(idempotency::failed(usecases, by, e)),
    };
    // 202 means only that the request is accepted; the departure is not confirmed yet.
    let status = if stored.supervision.state.is_final() {
        StatusCode::OK
    } else {
        StatusCode::ACCEPTED
    };
    let view = SupervisionView::of(usecases, &stored);
    let view = if was_over { view.was_over() } else { view };
    Ok(idempotency::answer(usecases, by, status, &view))
}

pub(crate) fn read(bytes: &[u8]) -> Result<DisconnectRequest, Problem> {
    if bytes.is_empty() {
        return Ok(DisconnectRequest::default());
    }
    let value = body::parse(bytes)?;
    let mut body = Reader::new(&value, "")?;
    let why = why(&mut body);
    body.finish()?;
    Ok(why)
}

/// The fields that both kinds of disconnect have.
pub(crate) fn why(body: &mut Reader<'_>) -> DisconnectRequest {
    let reason = body.optional("reason", text(REASON));
    DisconnectRequest::new(reason, body.flag("customerCallMayEnd").unwrap_or(false))
}
