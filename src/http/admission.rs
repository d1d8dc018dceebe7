//! Which requests may run, decided before any work is done for them: the caller's scopes, then the caller's share of the bulkhead, then
//! the arrival of the body, then a place in the bulkhead. So no body is read for a caller that may not use the route.

use axum::extract::{FromRequestParts, MatchedPath, Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use sidedoor_domain::authority::Scope;
use tokio::sync::OwnedSemaphorePermit;

use super::bulkheads::{Bulkhead, Share};
use super::extract::{Authenticated, SupervisionInPath};
use super::problem::Problem;
use super::routes::{Access, Route};
use super::{AppState, arrival, routes};

/// Lets a request of an authenticated caller run, or answers why not.
pub(super) async fn admit(State(app): State<AppState>, request: Request, next: Next) -> Response {
    let path = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    // A method that the path does not have is answered 405 further in.
    let Some(route) = path.and_then(|path| routes::find(path, request.method())) else {
        return next.run(request).await;
    };
    match admitted(&app, route, request).await {
        Ok((request, _share, _place)) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

/// Limits the concurrent requests of the public routes, which no other requests can fill.
pub(super) async fn admit_public(State(app): State<AppState>, request: Request, next: Next) -> Response {
    match app.bulkheads.place(Bulkhead::Health) {
        Some(_place) => next.run(request).await,
        None => full().into_response(),
    }
}

async fn admitted(
    app: &AppState,
    route: &Route,
    request: Request,
) -> Result<(Request, Share, OwnedSemaphorePermit), Problem> {
    let (mut parts, body) = request.into_parts();
    let Authenticated(by) = Authenticated::from_request_parts(&mut parts, app).await?;
    if let Access::AnyOf(scopes) = route.access
        && !scopes.iter().any(|scope| by.caller.has(*scope))
    {
        if route.names_supervision() {
            // A caller that may not see the supervision must not learn whether it exists.
            let SupervisionInPath(id) = SupervisionInPath::from_request_parts(&mut parts, app).await?;
            app.usecases.reports.get(id, &by).await?;
        }
        return Err(needs(scopes));
    }
    let bulkhead = route.bulkhead();
    let share = app.bulkheads.share(bulkhead, &by.caller).ok_or_else(|| {
        app.limits.count_share(&by.caller);
        Problem::rate_limited("This credential has too many requests in progress.", 1)
    })?;
    let mut request = Request::from_parts(parts, body);
    if request.method() == Method::POST {
        request = arrival::receive(request, app.settings.max_body_bytes).await?;
    }
    let place = app.bulkheads.place(bulkhead).ok_or_else(full)?;
    Ok((request, share, place))
}

fn full() -> Problem {
    Problem::overloaded("Too many requests are in progress.")
}

fn needs(scopes: &[Scope]) -> Problem {
    let words: Vec<_> = scopes.iter().map(|scope| scope.as_str()).collect();
    let list = match words.as_slice() {
        [one] => format!("the scope {one}"),
        many => format!("one of the scopes {}", many.join(", ")),
    };
    Problem::new(
        super::ProblemCode::ActionForbidden,
        format!("This credential may not use this route, which needs {list}."),
    )
}
