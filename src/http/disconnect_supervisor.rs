//! `POST /v1/supervisors/{connectUserId}/disconnect`: the supervisor is to leave whatever they listen to. `me` is the one the
//! credential names.

use axum::extract::{Extension, OriginalUri, Request, State};
use axum::response::Response;

use super::body::{self, Reader, text};
use super::disconnect::{REASON, answer};
use super::guard::RequestId;
use super::path::Named;
use super::problem::Problem;
use super::{Door, idempotency};
use crate::domain::authority::Caller;
use crate::domain::ids::{InstanceName, UserId};
use crate::flows::{self, FlowError};

pub(super) async fn handle(
    State(door): State<Door>,
    Extension(caller): Extension<Caller>,
    Extension(request_id): Extension<RequestId>,
    Named(user): Named,
    OriginalUri(uri): OriginalUri,
    request: Request,
) -> Result<Response, Problem> {
    let headers = request.headers().clone();
    let bytes = body::read(request, door.settings.max_body_bytes).await?;
    let key = idempotency::key(&headers, &caller, "POST", uri.path(), &bytes)?;
    let (reason, instance) = read(&bytes)?;
    let user = whom(&caller, user.as_deref())?;
    let by = flows::Request {
        caller,
        request_id: Some(request_id.0),
        key,
    };
    let done = door
        .flows
        .disconnect_supervisor(&user, instance, reason.as_deref(), &by)
        .await;
    answer(&door.flows, &by, done).await
}

/// The supervisor a path names.
fn whom(caller: &Caller, raw: Option<&str>) -> Result<UserId, Problem> {
    match raw {
        Some("me") => {
            let named = caller.supervisor.clone();
            named.ok_or_else(|| FlowError::Forbidden("this credential names no supervisor").into())
        }
        raw => raw
            .and_then(|raw| UserId::parse(raw).ok())
            .ok_or_else(|| FlowError::NotFound.into()),
    }
}

fn read(bytes: &[u8]) -> Result<(Option<String>, Option<InstanceName>), Problem> {
    if bytes.is_empty() {
        return Ok((None, None));
    }
    let value = body::parse(bytes)?;
    let mut body = Reader::new(&value, "")?;
    let reason = body.optional("reason", text(REASON));
    let instance = body.optional("instance", |raw| InstanceName::parse(raw).map_err(|e| e.to_string()));
    body.finish()?;
    Ok((reason, instance))
}
