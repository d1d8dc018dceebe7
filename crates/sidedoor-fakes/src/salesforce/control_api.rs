//! The control API of the fake Salesforce, under `/_fake` on its own port. `openapi.yaml` describes it.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use super::{Object, SalesforceFake, SalesforceSettings};
use crate::control::{ControlRoute, ControlledFake, delete, get, post, put, shared_routes};
use crate::faults::FaultScript;

pub(super) fn routes() -> Vec<ControlRoute<SalesforceFake>> {
    let mut routes = vec![
        get("/_fake/rows/{object}", records),
        post("/_fake/rows/{object}", add_record),
        get("/_fake/written", written),
        get("/_fake/platform-events", platform_events),
        get("/_fake/usage", usage),
        post("/_fake/revoke-tokens", revoke_tokens),
        put("/_fake/objects", put_object),
        delete("/_fake/objects/{object}", remove_object),
    ];
    routes.extend(shared_routes());
    routes
}

impl ControlledFake for SalesforceFake {
    type Settings = SalesforceSettings;

    fn settings(&self) -> SalesforceSettings {
        self.org().settings.clone()
    }

    fn replace_settings(&self, settings: SalesforceSettings) -> Result<(), String> {
        self.org().settings = settings;
        Ok(())
    }

    fn with_faults<R>(&self, action: impl FnOnce(&mut FaultScript) -> R) -> R {
        action(&mut self.org().faults)
    }
}

async fn records(State(fake): State<SalesforceFake>, Path(object): Path<String>) -> Json<Value> {
    Json(json!(fake.rows(&object)))
}

async fn add_record(
    State(fake): State<SalesforceFake>,
    Path(object): Path<String>,
    Json(record): Json<Map<String, Value>>,
) -> Response {
    let id = fake.put_row(&object, record);
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

async fn revoke_tokens(State(fake): State<SalesforceFake>) -> StatusCode {
    fake.revoke_tokens();
    StatusCode::NO_CONTENT
}

async fn put_object(State(fake): State<SalesforceFake>, Json(object): Json<Object>) -> StatusCode {
    fake.put_object(object);
    StatusCode::NO_CONTENT
}

async fn remove_object(State(fake): State<SalesforceFake>, Path(object): Path<String>) -> StatusCode {
    fake.remove_object(&object);
    StatusCode::NO_CONTENT
}
