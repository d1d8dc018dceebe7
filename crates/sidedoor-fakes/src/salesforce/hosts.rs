//! The hosts of the org and the versions of its API. An org that has moved answers at a new host, and its old host only says so.

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};

use super::org::SalesforceError;
use super::rest_api::answer_error;
use super::{Moved, SalesforceFake};
use crate::faults::dropped_connection;

/// The new host is this folder of the fake's host, so that it needs no second port.
pub(super) const NEW_HOST: &str = "/new-host";

/// Serves the REST API at the org's host, and at its new host.
pub(super) fn at_hosts(fake: &SalesforceFake, api: &Router) -> Router {
    let old = from_fn_with_state(fake.clone(), at_old_host);
    let new = from_fn_with_state(fake.clone(), at_new_host);
    api.clone().layer(old).nest(NEW_HOST, api.clone().layer(new))
}

async fn at_old_host(State(fake): State<SalesforceFake>, request: Request, next: Next) -> Response {
    let moved = fake.org().settings.moved;
    let status = match moved {
        Moved::No => return if_version_exists(&fake, request, next).await,
        Moved::Permanently => StatusCode::MOVED_PERMANENTLY,
        Moved::Temporarily => StatusCode::TEMPORARY_REDIRECT,
        Moved::Reset => return dropped_connection(),
        Moved::UrlNotReset => {
            let message = "The URL of your org has changed. Log in again.";
            return answer_error(&SalesforceError::new(404, "URL_NOT_RESET", message));
        }
    };
    let to = HeaderValue::from_str(&format!("{}{NEW_HOST}{}", fake.url(), request.uri().path()));
    match to {
        Ok(to) => (status, [(header::LOCATION, to)]).into_response(),
        Err(_) => status.into_response(),
    }
}

async fn at_new_host(State(fake): State<SalesforceFake>, request: Request, next: Next) -> Response {
    if_version_exists(&fake, request, next).await
}

async fn if_version_exists(fake: &SalesforceFake, request: Request, next: Next) -> Response {
    let newest = fake.org().settings.newest_api_version;
    let asked = request.uri().path().strip_prefix("/services/data/v").and_then(|path| {
        let (number, _) = path.split_once('.')?;
        number.parse::<u32>().ok()
    });
    if asked.is_some_and(|asked| asked > newest) {
        let message = "The requested resource does not exist";
        return answer_error(&SalesforceError::new(404, "NOT_FOUND", message));
    }
    next.run(request).await
}
