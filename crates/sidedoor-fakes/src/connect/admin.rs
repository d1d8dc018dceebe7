//! The admin API of fake Connect, under `/_fake`; JSON in and out.
//!
//! | call | does |
//! |---|---|
//! | GET /_fake/ledger | calls and ends; `customerContactsWeEnded` must be empty |
//! | GET, PATCH /_fake/settings | settings of the service |
//! | PATCH /_fake/events | where and how events go (the whole object) |
//! | POST /_fake/contacts | a customer's contact `{contactId?, channel?, agentId?}` |
//! | GET /_fake/contacts/{contactId} | one contact or leg |
//! | POST /_fake/contacts/{contactId}/hang-up | `{"by": "CUSTOMER"}` or `AGENT` |
//! | POST /_fake/legs | a leg begun by hand `{contactId, userId}` |
//! | POST /_fake/contacts/{contactId}/agent-leaves | the agent hangs up; a barged-in supervisor stays with the customer |
//! | POST /_fake/contacts/{contactId}/hold | `{"onHold": true}` |
//! | POST /_fake/users | a user `{userId, username?}` |
//! | POST /_fake/ccp/{userId}/end-leg | the supervisor ends their own leg `{legContactId}` |
//! | POST /_fake/ccp/{userId}/mode | … changes its mode `{legContactId, mode: SILENT_MONITOR or BARGE}` |
//! | POST /_fake/browser/{userId}/directives | the simulated browser obeys `{sidedoorUrl, bearer?, directive}` |
//! | POST, GET, DELETE /_fake/browser/{userId}/tabs | a tab that follows the stream and obeys `{sidedoorUrl, bearer?, manners?}`; what the tabs heard; all closed |
//! | POST, GET, DELETE /_fake/faults | scripted faults |

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, patch, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{ConnectFake, ConnectSettings, EventSettings, NewContact};
use crate::browser::{Browser, Manners};
use crate::faults::Fault;

pub(super) fn router(fake: ConnectFake) -> Router {
    Router::new()
        .route("/_fake/ledger", get(ledger))
        .route("/_fake/settings", get(settings).patch(change_settings))
        .route("/_fake/events", patch(change_events))
        .route("/_fake/contacts", post(create_contact))
        .route("/_fake/contacts/{contact}", get(contact))
        .route("/_fake/contacts/{contact}/hang-up", post(hang_up))
        .route("/_fake/contacts/{contact}/agent-leaves", post(agent_leaves))
        .route("/_fake/contacts/{contact}/hold", post(hold))
        .route("/_fake/users", post(add_user))
        .route("/_fake/legs", post(begin_leg))
        .route("/_fake/ccp/{user}/end-leg", post(end_leg))
        .route("/_fake/ccp/{user}/mode", post(change_mode))
        .route("/_fake/browser/{user}/directives", post(direct_browser))
        .route(
            "/_fake/browser/{user}/tabs",
            post(open_tab).get(tabs).delete(close_tabs),
        )
        .route("/_fake/faults", post(add_fault).get(faults).delete(clear_faults))
        .with_state(fake)
}

fn refused(why: String) -> Response {
    (StatusCode::CONFLICT, Json(json!({"message": why}))).into_response()
}

async fn ledger(State(fake): State<ConnectFake>) -> Json<Value> {
    let ledger = fake.ledger();
    Json(json!({"calls": ledger.calls, "ended": ledger.ended,
        "customerContactsWeEnded": fake.customer_contacts_we_ended(), "pendingEvents": fake.pending_events()}))
}

async fn settings(State(fake): State<ConnectFake>) -> Json<ConnectSettings> {
    Json(fake.world().settings.clone())
}

/// Lays the given members over the settings there are.
async fn change_settings(State(fake): State<ConnectFake>, Json(given): Json<Value>) -> Response {
    let mut all = json!(fake.world().settings);
    merge(&mut all, &given);
    match serde_json::from_value::<ConnectSettings>(all) {
        Ok(settings) => {
            fake.change(|s| *s = settings.clone());
            Json(settings).into_response()
        }
        Err(e) => (StatusCode::BAD_REQUEST, Json(json!({"message": e.to_string()}))).into_response(),
    }
}

