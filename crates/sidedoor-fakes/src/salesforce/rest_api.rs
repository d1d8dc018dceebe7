//! The REST API: its paths, and the shapes of its answers. Every answer has a `Sforce-Limit-Info` header.

use axum::body::{Bytes, to_bytes};
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, patch, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::calls_in_flight::WriteInFlight;
use super::objects::{Field, Object};
use super::org::SalesforceError;
use super::{SalesforceFake, hosts, platform_events, soql};
use crate::faults::Fault;

/// Longest accepted body, bytes.
const MAX_BODY: usize = 4 * 1024 * 1024;
/// Largest number of records of a collection.
const MAX_COLLECTION_RECORDS: usize = 200;

pub(super) fn router(fake: SalesforceFake) -> Router {
    let versioned = Router::new()
        .route("/", get(resources))
        .route("/limits", get(limits))
        .route("/query", get(query))
        .route("/query/", get(query))
        .route("/sobjects", get(list_objects))
        .route("/sobjects/", get(list_objects))
        .route("/sobjects/{object}/describe", get(describe))
        .route("/sobjects/{object}/describe/", get(describe))
        .route("/sobjects/{object}/{id}", get(by_id).delete(delete))
        .route("/sobjects/{object}/{field}/{value}", patch(upsert).get(by_external_id))
        .route("/composite", post(platform_events::composite))
        .route("/sobjects/{object}/", post(platform_events::publish))
        .route("/sobjects/{object}", post(platform_events::publish))
        .route("/composite/sobjects/{object}/{field}", patch(collection));
    let api = Router::new()
        .route("/services/data", get(versions))
        .route("/services/data/", get(versions))
        .nest("/services/data/{version}", versioned)
        .with_state(fake.clone());
    hosts::at_hosts(&fake, &api)
}

pub(super) type Outcome = Result<Response, SalesforceError>;

impl SalesforceFake {
    /// Handles one call: checks the session and the daily limit, applies a scripted fault, and runs `effect`.
    pub(super) async fn serve(
        &self,
        operation: &str,
        request: Request,
        effect: impl FnOnce(&Self, &Bytes) -> Outcome + Send + 'static,
    ) -> Response {
        let (parts, body) = request.into_parts();
        let Ok(bytes) = to_bytes(body, MAX_BODY).await else {
            return answer_error(&SalesforceError::new(400, "REQUEST_TOO_LARGE", "the body is too large"));
        };
        let bearer = parts
            .headers
            .get("authorization")
            .and_then(|v| v.to_str().ok()?.strip_prefix("Bearer "));
        let known = bearer.is_some_and(|token| self.org().tokens.contains(token));
        // Decoded, so that a fault's `matching` finds the same external id in a path and in a body.
        let path = percent_encoding::percent_decode_str(parts.uri.path()).decode_utf8_lossy();
        let about = format!("{path} {}", String::from_utf8_lossy(&bytes));
        let (fault, used, limit, allowed) = {
            let mut org = self.org();
            org.calls += 1;
            *org.calls_by_operation.entry(operation.to_owned()).or_default() += 1;
            org.keep_trace_parent(crate::trace_parent(&parts.headers));
            let fault = if known {
                org.faults.take_matching(operation, &about)
            } else {
                None
            };
            let mut scopes = org.settings.token_scopes.split_whitespace();
            let allowed = scopes.any(|scope| matches!(scope, "api" | "full"));
            (fault, org.calls, org.settings.daily_limit, allowed)
        };
        let _write = WriteInFlight::begin(self, operation, &path, &bytes);
        if let Some(fault) = &fault {
            tokio::time::sleep(fault.delay()).await;
        }
        let outcome = if !known {
            Err(SalesforceError::new(
                401,
                "INVALID_SESSION_ID",
                "Session expired or invalid",
            ))
        } else if !allowed {
            Err(SalesforceError::new(
                401,
                "INVALID_SESSION_ID",
                "This session is not valid for use with the REST API",
            ))
        } else if used > limit {
            Err(SalesforceError::new(
                403,
                "REQUEST_LIMIT_EXCEEDED",
                "TotalRequests Limit exceeded.",
            ))
        } else {
            match &fault {
                Some(f) if f.late_effect().is_some() => {
                    self.have_effect_later(f.late_effect().unwrap_or_default(), bytes, effect);
                    Err(scripted_error(f))
                }
                Some(f) if f.prevents_effect() => Err(scripted_error(f)),
                _ => effect(self, &bytes),
            }
        };
        let mut response = match (outcome, &fault) {
            (Ok(_), Some(f)) if f.after_effect && f.status.is_some() => answer_error(&scripted_error(f)),
            (Ok(response), _) => response,
            (Err(e), _) => answer_error(&e),
        };
        let usage = format!("api-usage={}/{limit}; api-bursts=0/750", used.min(limit));
        if let Ok(value) = HeaderValue::from_str(&usage) {
            response.headers_mut().insert("sforce-limit-info", value);
        }
        match fault {
            Some(fault) => fault.distort(response).await,
            None => response,
        }
    }
}

