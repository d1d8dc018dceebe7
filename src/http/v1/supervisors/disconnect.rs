//! `POST /v1/supervisors/{connectUserId}/disconnect`: request that the supervisor leave their current contact.

use axum::extract::State;
use axum::response::Response;
use sidedoor_domain::ids::InstanceName;

use crate::http::AppState;
use crate::http::body::{self, Reader, name};
use crate::http::extract::{Command, NameInPath};
use crate::http::problem::Problem;
use crate::http::v1::supervisions::disconnect::{answer, why};
use crate::http::v1::supervisors::supervisor_in_path;
use crate::usecases::leaving::disconnect::DisconnectRequest;

pub(crate) async fn handle(
    State(app): State<AppState>,
    NameInPath(user): NameInPath,
    Command { by, body }: Command,
) -> Result<Response, Problem> {
    let (why, instance) = read(&body)?;
    let user = supervisor_in_path(&by.caller, user.as_deref())?;
    let done = app
        .usecases
        .leaving
        .disconnect_supervisor(&user, instance, &why, &by)
        .await;
    answer(&app.usecases, &by, done).await
}

pub(crate) fn read(bytes: &[u8]) -> Result<(DisconnectRequest, Option<InstanceName>), Problem> {
    if bytes.is_empty() {
        return Ok((DisconnectRequest::default(), None));
    }
    let value = body::parse(bytes)?;
    let mut body = Reader::new(&value, "")?;
    let why = why(&mut body);
    let instance = body.optional("instance", |raw| name(InstanceName::parse(raw)));
    body.finish()?;
    Ok((why, instance))
}
