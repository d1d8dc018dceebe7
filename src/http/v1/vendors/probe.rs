//! `POST /v1/vendors/{vendor}/probes`: read the vendor's clock now, or use samples that the caller measured.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use jiff::Timestamp;
use serde_json::{Value, json as value};
use sidedoor_domain::ids::InstanceName;

use crate::http::body::{self, Reader, name, text};
use crate::http::extract::{Command, NameInPath};
use crate::http::problem::{FieldError, Problem};
use crate::http::v1::vendors::{VendorView, undecodable_vendor};
use crate::http::{AppState, idempotency};
use crate::usecases::clocks::vendors::{MAX_PROBES, MeasuredSample, ProbeOutcome, ProbeRequest};

/// The most samples in one request.
const MOST_SAMPLES: usize = 100;

pub(crate) async fn handle(
    State(app): State<AppState>,
    NameInPath(vendor): NameInPath,
    Command { by, body }: Command,
) -> Result<Response, Problem> {
    let vendor = vendor.ok_or_else(undecodable_vendor)?;
    let parsed = if body.is_empty() {
        value!({})
    } else {
        body::parse(&body)?
    };
    let (instance, probe) = read(&parsed)?;
    let usecases = &app.usecases;
    match usecases.clocks.probe_vendor(&vendor, instance, probe, &by).await {
        Ok(ProbeOutcome::Known(report)) => Ok(idempotency::answer(
            usecases,
            &by,
            StatusCode::OK,
            &VendorView::of(&report),
        )),
        Ok(ProbeOutcome::Replay(replay)) => idempotency::replay(usecases, &by, replay, StatusCode::OK).await,
        Err(e) => Ok(idempotency::failed(usecases, &by, e)),
    }
}

pub(crate) fn read(body: &Value) -> Result<(Option<InstanceName>, ProbeRequest), Problem> {
    let mut reader = Reader::new(body, "")?;
    let instance = reader.optional("instance", |raw| name(InstanceName::parse(raw)));
    let count = reader.whole_number("count", 1, i64::from(MAX_PROBES));
    let samples = reader.list("samples", MOST_SAMPLES);
    reader.finish()?;
    let Some(samples) = samples else {
        return Ok((
            instance,
            ProbeRequest::Ask(count.and_then(|c| u32::try_from(c).ok()).unwrap_or(4)),
        ));
    };
    if count.is_some() {
        return Err(Problem::invalid_one("/count", "cannot be given with samples"));
    }
    let mut errors = Vec::new();
    let mut measured = Vec::new();
    for (i, sample) in samples.iter().enumerate() {
        match read_sample(sample) {
            Ok(m) => measured.push(m),
            Err(found) => errors.extend(found.into_iter().map(|e| FieldError {
                pointer: format!("/samples/{i}{}", e.pointer),
                detail: e.detail,
            })),
        }
    }
    if errors.is_empty() {
        Ok((instance, ProbeRequest::Take(measured)))
    } else {
        Err(Problem::invalid(errors))
    }
}

fn read_sample(sample: &Value) -> Result<MeasuredSample, Vec<FieldError>> {
    let mut reader = Reader::new(sample, "").map_err(|_| {
        vec![FieldError {
            pointer: String::new(),
            detail: "must be a JSON object".into(),
        }]
    })?;
    let moment = |raw: &str| {
        raw.parse::<Timestamp>()
            .map_err(|_| "must be an RFC 3339 time".to_owned())
    };
    let source = reader.optional("source", text(40));
    let field = reader.optional("field", text(40));
    let sent_at = reader.required("sentAt", moment);
    let received_at = reader.required("receivedAt", moment);
    let stamp = reader.required("vendorTime", moment);
    let mut errors = reader.problems();
    if let (Some(sent), Some(received)) = (sent_at, received_at)
        && sent > received
    {
        errors.push(FieldError {
            pointer: "/receivedAt".into(),
            detail: "must not be before sentAt".into(),
        });
    }
    match (sent_at, received_at, stamp) {
        (Some(sent_at), Some(received_at), Some(stamp)) if errors.is_empty() => Ok(MeasuredSample {
            source: source.unwrap_or_else(|| "PROBE".into()),
            field: field.unwrap_or_else(|| "clock".into()),
            sent_at,
            received_at,
            stamp,
        }),
        _ => Err(errors),
    }
}