impl SalesforceFake {
    /// Runs the effect of a call whose client may be gone by then.
    fn have_effect_later(
        &self,
        after: std::time::Duration,
        bytes: Bytes,
        effect: impl FnOnce(&Self, &Bytes) -> Outcome + Send + 'static,
    ) {
        let fake = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(after).await;
            // Whether it succeeded is seen in the records.
            drop(effect(&fake, &bytes));
        });
    }
}

fn scripted_error(f: &Fault) -> SalesforceError {
    let mut e = SalesforceError::new(f.status.unwrap_or(500), &f.code, f.message.clone());
    e.fields.clone_from(&f.fields);
    e
}

pub(super) fn answer_error(e: &SalesforceError) -> Response {
    let status = StatusCode::from_u16(e.status).unwrap_or(StatusCode::BAD_REQUEST);
    let body = match e.status {
        // Several records match: Salesforce answers only their URLs.
        300 => json!(["/services/data/v68.0/sobjects/x/1", "/services/data/v68.0/sobjects/x/2"]),
        _ if e.fields.is_empty() => json!([{"message": e.message, "errorCode": e.code}]),
        _ => json!([{"message": e.message, "errorCode": e.code, "fields": e.fields}]),
    };
    (status, Json(body)).into_response()
}

async fn versions(State(fake): State<SalesforceFake>) -> Json<Value> {
    let newest = fake.org().settings.newest_api_version;
    let older = newest.saturating_sub(2)..=newest;
    Json(
        older
            .map(|v| json!({"label": format!("Release {v}"), "url": format!("/services/data/v{v}.0"), "version": format!("{v}.0")}))
            .collect(),
    )
}

async fn resources(Path(version): Path<String>) -> Json<Value> {
    let of = |name: &str| format!("/services/data/{version}/{name}");
    Json(
        json!({"sobjects": of("sobjects"), "query": of("query"), "limits": of("limits"), "composite": of("composite")}),
    )
}

async fn limits(State(fake): State<SalesforceFake>, request: Request) -> Response {
    fake.serve("limits", request, move |fake, _| {
        let org = fake.org();
        let left = org.settings.daily_limit.saturating_sub(org.calls);
        Ok(Json(json!({"DailyApiRequests": {"Max": org.settings.daily_limit, "Remaining": left}})).into_response())
    })
    .await
}

#[derive(Deserialize)]
struct QueryParameters {
    q: String,
}

async fn query(
    State(fake): State<SalesforceFake>,
    Query(parameters): Query<QueryParameters>,
    request: Request,
) -> Response {
    fake.serve("query", request, move |fake, _| {
        let mut org = fake.org();
        org.remember_query(&parameters.q);
        Ok(Json(soql::query(&org, &parameters.q)?).into_response())
    })
    .await
}

async fn list_objects(State(fake): State<SalesforceFake>, request: Request) -> Response {
    fake.serve("sobjects", request, move |fake, _| {
        let org = fake.org();
        let list: Vec<Value> = org.objects().map(|o| object_description(o, false)).collect();
        Ok(Json(json!({"encoding": "UTF-8", "maxBatchSize": 200, "sobjects": list})).into_response())
    })
    .await
}

async fn describe(
    State(fake): State<SalesforceFake>,
    Path((_, object)): Path<(String, String)>,
    request: Request,
) -> Response {
    fake.serve("describe", request, move |fake, _| {
        Ok(Json(object_description(fake.org().object(&object)?, true)).into_response())
    })
    .await
}

fn object_description(o: &Object, with_fields: bool) -> Value {
    let mut d = json!({"name": o.name, "label": o.name, "custom": o.name.ends_with("__c"), "createable": o.createable,
        "updateable": o.updateable, "deletable": o.deletable, "queryable": true, "retrieveable": true});
    if with_fields {
        d["fields"] = o.fields.iter().map(field_description).collect();
    }
    d
}

fn field_description(f: &Field) -> Value {
    json!({"name": f.name, "label": f.name, "type": f.kind, "length": f.length, "createable": f.createable,
        "updateable": f.updateable, "externalId": f.external_id, "unique": f.unique, "idLookup": f.external_id,
        "nillable": true, "referenceTo": f.reference_to})
}

async fn by_id(
    State(fake): State<SalesforceFake>,
    Path((_, object, id)): Path<(String, String, String)>,
    request: Request,
) -> Response {
    fake.serve("get", request, move |fake, _| one(fake, &object, "Id", &id))
        .await
}

async fn by_external_id(
    State(fake): State<SalesforceFake>,
    Path((_, object, field, value)): Path<(String, String, String, String)>,
    request: Request,
) -> Response {
    fake.serve("get", request, move |fake, _| one(fake, &object, &field, &value))
        .await
}

fn one(fake: &SalesforceFake, object: &str, field: &str, value: &str) -> Outcome {
    let org = fake.org();
    let name = org.object(object)?.name.clone();
    let mut found = org.matching(object, field, value);
    match found.len() {
        1 => {
            let mut row = found.remove(0);
            row.insert("attributes".into(), json!({"type": name}));
            Ok(Json(Value::Object(row)).into_response())
        }
        0 => Err(SalesforceError::new(
            404,
            "NOT_FOUND",
            "The requested resource does not exist",
        )),
        _ => Err(SalesforceError::new(300, "MULTIPLE_CHOICES", "several records match")),
    }
}

