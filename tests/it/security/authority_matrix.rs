//! Who may do what to whose supervision in which state: every combination of role, owner, state and action is called over HTTP and
//! compared with the rule in `expected`. A role is a scope by key or by token, or no valid credential. Actions are the routes about a
//! supervision or a supervisor, and the start; the routes and states are not listed by hand. `authority_routes` calls every route.

use std::collections::HashSet;

use serde_json::json;
use sidedoor::http::ROUTES;
use sidedoor_domain::authority::Scope;
use sidedoor_domain::supervision::State;
use sidedoor_fakes::Fault;

use crate::support::app::{Answer, TestApp, start};
use crate::support::callers::{Callers, ROLES, Role};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Act {
    See,
    Timeline,
    Acknowledge,
    ChangeMode,
    Disconnect,
    Close,
    /// Leave whatever the supervisor listens to.
    DisconnectSupervisor,
    Directives,
    Ticket,
    /// Start again with the same supervisor and contact.
    Start,
}

/// What a route does to a supervision, if it is about one or about a supervisor.
fn act(method: &str, route: &str) -> Option<Act> {
    let about = route.contains("{supervisionId}") || route.contains("{connectUserId}");
    Some(match (method, route) {
        ("GET", "/v1/supervisions/{supervisionId}") => Act::See,
        ("GET", "/v1/supervisions/{supervisionId}/timeline") => Act::Timeline,
        ("POST", "/v1/supervisions/{supervisionId}/acknowledgements") => Act::Acknowledge,
        ("POST", "/v1/supervisions/{supervisionId}/mode") => Act::ChangeMode,
        ("POST", "/v1/supervisions/{supervisionId}/disconnect") => Act::Disconnect,
        ("POST", "/v1/supervisions/{supervisionId}/close") => Act::Close,
        ("POST", "/v1/supervisors/{connectUserId}/disconnect") => Act::DisconnectSupervisor,
        ("GET", "/v1/supervisors/{connectUserId}/directives") => Act::Directives,
        ("POST", "/v1/supervisors/{connectUserId}/tickets") => Act::Ticket,
        ("POST", "/v1/supervisions") => Act::Start,
        _ if about => panic!("{method} {route} has no rule here: add one to `act` and `expected`"),
        _ => return None,
    })
}

fn acts() -> Vec<Act> {
    ROUTES
        .iter()
        .filter_map(|route| act(route.verb.as_str(), route.path))
        .collect()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Owner {
    Supervisor1,
    Supervisor2,
    /// Monitors a leg that was started in Amazon Connect and not by us.
    Supervisor3,
}

impl Owner {
    fn user(self) -> &'static str {
        match self {
            Self::Supervisor1 => "supervisor-1",
            Self::Supervisor2 => "supervisor-2",
            Self::Supervisor3 => "supervisor-3",
        }
    }
}

/// The rule: the status, and whether the act may change anything.
fn expected(role: Role, owner: Owner, state: State, act: Act) -> (u16, bool) {
    let owns = match role.scope() {
        Some(Scope::SuperviseAny) => true,
        Some(Scope::Supervise) => owner == Owner::Supervisor1,
        _ => false,
    };
    let operates = role.scope() == Some(Scope::Operate);
    let sees = owns || operates || role.scope() == Some(Scope::Read);
    let over = state.is_final();
    // A join that was not sent is cancelled at once, so the answer is 200 and there is no leg to leave.
    let leave = if over || state == State::Requested { 200 } else { 202 };
    let changes = !over && state != State::Leaving;
    match act {
        _ if role.scope().is_none() => (401, false),
        // 403 and not 404, because the caller names the supervisor and so learns nothing.
        Act::Directives => (if owns || operates { 200 } else { 403 }, false),
        Act::Ticket => (if owns { 201 } else { 403 }, false),
        // If the supervision is over, this starts another one, which fails because its contact does not exist.
        Act::Start if owns => (if over { 404 } else { 200 }, false),
        Act::Start => (403, false),
        Act::DisconnectSupervisor if owns || operates => (leave, changes),
        Act::DisconnectSupervisor => (403, false),
        // 404, so that the answer does not reveal whether the supervision exists.
        _ if !sees => (404, false),
        Act::See | Act::Timeline => (200, false),
        // Only the supervisor's side may acknowledge. The answer is 404 because the directive does not exist.
        Act::Acknowledge => (if owns { 404 } else { 403 }, false),
        // An operator may also ask for SILENT, which changes nothing because the mode is SILENT already.
        Act::ChangeMode if owns || operates => (if state == State::Monitoring { 200 } else { 409 }, false),
        Act::Disconnect if owns || operates => (leave, changes),
        // Connect knows every leg here, so an operator is refused too while the supervision is not over.
        Act::Close if operates => (if over { 200 } else { 409 }, false),
        Act::ChangeMode | Act::Disconnect | Act::Close => (403, false),
    }
}

