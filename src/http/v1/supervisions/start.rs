//! `POST /v1/supervisions`: start a supervision.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use sidedoor_domain::authority::Caller;
use sidedoor_domain::ids::{ContactId, InstanceName, UserId};
use sidedoor_domain::supervision::{Mode, State as SupervisionState};

use crate::http::body::{self, Reader, name, salesforce_id, text};
use crate::http::extract::Command;
use crate::http::problem::Problem;
use crate::http::problem_code::ProblemCode;
use crate::http::v1::supervisions::RequestedMode;
use crate::http::views::supervision::SupervisionView;
use crate::http::{AppState, idempotency};
use crate::usecases::identity::IdentityError;
use crate::usecases::identity::supervisors::SupervisorRef;
use crate::usecases::monitoring::start::{StartOutcome, StartRequest, StartTarget};

/// The longest user name in Amazon Connect.
const USERNAME: usize = 100;
/// The longest reason, as long as the record's field.
const LONGEST_REASON: usize = 255;
/// The longest name of a jurisdiction.
const JURISDICTION: usize = 64;

pub(crate) async fn handle(State(app): State<AppState>, Command { by, body }: Command) -> Result<Response, Problem> {
    let ask = read(&body, &by.caller)?;
    let usecases = &app.usecases;
    let (stored, status) = match usecases.monitoring.start(ask, &by).await {
        Ok(StartOutcome::New(stored)) => {
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
        Ok(StartOutcome::Waiting(stored, first)) => {
            let view = SupervisionView::of(usecases, &stored).leaving_first(usecases, &first);
            return Ok(idempotency::answer(usecases, &by, StatusCode::ACCEPTED, &view));
        }
        Ok(StartOutcome::Already(stored)) => (stored, StatusCode::OK),
        Ok(StartOutcome::Replay(replay)) => return idempotency::replay(usecases, &by, replay, StatusCode::OK).await,
        Err(e) => return Ok(idempotency::failed(usecases, &by, e)),
    };
    Ok(idempotency::answer(
        usecases,
        &by,
        status,
        &SupervisionView::of(usecases, &stored),
    ))
}

pub(crate) fn read(bytes: &[u8], caller: &Caller) -> Result<StartRequest, Problem> {
    let value = body::parse(bytes)?;
    let mut body = Reader::new(&value, "")?;
    let contact = body.optional("contactId", |raw| name(ContactId::parse(raw)));
    if !body.gives("contactId") && !body.gives("agentUserId") {
        body.problem("contactId", "is required, or agentUserId");
    }
    if !body.gives("supervisor")
        && let Some(why) = caller.unbound
    {
        return Err(IdentityError::Unbound(why).into());
    }
    // By default the supervisor that the credential names; whether the caller may act as another one is checked later.
    let unnamed = !body.gives("supervisor") && caller.supervisor.is_none();
    let own = caller.supervisor.clone().map(SupervisorRef::Id);
    let supervisor = body.object_or("supervisor", "/supervisor", own, |inner| {
        let id = inner.optional("connectUserId", |raw| name(UserId::parse(raw)));
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
    let mode = body.optional("mode", RequestedMode::parse);
    let instance = body.optional("instance", |raw| name(InstanceName::parse(raw)));
    let agent = body.optional("agentUserId", |raw| name(UserId::parse(raw)));
    let reason = body.optional("reason", text(LONGEST_REASON));
    let jurisdiction = body.optional("jurisdiction", text(JURISDICTION));
    let leave_current = body.flag("leaveCurrent").unwrap_or(false);
    // The body is not malformed: it is right for a credential that names a supervisor. So 422 and not 400.
    body.finish().map_err(|problem| {
        if unnamed && problem.is_only_about("/supervisor") {
            Problem::new(
                ProblemCode::SupervisorRequired,
                "This credential names no supervisor, so `supervisor` is required.",
            )
        } else {
            problem
        }
    })?;
    let mode = mode.map_or(Ok(Mode::Silent), RequestedMode::available)?;
    let target = match (contact, agent) {
        (Some(contact), agent) => Some(StartTarget::Contact(contact, agent)),
        (None, agent) => agent.map(StartTarget::Agent),
    };
    let (Some(target), Some(supervisor)) = (target, supervisor) else {
        return Err(Problem::invalid(Vec::new()));
    };
    Ok(StartRequest {
        target,
        supervisor,
        salesforce_user_id,
        voice_call_id,
        mode,
        instance,
        leave_current,
        reason,
        jurisdiction,
    })
}
