//! The requests of a pair, on Sidedoor's paths.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};

use super::steps::Steps;
use super::vendors::Vendors;
use crate::Outcome;
use crate::services::{EVENTS_KEY, KEY};

#[derive(Clone)]
struct Listening {
    id: String,
    contact: String,
    user: String,
    leg: String,
}

impl Listening {
    fn document(&self, state: &str) -> String {
        json!({"id": self.id, "contactId": self.contact, "connectUserId": self.user, "legContactId": self.leg, "state": state})
            .to_string()
    }
}

/// The service: who listens is kept in memory beside the store, because the floor never restarts.
pub(super) struct Floor {
    steps: Steps,
    vendors: Vendors,
    by_id: Mutex<HashMap<String, Listening>>,
    by_leg: Mutex<HashMap<String, Listening>>,
}

type Shared = State<Arc<Floor>>;

impl Floor {
    pub(super) fn new(steps: Steps, vendors: Vendors) -> Self {
        Self {
            steps,
            vendors,
            by_id: Mutex::default(),
            by_leg: Mutex::default(),
        }
    }

    fn find(map: &Mutex<HashMap<String, Listening>>, key: &str) -> Option<Listening> {
        map.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }
}

pub(super) fn router(floor: Arc<Floor>) -> Router {
    Router::new()
        .route("/v1/supervisions", post(start))
        .route("/v1/supervisions/{id}/disconnect", post(disconnect))
        .route("/v1/supervisions/{id}/acknowledgements", post(acknowledge))
        .route("/v1/events/connect", post(event))
        .route("/readyz", get(|| async { "ready" }))
        .with_state(floor)
}

fn allowed(headers: &HeaderMap, name: &str, expected: &str) -> bool {
    headers
        .get(name)
        .is_some_and(|given| given.as_bytes() == expected.as_bytes())
}

fn answer(outcome: Outcome<Response>) -> Response {
    outcome.unwrap_or_else(|e| (StatusCode::BAD_GATEWAY, e.to_string()).into_response())
}

async fn start(State(floor): Shared, headers: HeaderMap, Json(body): Json<Value>) -> Response {
    if !allowed(&headers, "authorization", &format!("Bearer {KEY}")) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    answer(join(&floor, &body).await)
}

async fn join(floor: &Floor, body: &Value) -> Outcome<Response> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut new = Listening {
        id: uuid::Uuid::now_v7().to_string(),
        contact: text(&body["contactId"]),
        user: text(&body["supervisor"]["connectUserId"]),
        leg: String::new(),
    };
    floor.steps.commit(&new.id, "start", new.document("JOINING")).await?;
    new.leg = floor.vendors.monitor(&new.contact, &new.user, &new.id).await?;
    for (map, key) in [(&floor.by_id, &new.id), (&floor.by_leg, &new.leg)] {
        map.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(key.clone(), new.clone());
    }
    floor.steps.commit(&new.id, "leg", new.document("MONITORING")).await?;
    let body = json!({"id": new.id, "legContactId": new.leg, "state": "MONITORING"});
    Ok((StatusCode::CREATED, Json(body)).into_response())
}

async fn disconnect(State(floor): Shared, Path(id): Path<String>, headers: HeaderMap) -> Response {
    if !allowed(&headers, "authorization", &format!("Bearer {KEY}")) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let Some(known) = Floor::find(&floor.by_id, &id) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let body = json!({"id": id, "nextAction": {"type": "END_LEG_IN_CCP", "directiveId": uuid::Uuid::now_v7().to_string(),
        "legContactId": known.leg}});
    let step = floor.steps.commit(&id, "disconnect", known.document("LEAVING")).await;
    answer(step.map(|()| Json(body).into_response()))
}

async fn acknowledge(State(floor): Shared, Path(id): Path<String>, headers: HeaderMap, _: Json<Value>) -> Response {
    if !allowed(&headers, "authorization", &format!("Bearer {KEY}")) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let Some(known) = Floor::find(&floor.by_id, &id) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let step = floor
        .steps
        .commit(&id, "acknowledgement", known.document("LEAVING"))
        .await;
    tokio::spawn(async move {
        let (steps, leaving) = (&floor.steps, &known);
        let confirmed = || async move {
            steps
                .commit(&leaving.id, "confirmation", leaving.document("LEFT"))
                .await
        };
        let followed = floor.vendors.follow_up(&known.leg, &known.user, confirmed).await;
        let written = followed.and_then(|()| floor.steps.write_later(&known.id, "record", known.document("WRITTEN")));
        if let Err(e) = written {
            eprintln!("the floor could not finish a pair: {e}");
        }
    });
    answer(step.map(|()| StatusCode::NO_CONTENT.into_response()))
}

/// An event of a leg is a step. One of a customer's contact is only read.
async fn event(State(floor): Shared, headers: HeaderMap, Json(event): Json<Value>) -> Response {
    if !allowed(&headers, "x-api-key", EVENTS_KEY) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let contact = event["detail"]["contactId"].as_str().unwrap_or_default();
    let step = match Floor::find(&floor.by_leg, contact) {
        Some(known) => floor.steps.commit(&known.id, "event", known.document("EVENT")).await,
        None => Ok(()),
    };
    answer(step.map(|()| StatusCode::NO_CONTENT.into_response()))
}
