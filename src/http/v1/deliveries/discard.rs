//! `POST /v1/deliveries/{deliveryId}/discard`: an operator gives up a dead letter, with a reason.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use sidedoor_domain::ids::DeliveryId;

use crate::http::body::{self, Reader, text};
use crate::http::extract::{Command, NameInPath};
use crate::http::problem::Problem;
use crate::http::v1::deliveries::DeliveryView;
use crate::http::{AppState, idempotency};
use crate::usecases::salesforce_sync::DeliveryError;
use crate::usecases::salesforce_sync::discard::DiscardOutcome;

/// The longest reason.
const REASON: usize = 200;

pub(crate) async fn handle(
    State(app): State<AppState>,
    NameInPath(id): NameInPath,
    Command { by, body }: Command,
) -> Result<Response, Problem> {
    let reason = read(&body)?;
    let id = id
        .as_deref()
        .and_then(DeliveryId::parse)
        .ok_or(DeliveryError::DeliveryNotFound)?;
    let usecases = &app.usecases;
    match usecases.deliveries.discard(id, &reason, &by).await {
        Ok(DiscardOutcome::Discarded(delivery)) => {
            let view = DeliveryView::of(&delivery);
            Ok(idempotency::answer(usecases, &by, StatusCode::OK, &view))
        }
        Ok(DiscardOutcome::Replay(replay)) => idempotency::replay(usecases, &by, replay, StatusCode::OK).await,
        Err(e) => Ok(idempotency::failed(usecases, &by, e)),
    }
}

fn read(bytes: &[u8]) -> Result<String, Problem> {
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
    fn discard_needs_a_reason() {
        assert_eq!(
            read(br#"{"reason": "the call was a test"}"#).expect("valid"),
            "the call was a test"
        );
        for bad in [
            &b""[..],
            b"{}",
            br#"{"reason": ""}"#,
            br#"{"reason": "x", "dryRun": true}"#,
        ] {
            assert!(read(bad).is_err(), "{}", String::from_utf8_lossy(bad));
        }
    }
}