async fn delete(
    State(fake): State<SalesforceFake>,
    Path((_, object, id)): Path<(String, String, String)>,
    request: Request,
) -> Response {
    fake.serve("delete", request, move |fake, _| {
        if !fake.org().object(&object)?.deletable {
            return Err(SalesforceError::new(
                403,
                "INSUFFICIENT_ACCESS_OR_READONLY",
                "insufficient access rights on object id",
            ));
        }
        if fake.org().delete_row(&object, &id) {
            Ok(StatusCode::NO_CONTENT.into_response())
        } else {
            Err(SalesforceError::new(404, "ENTITY_IS_DELETED", "entity is deleted"))
        }
    })
    .await
}

pub(super) fn parsed(bytes: &Bytes) -> Result<Map<String, Value>, SalesforceError> {
    let bad = |_| SalesforceError::new(400, "JSON_PARSER_ERROR", "the body is not a JSON object");
    serde_json::from_slice(bytes).map_err(bad)
}

async fn upsert(
    State(fake): State<SalesforceFake>,
    Path((_, object, field, value)): Path<(String, String, String, String)>,
    request: Request,
) -> Response {
    fake.serve("upsert", request, move |fake, bytes| {
        let (id, created) = fake.org().upsert(&object, &field, &value, &parsed(bytes)?)?;
        let status = if created { StatusCode::CREATED } else { StatusCode::OK };
        Ok((
            status,
            Json(json!({"id": id, "success": true, "errors": [], "created": created})),
        )
            .into_response())
    })
    .await
}

/// Upserts up to 200 records. Answers 200 with a result for each record, even if some or all of them fail.
async fn collection(
    State(fake): State<SalesforceFake>,
    Path((_, object, field)): Path<(String, String, String)>,
    request: Request,
) -> Response {
    fake.serve("collections", request, move |fake, bytes| {
        let body = parsed(bytes)?;
        let records = body
            .get("records")
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default();
        if records.len() > MAX_COLLECTION_RECORDS {
            let message = format!("record count exceeds the limit of {MAX_COLLECTION_RECORDS}");
            return Err(SalesforceError::new(400, "TOO_MANY_RECORDS", message));
        }
        let all_or_none = body.get("allOrNone") == Some(&Value::Bool(true));
        let mut org = fake.org();
        let before = all_or_none.then(|| org.snapshot());
        let mut results = Vec::with_capacity(records.len());
        for record in records {
            results.push(match collection_item(&mut org, &object, &field, record) {
                Ok((id, created)) => json!({"id": id, "success": true, "errors": [], "created": created}),
                Err(e) => failed_item(&e),
            });
        }
        // With `allOrNone`, one failed record rolls back the others, and each of them says so.
        if let Some(before) = before.filter(|_| results.iter().any(|r| r["success"] == false)) {
            org.restore(before);
            let undone = SalesforceError::new(
                400,
                "ALL_OR_NONE_OPERATION_ROLLED_BACK",
                "Record rolled back because not all records were valid and the request was using AllOrNone header",
            );
            let undo = |r: &mut Value| *r = failed_item(&undone);
            results.iter_mut().filter(|r| r["success"] == true).for_each(undo);
        }
        Ok(Json(json!(results)).into_response())
    })
    .await
}

fn failed_item(e: &SalesforceError) -> Value {
    json!({"success": false, "errors": [{"statusCode": e.code, "message": e.message, "fields": e.fields}]})
}

fn collection_item(
    org: &mut super::org::Org,
    object: &str,
    field: &str,
    record: Value,
) -> Result<(String, bool), SalesforceError> {
    let Value::Object(mut record) = record else {
        return Err(SalesforceError::new(
            400,
            "JSON_PARSER_ERROR",
            "a record is not a JSON object",
        ));
    };
    let kind = record
        .remove("attributes")
        .and_then(|a| a.get("type")?.as_str().map(ToOwned::to_owned));
    if !kind.is_some_and(|k| k.eq_ignore_ascii_case(object)) {
        return Err(SalesforceError::new(
            400,
            "INVALID_TYPE",
            "attributes.type must name the object",
        ));
    }
    let key = record
        .iter()
        .find(|(k, _)| k.eq_ignore_ascii_case(field))
        .map(|(k, _)| k.clone());
    let key = key
        .and_then(|k| record.remove(&k))
        .and_then(|v| v.as_str().map(ToOwned::to_owned));
    let missing = || SalesforceError::new(400, "MISSING_ARGUMENT", format!("{field} not specified"));
    let key = key.ok_or_else(missing)?;
    // A scripted fault of the operation `item` matches one record of a collection by its external id.
    if let Some(f) = org.faults.take_matching("item", &key) {
        return Err(scripted_error(&f));
    }
    org.upsert(object, field, &key, &record)
}
