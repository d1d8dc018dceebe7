//! Every route, called by every kind of caller, for their own supervisor and for another: the answer is what the scopes in the
//! table of routes say (401, 403, 404, or let through), and a refused call changes nothing.

use serde_json::{Value, json};
use sidedoor::http::{Access, ROUTES, Route, Verb};
use sidedoor_domain::authority::Scope;

use crate::support::app::TestApp;
use crate::support::callers::{Callers, ROLES, Role};
use crate::support::sql;

/// The supervisor that a request is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum About {
    /// supervisor-1, the supervisor of the callers with scope `supervise`.
    Own,
    /// supervisor-2.
    Another,
}

impl About {
    fn user(self) -> &'static str {
        match self {
            Self::Own => "supervisor-1",
            Self::Another => "supervisor-2",
        }
    }
}

/// Whether the table of routes lets this scope use a route, in a request about this supervisor.
fn allowed(route: &Route, scope: Scope, personal: bool, about: About) -> bool {
    match route.access {
        Access::Public | Access::DetailsFor(_) => true,
        // The scope shows who is on a contact, and the request here names none.
        Access::AnyOf(_) if route.operation_id == "listSupervisions" && scope == Scope::Presence => false,
        Access::AnyOf(scopes) => {
            let own = scope != Scope::Supervise || !personal || about == About::Own;
            scopes.contains(&scope) && own
        }
    }
}

/// The status that the route refuses this caller with; none if it lets them through.
fn refusal(route: &Route, role: Role, personal: bool, about: About) -> Option<u16> {
    let Some(scope) = role.scope() else {
        let is_refused = match route.access {
            Access::Public => false,
            Access::DetailsFor(_) => role == Role::InvalidCredential,
            Access::AnyOf(_) => true,
        };
        return is_refused.then_some(401);
    };
    if allowed(route, scope, personal, about) {
        return None;
    }
    // A caller that may see the supervision gets 403; any other gets 404, so that the answer does not reveal whether it exists.
    let owns = scope == Scope::SuperviseAny || (scope == Scope::Supervise && about == About::Own);
    let sees = scope == Scope::Read || scope == Scope::Operate || owns;
    Some(if route.names_supervision() && !sees { 404 } else { 403 })
}

/// A body that the route accepts. The body of a start depends on the supervisor, so the test makes it.
fn body(route: &Route) -> Option<Value> {
    match route.operation_id {
        "closeSupervision" | "discardDelivery" => Some(json!({"reason": "test"})),
        "changeMode" => Some(json!({"mode": "SILENT"})),
        "acknowledgeDirective" => {
            Some(json!({"directiveId": "0197f0aa-5d1e-7c3a-8a44-3a52b2a4c7f1", "outcome": "DONE"}))
        }
        "receiveConnectEvent" => Some(json!({"detail-type": "Scheduled Event"})),
        "receivePartnerEvent" => Some(json!({"legId": "leg-1", "event": "CONNECTED", "connectUserId": "supervisor-1"})),
        "replayDeliveries" => {
            Some(json!({"begunSince": "2026-01-01T00:00:00Z", "begunBefore": "2026-01-02T00:00:00Z"}))
        }
        _ => None,
    }
}

/// The stored state that a refused request must not change. Audit entries of the service itself are left out, because it may write some
/// meanwhile, and those about refusals and reads, which are written a moment later.
async fn everything(app: &TestApp) -> Vec<Vec<String>> {
    let all = "SELECT 'supervision', id, state FROM supervisions
               UNION ALL SELECT 'audit', CAST(COUNT(*) AS TEXT), '' FROM audit WHERE actor <> 'sidedoor'
                 AND action NOT IN ('access.refused', 'supervision.read')
               UNION ALL SELECT 'directive', CAST(COUNT(*) AS TEXT), '' FROM directives
               UNION ALL SELECT 'key', CAST(COUNT(*) AS TEXT), '' FROM idempotency_keys
               UNION ALL SELECT 'delivery', CAST(COUNT(*) AS TEXT), '' FROM deliveries
               UNION ALL SELECT 'event', CAST(COUNT(*) AS TEXT), '' FROM seen_events ORDER BY 1, 2";
    sql(&app.store_path(), all).await.expect("read")
}

/// A finished supervision of this supervisor with its Salesforce record written, so that it no longer changes by itself.
async fn finished(app: &TestApp, user: &str) -> String {
    let call = app.connect().create_call();
    let id = app.joined(&call, user).await["id"].as_str().expect("an id").to_owned();
    app.leave(&id, user).await;
    app.until_written(&id).await;
    app.connect().hang_up(&call, "AGENT").expect("hung up");
    id
}

#[tokio::test]
async fn authority_of_every_route_follows_its_scopes() {
    let callers = Callers::new().await;
    let app = callers.app().start().await;
    let (own, another) = (
        finished(&app, "supervisor-1").await,
        finished(&app, "supervisor-2").await,
    );
    app.events_delivered().await;
    let mut asked = 0;
    for route in &ROUTES {
        let method = route.verb.as_str();
        for about in [About::Own, About::Another] {
            let supervision = if about == About::Own { &own } else { &another };
            let mut path = route
                .path
                .replace("{supervisionId}", supervision)
                .replace("{connectUserId}", about.user())
                .replace("{deliveryId}", supervision)
                .replace("{vendor}", "amazon-connect");
            let mut body = body(route);
            let mut personal = route.names_supervision() || route.names_supervisor();
            if route.path == "/v1/supervisions" {
                personal = true;
                if route.verb == Verb::Post {
                    body = Some(json!({"contactId": "no-such-contact", "supervisor": {"connectUserId": about.user()}}));
                } else {
                    path = format!("{path}?connectUserId={}", about.user());
                }
            }
            for role in ROLES {
                let expected = refusal(route, role, personal, about);
                let before = everything(&app).await;
                let mut call = callers.ask_as(role, app.call(method, &path));
                if let Some(body) = &body {
                    call = call.json(body);
                }
                let answer = call.send().await;
                let what = format!("{role:?} {method} {path}: {} {}", answer.status, answer.text);
                match expected {
                    Some(status) => {
                        assert_eq!(answer.status, status, "{what}");
                        assert_eq!(everything(&app).await, before, "{what} changed something");
                    }
                    None => {
                        assert!(!matches!(answer.status, 401 | 403 | 405 | 429 | 500), "{what}");
                        let hidden = answer.status == 404 && answer.code() == "supervision_not_found";
                        assert!(!hidden, "{what}");
                    }
                }
                asked += 1;
            }
        }
    }
    assert_eq!(asked, ROUTES.len() * 2 * ROLES.len());
    app.assert_invariants().await;
}

#[test]
fn authority_roles_are_all_scopes_by_key_and_token() {
    for scope in Scope::ALL {
        assert!(ROLES.contains(&Role::Key(scope)) && ROLES.contains(&Role::Token(scope)));
    }
}
