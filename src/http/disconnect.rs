//! `POST /v1/supervisions/{supervisionId}/disconnect`: the supervisor is to leave.

use axum::extract::{Extension, OriginalUri, Request, State};
use axum::http::StatusCode;
use axum::response::Response;

use super::body::{self, Reader, text};
use super::get_supervision::InPath;
use super::guard::RequestId;
use super::problem::Problem;
use super::views::SupervisionView;
use super::{Door, idempotency};
use crate::domain::authority::Caller;
use crate::flows;
use crate::flows::disconnect::Disconnected;

/// The longest reason.
const REASON: usize = 200;

pub(super) async fn handle(
    State(door): State<Door>,
    Extension(caller): Extension<Caller>,
    Extension(request_id): Extension<RequestId>,
    InPath(id): InPath,
    OriginalUri(uri): OriginalUri,
    request: Request,
) -> Result<Response, Problem> {
    let headers = request.headers().clone();
    let bytes = body::read(request, door.settings.max_body_bytes).await?;
    let key = idempotency::key(&headers, &caller, "POST", uri.path(), &bytes)?;
    let reason = read(&bytes)?;
    let by = flows::Request {
        caller,
        request_id: Some(request_id.0),
        key,
    };
    let flows = &door.flows;
    let stored = match flows.disconnect(id, reason.as_deref(), &by).await {
        Ok(Disconnected::Is(stored)) => stored,
        Ok(Disconnected::Replay(replay)) => return idempotency::replay(flows, &by, replay, StatusCode::OK).await,
        Err(e) => return Ok(idempotency::failed(flows, &by, e)),
    };
    // 200 says that nothing is left to leave; 202 that the leave is accepted, and nothing more.
    let status = if stored.supervision.state.is_final() {
        StatusCode::OK
    } else {
        StatusCode::ACCEPTED
    };
    Ok(idempotency::answer(flows, &by, status, &SupervisionView::of(&stored)))
}

fn read(bytes: &[u8]) -> Result<Option<String>, Problem> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let value = body::parse(bytes)?;
    let mut body = Reader::new(&value, "")?;
    let reason = body.optional("reason", text(REASON));
    body.finish()?;
    Ok(reason)
}
