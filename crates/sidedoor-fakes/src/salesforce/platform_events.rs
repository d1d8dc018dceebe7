//! Publishing of Platform Events: a POST to the event object, or up to 25 subrequests of a composite request.

use axum::Json;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use super::SalesforceFake;
use super::org::{Org, SalesforceError};
use super::rest_api::parsed;

/// Largest number of subrequests of a composite request.
const MAX_SUBREQUESTS: usize = 25;

pub(super) async fn publish(
    State(fake): State<SalesforceFake>,
    Path(path): Path<Vec<(String, String)>>,
    request: Request,
) -> Response {
    let object = path
        .into_iter()
        .find(|(name, _)| name == "object")
        .map(|(_, value)| value);
    fake.serve("publish", request, move |fake, bytes| {
        let answer = published(&mut fake.org(), object.as_deref().unwrap_or_default(), &parsed(bytes)?)?;
        Ok((StatusCode::CREATED, Json(answer)).into_response())
    })
    .await
}

/// Salesforce's documentation: "The OPERATION_ENQUEUED status code is returned for a successful call in the response's error
/// field, in addition to the event UUID."
fn published(org: &mut Org, object: &str, body: &Map<String, Value>) -> Result<Value, SalesforceError> {
    let (id, uuid) = org.publish(object, body)?;
    let enqueued = json!([{"statusCode": "OPERATION_ENQUEUED", "message": uuid, "fields": []}]);
    Ok(json!({"id": id, "success": true, "errors": enqueued}))
}

pub(super) async fn composite(State(fake): State<SalesforceFake>, request: Request) -> Response {
    fake.serve("composite", request, move |fake, bytes| {
        let body = parsed(bytes)?;
        let subs = body
            .get("compositeRequest")
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default();
        if subs.is_empty() || subs.len() > MAX_SUBREQUESTS {
            return Err(SalesforceError::new(
                400,
                "LIMIT_EXCEEDED",
                "a composite request has 1 to 25 subrequests",
            ));
        }
        let mut org = fake.org();
        let answers: Vec<Value> = subs.iter().map(|sub| answer(&mut org, sub)).collect();
        Ok(Json(json!({"compositeResponse": answers})).into_response())
    })
    .await
}

fn answer(org: &mut Org, sub: &Value) -> Value {
    let done = subrequest(org, sub);
    let (status, body) = match done {
        Ok(body) => (201, body),
        Err(e) => (
            e.status,
            json!([{"errorCode": e.code, "message": e.message, "fields": e.fields}]),
        ),
    };
    json!({"body": body, "httpHeaders": {}, "httpStatusCode": status, "referenceId": sub["referenceId"]})
}

fn subrequest(org: &mut Org, sub: &Value) -> Result<Value, SalesforceError> {
    let unsupported = || {
        SalesforceError::new(
            400,
            "INVALID_INPUT",
            "the fake supports only subrequests that create records",
        )
    };
    let url = sub["url"]
        .as_str()
        .filter(|_| sub["method"] == "POST")
        .ok_or_else(unsupported)?;
    let (_, object) = url
        .trim_end_matches('/')
        .rsplit_once("/sobjects/")
        .ok_or_else(unsupported)?;
    published(org, object, sub["body"].as_object().ok_or_else(unsupported)?)
}
