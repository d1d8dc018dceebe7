//! `POST /v1/supervisions/{supervisionId}/close`: end a supervision whose leg the vendor no longer knows.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use crate::http::body::{self, Reader, text};
use crate::http::extract::{Command, SupervisionInPath};
use crate::http::problem::Problem;
use crate::http::views::supervision::SupervisionView;
use crate::http::{AppState, idempotency};
use crate::usecases::leaving::close::CloseOutcome;

/// The longest reason.
const REASON: usize = 200;

pub(crate) async fn handle(
    State(app): State<AppState>,
    SupervisionInPath(id): SupervisionInPath,
    Command { by, body }: Command,
) -> Result<Response, Problem> {
    let reason = read(&body)?;
    let usecases = &app.usecases;
    let stored = match usecases.leaving.close(id, &reason, &by).await {
        Ok(CloseOutcome::Over(stored)) => stored,
        Ok(CloseOutcome::Replay(replay)) => {
            return idempotency::replay(usecases, &by, replay, StatusCode::OK).await;
        }
        Err(e) => return Ok(idempotency::failed(usecases, &by, e)),
    };
    let view = SupervisionView::of(usecases, &stored);
    Ok(idempotency::answer(usecases, &by, StatusCode::OK, &view))
}

pub(crate) fn read(bytes: &[u8]) -> Result<String, Problem> {
    let value = body::parse(bytes)?;
    let mut body = Reader::new(&value, "")?;
    let reason = body.required("reason", text(REASON));
    body.finish()?;
    reason.ok_or_else(|| Problem::invalid(Vec::new()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn close_needs_a_reason() {
        assert_eq!(
            read(br#"{"reason": "the leg is gone"}"#).expect("valid"),
            "the leg is gone"
        );
        for bad in [
            &b""[..],
            b"{}",
            br#"{"reason": ""}"#,
            br#"{"reason": "x", "force": true}"#,
        ] {
            assert!(read(bad).is_err(), "{}", String::from_utf8_lossy(bad));
        }
    }
}