fn merge(into: &mut Value, given: &Value) {
    match (into, given) {
        (Value::Object(into), Value::Object(given)) => {
            for (key, value) in given {
                merge(into.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (into, given) => *into = given.clone(),
    }
}

async fn change_events(State(fake): State<ConnectFake>, Json(given): Json<EventSettings>) -> Json<EventSettings> {
    fake.change_events(|e| *e = given.clone());
    Json(given)
}

async fn create_contact(State(fake): State<ConnectFake>, Json(new): Json<NewContact>) -> Response {
    let contact_id = fake.create_contact(new);
    (StatusCode::CREATED, Json(json!({"contactId": contact_id}))).into_response()
}

async fn contact(State(fake): State<ConnectFake>, Path(id): Path<String>) -> Response {
    match fake.contact(&id) {
        Some(view) => Json(view).into_response(),
        None => (StatusCode::NOT_FOUND, Json(json!({"message": "no such contact"}))).into_response(),
    }
}

#[derive(Deserialize)]
struct HangUp {
    by: String,
}

async fn hang_up(State(fake): State<ConnectFake>, Path(id): Path<String>, Json(body): Json<HangUp>) -> Response {
    done(fake.hang_up(&id, &body.by))
}

fn done(done: Result<(), String>) -> Response {
    match done {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(why) => refused(why),
    }
}

async fn agent_leaves(State(fake): State<ConnectFake>, Path(id): Path<String>) -> Response {
    done(fake.agent_leaves(&id))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Hold {
    on_hold: bool,
}

async fn hold(State(fake): State<ConnectFake>, Path(id): Path<String>, Json(body): Json<Hold>) -> Response {
    done(fake.hold(&id, body.on_hold))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ChangeMode {
    leg_contact_id: String,
    mode: String,
}

async fn change_mode(
    State(fake): State<ConnectFake>,
    Path(user): Path<String>,
    Json(body): Json<ChangeMode>,
) -> Response {
    done(fake.change_mode_in_ccp(&user, &body.leg_contact_id, &body.mode))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NewUser {
    user_id: String,
    username: Option<String>,
}

async fn add_user(State(fake): State<ConnectFake>, Json(body): Json<NewUser>) -> Response {
    fake.set_ccp_open(&body.user_id, true);
    if let Some(name) = &body.username {
        fake.name_user(&body.user_id, name);
    }
    StatusCode::CREATED.into_response()
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BeginLeg {
    contact_id: String,
    user_id: String,
}

async fn begin_leg(State(fake): State<ConnectFake>, Json(body): Json<BeginLeg>) -> Response {
    match fake.begin_leg_by_hand(&body.contact_id, &body.user_id) {
        Ok(leg) => (StatusCode::CREATED, Json(json!({"legContactId": leg}))).into_response(),
        Err(why) => refused(why),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct EndLeg {
    leg_contact_id: String,
}

async fn end_leg(State(fake): State<ConnectFake>, Path(user): Path<String>, Json(body): Json<EndLeg>) -> Response {
    done(fake.end_leg_in_ccp(&user, &body.leg_contact_id))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ToBrowser {
    sidedoor_url: String,
    bearer: Option<String>,
    directive: Value,
    #[serde(default)]
    manners: Manners,
}

async fn direct_browser(
    State(fake): State<ConnectFake>,
    Path(user): Path<String>,
    Json(body): Json<ToBrowser>,
) -> Json<Value> {
    let browser = Browser::new(fake, &user, &body.sidedoor_url, body.bearer).with(body.manners);
    Json(json!({"outcome": browser.obey(&body.directive).await}))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NewTab {
    sidedoor_url: String,
    bearer: Option<String>,
    #[serde(default)]
    manners: Manners,
}

async fn open_tab(State(fake): State<ConnectFake>, Path(user): Path<String>, Json(body): Json<NewTab>) -> Response {
    let tab = Browser::new(fake.clone(), &user, &body.sidedoor_url, body.bearer)
        .with(body.manners)
        .open_tab();
    match fake.keep_tab(&user, tab) {
        true => StatusCode::CREATED.into_response(),
        false => refused("too many tabs are open".into()),
    }
}

async fn tabs(State(fake): State<ConnectFake>, Path(user): Path<String>) -> Json<Value> {
    let heard = fake.tabs_heard(&user).into_iter().map(|tab| {
        let told: Vec<Value> = tab
            .into_iter()
            .map(|(name, data)| json!({"event": name, "data": data}))
            .collect();
        json!({"heard": told})
    });
    Json(json!({"tabs": heard.collect::<Vec<_>>()}))
}

async fn close_tabs(State(fake): State<ConnectFake>, Path(user): Path<String>) -> StatusCode {
    fake.close_tabs(&user);
    StatusCode::NO_CONTENT
}

async fn add_fault(State(fake): State<ConnectFake>, Json(fault): Json<Fault>) -> StatusCode {
    fake.fault(fault);
    StatusCode::CREATED
}

async fn faults(State(fake): State<ConnectFake>) -> Json<Vec<Fault>> {
    Json(fake.world().faults.pending())
}

async fn clear_faults(State(fake): State<ConnectFake>) -> StatusCode {
    fake.clear_faults();
    StatusCode::NO_CONTENT
}
