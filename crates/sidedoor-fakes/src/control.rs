//! What the control APIs of both fakes share: the route table, the settings, the scripted faults and the OpenAPI document.

use axum::extract::State;
use axum::handler::Handler;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, MethodRouter, on};
use axum::{Json, Router};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::faults::{Fault, FaultScript};

const OPENAPI: &str = include_str!("../openapi.yaml");

/// One line of a route table. The router and the comparison with openapi.yaml are made from the same table, so that neither
/// can have a route that the other lacks.
pub(crate) struct ControlRoute<S> {
    pub(crate) method: &'static str,
    pub(crate) path: &'static str,
    handler: MethodRouter<S>,
}

/// Makes the constructor of the routes of one HTTP method.
macro_rules! constructor {
    ($name:ident, $method:ident) => {
        pub(crate) fn $name<S, H, T>(path: &'static str, handler: H) -> ControlRoute<S>
        where
            S: Clone + Send + Sync + 'static,
            H: Handler<T, S>,
            T: 'static,
        {
            ControlRoute {
                method: stringify!($method),
                path,
                handler: on(MethodFilter::$method, handler),
            }
        }
    };
}

constructor!(get, GET);
constructor!(post, POST);
constructor!(put, PUT);
constructor!(patch, PATCH);
constructor!(delete, DELETE);

pub(crate) fn router<S>(routes: Vec<ControlRoute<S>>, fake: S) -> Router
where
    S: Clone + Send + Sync + 'static,
{
    routes
        .into_iter()
        .fold(Router::new(), |router, route| router.route(route.path, route.handler))
        .with_state(fake)
}

/// A fake whose settings and scripted faults the control API can read and change.
pub(crate) trait ControlledFake: Clone + Send + Sync + 'static {
    type Settings: Serialize + DeserializeOwned + Clone + Send;

    fn settings(&self) -> Self::Settings;
    /// Changes nothing and says why if a value is out of bounds.
    fn replace_settings(&self, settings: Self::Settings) -> Result<(), String>;
    fn with_faults<R>(&self, action: impl FnOnce(&mut FaultScript) -> R) -> R;
}

/// The routes that both fakes have.
pub(crate) fn shared_routes<F: ControlledFake>() -> Vec<ControlRoute<F>> {
    vec![
        get("/_fake/openapi.yaml", openapi),
        get("/_fake/settings", settings::<F>),
        patch("/_fake/settings", change_settings::<F>),
        post("/_fake/faults", add_fault::<F>),
        get("/_fake/faults", faults::<F>),
        delete("/_fake/faults", clear_faults::<F>),
    ]
}

async fn openapi() -> Response {
    ([("content-type", "application/yaml")], OPENAPI).into_response()
}

async fn settings<F: ControlledFake>(State(fake): State<F>) -> Json<F::Settings> {
    Json(fake.settings())
}

/// Members that the request leaves out keep their value, at every level.
async fn change_settings<F: ControlledFake>(
    State(fake): State<F>,
    Json(changes): Json<Map<String, Value>>,
) -> Response {
    let mut merged = json!(fake.settings());
    merge(&mut merged, Value::Object(changes));
    match serde_json::from_value::<F::Settings>(merged) {
        Ok(settings) => match fake.replace_settings(settings.clone()) {
            Ok(()) => Json(settings).into_response(),
            Err(reason) => message(StatusCode::BAD_REQUEST, &reason),
        },
        Err(e) => message(StatusCode::BAD_REQUEST, &e.to_string()),
    }
}

fn merge(into: &mut Value, changes: Value) {
    match (into, changes) {
        (Value::Object(into), Value::Object(changes)) => {
            for (key, value) in changes {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, changes) => *into = changes,
    }
}

async fn add_fault<F: ControlledFake>(State(fake): State<F>, Json(fault): Json<Fault>) -> StatusCode {
    fake.with_faults(|faults| faults.add(fault));
    StatusCode::CREATED
}

async fn faults<F: ControlledFake>(State(fake): State<F>) -> Json<Vec<Fault>> {
    Json(fake.with_faults(|faults| faults.pending()))
}

async fn clear_faults<F: ControlledFake>(State(fake): State<F>) -> StatusCode {
    fake.with_faults(FaultScript::clear);
    StatusCode::NO_CONTENT
}

/// The body of every error that the control APIs answer themselves.
pub(crate) fn message(status: StatusCode, text: &str) -> Response {
    (status, Json(json!({"message": text}))).into_response()
}
