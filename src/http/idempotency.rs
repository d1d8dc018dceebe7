//! `Idempotency-Key`: reads it from the request with a fingerprint of the request, and replays stored answers.

use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use sha2::{Digest, Sha256};
use sidedoor_domain::authority::Caller;
use sidedoor_domain::ports::store::KeyUse;

use super::problem::Problem;
use super::problem_code::ProblemCode;
use super::views::supervision::SupervisionView;
use crate::usecases::idempotency::KeyReplay;
use crate::usecases::{RequestContext, UseCases};

/// The longest key.
const MAX: usize = 255;

/// The request's key, bound to method, path, caller and body.
pub(super) fn key(
    headers: &HeaderMap,
    caller: &Caller,
    method: &str,
    path: &str,
    body: &[u8],
) -> Result<Option<KeyUse>, Problem> {
    let mut given = headers.get_all("idempotency-key").iter();
    let Some(first) = given.next() else { return Ok(None) };
    let plain = first
        .to_str()
        .ok()
        .filter(|k| (1..=MAX).contains(&k.len()) && k.bytes().all(|b| b.is_ascii_graphic()));
    let (Some(key), None) = (plain, given.next()) else {
        return Err(Problem::invalid_one(
            "Idempotency-Key",
            format!("must be one value of 1 to {MAX} visible ASCII characters"),
        ));
    };
    let mut hash = Sha256::new();
    // Each part with its length, otherwise two different requests could hash the same bytes.
    for part in [method.as_bytes(), path.as_bytes(), caller.name.as_bytes(), body] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    Ok(Some(KeyUse {
        caller: caller.name.clone(),
        key: key.to_owned(),
        fingerprint: hex::encode(hash.finalize()),
        claim: uuid::Uuid::new_v4().simple().to_string(),
    }))
}

/// Answers, and stores the answer for replays.
pub(super) fn answer(usecases: &UseCases, by: &RequestContext, status: StatusCode, body: &impl Serialize) -> Response {
    let text = match serde_json::to_string(body) {
        Ok(text) => text,
        Err(_) => {
            return Problem::new(ProblemCode::Internal, "The answer cannot be written.").into_response();
        }
    };
    usecases.idempotency.remember_answer(by, status.as_u16(), &text);
    as_json(status, text)
}

/// The answer for a use case's error, stored for replays if this request took the key before it failed.
pub(super) fn failed(usecases: &UseCases, by: &RequestContext, error: impl Into<Problem>) -> Response {
    let problem: Problem = error.into();
    usecases
        .idempotency
        .remember_answer(by, problem.status().as_u16(), &problem.body());
    problem.into_response()
}

/// The answer to a key used before.
pub(super) async fn replay(
    usecases: &UseCases,
    by: &RequestContext,
    replay: KeyReplay,
    over: StatusCode,
) -> Result<Response, Problem> {
    let mut response = match replay {
        KeyReplay::Answer(status, body) => as_json(StatusCode::from_u16(status).unwrap_or(StatusCode::OK), body),
        KeyReplay::State(id) => {
            let stored = usecases.reports.get(id, by).await?;
            let status = if stored.supervision.state.is_final() {
                over
            } else {
                StatusCode::ACCEPTED
            };
            super::problem::json(status, &SupervisionView::of(usecases, &stored))
        }
    };
    response
        .headers_mut()
        .insert("idempotent-replayed", HeaderValue::from_static("true"));
    Ok(response)
}

fn as_json(status: StatusCode, body: String) -> Response {
    (status, [(CONTENT_TYPE, "application/json")], body).into_response()
}
