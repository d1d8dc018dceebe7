//! The admin API of fake Salesforce, under `/_fake`; JSON in and out.
//!
//! | call | does |
//! |---|---|
//! | GET /_fake/rows/{object} | all rows |
//! | POST /_fake/rows/{object} | adds a row as it is |
//! | GET /_fake/written | every accepted write, oldest first |
//! | GET /_fake/platform-events | the Platform Events published, oldest first |
//! | GET /_fake/usage | API calls and logins so far |
//! | POST /_fake/revoke-tokens | every session ends |
//! | GET, PATCH /_fake/settings | settings |
//! | PUT /_fake/objects | adds or replaces an object (shape of describe) |
//! | DELETE /_fake/objects/{object} | takes one away |
//! | POST, GET, DELETE /_fake/faults | scripted faults |

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post, put};
use axum::{Json, Router};
use serde_json::{Map, Value, json};

use super::{Object, SalesforceFake, SalesforceSettings};
use crate::faults::Fault;

pub(super) fn router(fake: SalesforceFake) -> Router {
    Router::new()
        .route("/_fake/rows/{object}", get(rows).post(put_row))
        .route("/_fake/written", get(written))
        .route("/_fake/platform-events", get(platform_events))
        .route("/_fake/usage", get(usage))
        .route("/_fake/revoke-tokens", post(revoke))
        .route("/_fake/settings", get(settings).patch(change_settings))
        .route("/_fake/objects", put(put_object))
        .route("/_fake/objects/{object}", delete(remove_object))
        .route("/_fake/faults", post(add_fault).get(faults).delete(clear_faults))
        .with_state(fake)
}

async fn rows(State(fake): State<SalesforceFake>, Path(object): Path<String>) -> Json<Value> {
    Json(json!(fake.rows(&object)))
}

async fn put_row(
    State(fake): State<SalesforceFake>,
    Path(object): Path<String>,
    Json(row): Json<Map<String, Value>>,
) -> Response {
    let id = fake.org().put_row(&object, row);
    (StatusCode::CREATED, Json(json!({"id": id}))).into_response()
}

async fn written(State(fake): State<SalesforceFake>) -> Json<Value> {
    Json(json!(fake.written()))
}

async fn platform_events(State(fake): State<SalesforceFake>) -> Json<Value> {
    let events = fake.events();
    Json(
        events
            .into_iter()
            .map(|(name, fields)| json!({"event": name, "fields": fields}))
            .collect(),
    )
}

async fn usage(State(fake): State<SalesforceFake>) -> Json<Value> {
    Json(json!({"apiCalls": fake.api_calls(), "logins": fake.logins()}))
}

async fn revoke(State(fake): State<SalesforceFake>) -> StatusCode {
    fake.revoke_tokens();
    StatusCode::NO_CONTENT
}

async fn settings(State(fake): State<SalesforceFake>) -> Json<SalesforceSettings> {
    Json(fake.org().settings.clone())
}

/// Lays the given members over the settings there are.
async fn change_settings(State(fake): State<SalesforceFake>, Json(given): Json<Map<String, Value>>) -> Response {
    let mut all = json!(fake.org().settings);
    for (key, value) in given {
        all[key] = value;
    }
    match serde_json::from_value::<SalesforceSettings>(all) {
        Ok(new) => {
            fake.change(|s| *s = new.clone());
            Json(new).into_response()
        }
        Err(e) => (StatusCode::BAD_REQUEST, Json(json!({"message": e.to_string()}))).into_response(),
    }
}

async fn put_object(State(fake): State<SalesforceFake>, Json(object): Json<Object>) -> StatusCode {
    fake.put_object(object);
    StatusCode::NO_CONTENT
}

async fn remove_object(State(fake): State<SalesforceFake>, Path(object): Path<String>) -> StatusCode {
    fake.remove_object(&object);
    StatusCode::NO_CONTENT
}

async fn add_fault(State(fake): State<SalesforceFake>, Json(fault): Json<Fault>) -> StatusCode {
    fake.fault(fault);
    StatusCode::CREATED
}

async fn faults(State(fake): State<SalesforceFake>) -> Json<Vec<Fault>> {
    Json(fake.faults())
}

async fn clear_faults(State(fake): State<SalesforceFake>) -> StatusCode {
    fake.clear_faults();
    StatusCode::NO_CONTENT
}
