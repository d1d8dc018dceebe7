//! `POST /v1/supervisions`: a supervisor asks to listen.

use crate::usecases::identity::IdentityError;
use crate::usecases::monitoring::MonitoringError;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use super::asking::Act;
use super::body::{self, Reader, salesforce_id, text};
use super::problem::Problem;
use super::views::SupervisionView;
use super::{AppState, idempotency};
use crate::usecases::identity::supervisors::SupervisorRef;
use crate::usecases::monitoring::start::{StartRequest, Started};
use sidedoor_domain::authority::Caller;
use sidedoor_domain::ids::{ContactId, InstanceName, UserId};
use sidedoor_domain::supervision::{Mode, State as SupervisionState};

/// The longest user name Connect takes.
const USERNAME: usize = 100;
/// The longest name of a jurisdiction.
const JURISDICTION: usize = 64;

pub(super) async fn handle(State(door): State<AppState>, Act { by, body }: Act) -> Result<Response, Problem> {
    let ask = read(&body, &by.caller)?;
    let usecases = &door.usecases;
    let (stored, status) = match usecases.monitoring.start(ask, &by).await {
        Ok(Started::New(stored)) => {
            let joining = matches!(
                stored.supervision.state,
                SupervisionState::Requested | SupervisionState::Joining
            );
            (
                stored,
                if joining {
                    StatusCode::ACCEPTED
                } else {
                    StatusCode::CREATED
                },
            )
        }
        Ok(Started::Waiting(stored, first)) => {
            let view = SupervisionView::of(usecases, &stored).leaving_first(usecases, &first);
            return Ok(idempotency::answer(usecases, &by, StatusCode::ACCEPTED, &view));
        }
        Ok(Started::Already(stored)) => (stored, StatusCode::OK),
        Ok(Started::Replay(replay)) => return idempotency::replay(usecases, &by, replay, StatusCode::OK).await,
        Err(e) => return Ok(idempotency::failed(usecases, &by, e)),
    };
    Ok(idempotency::answer(
        usecases,
        &by,
        status,
        &SupervisionView::of(usecases, &stored),
    ))
}

pub(super) fn read(bytes: &[u8], caller: &Caller) -> Result<StartRequest, Problem> {
    let value = body::parse(bytes)?;
    let mut body = Reader::new(&value, "")?;
    let contact = body.required("contactId", |raw| ContactId::parse(raw).map_err(|e| e.to_string()));
    if !body.gives("supervisor")
        && let Some(why) = caller.unbound
    {
        return Err(IdentityError::Unbound(why).into());
    }
    // A credential that names a supervisor means that one; another is only for who may act as anyone.
    let unnamed = !body.gives("supervisor") && caller.supervisor.is_none();
    let own = caller.supervisor.clone().map(SupervisorRef::Id);
    let supervisor = body.object_or("supervisor", "/supervisor", own, |inner| {
        let id = inner.optional("connectUserId", |raw| UserId::parse(raw).map_err(|e| e.to_string()));
        let name = inner.optional("username", text(USERNAME));
        inner.either(
            id.map(SupervisorRef::Id),
            name.map(SupervisorRef::Name),
            "connectUserId",
            "username",
        )
    });
    let salesforce_user_id = body.optional("salesforceUserId", salesforce_id);
    let voice_call_id = body.optional("voiceCallId", salesforce_id);
    let mode = body.optional("mode", mode);
    let instance = body.optional("instance", |raw| InstanceName::parse(raw).map_err(|e| e.to_string()));
    let agent = body.optional("agentUserId", |raw| UserId::parse(raw).map_err(|e| e.to_string()));
    let jurisdiction = body.optional("jurisdiction", text(JURISDICTION));
    let leave_current = body.flag("leaveCurrent").unwrap_or(false);
    // A body that is right for a credential that names a supervisor is not malformed with one that does not.
    body.finish().map_err(|problem| {
        if unnamed && problem.is_only_about("/supervisor") {
            Problem::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "supervisor_required",
                "This credential names no supervisor: say whom in supervisor.",
            )
        } else {
            problem
        }
    })?;
    let mode = possible(mode.unwrap_or(Asked::Mode(Mode::Silent)))?;
    let (Some(contact), Some(supervisor)) = (contact, supervisor) else {
        return Err(Problem::invalid(Vec::new()));
    };
    Ok(StartRequest {
        contact,
        supervisor,
        salesforce_user_id,
        voice_call_id,
        mode,
        instance,
        leave_current,
        agent,
        jurisdiction,
    })
}

/// A mode, as callers name it.
pub(super) enum Asked {
    /// One there is.
    Mode(Mode),
    /// One that Amazon Connect has not.
    Whisper,
}

pub(super) fn mode(raw: &str) -> Result<Asked, String> {
    match raw {
        "SILENT" => Ok(Asked::Mode(Mode::Silent)),
        "BARGE" => Ok(Asked::Mode(Mode::Barge)),
        "WHISPER" => Ok(Asked::Whisper),
        _ => Err("must be SILENT, WHISPER or BARGE".into()),
    }
}

/// The mode, if Amazon Connect has it: `AllowedMonitorCapabilities` knows SILENT_MONITOR and BARGE.
pub(super) fn possible(asked: Asked) -> Result<Mode, Problem> {
    match asked {
        Asked::Mode(mode) => Ok(mode),
        Asked::Whisper => {
            let why = "Amazon Connect has no whisper capability; possible are SILENT and BARGE";
            Err(MonitoringError::ModeUnsupported(why).into())
        }
    }
}
