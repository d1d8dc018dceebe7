//! `POST /v1/supervisions/{supervisionId}/acknowledgements`: the supervisor's browser reports the result of a directive.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use sidedoor_domain::directive::AckOutcome;
use sidedoor_domain::ids::DirectiveId;

use crate::http::body::{self, Reader, text};
use crate::http::extract::{Command, SupervisionInPath};
use crate::http::problem::Problem;
use crate::http::views::supervision::SupervisionView;
use crate::http::{AppState, idempotency};
use crate::usecases::directives::acknowledge::{AcknowledgeOutcome, DirectiveAnswer};

/// The longest detail.
const DETAIL: usize = 500;

pub(crate) async fn handle(
    State(app): State<AppState>,
    SupervisionInPath(id): SupervisionInPath,
    Command { by, body }: Command,
) -> Result<Response, Problem> {
    let answer = read(&body)?;
    let usecases = &app.usecases;
    match usecases.directives.acknowledge(id, answer, &by).await {
        Ok(AcknowledgeOutcome::Current(stored)) => Ok(idempotency::answer(
            usecases,
            &by,
            StatusCode::OK,
            &SupervisionView::of(usecases, &stored),
        )),
        Ok(AcknowledgeOutcome::Replay(replay)) => idempotency::replay(usecases, &by, replay, StatusCode::OK).await,
        Err(e) => Ok(idempotency::failed(usecases, &by, e)),
    }
}

pub(crate) fn read(bytes: &[u8]) -> Result<DirectiveAnswer, Problem> {
    let value = body::parse(bytes)?;
    let mut body = Reader::new(&value, "")?;
    let directive = body.required("directiveId", |raw| {
        DirectiveId::parse(raw).ok_or_else(|| "must be a UUID".to_owned())
    });
    let outcome = body.required("outcome", |raw| match raw {
        "DONE" => Ok(AckOutcome::Done),
        "ALREADY_GONE" => Ok(AckOutcome::AlreadyGone),
        "REFUSED" => Ok(AckOutcome::Refused),
        "FAILED" => Ok(AckOutcome::Failed),
        _ => Err("must be DONE, ALREADY_GONE, REFUSED or FAILED".into()),
    });
    let at = body.optional("at", |raw| {
        raw.parse::<jiff::Timestamp>()
            .map_err(|_| "must be an RFC 3339 date-time".to_owned())
    });
    let detail = body.optional("detail", text(DETAIL));
    body.finish()?;
    let (Some(directive), Some(outcome)) = (directive, outcome) else {
        return Err(Problem::invalid(Vec::new()));
    };
    Ok(DirectiveAnswer {
        directive,
        outcome,
        at,
        detail,
    })
}