/// The supervision that a cell is called for.
struct Made {
    id: String,
    call: String,
    owner: Owner,
    state: State,
}

async fn ask(app: &TestApp, callers: &Callers, role: Role, about: &Made, act: Act) -> Answer {
    let directive = "0197f0aa-5d1e-7c3a-8a44-3a52b2a4c7f1";
    let user = about.owner.user();
    // A start after the end would create another supervision; a contact that does not exist prevents that.
    let contact = if about.state.is_final() {
        "no-such-contact"
    } else {
        &about.call
    };
    let (method, tail, body) = match act {
        Act::See => ("GET", "", None),
        Act::Timeline => ("GET", "/timeline", None),
        Act::Acknowledge => (
            "POST",
            "/acknowledgements",
            Some(json!({"directiveId": directive, "outcome": "DONE"})),
        ),
        Act::ChangeMode => ("POST", "/mode", Some(json!({"mode": "SILENT"}))),
        Act::Disconnect | Act::DisconnectSupervisor => ("POST", "/disconnect", None),
        Act::Close => ("POST", "/close", Some(json!({"reason": "test"}))),
        Act::Directives => ("GET", "/directives", None),
        Act::Ticket => ("POST", "/tickets", None),
        Act::Start => ("POST", "", Some(start(contact, user))),
    };
    let path = match act {
        Act::Start => "/v1/supervisions".to_owned(),
        Act::DisconnectSupervisor | Act::Directives | Act::Ticket => format!("/v1/supervisors/{user}{tail}"),
        _ => format!("/v1/supervisions/{}{tail}", about.id),
    };
    let mut call = app.call(method, &path);
    if let Some(body) = &body {
        call = call.json(body);
    }
    let call = callers.ask_as(role, call);
    call.send().await
}

/// How long a join is in progress, ms.
const JOIN_MS: u64 = 6000;
/// The most cells that are called for one join, so that all are called while it is in progress, also on a busy machine.
const CELLS_OF_A_JOIN: usize = 50;

/// A supervision of this owner in this state.
async fn make(app: &TestApp, owner: Owner, state: State) -> Made {
    let call = app.connect().create_call();
    let user = owner.user();
    let made = |id: String| Made {
        id,
        call: call.clone(),
        owner,
        state,
    };
    if state == State::Failed {
        let failed = app.listen("no-such-contact", user).await;
        return made(failed.body["supervisionId"].as_str().expect("an id").to_owned());
    }
    let id = if owner == Owner::Supervisor3 {
        app.connect().begin_leg_by_hand(&call, user).expect("a leg");
        let found = app.found(&format!("contactId={call}")).await;
        found["id"].as_str().expect("an id").to_owned()
    } else {
        if state == State::Joining {
            app.connect().fault(Fault::late("MonitorContact", JOIN_MS));
        }
        app.listen(&call, user).await.id()
    };
    if matches!(state, State::Requested | State::Joining) {
        assert_eq!(app.get(&id).await.state(), state.as_str());
        return made(id);
    }
    app.until(&id, "joined", |s| !s["joinedAt"].is_null()).await;
    if state != State::Monitoring {
        let asked = app.disconnect(&id).await;
        if state == State::Left {
            app.browser(user).obey(&asked.body["nextAction"]).await;
            app.until_left(&id).await;
            app.until_written(&id).await;
        }
    }
    made(id)
}

/// Whether this owner can have a supervision in this state. An observed leg is never in a state before MONITORING.
fn can_be(owner: Owner, state: State) -> bool {
    owner != Owner::Supervisor3 || matches!(state, State::Monitoring | State::Leaving | State::Left)
}

