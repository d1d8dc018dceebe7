//! The control API of the fake Amazon Connect, under `/_fake` on its own port. `openapi.yaml` describes it.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::transfers::TRANSFER_REASON;
use super::{ConnectFake, ConnectSettings, EventSettings, ForgedEvent, NewContact, UserChange};
use crate::browser::{Browser, Manners};
use crate::control::{ControlRoute, ControlledFake, delete, get, message, patch, post, shared_routes};
use crate::faults::FaultScript;

pub(super) fn routes() -> Vec<ControlRoute<ConnectFake>> {
    let mut routes = vec![
        get("/_fake/ledger", ledger),
        get("/_fake/usage", usage),
        patch("/_fake/events", change_events),
        post("/_fake/events/forged", send_forged_event),
        post("/_fake/contacts", create_contact),
        get("/_fake/contacts/{contactId}", contact),
        post("/_fake/contacts/{contactId}/hang-up", hang_up),
        post("/_fake/contacts/{contactId}/agent-leaves", agent_leaves),
        post("/_fake/contacts/{contactId}/hold", hold),
        post("/_fake/contacts/{contactId}/region", move_to_region),
        post("/_fake/contacts/{contactId}/transfer", transfer),
        post("/_fake/users", add_user),
        post("/_fake/legs", begin_leg),
        post("/_fake/ccp/{userId}/end-leg", end_leg),
        post("/_fake/ccp/{userId}/mode", change_mode),
        post("/_fake/browser/{userId}/directives", execute_directive),
        post("/_fake/browser/{userId}/tabs", open_tab),
        get("/_fake/browser/{userId}/tabs", tabs),
        delete("/_fake/browser/{userId}/tabs", close_tabs),
    ];
    routes.extend(shared_routes());
    routes
}

impl ControlledFake for ConnectFake {
    type Settings = ConnectSettings;

    fn settings(&self) -> ConnectSettings {
        self.state().settings.clone()
    }

    fn replace_settings(&self, settings: ConnectSettings) -> Result<(), String> {
        settings.check()?;
        self.state().settings = settings;
        Ok(())
    }

    fn with_faults<R>(&self, action: impl FnOnce(&mut FaultScript) -> R) -> R {
        action(&mut self.state().faults)
    }
}

/// 204, or 409 with the reason for which a real CCP would not do it.
fn no_content(outcome: Result<(), String>) -> Response {
    match outcome {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(reason) => message(StatusCode::CONFLICT, &reason),
    }
}

async fn ledger(State(fake): State<ConnectFake>) -> Json<Value> {
    let ledger = fake.ledger();
    Json(json!({"calls": ledger.calls, "ended": ledger.ended,
        "customerContactsWeEnded": fake.customer_contacts_we_ended(), "pendingEvents": fake.pending_events()}))
}

/// The numbers only, because a benchmark asks for them often and the ledger may have 100,000 calls.
async fn usage(State(fake): State<ConnectFake>) -> Json<Value> {
    Json(json!({"apiCalls": fake.call_totals(), "pendingEvents": fake.pending_events()}))
}

/// Unlike the settings, the object is replaced as a whole: a member that is left out gets its default.
async fn change_events(State(fake): State<ConnectFake>, Json(settings): Json<EventSettings>) -> Json<EventSettings> {
    fake.change_events(|events| *events = settings.clone());
    Json(settings)
}

async fn send_forged_event(State(fake): State<ConnectFake>, Json(forged): Json<ForgedEvent>) -> Response {
    (StatusCode::CREATED, Json(fake.send_forged_event(&forged))).into_response()
}

async fn create_contact(State(fake): State<ConnectFake>, Json(new): Json<NewContact>) -> Response {
    let contact_id = fake.create_contact(new);
    (StatusCode::CREATED, Json(json!({"contactId": contact_id}))).into_response()
}

async fn contact(State(fake): State<ConnectFake>, Path(id): Path<String>) -> Response {
    match fake.contact(&id) {
        Some(view) => Json(view).into_response(),
        None => message(StatusCode::NOT_FOUND, &format!("unknown contact `{id}`")),
    }
}

#[derive(Deserialize)]
struct HangUp {
    by: String,
}

async fn hang_up(State(fake): State<ConnectFake>, Path(id): Path<String>, Json(body): Json<HangUp>) -> Response {
    no_content(fake.hang_up(&id, &body.by))
}

async fn agent_leaves(State(fake): State<ConnectFake>, Path(id): Path<String>) -> Response {
    no_content(fake.agent_leaves(&id))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Hold {
    on_hold: bool,
}

async fn hold(State(fake): State<ConnectFake>, Path(id): Path<String>, Json(body): Json<Hold>) -> Response {
    no_content(fake.hold(&id, body.on_hold))
}

#[derive(Deserialize)]
struct Move {
    region: String,
}

async fn move_to_region(State(fake): State<ConnectFake>, Path(id): Path<String>, Json(body): Json<Move>) -> Response {
    no_content(fake.move_to_region(&id, &body.region))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Transfer {
    agent_id: String,
    disconnect_reason: Option<String>,
}

async fn transfer(State(fake): State<ConnectFake>, Path(id): Path<String>, Json(body): Json<Transfer>) -> Response {
    let reason = body.disconnect_reason.as_deref().unwrap_or(TRANSFER_REASON);
    match fake.transfer_with_reason(&id, &body.agent_id, reason) {
        Ok(next) => (StatusCode::CREATED, Json(json!({"contactId": next}))).into_response(),
        Err(reason) => message(StatusCode::CONFLICT, &reason),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NewUser {
    user_id: String,
    #[serde(flatten)]
    change: UserChange,
}

async fn add_user(State(fake): State<ConnectFake>, Json(body): Json<NewUser>) -> StatusCode {
    let ccp_open = body.change.ccp_open.or(Some(true));
    fake.change_user(
        &body.user_id,
        UserChange {
            ccp_open,
            ..body.change
        },
    );
    StatusCode::CREATED
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
        Err(reason) => message(StatusCode::CONFLICT, &reason),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct EndLeg {
    leg_contact_id: String,
}

async fn end_leg(State(fake): State<ConnectFake>, Path(user): Path<String>, Json(body): Json<EndLeg>) -> Response {
    no_content(fake.end_leg_in_ccp(&user, &body.leg_contact_id))
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
    no_content(fake.change_mode_in_ccp(&user, &body.leg_contact_id, &body.mode))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BrowserDirective {
    sidedoor_url: String,
    bearer: Option<String>,
    directive: Value,
    #[serde(default)]
    manners: Manners,
}

async fn execute_directive(
    State(fake): State<ConnectFake>,
    Path(user): Path<String>,
    Json(body): Json<BrowserDirective>,
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
        false => message(StatusCode::CONFLICT, "limit reached: too many tabs are open"),
    }
}

async fn tabs(State(fake): State<ConnectFake>, Path(user): Path<String>) -> Json<Value> {
    let tabs = fake.tabs_heard(&user).into_iter().map(|tab| {
        let events: Vec<Value> = tab
            .into_iter()
            .map(|(name, data)| json!({"event": name, "data": data}))
            .collect();
        json!({"heard": events})
    });
    Json(json!({"tabs": tabs.collect::<Vec<_>>()}))
}

async fn close_tabs(State(fake): State<ConnectFake>, Path(user): Path<String>) -> StatusCode {
    fake.close_tabs(&user);
    StatusCode::NO_CONTENT
}
