//! `POST /v1/supervisors/{connectUserId}/disconnect`: the supervisor is to leave whatever they listen to. `me` is the one the
//! credential names.

use crate::usecases::error::UseCaseError;
use crate::usecases::identity::IdentityError;
use axum::extract::State;
use axum::response::Response;

use super::AppState;
use super::asking::Act;
use super::body::{self, Reader};
use super::disconnect::{answer, why};
use super::path::Named;
use super::problem::Problem;
use crate::usecases::leaving::disconnect::Why;
use sidedoor_domain::authority::Caller;
use sidedoor_domain::ids::{InstanceName, UserId};

pub(super) async fn handle(
    State(door): State<AppState>,
    Named(user): Named,
    Act { by, body }: Act,
) -> Result<Response, Problem> {
    let (why, instance) = read(&body)?;
    let user = whom(&by.caller, user.as_deref())?;
    let done = door
        .usecases
        .leaving
        .disconnect_supervisor(&user, instance, &why, &by)
        .await;
    answer(&door.usecases, &by, done).await
}

/// The supervisor a path names.
pub(super) fn whom(caller: &Caller, raw: Option<&str>) -> Result<UserId, Problem> {
    match raw {
        Some("me") => {
            let none = || match caller.unbound {
                Some(why) => IdentityError::Unbound(why).into(),
                None => UseCaseError::Forbidden("this credential names no supervisor").into(),
            };
            caller.supervisor.clone().ok_or_else(none)
        }
        raw => raw
            .and_then(|raw| UserId::parse(raw).ok())
            .ok_or_else(|| UseCaseError::SupervisionNotFound.into()),
    }
}

pub(super) fn read(bytes: &[u8]) -> Result<(Why, Option<InstanceName>), Problem> {
    if bytes.is_empty() {
        return Ok((Why::default(), None));
    }
    let value = body::parse(bytes)?;
    let mut body = Reader::new(&value, "")?;
    let why = why(&mut body);
    let instance = body.optional("instance", |raw| InstanceName::parse(raw).map_err(|e| e.to_string()));
    body.finish()?;
    Ok((why, instance))
}