/// The cells that have been called.
type Asked = HashSet<(Role, Act, Owner, State)>;

/// Calls these cells for one supervision, then ends it.
async fn ask_all(app: &TestApp, callers: &Callers, about: Made, cells: &[(Role, Act)], asked: &mut Asked) {
    let Made { owner, state, .. } = about;
    for (role, act) in cells.iter().copied() {
        let (status, changes) = expected(role, owner, state, act);
        let answer = ask(app, callers, role, &about, act).await;
        assert_eq!(
            answer.status, status,
            "{role:?} {act:?} {owner:?} {state:?}: {}",
            answer.text
        );
        if !changes {
            let is = app.get(&about.id).await;
            assert_eq!(is.state(), state.as_str(), "{role:?} {act:?} {owner:?} changed it");
        }
        asked.insert((role, act, owner, state));
    }
    let _ = app.connect().hang_up(&about.call, "AGENT");
    app.until(&about.id, "an end", |s| {
        matches!(s["state"].as_str(), Some("LEFT" | "FAILED"))
    })
    .await;
}

/// Calls first the cells that must not change the supervision, then those that may. Only the first of the latter meets the unchanged
/// state, so each is called first once, on a supervision of its own. A join in progress is the exception, because it ends slowly.
async fn ask_about(app: &TestApp, callers: &Callers, owner: Owner, state: State, asked: &mut Asked) {
    let acts = acts();
    let cells = ROLES.iter().flat_map(|role| acts.iter().map(|act| (*role, *act)));
    let (mut deciding, mut all): (Vec<_>, Vec<_>) =
        cells.partition(|(role, act)| expected(*role, owner, state, *act).1);
    if state == State::Joining {
        let mut parts = all.chunks(CELLS_OF_A_JOIN).peekable();
        while let Some(part) = parts.next() {
            let last = if parts.peek().is_none() {
                deciding.as_slice()
            } else {
                &[]
            };
            ask_all(
                app,
                callers,
                make(app, owner, state).await,
                &[part, last].concat(),
                asked,
            )
            .await;
        }
    } else {
        all.extend(&deciding);
        ask_all(app, callers, make(app, owner, state).await, &all, asked).await;
        for _ in 1..deciding.len() {
            deciding.rotate_left(1);
            ask_all(app, callers, make(app, owner, state).await, &deciding, asked).await;
        }
    }
}

#[tokio::test]
async fn authority_of_every_role_on_every_owner_in_every_state() {
    let callers = Callers::new().await;
    let quick = || {
        callers
            .app()
            .set("HTTP__ANSWER_WITHIN_MS", "300")
            .set("CONNECT__INSTANCES__MAIN__CALL_TIMEOUT_MS", "10000")
    };
    let app = quick().start().await;
    // In this app a join waits for rate budget that it never gets, so the state stays REQUESTED.
    let crowded = quick()
        .set("CONNECT__QUOTAS__DEFAULT__MONITORCONTACT__PER_SECOND", "0.01")
        .set("CONNECT__QUOTAS__DEFAULT__MONITORCONTACT__BURST", "1")
        .start()
        .await;
    crowded.listen("no-such-contact", "supervisor-4").await;
    let mut asked = Asked::new();
    let owners = [Owner::Supervisor1, Owner::Supervisor2, Owner::Supervisor3];
    let pairs = State::ALL
        .into_iter()
        .flat_map(|state| owners.map(|owner| (owner, state)));
    let pairs: Vec<_> = pairs.filter(|(owner, state)| can_be(*owner, *state)).collect();
    for (owner, state) in &pairs {
        let app = if *state == State::Requested { &crowded } else { &app };
        ask_about(app, &callers, *owner, *state, &mut asked).await;
    }
    assert_eq!(asked.len(), pairs.len() * ROLES.len() * acts().len());
    // Every route about a supervision or supervisor, and every state, is among the called cells.
    let about = ROUTES
        .iter()
        .filter(|route| route.names_supervision() || route.names_supervisor());
    assert_eq!(acts().len(), about.count() + 1);
    let states: HashSet<State> = asked.iter().map(|(.., state)| *state).collect();
    assert_eq!(states, State::ALL.into_iter().collect());
    app.finish().await;
    crowded.finish().await;
}
