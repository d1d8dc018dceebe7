//! Every route of the front door, asked by every kind of caller, for their own supervisor and for another: who is let
//! through and who is told 401, 403 or 404, and that whoever is refused has changed nothing. The routes come from the
//! router's own list: one without a rule here fails.

use serde_json::{Value, json};
use sidedoor::http::ROUTES;
use sidedoor_domain::authority::Scope;

use crate::support::app::TestApp;
use crate::support::callers::{Callers, ROLES, Role};
use crate::support::sql;

/// Whom a request is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum About {
    /// supervisor-1, as whom the callers with `supervise` act.
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

/// Who may use a route.
enum May {
    /// Whoever comes.
    Anybody,
    /// These scopes; `supervise` among them only for its own supervisor. Others are told this.
    Only(&'static [Scope], u16),
}

/// The rule, in words; the request that is tried.
fn rule(method: &str, route: &str) -> Option<(May, Option<Value>)> {
    use Scope::{Events, Operate, Read, Supervise, SuperviseAny};
    let seeing = May::Only(&[Supervise, SuperviseAny, Read, Operate], 404);
    let ending: &[Scope] = &[Supervise, SuperviseAny, Operate];
    let being: &[Scope] = &[Supervise, SuperviseAny];
    let directive = "0197f0aa-5d1e-7c3a-8a44-3a52b2a4c7f1";
    Some(match (method, route) {
        // The body is made when it is known whom it is about.
        ("POST", "/v1/supervisions") => (May::Only(being, 403), None),
        ("GET", "/v1/supervisions") => (May::Only(&[Supervise, SuperviseAny, Read, Operate], 403), None),
        ("GET", "/v1/supervisions/{supervisionId}" | "/v1/supervisions/{supervisionId}/timeline") => (seeing, None),
        ("POST", "/v1/supervisions/{supervisionId}/disconnect") => (May::Only(ending, 404), None),
        ("POST", "/v1/supervisions/{supervisionId}/mode") => (May::Only(ending, 404), Some(json!({"mode": "SILENT"}))),
        ("POST", "/v1/supervisions/{supervisionId}/acknowledgements") => {
            let body = json!({"directiveId": directive, "outcome": "DONE"});
            (May::Only(being, 404), Some(body))
        }
        ("POST", "/v1/supervisors/{connectUserId}/disconnect")
        | ("GET", "/v1/supervisors/{connectUserId}/directives") => (May::Only(ending, 403), None),
        ("POST", "/v1/supervisors/{connectUserId}/tickets") => (May::Only(being, 403), None),
        ("POST", "/v1/events/connect") => (
            May::Only(&[Events], 403),
            Some(json!({"detail-type": "Scheduled Event"})),
        ),
        ("POST", "/v1/events/partners/{vendor}") => {
            let body = json!({"legId": "leg-1", "event": "CONNECTED"});
            (May::Only(&[Events], 403), Some(body))
        }
        ("GET", "/v1/vendors" | "/v1/vendors/{vendor}/calibration") => {
            (May::Only(&[SuperviseAny, Read, Operate], 403), None)
        }
        ("GET", "/v1/deliveries" | "/v1/audit" | "/metrics") => (May::Only(&[Read, Operate], 403), None),
        ("POST", "/v1/vendors/{vendor}/probes" | "/v1/deliveries/{deliveryId}/replay") => {
            (May::Only(&[Operate], 403), None)
        }
        ("POST", "/v1/deliveries/replay") => {
            let body = json!({"begunSince": "2026-01-01T00:00:00Z", "begunBefore": "2026-01-02T00:00:00Z"});
            (May::Only(&[Operate], 403), Some(body))
        }
        ("GET", "/healthz" | "/readyz" | "/openapi.yaml") => (May::Anybody, None),
        _ => return None,
    })
}

/// What must stay as it is when somebody is refused: what the service does by itself meanwhile is not counted.
async fn everything(app: &TestApp) -> Vec<Vec<String>> {
    let all = "SELECT 'supervision', id, state FROM supervisions
               UNION ALL SELECT 'audit', CAST(COUNT(*) AS TEXT), '' FROM audit WHERE actor <> 'sidedoor'
               UNION ALL SELECT 'directive', CAST(COUNT(*) AS TEXT), '' FROM directives
               UNION ALL SELECT 'key', CAST(COUNT(*) AS TEXT), '' FROM idempotency_keys
               UNION ALL SELECT 'delivery', CAST(COUNT(*) AS TEXT), '' FROM deliveries
               UNION ALL SELECT 'event', CAST(COUNT(*) AS TEXT), '' FROM seen_events ORDER BY 1, 2";
    sql(&app.store_path(), all).await.expect("read")
}

/// A finished supervision of this supervisor, its row recorded: nothing of it changes by itself any more.
async fn finished(app: &TestApp, user: &str) -> String {
    let call = app.connect().create_call();
    let id = app.joined(&call, user).await["id"].as_str().expect("an id").to_owned();
    app.leave(&id, user).await;
    app.until_written(&id).await;
    app.connect().hang_up(&call, "AGENT").expect("hung up");
    id
}

#[tokio::test]
async fn every_route_lets_through_whom_it_must_and_nobody_else() {
    let callers = Callers::new().await;
    let app = callers.app().start().await;
    let (own, another) = (
        finished(&app, "supervisor-1").await,
        finished(&app, "supervisor-2").await,
    );
    app.events_delivered().await;
    let mut asked = 0;
    for (method, route) in ROUTES {
        let Some((may, body)) = rule(method, route) else {
            panic!("{method} {route} has no rule here: who may use it?");
        };
        for about in [About::Own, About::Another] {
            let supervision = if about == About::Own { &own } else { &another };
            let mut path = route
                .replace("{supervisionId}", supervision)
                .replace("{connectUserId}", about.user())
                .replace("{deliveryId}", supervision)
                .replace("{vendor}", "amazon-connect");
            let mut body = body.clone();
            let mut personal = route.contains("{supervisionId}") || route.contains("{connectUserId}");
            if route == "/v1/supervisions" {
                personal = true;
                if method == "POST" {
                    body = Some(json!({"contactId": "no-such-contact", "supervisor": {"connectUserId": about.user()}}));
                } else {
                    path = format!("{path}?connectUserId={}", about.user());
                }
            }
            for role in ROLES {
                let expected = match (&may, role.scope()) {
                    (May::Anybody, _) => None,
                    (May::Only(..), None) => Some(401),
                    (May::Only(scopes, refusal), Some(scope)) => {
                        let named = scope != Scope::Supervise || !personal || about == About::Own;
                        // Who sees it and may not do it is told so; from the others it is hidden.
                        let sees = scope == Scope::Read || scope == Scope::Operate;
                        let refusal = if *refusal == 404 && sees { 403 } else { *refusal };
                        (!(scopes.contains(&scope) && named)).then_some(refusal)
                    }
                };
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
fn roles_are_every_scope_by_key_and_by_token() {
    for scope in Scope::ALL {
        assert!(ROLES.contains(&Role::Key(scope)) && ROLES.contains(&Role::Token(scope)));
    }
}
