//! Who may do what to whose supervision in which state: every cell of role × owner × state × act is asked over HTTP and compared
//! with the rule in words; a role is a scope by key or by token, or nobody. Nothing here is listed by hand but the rule.
//! `authority_routes` asks every route there is.

use serde_json::json;
use sidedoor::domain::authority::Scope;
use sidedoor::fakes::Fault;

use crate::support::callers::{Callers, ROLES, Role};
use crate::support::house::{Answer, House};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    See,
    Timeline,
    Acknowledge,
    ChangeMode,
    Disconnect,
}

const ACTS: [Act; 5] = [
    Act::See,
    Act::Timeline,
    Act::Acknowledge,
    Act::ChangeMode,
    Act::Disconnect,
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owner {
    Supervisor1,
    Supervisor2,
    /// A leg begun by hand.
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
fn expected(role: Role, owner: Owner, state: &str, act: Act) -> (u16, bool) {
    let owns = match role.scope() {
        Some(Scope::SuperviseAny) => true,
        Some(Scope::Supervise) => owner == Owner::Supervisor1,
        _ => false,
    };
    let operates = role.scope() == Some(Scope::Operate);
    let sees = owns || operates || role.scope() == Some(Scope::Read);
    let over = matches!(state, "LEFT" | "FAILED");
    match act {
        _ if role.scope().is_none() => (401, false),
        // Whether it exists is none of their business.
        _ if !sees => (404, false),
        Act::See | Act::Timeline => (200, false),
        // Only the browser's own side answers for it; this directive was never given.
        Act::Acknowledge => (if owns { 404 } else { 403 }, false),
        // To be silent: also an operator may ask. They are silent already.
        Act::ChangeMode if owns || operates => (if state == "MONITORING" { 200 } else { 409 }, false),
        Act::Disconnect if owns || operates => (if over { 200 } else { 202 }, !over),
        Act::ChangeMode | Act::Disconnect => (403, false),
    }
}

async fn ask(house: &House, callers: &Callers, role: Role, id: &str, act: Act) -> Answer {
    let directive = "0197f0aa-5d1e-7c3a-8a44-3a52b2a4c7f1";
    let (method, tail, body) = match act {
        Act::See => ("GET", "", None),
        Act::Timeline => ("GET", "/timeline", None),
        Act::Acknowledge => (
            "POST",
            "/acknowledgements",
            Some(json!({"directiveId": directive, "outcome": "DONE"})),
        ),
        Act::ChangeMode => ("POST", "/mode", Some(json!({"mode": "SILENT"}))),
        Act::Disconnect => ("POST", "/disconnect", None),
    };
    let path = format!("/v1/supervisions/{id}{tail}");
    let mut call = house.call(method, &path);
    if let Some(body) = &body {
        call = call.json(body);
    }
    let call = callers.ask_as(role, call);
    call.send().await
}

/// A supervision of this owner in this state, and its contact.
async fn make(house: &House, owner: Owner, state: &str) -> (String, String) {
    let call = house.connect().create_call();
    let user = owner.user();
    if state == "FAILED" {
        let failed = house.listen("no-such-contact", user).await;
        return (failed.body["supervisionId"].as_str().expect("an id").to_owned(), call);
    }
    let id = if owner == Owner::Supervisor3 {
        house.connect().begin_leg_by_hand(&call, user).expect("begun");
        let found = house.found(&format!("contactId={call}")).await;
        found["id"].as_str().expect("an id").to_owned()
    } else {
        if state == "JOINING" {
            house.connect().fault(Fault::late("MonitorContact", 1500));
        }
        house.listen(&call, user).await.id()
    };
    if state == "JOINING" {
        assert_eq!(house.get(&id).await.state(), "JOINING");
        return (id, call);
    }
    house.until(&id, "joined", |s| !s["joinedAt"].is_null()).await;
    if state != "MONITORING" {
        let asked = house.disconnect(&id).await;
        if state == "LEFT" {
            house.browser(user).obey(&asked.body["nextAction"]).await;
            house.until_left(&id).await;
            house.until_recorded(&id).await;
        }
    }
    (id, call)
}

/// Asks every cell of one supervision: first what may not change it, which must leave it as it is, then the rest.
async fn ask_all(house: &House, callers: &Callers, owner: Owner, state: &str, roles: &[Role]) -> usize {
    let (id, call) = make(house, owner, state).await;
    let cells = || roles.iter().flat_map(|role| ACTS.map(|act| (*role, act)));
    let may_change = |(role, act): &(Role, Act)| expected(*role, owner, state, *act).1;
    let mut asked = 0;
    for (role, act) in cells().filter(|c| !may_change(c)).chain(cells().filter(may_change)) {
        let (status, changes) = expected(role, owner, state, act);
        let answer = ask(house, callers, role, &id, act).await;
        assert_eq!(
            answer.status, status,
            "{role:?} {act:?} {owner:?} {state}: {}",
            answer.text
        );
        if !changes {
            let is = house.get(&id).await;
            assert_eq!(is.state(), state, "{role:?} {act:?} {owner:?} changed it");
        }
        asked += 1;
    }
    let _ = house.connect().hang_up(&call, "AGENT");
    house
        .until(&id, "an end", |s| {
            matches!(s["state"].as_str(), Some("LEFT" | "FAILED"))
        })
        .await;
    asked
}

#[tokio::test]
async fn every_role_on_everybodys_supervision_in_every_state() {
    let callers = Callers::new().await;
    let house = callers
        .house()
        .set("HTTP__ANSWER_WITHIN_MS", "300")
        .set("CONNECT__INSTANCES__MAIN__CALL_TIMEOUT_MS", "10000")
        .start()
        .await;
    let mut asked = 0;
    for owner in [Owner::Supervisor1, Owner::Supervisor2, Owner::Supervisor3] {
        for state in ["JOINING", "MONITORING", "LEAVING", "LEFT", "FAILED"] {
            if owner == Owner::Supervisor3 && matches!(state, "JOINING" | "FAILED") {
                // What is observed is there: it never joined by us.
                continue;
            }
            // The first act that changes something decides: each role that may is the first once.
            let firsts = if state == "MONITORING" { ROLES.len() } else { 1 };
            for first in 0..firsts {
                let mut roles = ROLES;
                roles.rotate_left(first);
                asked += ask_all(&house, &callers, owner, state, &roles).await;
            }
        }
    }
    // 3 owners at MONITORING, each with every role first; 3 at LEAVING and at LEFT; 2 at JOINING and at FAILED.
    assert_eq!(asked, (3 * ROLES.len() + 10) * ROLES.len() * ACTS.len());
    house.finish().await;
}
